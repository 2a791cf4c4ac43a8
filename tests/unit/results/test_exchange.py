"""Results of two people compared on what both have, against counting by hand and against the truth."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from exchanged import document, result
from simulations.shared_clips_coverage import WAY, World, compared, coverage, exported

from fsarctl.errors import InputError
from fsarctl.results.exchange.appendix import appendix
from fsarctl.results.exchange.comparison import compare_exported
from fsarctl.results.exchange.document import _lines
from fsarctl.results.exchange.matching import match
from fsarctl.results.exchange.over_clips import OverClips, Side, _degrees, difference_over_clips
from fsarctl.results.exchange.reading import ExportedClip, ExportedResult
from fsarctl.results.predictions import Predictions
from fsarctl.results.result import Comparison, compare_predictions


def pair(seed: int = 0, *, shot: int = 1, each: int = 8) -> tuple[ExportedResult, ExportedResult]:
    """Two people's results on copies of which each lacks 15 % of the clips."""
    random = np.random.default_rng(seed)
    world = World.drawn(random, random.normal(size=7), each)
    first, second = (exported(random, world, each, model, shot, 120) for model in (0, 1))
    return first, second


def by_hand(made: ExportedResult) -> dict[str, tuple[str, float]]:
    """Digest of each clip that was asked about -> its class and its accuracy."""
    asked: dict[str, list[bool]] = {}
    label = {}
    p = made.predictions
    for episode in range(len(p.query)):
        for place, row in enumerate(p.query[episode]):
            clip = made.clips[row]
            asked.setdefault(clip.sha256, []).append(
                bool(p.scores[episode, place].argmax() == p.targets[episode, place])
            )
            label[clip.sha256] = clip.label
    return {digest: (label[digest], sum(right) / len(right)) for digest, right in asked.items()}


@pytest.mark.parametrize("shot", [1, 3])
def test_the_difference_is_of_the_clips_that_both_asked_about(shot: int) -> None:
    first, second = pair(shot=shot)
    found = compare_exported(first, second)
    one, other = by_hand(first), by_hand(second)
    by_class: dict[str, list[float]] = {}
    for digest in one.keys() & other.keys():
        by_class.setdefault(one[digest][0], []).append(other[digest][1] - one[digest][1])
    expected = np.mean([np.mean(each) for each in by_class.values()])
    assert isinstance(found.found, OverClips)
    assert found.found.difference == pytest.approx(expected, abs=1e-12)
    assert found.accuracies[1] - found.accuracies[0] == pytest.approx(expected, abs=1e-12)
    assert (found.found.clips, found.found.classes) == (len(one.keys() & other.keys()), 7)
    digests = {clip.sha256 for clip in first.clips} & {clip.sha256 for clip in second.clips}
    assert found.matched.clips == found.matched.by_digest == len(digests)
    assert 0 < len(digests) < min(len(first.clips), len(second.clips))
    for side, whole in zip((first, second), found.whole, strict=True):
        held = [
            {*map(int, e.ravel())} | {*map(int, q)}
            for e, q in zip(side.predictions.support, side.predictions.query, strict=True)
        ]
        assert whole == sum(all(side.clips[row].sha256 in digests for row in rows) for rows in held)
    low, high = found.found.intervals["clips"].low, found.found.intervals["clips"].high
    assert low < expected < high


def test_the_other_way_round_is_the_negative() -> None:
    first, second = pair()
    there, back = compare_exported(first, second).as_json(), compare_exported(second, first).as_json()
    assert there["difference"] == pytest.approx(-back["difference"])
    assert there["intervals"]["clips"]["low"] == pytest.approx(-back["intervals"]["clips"]["high"])
    assert there["shared"]["episodes_of_shared_clips"] == back["shared"]["episodes_of_shared_clips"][::-1]


def test_the_interval_is_that_by_hand() -> None:
    """Whether a query is right depends on it alone, so what varies is which clips are asked about.

    Of 2 and 4 clips every other one is gained: variances of 1/2 and 1/3 (n - 1) make one of the mean of
    (1/2 / 2 + 1/3 / 4) / 2^2 = 1/12, as 1/4 / (1/12) = 3 independent pairs have, 3/2 of them gained.
    With half a pair in each cell: (2 - 1/2) / 5 +- t sqrt(5/2 - (3/2)^2 / 5) / 5, t of 4 degrees of freedom.
    """
    query = np.array([(0, 2), (1, 3), (0, 4), (1, 5)])
    classes = np.tile([0, 1], (4, 1))
    support = np.array([(1, 3), (0, 2), (1, 5), (0, 4)])[..., None]
    gained = np.array([1, 0, 1, 0, 1, 0])
    first, second = (
        Side(classes, support, query, classes, right[query].astype(float), np.ones(6, bool))
        for right in (0 * gained, gained)
    )
    found = difference_over_clips([first, second])
    assert (found.difference, found.accuracies, found.clips, found.classes) == (0.5, (0, 0.5), 6, 2)
    interval = found.intervals["clips"]
    assert interval.low == pytest.approx(0.3 - 2.776 * np.sqrt(2.5 - 1.5**2 / 5) / 5, abs=1e-3)
    assert (interval.high, interval.count) == (1, 6)


