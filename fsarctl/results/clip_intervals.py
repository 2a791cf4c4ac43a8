"""How far a mean over episodes moves when other clips, groups or classes are drawn: a delete-one jackknife.

Episodes drawn again and again from few clips are many only in name. What varies is which clips there are:
each is a query of some episodes and support of others, so the mean over episodes is a U-statistic of the
clips, and its variance is found from the episodes without one of them (Arvesen 1969; Efron and Stein 1981).
``docs/honest-numbers.md`` says what each interval is of, has the formulas, and shows how often each covers.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fsarctl.results.intervals import Interval, estimate, paired_estimate, two_sided_p, wilson
from fsarctl.results.predictions import Predictions

__all__ = ["intervals_of", "intervals_of_classes"]

Numbers = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]

PRIOR_DEGREES = 4.0
"""Degrees of freedom that the cautious guess of a variance counts for, beside those of the clips."""
CLIPS_A_QUERY = 2.0
"""The guess: so many clips are as one independent query, since each is query here and support there."""


@dataclass(frozen=True)
class Units:
    """What might have been drawn otherwise: clips, groups of clips, or classes.

    ``episode``, ``unit`` (entries,): which units an episode has a clip of, each once. ``members`` (units,
    classes): of which classes a unit has clips. ``together``: units stand for classes, any of which might
    be another; else each is one of its own classes' and of no other.
    """

    name: str
    episode: Numbers
    unit: Numbers
    members: npt.NDArray[np.bool_]
    together: bool = False


def intervals_of(
    predictions: Predictions, values: Values | None = None, *, paired: bool = False
) -> dict[str, Interval]:
    """95 % intervals of the mean of ``values``, by what they are over: episodes, clips (or groups), classes.

    ``values`` (episodes, queries): 0 to 1, whether a query is right where not given; or -1 to 1 if
    ``paired``, the differences of two models.

    Over episodes: what other episodes of these clips would give. Over clips: what other clips of these
    classes would; over groups, if the clips have any, other persons or recordings. Over classes: what other
    classes, with as many clips each, would.
    """
    if values is None:
        values = (predictions.predictions == predictions.targets).astype(np.float64)
    over_episodes = estimate(values.mean(1).tolist())
    drawn, classes = _clips(predictions), _classes(predictions)
    variance = _variance(predictions, values, drawn)
    # Other classes have other clips, so theirs is never the narrower.
    wider = max(variance, _variance(predictions, values, classes))
    return {
        "episodes": Interval(
            over_episodes.low, over_episodes.high, len(values), two_sided_p(over_episodes) if paired else None
        ),
        drawn.name: _interval(values, variance, len(drawn.members), paired=paired),
        classes.name: _interval(values, wider, int(classes.members.any(1).sum()), paired=paired),
    }


def intervals_of_classes(predictions: Predictions) -> dict[str, Interval]:
    """The interval over clips (or groups) of each class's own accuracy, for the classes with queries.

    ``count`` is of the clips or groups of that class.
    """
    found = {}
    labels = np.take_along_axis(predictions.classes, predictions.targets, 1)
    for number, label in enumerate(predictions.labels):
        has = (predictions.classes == number).any(1)
        if not has.any():
            continue
        some = predictions.of(has)
        mine = labels[has] == number
        right = (some.predictions == some.targets)[mine].reshape(len(mine), -1).astype(np.float64)
        drawn = _clips(some)
        variance = _variance(some, right, drawn, only=number)
        found[label] = _interval(right, variance, int(drawn.members[:, number].sum()), paired=False)
    return found


def _clips(predictions: Predictions) -> Units:
    episodes, way, shot = predictions.support.shape
    rows = np.concatenate([predictions.support.reshape(episodes, -1), predictions.query], 1)
    columns = np.broadcast_to(np.repeat(np.arange(way), shot), (episodes, way * shot))
    labels = np.take_along_axis(predictions.classes, np.concatenate([columns, predictions.targets], 1), 1)
    groups = predictions.groups
    known, unit = np.unique(rows if groups is None else groups[rows], return_inverse=True)
    unit = unit.reshape(rows.shape)
    members = np.zeros((len(known), len(predictions.labels)), bool)
    members[unit, labels] = True
    unit = np.sort(unit, 1)
    first = np.ones(unit.shape, bool)
    first[:, 1:] = unit[:, 1:] != unit[:, :-1]
    name = "clips" if groups is None else "groups"
    return Units(name, np.nonzero(first)[0], unit[first], members)


def _classes(predictions: Predictions) -> Units:
    classes = predictions.classes
    members = np.zeros((len(predictions.labels),) * 2, bool)
    present = np.unique(classes)
    members[present, present] = True
    episode = np.repeat(np.arange(len(classes)), classes.shape[1])
    return Units("classes", episode, classes.reshape(-1), members, together=True)


def _variance(predictions: Predictions, values: Values, units: Units, only: int | None = None) -> float:
    """Of the mean, if units were drawn anew, over that of a single value; 1 / it is a number of queries.

    The jackknife's, moderated by the guess, which also is its bound, and stands alone where it says nothing:
    where each episode has every unit of a class, or all values are the same. ``only``: the one class whose
    queries ``values`` are of.
    """
    of_episode, spread = values.mean(1), float(values.var())
    change, noise, known = _jackknife(predictions, of_episode, units)
    measured = trusted = guessed = 0.0
    deviations: list[Values] = [np.zeros(0)]
    degrees = 0
    for part, guess in _parts(predictions, units, only):
        count = len(part)
        if count < 2 or not known[part].all():
            guessed += guess
            continue
        each = (change[part] - change[part].mean()) * np.sqrt((count - 1) / count)
        measured += float((each**2).sum() - noise[part].sum() * ((count - 1) / count) ** 2)
        trusted += guess
        deviations.append(each)
        degrees += count - 1
    weight = _degrees(np.concatenate(deviations), degrees)
    if spread > 0 and weight > 0:
        ratio = max(0.0, measured) / spread
        moderated = (weight * ratio + PRIOR_DEGREES * trusted) / (weight + PRIOR_DEGREES)
        trusted = min(trusted, moderated) if trusted else moderated
    return trusted + guessed


def _jackknife(
    predictions: Predictions, of_episode: Values, units: Units
) -> tuple[Values, Values, npt.NDArray[np.bool_]]:
    """For each unit: how much the mean is less without it; the variance of that which is of the drawing of
    episodes alone; and whether there are episodes without it.

    A class is as often there as before: episodes are compared among those with as many of a unit's classes.
    """
    count, episodes = len(units.members), len(of_episode)
    change, noise, known = np.zeros(count), np.zeros(count), np.ones(count, bool)
    for members, numbers in _alike(units):
        place = np.full(count, -1)
        place[numbers] = np.arange(len(numbers))
        mine = place[units.unit] >= 0
        episode, unit = units.episode[mine], place[units.unit[mine]]
        there = members[predictions.classes].sum(1)
        for level in np.unique(there[there > 0]):
            of_level = there == level
            size = int(of_level.sum())
            mean, variance = of_episode[of_level].mean(), of_episode[of_level].var()
            chosen = of_level[episode]
            having = np.bincount(unit[chosen], minlength=len(numbers))
            total = np.bincount(unit[chosen], of_episode[episode[chosen]] - mean, len(numbers))
            without = size - having
            known[numbers] &= without > 0
            without = np.maximum(without, 1)
            share = size / episodes
            change[numbers] += share * total / without
            noise[numbers] += share**2 * variance * having / (size * without)
    return change, noise, known


def _alike(units: Units) -> Iterator[tuple[npt.NDArray[np.bool_], Numbers]]:
    """The units with clips of the same classes: which classes, which units."""
    if units.together:
        numbers = np.nonzero(units.members.any(1))[0].astype(np.int64)
        yield np.asarray(units.members.any(0)), numbers
        return
    kinds, kind = np.unique(units.members, axis=0, return_inverse=True)
    for number in range(len(kinds)):
        yield kinds[number], np.nonzero(kind.reshape(-1) == number)[0].astype(np.int64)


def _parts(predictions: Predictions, units: Units, only: int | None) -> Iterator[tuple[Numbers, float]]:
    """Units that were drawn with each other, and the guess of their part in the variance.

    Clips of a class were drawn among those of the class; so were groups, and all that share one with it.
    """
    if units.together:
        numbers = np.nonzero(units.members.any(1))[0]
        yield numbers, 1 / len(numbers)
        return
    share = np.bincount(predictions.classes.reshape(-1), minlength=len(predictions.labels)).astype(float)
    if only is not None:
        share = (np.arange(len(share)) == only).astype(float)
    guess = (share / share.sum()) ** 2 * CLIPS_A_QUERY / np.maximum(1, units.members.sum(0))
    part = np.arange(len(predictions.labels))
    for members in np.unique(units.members, axis=0):
        joined = np.unique(part[members])
        part[np.isin(part, joined)] = joined[0]
    of_unit = part[units.members.argmax(1)]
    for each in np.unique(of_unit):
        yield np.nonzero(of_unit == each)[0], float(guess[part == each].sum())


def _degrees(deviations: Values, most: int) -> float:
    """Degrees of freedom of a sum of squares, by the squares' own spread: few large ones tell little."""
    squares = deviations**2
    total = float(squares.sum())
    if total <= 0:
        return 0.0
    excess = float((squares**2).sum()) / total**2 - 1 / len(squares)
    return min(float(most), 2 / excess) if excess > 0 else float(most)


def _interval(values: Values, variance: float, count: int, *, paired: bool) -> Interval:
    """From the variance over units and that of the drawing of episodes, both as a number of queries."""
    spread, episodes = float(values.var()), len(values)
    drawing = float(values.mean(1).var(ddof=1)) / episodes / spread if episodes > 1 and spread > 0 else 0.0
    queries = 1 / (variance + (drawing or 1 / values.size))
    if not paired:
        return Interval(*wilson(float(values.mean()) * queries, queries), count)
    gained, lost = (float(np.maximum(sign * values, 0).mean()) for sign in (1, -1))
    found = paired_estimate(gained, lost, queries)
    return Interval(max(-1.0, found.low), min(1.0, found.high), count, two_sided_p(found))
