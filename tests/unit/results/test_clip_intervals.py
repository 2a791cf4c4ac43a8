"""Intervals over clips, groups and classes: against brute force over all episodes, and by simulation."""

from collections.abc import Callable
from itertools import permutations, product

import numpy as np
import pytest
from simulations.interval_coverage import WORLDS, cover

from fsarctl.results.clip_intervals import CLIPS_A_QUERY, PRIOR_DEGREES, intervals_of, intervals_of_classes
from fsarctl.results.interval_text import brackets, ends, interval_words, legend
from fsarctl.results.intervals import Interval, headline, paired_estimate
from fsarctl.results.predictions import Predictions
from fsarctl.results.result import intervals_as_json

Z = 1.96


def every_episode(
    classes: int, clips: int, way: int, right: Callable[[int, tuple[int, ...]], float]
) -> tuple[Predictions, np.ndarray]:
    """All 1-shot episodes, one query a class; ``right``: of the query and all supports, its own first."""
    chosen, support, query, values = [], [], [], []
    for some in permutations(range(classes), way):
        if list(some) != sorted(some):
            continue
        for pairs in product(permutations(range(clips), 2), repeat=way):
            rows = [[c * clips + each for each in pair] for c, pair in zip(some, pairs, strict=True)]
            supports = [row[0] for row in rows]
            chosen.append(some)
            support.append([[row] for row in supports])
            query.append([row[1] for row in rows])
            values.append(
                [right(row[1], (row[0], *(each for each in supports if each != row[0]))) for row in rows]
            )
    episodes = len(chosen)
    made = Predictions(
        tuple(f"c{n}" for n in range(classes)),
        np.array(chosen),
        np.array(support),
        np.array(query),
        np.tile(np.arange(way), (episodes, 1)),
        np.zeros((episodes, way, way), np.float32),
    )
    return made, np.array(values, np.float64)


def queries(interval: Interval, mean: float) -> float:
    """The n of Wilson's interval: its upper end solves (p - mean)^2 = z^2 p (1 - p) / n."""
    end = interval.high if interval.high < 1 else interval.low
    return Z**2 * end * (1 - end) / (end - mean) ** 2


def drawing(values: np.ndarray) -> float:
    return values.mean(1).var(ddof=1) / len(values) / values.var()


def test_the_variance_is_the_jackknifes_over_all_episodes_without_a_clip() -> None:
    random = np.random.default_rng(3)
    hardness = random.normal(size=12)

    def right(query: int, supports: tuple[int, ...]) -> float:
        own, *others = supports
        return float(0.3 + 1.2 * hardness[query] + hardness[own] > 0.5 * hardness[others].sum())

    classes, clips = 2, 6
    made, values = every_episode(classes, clips, 2, right)
    of_episode = values.mean(1)
    expected, deviations = 0.0, []
    for label in range(classes):
        without = []
        for clip in range(label * clips, (label + 1) * clips):
            has = (made.support == clip).any((1, 2)) | (made.query == clip).any(1)
            without.append(of_episode[~has].mean())
        own = np.array(without) - np.mean(without)
        expected += (clips - 1) / clips * (own**2).sum()
        deviations += list(own)
        # These episodes might have been drawn: what that alone does to each is taken off again.
        size, having = len(values), len(values) // 3
        of_drawing = of_episode.var() * having / (size * (size - having))
        expected -= clips * of_drawing * ((clips - 1) / clips) ** 2
    squares = np.array(deviations) ** 2
    degrees = min(classes * (clips - 1), 2 / ((squares**2).sum() / squares.sum() ** 2 - 1 / len(squares)))
    guess = CLIPS_A_QUERY / (classes * clips)
    ratio = (degrees * expected / values.var() + PRIOR_DEGREES * guess) / (degrees + PRIOR_DEGREES)
    found = intervals_of(made, values)["clips"]
    assert found.count == classes * clips
    assert 1 / queries(found, values.mean()) == pytest.approx(min(guess, ratio) + drawing(values))


def test_two_clips_a_class_that_are_all_wrong_still_leave_room() -> None:
    made, values = every_episode(3, 2, 3, lambda query, supports: 0.0)
    found = intervals_of(made, values)
    n = 1 / (2 / 6 + 1 / values.size)
    assert (found["episodes"].low, found["episodes"].high) == (0.0, 0.0)
    assert (found["clips"].low, found["clips"].high) == pytest.approx((0.0, Z**2 / (n + Z**2)))
    assert found["clips"].count == 6
    assert headline(found) == "clips"
    # The cautious guess for classes: each counts as one query.
    assert found["classes"].high >= found["clips"].high
    assert found["classes"].count == 3
    for each in intervals_of_classes(made).values():
        assert each.count == 2
        assert each.high > 0.6


def test_a_third_right_of_six_clips_is_no_certainty() -> None:
    """Every episode is a third right, whatever is drawn: an interval over episodes of no width at all."""
    made, values = every_episode(3, 2, 3, lambda query, supports: float(query in (0, 1)))
    found = intervals_of(made, values)
    assert found["episodes"].half_width == 0
    assert found["clips"].half_width > 0.3
    text = interval_words({"half_width": 0.0, **intervals_as_json(found)})
    assert text == brackets(intervals_as_json(found)["intervals"]["clips"])


