"""From scores over time to events: smoothed, compared with a threshold, joined, and told apart.

Every step is a function of the scores and the rules alone: the same ones give the same events.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from fsarctl.predict.event_rules import EventRules
from fsarctl.predict.windows import Windows
from fsarctl.results.average_precision import intersection_over_union

__all__ = ["Event", "curves_of", "events_of"]

Curve = NDArray[np.float64]


@dataclass(frozen=True)
class Event:
    """An action from ``start_s`` to ``end_s``, seconds; ``score``: its confidence, smoothed, at its best."""

    start_s: float
    end_s: float
    label: str
    score: float


def curves_of(confidences: Curve, windows: Windows, smooth: int) -> list[tuple[Curve, Curve]]:
    """For each size the centres of its windows (windows,), seconds, and smoothed confidences (windows, way).

    Shapes: confidences (all windows, way); NaN stays NaN, and has no part in the mean of its neighbours.
    """
    curves = []
    first = 0
    for size, count in zip(windows.sizes, windows.counts, strict=True):
        centres = np.array([float(number * size.stride_s + size.length_s / 2) for number in range(count)])
        curves.append((centres, _smoothed(confidences[first : first + count].astype(np.float64), smooth)))
        first += count
    return curves


def events_of(
    confidences: Curve, windows: Windows, labels: Sequence[str], rules: EventRules, duration_s: float
) -> list[Event]:
    """Events by their start; of those that overlap, the most confident. Shapes: (all windows, way)."""
    found: list[Event] = []
    for (_, curve), size in zip(curves_of(confidences, windows, rules.smooth), windows.sizes, strict=True):
        stretches = _peaks if rules.join == "peak" else _runs
        for column, label in enumerate(labels):
            for first, last, best in stretches(curve[:, column], rules.threshold):
                # Fractions: of events that touch, one ends where the other begins, to the last bit.
                reach = (size.length_s if rules.join == "peak" else size.stride_s) / 2
                start = float(first * size.stride_s + size.length_s / 2 - reach)
                end = float(last * size.stride_s + size.length_s / 2 + reach)
                found.append(Event(max(start, 0.0), min(end, duration_s), label, float(curve[best, column])))
    return sorted(_apart(found, rules.overlap), key=lambda each: (each.start_s, each.end_s, each.label))


def _smoothed(values: Curve, smooth: int) -> Curve:
    """Means over ``smooth`` rows around each (an even number: one more before it), of those there."""
    there = ~np.isnan(values)
    sums, counts = np.zeros(values.shape), np.zeros(values.shape)
    for offset in range(-min(smooth // 2, len(values)), min((smooth - 1) // 2, len(values)) + 1):
        here = slice(max(-offset, 0), len(values) - max(offset, 0))
        beside = slice(max(offset, 0), len(values) - max(-offset, 0))
        # Of differences: (a + a + a) / 3 is not always a, and a curve that stays the same would have peaks.
        sums[here] += np.where(there[beside], values[beside] - values[here], 0.0)
        counts[here] += there[beside]
    return values + sums / np.maximum(counts, 1)


def _peaks(curve: Curve, threshold: float) -> list[tuple[int, int, int]]:
    """Windows that reach the threshold and are higher than those beside them: (first, last, best), one each.

    Of equal neighbours the one in the middle is taken.
    """
    bounded = np.concatenate([[-np.inf], np.where(np.isnan(curve), -np.inf, curve), [-np.inf]])
    found = []
    place = 1
    while place <= len(curve):
        end = place
        while bounded[end + 1] == bounded[place] and end < len(curve):
            end += 1
        if bounded[place] >= threshold and bounded[place - 1] < bounded[place] > bounded[end + 1]:
            middle = (place + end) // 2 - 1
            found.append((middle, middle, middle))
        place = end + 1
    return found


def _runs(curve: Curve, threshold: float) -> list[tuple[int, int, int]]:
    """Windows in a row that reach the threshold: (first, last, best)."""
    reach = np.concatenate([[False], curve >= threshold, [False]])
    turns = np.flatnonzero(reach[1:] != reach[:-1])
    return [
        (int(first), int(last) - 1, int(first + np.argmax(curve[first:last])))
        for first, last in zip(turns[::2], turns[1::2], strict=True)
    ]


def _apart(events: Sequence[Event], overlap: float) -> list[Event]:
    """Temporal non-maximum suppression, over all classes."""
    kept: list[Event] = []  # by start
    start = attrgetter("start_s")
    longest = max((each.end_s - each.start_s for each in events), default=0.0)
    for event in sorted(events, key=lambda each: (-each.score, each.start_s, each.end_s, each.label)):
        # only these can share time with it; of twice the longest, lest a last bit matters
        first = bisect_left(kept, event.start_s - 2 * longest, key=start)
        last = bisect_left(kept, event.end_s, key=start)
        if all(intersection_over_union(event, other) <= overlap for other in kept[first:last]):
            insort(kept, event, key=start)
    return kept