def test_the_interval_covers() -> None:
    share, width, error = coverage(50, 1, classes=8, each=8, shot=1, episodes=200)
    assert 0.86 <= share <= 1
    assert 0.02 < width < 0.12
    assert abs(error) < 0.02


def test_support_that_matters_widens_the_interval() -> None:
    """Of a model that is right where the support clip is an even one, nothing is known but from 56 clips."""
    sure, of_support = (
        exported(
            np.random.default_rng(seed), World.drawn(np.random.default_rng(2), np.zeros(7), 8), 8, 0, 1, 1500
        )
        for seed in (0, 1)
    )
    p, q = sure.predictions, of_support.predictions
    even = np.where(q.support[..., 0] % 2 == 0, q.targets, (q.targets + 1) % WAY)
    here = replace(sure, predictions=replace(p, scores=np.eye(WAY, dtype=np.float32)[p.targets]))
    there = replace(of_support, predictions=replace(q, scores=np.eye(WAY, dtype=np.float32)[even]))
    found = compare_exported(here, there).found
    assert isinstance(found, OverClips)
    expected = 1.96 * 0.5 / np.sqrt(len(of_support.clips))
    assert 0.8 * expected < found.intervals["clips"].half_width < 1.4 * expected


def renumbered(made: ExportedResult, seed: int) -> ExportedResult:
    """The same result of somebody who numbered clips, classes, columns, queries and episodes otherwise."""
    random = np.random.default_rng(seed)
    p = made.predictions
    rows, labels = random.permutation(len(made.clips)), random.permutation(len(p.labels))
    columns, queries = random.permutation(p.classes.shape[1]), random.permutation(p.query.shape[1])
    back = columns.argsort()
    order = random.permutation(len(p.query))
    turned = Predictions(
        tuple(p.labels[number] for number in labels.argsort()),
        labels[p.classes][:, columns],
        rows[p.support][:, columns, ::-1],
        rows[p.query][:, queries],
        back[p.targets][:, queries],
        p.scores[:, queries][..., columns],
    ).of(order)
    return replace(made, predictions=turned, clips=tuple(made.clips[row] for row in rows.argsort()))


@pytest.mark.parametrize("shot", [1, 2])
def test_the_same_episodes_are_paired_however_they_are_numbered(shot: int) -> None:
    random = np.random.default_rng(3)
    first, _ = pair(shot=shot)
    p = first.predictions
    other = replace(
        first, predictions=replace(p, scores=random.normal(size=p.scores.shape).astype(np.float32))
    )
    expected = compare_predictions(p, other.predictions)
    found = compare_exported(first, renumbered(other, 4))
    assert isinstance(found.found, Comparison)
    assert found.found.difference.mean == pytest.approx(expected.difference.mean, abs=1e-12)
    assert (found.found.gained, found.found.lost) == (expected.gained, expected.lost)
    assert found.found.intervals["clips"].low == pytest.approx(expected.intervals["clips"].low)
    assert (found.whole, found.remarks) == ((120, 120), [])


def test_the_first_episodes_of_a_longer_result_are_the_same() -> None:
    first, _ = pair()
    few = replace(first, predictions=first.predictions.of(np.arange(50)))
    found = compare_exported(first, few)
    assert isinstance(found.found, Comparison)
    assert (found.found.episodes, found.found.difference.mean) == (50, 0)
    assert "50 episodes of 120 and 50 that are the same" in found.remarks[0]


def test_a_few_episodes_that_are_the_same_by_chance_are_not_all() -> None:
    first, _ = pair()
    p = first.predictions
    some = replace(first, predictions=p.of(np.arange(40)))
    mixed = replace(first, predictions=Predictions.joined([p.of(np.arange(80, 120)), p.of(np.arange(10))]))
    found = compare_exported(some, mixed)
    assert (found.as_json()["paired"], found.as_json()["shared"]["same_episodes"]) == ("clips", 10)


def clips(*given: tuple[str, str, str]) -> tuple[ExportedClip, ...]:
    return tuple(ExportedClip(*each) for each in given)


