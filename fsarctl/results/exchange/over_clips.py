"""The difference of two results whose episodes are not the same, over the clips that both asked about.

Each clip has an accuracy on either side; their differences are averaged, clips within classes and then
classes, as drawing an episode weights them. What varies is which clips there are. Each is a query of some
episodes and support of others, so that the variance is the jackknife's of both parts; ``docs/comparing.md``
has the formulas, and how often the interval covers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fsarctl.errors import InputError
from fsarctl.progress import counted
from fsarctl.results.intervals import T_975, Estimate, Interval, paired_estimate, two_sided_p

__all__ = ["OverClips", "Side", "difference_over_clips"]

LEAST_WITHOUT = 0.1
"""Where less than this share of episodes is without a clip, they do not tell what it changes."""

Numbers = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Side:
    """One result's episodes of classes that both have, in numbers that both share.

    ``classes`` (episodes, way), ``asked`` (episodes, queries): labels. ``support`` (episodes, way, shot) and
    ``query`` (episodes, queries): clips. ``shared`` (clips,): whether both have it. ``right`` (episodes,
    queries): 1 or 0.
    """

    classes: Numbers
    support: Numbers
    query: Numbers
    asked: Numbers
    right: Values
    shared: npt.NDArray[np.bool_]

    @property
    def whole(self) -> int:
        """How many episodes hold only clips that both have."""
        return int((self.shared[self.support].all((1, 2)) & self.shared[self.query].all(1)).sum())


@dataclass(frozen=True)
class OverClips:
    """Second - first over ``clips`` of ``classes``; accuracies from 0 to 1."""

    difference: float
    accuracies: tuple[float, float]
    intervals: dict[str, Interval]
    clips: int
    classes: int


def difference_over_clips(sides: Sequence[Side], groups: Numbers | None = None) -> OverClips:
    """The mean difference per clip, and its intervals over clips (or groups of them) and over classes.

    ``groups`` (clips,): which clips were drawn together, such as those of one person.

    Raises:
        InputError: fewer than two clips were asked about on both sides.
    """
    size = len(sides[0].shared)
    counts = np.stack([np.bincount(side.query.reshape(-1), minlength=size) for side in sides])
    sums = np.stack([np.bincount(s.query.reshape(-1), s.right.reshape(-1), size) for s in sides])
    compared = np.nonzero((counts > 0).all(0) & sides[0].shared)[0]
    if len(compared) < 2:
        raise InputError(
            f"{counted(len(compared), 'clip')} of both was asked about on both sides; two or more are needed",
            next_step="Compare results of the same dataset and split.",
        )
    label = np.zeros(size, np.int64)
    label[sides[0].query] = sides[0].asked
    classes, place, of_class = np.unique(label[compared], return_inverse=True, return_counts=True)
    weight = np.zeros(size)
    weight[compared] = 1 / (len(classes) * of_class[place])
    accuracy = sums / np.maximum(1, counts)
    means = accuracy @ weight
    difference = (accuracy[1] - accuracy[0])[compared]
    by_class = np.bincount(place, difference) / of_class

    asking = np.zeros(size)
    asking[compared] = (difference - by_class[place]) * weight[compared]
    asking[compared] *= np.sqrt(of_class / np.maximum(1, of_class - 1))[place]
    supporting, noise = _supporting(sides, weight, accuracy, counts)
    drawn = np.arange(size) if groups is None else groups
    alone: Values = np.square(np.bincount(drawn, asking))
    moved = np.bincount(drawn, asking + supporting) ** 2 - np.bincount(drawn, noise)
    units = len(np.unique(drawn[compared]))
    single = int((of_class == 1).sum())
    if single < len(classes):
        # Of a class with one clip nothing is known but what the others show.
        known = float(alone.sum()) * len(classes) / (len(classes) - single)
        degrees = _degrees(alone, units - (len(classes) - single))
    else:
        known = float(difference.var(ddof=1)) / len(compared)
        degrees = len(compared) - 1
    variance = known + max(0.0, float(moved.sum() - alone.sum()))
    other = float(by_class.var(ddof=1)) / len(classes) if len(classes) > 1 else math.inf
    shares = [float(np.maximum(sign * difference, 0) @ weight[compared]) for sign in (1, -1)]
    intervals = {
        "clips" if groups is None else "groups": _interval(shares, len(compared), variance, degrees, units),
        # Other classes have other clips, so theirs is never the narrower.
        "classes": _interval(
            shares, len(compared), max(variance, other), min(degrees, len(classes) - 1), len(classes)
        ),
    }
    return OverClips(
        float(means[1] - means[0]),
        (float(means[0]), float(means[1])),
        intervals,
        len(compared),
        len(classes),
    )


def _supporting(
    sides: Sequence[Side], weight: Values, accuracy: Values, counts: Numbers
) -> tuple[Values, Values]:
    """(clips,) what each changes as support, and how much of its square the drawing of episodes makes.

    Without a clip, the episodes that it supports are gone, and each query that they ask counts for less.
    """
    size = len(weight)
    change, noise = np.zeros(size), np.zeros(size)
    for number, side in enumerate(sides):
        each = weight / np.maximum(1, counts[number])
        moved = (each[side.query] * (side.right - accuracy[number][side.query])).sum(1)
        unit = side.support.reshape(-1)
        moved = np.repeat(moved * (1 if number else -1), unit.size // max(1, len(moved)))
        label = np.zeros(size, np.int64)
        label[side.support] = side.classes[..., None]
        asked = np.bincount(side.classes.reshape(-1))
        share = np.bincount(unit, minlength=size) / np.maximum(1, asked[label])
        without = np.maximum(1 - share, LEAST_WITHOUT)
        this = np.bincount(unit, moved, size) / without
        # Clips of a class were drawn among those of the class: what counts is how they differ.
        there = np.bincount(unit, minlength=size) > 0
        members = np.maximum(1, np.bincount(label[there], minlength=len(asked)))
        this[there] -= (np.bincount(label[there], this[there], len(asked)) / members)[label[there]]
        change += this
        noise += np.bincount(unit, moved**2, size) / without**2
    return change, noise


def _degrees(squares: Values, most: int) -> int:
    """Degrees of freedom of a sum of squares, by the squares' own spread: few large ones tell little."""
    squares = squares[squares > 0]
    if not len(squares):
        return max(0, most)
    excess = float((squares**2).sum()) / float(squares.sum()) ** 2 - 1 / len(squares)
    return int(max(1, min(float(most), 2 / excess if excess > 0 else float(most))))


def _interval(shares: Sequence[float], clips: int, variance: float, degrees: int, count: int) -> Interval:
    """95 %, with Student's t; where no clip differs it still has a width, as ``paired_estimate`` says."""
    if not math.isfinite(variance) or degrees < 1:
        return Interval(-math.inf, math.inf, count, 1.0)
    gained, lost = shares
    spread = gained + lost - (gained - lost) ** 2
    found = paired_estimate(gained, lost, spread / variance if spread > 0 and variance > 0 else clips)
    wide = T_975[min(degrees, len(T_975)) - 1] / 1.96
    found = Estimate(found.mean, found.half_width * wide)
    return Interval(max(-1.0, found.low), min(1.0, found.high), count, two_sided_p(found))