def test_other_classes_leave_more_room_than_other_clips_of_these() -> None:
    random = np.random.default_rng(0)
    hardness = np.repeat(random.normal(size=6), 3)
    made, values = every_episode(6, 3, 2, lambda query, supports: float(hardness[query] > 0.1))
    found = intervals_of(made, values)
    assert found["episodes"].half_width < found["clips"].half_width < found["classes"].half_width


def test_copies_of_a_clip_are_one_clip_if_they_are_a_group() -> None:
    random = np.random.default_rng(1)
    hardness = random.normal(size=(2, 3))

    def right(query: int, supports: tuple[int, ...]) -> float:
        return float(
            hardness[query // 6, query % 6 // 2] + hardness[supports[0] // 6, supports[0] % 6 // 2] > 0
        )

    made, values = every_episode(2, 6, 2, right)
    alone = intervals_of(made, values)
    made = Predictions(**{**vars(made), "groups": np.arange(12) // 2})
    grouped = intervals_of(made, values)
    assert (alone["clips"].count, grouped["groups"].count) == (12, 6)
    assert grouped["groups"].half_width > 1.2 * alone["clips"].half_width
    assert "clips" not in grouped


def test_a_person_who_is_in_every_class_is_drawn_once() -> None:
    """Who shows a gesture decides alone, so that 3 people are 3 draws, and not 9."""
    made, values = every_episode(3, 6, 2, lambda query, supports: float(query % 3 == 0))
    by_class = Predictions(**{**vars(made), "groups": np.arange(18) // 6 * 3 + np.arange(18) % 3})
    by_person = Predictions(**{**vars(made), "groups": np.arange(18) % 3})
    nested, crossed = (intervals_of(each, values)["groups"] for each in (by_class, by_person))
    assert (nested.count, crossed.count) == (9, 3)
    assert crossed.half_width >= nested.half_width


def test_models_that_agree_may_differ_on_other_clips() -> None:
    made, values = every_episode(3, 2, 3, lambda query, supports: 0.0)
    found = intervals_of(made, values, paired=True)
    assert found["clips"].p == pytest.approx(1.0)
    assert found["clips"].low == -found["clips"].high < -0.3
    assert found["episodes"].p == 1.0


def test_half_a_pair_in_each_cell() -> None:
    """Agresti and Min: of 20 pairs 4 gained and 1 lost: (4.5 - 1.5) / 22 +/- z sqrt(6 - 9/22) / 22."""
    found = paired_estimate(4 / 20, 1 / 20, 20)
    assert found.mean == pytest.approx(3 / 22)
    assert found.half_width == pytest.approx(Z * np.sqrt(6 - 9 / 22) / 22)
    with pytest.raises(ValueError, match="no values"):
        paired_estimate(0.1, 0.1, 0)


def test_the_order_of_episodes_and_queries_does_not_matter() -> None:
    random = np.random.default_rng(2)
    made, values = every_episode(3, 4, 2, lambda query, supports: float((query * 7 + supports[0]) % 3 == 0))
    turned = random.permutation(len(values))
    again = Predictions(
        made.labels, made.classes[turned], made.support[turned], made.query[turned][:, ::-1],
        made.targets[turned][:, ::-1], made.scores[turned],
    )  # fmt: skip
    first, second = intervals_of(made, values), intervals_of(again, values[turned][:, ::-1])
    for name, each in first.items():
        assert (each.low, each.high) == pytest.approx((second[name].low, second[name].high))


def test_the_legend_says_what_the_intervals_are_over() -> None:
    made, values = every_episode(3, 2, 3, lambda query, supports: 0.0)
    numbers = {"half_width": 0.0, **intervals_as_json(intervals_of(made, values))}
    assert legend([numbers]) == "95 % interval in [ ], for other clips than these 6"
    narrow = {**numbers, "headline": "episodes"}
    assert legend([narrow]) == "95 % interval over episodes"
    assert legend([numbers, narrow]).endswith("; ±: over episodes")


@pytest.mark.parametrize(
    ("name", "classes", "clips"),
    [
        ("clip effects", 3, 2),
        ("clip effects", 5, 5),
        pytest.param("clip effects", 3, 20, marks=pytest.mark.slow),
        ("prototypes", 3, 2),
        ("prototypes", 5, 5),
        pytest.param("prototypes", 3, 20, marks=pytest.mark.slow),
    ],
)
def test_nineteen_of_twenty_intervals_hold_the_truth(name: str, classes: int, clips: int) -> None:
    """The whole table is in docs/honest-numbers.md; these are its quick cells, with their own error."""
    found = cover(WORLDS[name], classes, clips, worlds=80, episodes=200, seed=7)
    error = 2 * np.sqrt(0.95 * 0.05 / 80)
    for what in ("clips", "classes", "difference: clips"):
        assert found[what][0] >= 0.95 - error, what
    assert found["episodes, of these classes"][0] < 0.8


@pytest.mark.parametrize(
    ("low", "high", "told"), [(None, None, (0.6, 0.6)), (0.5, 0.8, (0.5, 0.8)), (0.7, 0.9, (0.6, 0.9))]
)
def test_an_interval_holds_its_accuracy(
    low: float | None, high: float | None, told: tuple[float, float]
) -> None:
    numbers = {"accuracy": 0.6, "headline": "clips", "intervals": {"clips": {"low": low, "high": high}}}
    assert ends(numbers) == told
