"""Events against loops over windows, and by hand."""

from fractions import Fraction
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from fsarctl.predict.event_rules import EventRules
from fsarctl.predict.events import curves_of, events_of
from fsarctl.predict.windows import Windows, WindowSize

LABELS = ("jump", "-run", "a --> b")


def drawn(seed: int, sizes: int = 2, *, holes: bool = False) -> tuple[NDArray[np.float64], Windows]:
    """Confidences that wander, of a video of 20 s."""
    lengths = [WindowSize(Fraction(2), Fraction(1, 2)), WindowSize(Fraction(3), Fraction(3, 4))][:sizes]
    windows = Windows.over(lengths, 8, Fraction(20), Fraction(1, 25))
    generator = np.random.default_rng(seed)
    logits = np.cumsum(generator.normal(0, 1, (len(windows), len(LABELS))), axis=0)
    confidences = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    if holes:
        confidences[generator.random(len(windows)) < 0.2] = np.nan
    return np.round(confidences, 1), windows  # rounded, so that neighbours are equal at times


@pytest.mark.parametrize("smooth", [1, 2, 3, 5, 100])
def test_curves_are_means_of_the_windows_around(smooth: int) -> None:
    confidences, windows = drawn(0, holes=True)
    first = 0
    for (centres, curve), size, count in zip(
        curves_of(confidences, windows, smooth), windows.sizes, windows.counts, strict=True
    ):
        own = confidences[first : first + count]
        first += count
        for row in range(count):
            assert centres[row] == pytest.approx(float(row * size.stride_s + size.length_s / 2))
            around = own[max(0, row - smooth // 2) : row + (smooth - 1) // 2 + 1]
            expected = np.nan if np.isnan(own[row, 0]) else np.nanmean(around, axis=0)
            np.testing.assert_allclose(curve[row], expected)


@pytest.mark.parametrize("smooth", range(2, 9))
def test_a_curve_that_stays_the_same_has_one_peak(smooth: int) -> None:
    """To the last bit: (0.1 + 0.1 + 0.1) / 3 is more than 0.1, the mean of two at the ends."""
    windows = Windows.over([WindowSize(Fraction(2), Fraction(1))], 8, Fraction(20), Fraction(1, 25))
    for value in [0.1, *np.random.default_rng(0).uniform(0, 1, 50).tolist()]:
        confidences = np.full((len(windows), 1), value)
        ((_, curve),) = curves_of(confidences, windows, smooth)
        assert np.array_equal(curve, confidences)
        rules = EventRules(smooth=smooth, threshold=value)
        assert [each.score for each in events_of(confidences, windows, ["a"], rules, 20.0)] == [value]


def best_of(
    found: list[tuple[float, float, str, float]], overlap: float
) -> set[tuple[float, float, str, float]]:
    """What is left when the best is taken, and all that overlap it are struck out, until none is left."""
    left, kept = list(found), set()
    while left:
        best = max(left, key=lambda each: (each[3], -each[0], -each[1], -ord(each[2][0])))
        kept.add(best)

        def share(
            each: tuple[float, float, str, float], best: tuple[float, float, str, float] = best
        ) -> float:
            steps = np.arange(0, 20, 0.125) + 0.0625
            a, b = ((steps > one[0]) & (steps < one[1]) for one in (each, best))
            return float((a & b).sum() / (a | b).sum())

        left = [each for each in left if each is not best and share(each) <= overlap]
    return kept


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("join", ["peak", "run"])
def test_events_are_what_loops_find(seed: int, join: str) -> None:
    confidences, windows = drawn(seed, holes=seed % 2 == 1)
    rules = EventRules(smooth=1, threshold=0.4, join=join, overlap=0.2)  # type: ignore[arg-type]
    found: list[tuple[float, float, str, float]] = []
    first = 0
    for size, count in zip(windows.sizes, windows.counts, strict=True):
        own = confidences[first : first + count]
        first += count
        length, stride = float(size.length_s), float(size.stride_s)
        for column, label in enumerate(LABELS):
            row = 0
            while row < count:
                high = own[row, column]
                end = row
                if join == "peak":
                    while end + 1 < count and own[end + 1, column] == high:
                        end += 1
                    beside = [own[place, column] for place in (row - 1, end + 1) if 0 <= place < count]
                    if high >= 0.4 and not any(each > high for each in beside):
                        start = (row + end) // 2 * stride
                        found.append((start, start + length, label, float(high)))
                elif high >= 0.4:
                    while end + 1 < count and own[end + 1, column] >= 0.4:
                        end += 1
                    start, stop = (
                        row * stride + length / 2 - stride / 2,
                        end * stride + length / 2 + stride / 2,
                    )
                    found.append((start, stop, label, float(own[row : end + 1, column].max())))
                row = end + 1
    events = events_of(confidences, windows, LABELS, rules, 20.0)
    assert {(each.start_s, each.end_s, each.label, each.score) for each in events} == best_of(found, 0.2)
    assert len(events) > 2
    assert [each.start_s for each in events] == sorted(each.start_s for each in events)


def test_events_end_with_the_video() -> None:
    windows = Windows.over([WindowSize(Fraction(2), Fraction(1))], 8, Fraction(396, 100), Fraction(4, 100))
    confidences = np.array([[0.1], [0.2], [0.9]])
    (event,) = events_of(confidences, windows, ["a"], EventRules(smooth=1), 3.96)
    assert (event.start_s, event.end_s, event.score) == (2.0, 3.96, 0.9)


def test_no_score_no_event() -> None:
    windows = Windows.over([WindowSize(Fraction(2), Fraction(1))], 8, Fraction(4), Fraction(1, 25))
    assert events_of(np.full((3, 1), np.nan), windows, ["a"], EventRules(), 4.0) == []


@pytest.mark.parametrize("join", ["peak", "run"])
@pytest.mark.parametrize("tenths", [1, 3, 7, 11, 23])
def test_events_that_touch_are_two(join: Literal["peak", "run"], tenths: int) -> None:
    """Wherever they meet: they share no time, though centres and halves of floats may say so."""
    length = Fraction(tenths, 10)
    apart = 8 if join == "peak" else 1
    for first in range(60):
        count = first + apart + 1
        windows = Windows.over(
            [WindowSize(length, length / 8)], 4, length * (count + 7) / 8, Fraction(1, 1000)
        )
        confidences = np.zeros((len(windows), 2))
        confidences[first, 0] = confidences[first + apart, 1] = 0.9
        found = events_of(confidences, windows, ["a", "b"], EventRules(join=join), 1e9)
        assert [each.label for each in found] == ["a", "b"]
        assert found[0].end_s == found[1].start_s
