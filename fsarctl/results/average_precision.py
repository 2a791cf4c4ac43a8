"""Average precision of events in time, with intervals over stretches of the video.

A found event is right where it has the class of a true one, shares at least a given part of the time that
both cover (intersection over union), and no more confident event has taken that true one before. Average
precision is the area under precision over recall, each precision the highest at that recall or beyond (as
the ActivityNet and THUMOS evaluations have it); the mean is over the classes that truly occur.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "OVERLAPS",
    "Measured",
    "TimedLabel",
    "average_precision",
    "intersection_over_union",
    "mean_average_precision",
]

OVERLAPS = (0.3, 0.5, 0.7)
"""At which it is told, as others do."""

DRAWS = 1000
LEVEL = 0.95


class Timed(Protocol):
    """What lasts from one second to another."""

    @property
    def start_s(self) -> float: ...

    @property
    def end_s(self) -> float: ...


class TimedLabel(NamedTuple):
    """An event, found or true: seconds, class, and (of a found one) its confidence."""

    start_s: float
    end_s: float
    label: str
    score: float = 1.0

    def later(self, seconds: float) -> "TimedLabel":
        """The same, so much later."""
        return self._replace(start_s=self.start_s + seconds, end_s=self.end_s + seconds)


@dataclass(frozen=True)
class Measured:
    """Mean average precision at one overlap; ``low`` and ``high``: 95 % of bootstrap draws of stretches."""

    overlap: float
    value: float
    low: float
    high: float


def intersection_over_union(a: Timed, b: Timed) -> float:
    """The time that both cover over the time that either does; 0 where they do not meet."""
    both = min(a.end_s, b.end_s) - max(a.start_s, b.start_s)
    union = max(a.end_s, b.end_s) - min(a.start_s, b.start_s)
    return both / union if both > 0 and union > 0 else 0.0


def average_precision(hits: NDArray[np.bool_], truths: int) -> float:
    """Of one class: ``hits`` of its found events, the most confident first, and the number of true ones."""
    if truths == 0:
        return float("nan")
    right = np.cumsum(hits)
    precision = right / np.arange(1, len(hits) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best[hits].sum() / truths)


def mean_average_precision(
    found: Sequence[TimedLabel],
    true: Sequence[TimedLabel],
    overlaps: Sequence[float],
    *,
    stretch_s: float = 30.0,
    seed: int = 0,
) -> list[Measured]:
    """One number for each overlap; the bootstrap draws stretches of ``stretch_s`` with all that begins there.

    An event that begins in one stretch and is found as one that begins in another counts where it was found.
    """
    ordered = sorted(found, key=lambda each: (-each.score, each.start_s, each.end_s, each.label))
    found_of, true_of = _by_label(ordered), _by_label(true)
    labels = sorted(true_of)
    ends = [each.start_s for each in (*found, *true)]
    stretches = int(max(ends, default=0.0) / stretch_s) + 1
    draws = np.random.default_rng(seed).integers(0, stretches, (DRAWS, stretches))
    times = np.array([np.bincount(draw, minlength=stretches) for draw in draws])  # (draws, stretches)
    measured = []
    for overlap in overlaps:
        classes = [
            _OfClass(
                np.array(_hits(found_of[label], true_of[label], overlap), bool),
                np.array([int(each.start_s / stretch_s) for each in found_of[label]], int),
                np.bincount([int(each.start_s / stretch_s) for each in true_of[label]], minlength=stretches),
            )
            for label in labels
        ]
        value = _mean(classes, np.ones(stretches, int))
        drawn = [_mean(classes, each) for each in times]
        low, high = np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if labels else (np.nan,) * 2
        measured.append(Measured(overlap, value, float(low), float(high)))
    return measured


class _OfClass(NamedTuple):
    """Found events of a class, the most confident first, where each begins, and true ones a stretch."""

    hits: NDArray[np.bool_]
    begin: NDArray[np.int64]
    true: NDArray[np.int64]


def _mean(classes: Sequence[_OfClass], times: NDArray[np.int64]) -> float:
    """Mean average precision where each stretch stands so many times in the video."""
    values = []
    for each in classes:
        truths = int(each.true @ times)
        if truths:
            again = np.repeat(each.hits, times[each.begin]) if len(each.hits) else each.hits
            values.append(average_precision(again, truths))
    return float(np.mean(values)) if values else float("nan")


def _by_label(events: Iterable[TimedLabel]) -> defaultdict[str, list[TimedLabel]]:
    """Label -> its events, in their order."""
    found: defaultdict[str, list[TimedLabel]] = defaultdict(list)
    for each in events:
        found[each.label].append(each)
    return found


def _hits(found: Sequence[TimedLabel], true: Sequence[TimedLabel], overlap: float) -> list[bool]:
    """Whether each found event of a class is right, the most confident first; ``overlap`` is above 0."""
    by_start = sorted(enumerate(true), key=_start)
    longest = max(each.end_s - each.start_s for each in true)
    taken: set[int] = set()
    hits = []
    for each in found:
        # only these can share time with it; of twice the longest, lest a last bit matters
        first = bisect_left(by_start, each.start_s - 2 * longest, key=_start)
        last = bisect_left(by_start, each.end_s, key=_start)
        shares = [
            (intersection_over_union(each, other), -number)
            for number, other in by_start[first:last]
            if number not in taken
        ]
        best, number = max(shares, default=(0.0, 0))
        hits.append(best >= overlap)
        if best >= overlap:
            taken.add(-number)
    return hits


def _start(numbered: tuple[int, TimedLabel]) -> float:
    return numbered[1].start_s