def test_clips_are_the_same_by_content_else_by_name() -> None:
    base = result()
    names = [
        ("run/0.mp4", "run"),
        ("run/1.mp4", "run"),
        ("run/2.mp4", "run"),
        ("jump/0.mp4", "jump"),
        ("jump/1.mp4", "jump"),
        ("jump/2.mp4", "jump"),
    ]
    here = clips(*((name, label, str(place)) for place, (name, label) in enumerate(names)))
    there = clips(
        ("elsewhere/0.avi", "Run", "0"),  # by content
        ("run/1.mp4", "run", "x"),  # by name, other content
        ("val/run/2.webm", "run", ""),  # by name in another container, content not known
        ("jump/0.mp4", "jump", "1"),  # the content of another clip than the name's, and of another class
        ("jump/1.mp4", "jump", "4"),
        ("jump/9.mp4", "jump", "9"),  # in one alone
    )
    found = match(replace(base, clips=here), replace(base, clips=there))
    assert found.rows.tolist() == [0, -1, 2, -1, 4, -1]
    assert (found.by_digest, found.by_name, found.altered, found.relabelled) == (2, 1, 0, 1)
    again = match(replace(base, clips=here), replace(base, clips=(*there[:3], *here[3:])))
    assert again.rows.tolist() == [0, 1, 2, 3, 4, 5]
    assert (again.by_digest, again.by_name, again.altered, again.relabelled) == (4, 2, 1, 0)


def test_the_same_content_under_two_names_is_two_clips() -> None:
    base = result()
    twice = clips(*((clip.name, clip.label, "d") for clip in base.clips))
    found = match(replace(base, clips=twice), replace(base, clips=twice[::-1]))
    assert found.rows.tolist() == [5, 4, 3, 2, 1, 0]


def changed(change: Callable[[ExportedResult], ExportedResult], seed: int = 0) -> list[ExportedResult]:
    first, second = pair(seed)
    return [first, change(second)]


def record(**facts: Any) -> Callable[[ExportedResult], ExportedResult]:
    return lambda made: replace(made, record={**made.record, **facts})


def relabelled(made: ExportedResult, names: Callable[[str], str]) -> ExportedResult:
    """The same with other names for its classes."""
    return replace(
        made,
        predictions=replace(made.predictions, labels=tuple(map(names, made.predictions.labels))),
        clips=tuple(replace(clip, label=names(clip.label)) for clip in made.clips),
    )


def without_six(label: str) -> str:
    return label.replace("6", "9")


def encoded_anew(clip: ExportedClip) -> ExportedClip:
    return replace(clip, sha256="f" + clip.sha256[1:])


@pytest.mark.parametrize("change", [record(shot=5), record(way=4)])
def test_other_tasks_are_refused(change: Callable[[ExportedResult], ExportedResult]) -> None:
    with pytest.raises(InputError, match="different tasks"):
        compare_exported(*changed(change))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (record(query_mode="joint"), "A is independent and B joint"),
        (record(query=3), "A has 1 and B 3 queries a class"),
        (lambda made: relabelled(made, without_six), "6 classes are in both, of 7 and 7"),
        (lambda made: replace(made, clips=tuple(map(encoded_anew, made.clips))), "other content"),
    ],
)  # fmt: skip
def test_what_is_not_alike_is_said(change: Callable[[ExportedResult], ExportedResult], said: str) -> None:
    assert said in "; ".join(compare_exported(*changed(change)).remarks)


def test_classes_in_another_spelling_are_the_same() -> None:
    spelled = changed(lambda made: relabelled(made, lambda label: label.replace(" ", "_").title()))
    assert compare_exported(*spelled).as_json() == compare_exported(*pair()).as_json()


def test_only_episodes_of_classes_that_both_have_are_compared() -> None:
    first, second = changed(lambda made: relabelled(made, without_six))
    found = compare_exported(first, second).found
    assert isinstance(found, OverClips)
    assert found.classes == 6
    mine = first.predictions
    without = replace(first, predictions=mine.of(~(mine.classes == 6).any(1)))
    one, other = by_hand(without), by_hand(second)
    differences: dict[str, list[float]] = {}
    theirs = second.predictions
    other = by_hand(replace(second, predictions=theirs.of(~(theirs.classes == 6).any(1))))
    for digest in one.keys() & other.keys():
        differences.setdefault(one[digest][0], []).append(other[digest][1] - one[digest][1])
    assert found.difference == pytest.approx(np.mean([np.mean(each) for each in differences.values()]))


