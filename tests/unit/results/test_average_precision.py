"""Average precision of events against a slow one that follows the definition word by word."""

import numpy as np
import pytest

from fsarctl.results.average_precision import TimedLabel, average_precision, mean_average_precision

OVERLAPS = (0.3, 0.5, 0.7)


def drawn(seed: int) -> tuple[list[TimedLabel], list[TimedLabel]]:
    generator = np.random.default_rng(seed)
    true, found = [], []
    for place in range(20):
        start = 6 * place + float(generator.uniform(0, 2))
        label = "abc"[generator.integers(3)]
        true.append(TimedLabel(start, start + 3, label))
        for _ in range(generator.integers(0, 3)):
            moved = start + float(generator.normal(0, 0.8))
            said = label if generator.random() < 0.7 else "abcd"[generator.integers(4)]
            found.append(TimedLabel(moved, moved + 3, said, float(np.round(generator.random(), 1))))
    return found, true


def by_the_definition(found: list[TimedLabel], true: list[TimedLabel], overlap: float) -> float:
    """For each class: walk down the ranking, and at every true event found add the best precision from
    there on, divided by how many there are."""
    values = []
    for label in sorted({each.label for each in true}):
        wanted = [each for each in true if each.label == label]
        ranked = sorted((e for e in found if e.label == label), key=lambda e: (-e.score, e.start_s))
        free, right = list(wanted), []
        for each in ranked:
            shares = []
            for other in free:
                both = min(each.end_s, other.end_s) - max(each.start_s, other.start_s)
                lengths = (each.end_s - each.start_s) + (other.end_s - other.start_s)
                shares.append(max(both, 0) / (lengths - max(both, 0)))
            hit = bool(shares) and max(shares) >= overlap
            if hit:
                free.pop(int(np.argmax(shares)))
            right.append(hit)
        area = 0.0
        for rank, hit in enumerate(right):
            if hit:
                later = [sum(right[: n + 1]) / (n + 1) for n in range(rank, len(right))]
                area += max(later) / len(wanted)
        values.append(area)
    return float(np.mean(values))


@pytest.mark.parametrize("seed", range(8))
def test_it_is_that_of_the_definition(seed: int) -> None:
    found, true = drawn(seed)
    measured = mean_average_precision(found, true, OVERLAPS)
    for each, overlap in zip(measured, OVERLAPS, strict=True):
        assert each.overlap == overlap
        assert each.value == pytest.approx(by_the_definition(found, true, overlap))
        assert each.low <= each.value <= each.high
    assert measured[0].value >= measured[1].value >= measured[2].value


def test_by_hand() -> None:
    # right, wrong, right of 4: 1/1 and 2/3, each a quarter.
    assert average_precision(np.array([True, False, True]), 4) == pytest.approx((1 + 2 / 3) / 4)
    # A better precision further down counts for what is above it: wrong, right, right of 2.
    assert average_precision(np.array([False, True, True]), 2) == pytest.approx(2 / 3)
    assert average_precision(np.array([], bool), 2) == 0.0


def test_one_true_event_is_found_once() -> None:
    true = [TimedLabel(0, 2, "a")]
    twice = [TimedLabel(0, 2, "a", 0.9), TimedLabel(0, 2, "a", 0.8)]
    assert mean_average_precision(twice, true, [0.5])[0].value == 1.0
    assert mean_average_precision([TimedLabel(0, 2, "b", 0.9)], true, [0.5])[0].value == 0.0
    assert mean_average_precision([], true, [0.5])[0].value == 0.0


def test_stretches_that_are_alike_have_no_spread() -> None:
    true = [TimedLabel(30 * k + 1, 30 * k + 3, "a") for k in range(10)]
    (measured,) = mean_average_precision(true, true, [0.7])
    assert (measured.value, measured.low, measured.high) == (1.0, 1.0, 1.0)


def test_the_interval_is_that_of_draws_of_stretches() -> None:
    """One right event in each of half of the stretches: precision 1, recall as drawn."""
    true = [TimedLabel(30 * k + 1, 30 * k + 3, "a") for k in range(20)]
    (measured,) = mean_average_precision(true[::2], true, [0.7])
    drawn = np.random.default_rng(5).binomial(20, 0.5, 20_000) / 20
    assert measured.value == 0.5
    assert measured.low == pytest.approx(np.quantile(drawn, 0.025), abs=0.06)
    assert measured.high == pytest.approx(np.quantile(drawn, 0.975), abs=0.06)