def test_nothing_in_common_is_refused() -> None:
    with pytest.raises(InputError, match="no episode whose classes both have"):
        compare_exported(*changed(lambda made: relabelled(made, lambda label: f"other {label}")))
    with pytest.raises(InputError, match="0 clips of both"):
        compare_exported(*changed(lambda made: replace(made, clips=tuple(
            ExportedClip(f"x{n}", clip.label, "") for n, clip in enumerate(made.clips)))))  # fmt: skip


def test_clips_of_a_group_count_as_one() -> None:
    first, second = pair(each=12)
    sides = [replace(side, predictions=replace(side.predictions, groups=np.array(
        [int(clip.sha256[3:]) % 4 + 10 * int(clip.sha256[:3]) for clip in side.clips]) + shift))
        for side, shift in ((first, 0), (second, 1000))]  # fmt: skip
    found, alone = compare_exported(sides[0], sides[1]).found, compare_exported(first, second).found
    assert isinstance(found, OverClips)
    assert isinstance(alone, OverClips)
    assert found.difference == alone.difference
    assert found.intervals["groups"].count == 28
    # Of one clip each they are the clips.
    single = [
        replace(side, predictions=replace(side.predictions, groups=np.arange(len(side.clips))))
        for side in (first, second)
    ]
    ungrouped = compare_exported(single[0], single[1]).found
    assert ungrouped.intervals["groups"].low == pytest.approx(alone.intervals["clips"].low)
    assert ungrouped.intervals["groups"].high == pytest.approx(alone.intervals["clips"].high)


def test_models_that_never_differ_have_an_interval_all_the_same() -> None:
    first, second = pair()
    same = [
        replace(
            side,
            predictions=replace(
                side.predictions, scores=np.eye(WAY, dtype=np.float32)[side.predictions.targets]
            ),
        )
        for side in (first, second)
    ]
    found = compare_exported(same[0], same[1]).found
    assert found.difference == 0
    assert 0 < found.intervals["clips"].half_width < 0.1


@pytest.mark.parametrize("markup", ["markdown", "latex"])
def test_an_appendix_shows_what_would_be_markup(markup: Any) -> None:
    made = document()
    entry = made["results"][0]
    entry["title"] = "A|B_c & <d>"
    entry["record"]["intervals"] = {"episodes": {"low": None, "high": None, "count": 1}}
    entry["settings"] = {"eval": {"shot": 1}, "model": None, "train": None, "extract": {"size": 73}}
    entry["weights"] = {
        "backbone": {"name": "tiny", "weights": "file", "files": {"weights": "ab"}},
        "adapters": None,
    }
    entry["versions"] = {"python": "3.11", "packages": {"numpy": "2"}, "stages": {"evaluate": 4}}
    text = appendix(made, markup)
    shown = {"markdown": r"A\|B_c &amp; &lt;d>", "latex": r"A\textbar{}B\_c \& \textless{}d\textgreater{}"}
    assert shown[markup] in text
    for value in ("75.00", "73", "numpy", "stage evaluate"):
        assert value in text
    columns = [
        line.replace(r"\|", "").replace(r"\&", "").count("|" if markup == "markdown" else "&")
        for line in text.splitlines()
        if shown[markup] in line
    ]
    assert columns == [9 if markup == "markdown" else 7]


def test_a_world_can_be_compared() -> None:
    found, truth = compared(np.random.default_rng(5), classes=6, each=6, shot=1, episodes=60)
    assert abs(found.found.difference - truth) < 0.3 if isinstance(found.found, OverClips) else False


@pytest.mark.parametrize(
    ("squares", "most", "degrees"),
    [
        ([0.0, 0.0], 5, 5),
        ([0.0], -1, 0),
        ([2.0, 2.0, 2.0], 7, 7),  # all alike: as many as there are
        ([1.0, 3.0], 100, 16),  # 2 / (10/16 - 1/2)
        ([1.0, 3.0], 9, 9),
        ([1.0, 1e9], 100, 4),  # one alone tells: 2 / (1 - 1/2)
    ],
)
def test_degrees_of_freedom_are_as_few_as_the_spread_of_the_squares_says(
    squares: list[float], most: int, degrees: int
) -> None:
    assert _degrees(np.array(squares), most) == degrees


def test_an_exported_document_has_an_entry_a_line_each_a_space_deeper() -> None:
    rows = {"b": [{"x": [1, 2]}, {"x": [[3], [4]]}], "a": {}}
    assert _lines(rows) == (
        """{
 "a": {},
 "b": [
  {
   "x": [1,2]
  },
  {
   "x": [
    [3],
    [4]
   ]
  }
 ]
}"""
    )
