"""Two results of different people, compared on what both have.

Where their episodes are the same these are paired as ever, else the clips that both asked about are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fsarctl.errors import InputError
from fsarctl.progress import counted
from fsarctl.results.exchange.matching import Matched, aligned, match
from fsarctl.results.exchange.over_clips import OverClips, Side, difference_over_clips
from fsarctl.results.exchange.reading import ExportedResult
from fsarctl.results.predictions import Predictions
from fsarctl.results.result import Comparison, compare_predictions

__all__ = ["SharedComparison", "compare_exported"]

ENOUGH = 0.5
"""Of the side with fewer episodes so many are to be the same for these alone to be compared."""


@dataclass(frozen=True)
class SharedComparison:
    """What two results come to on what both have.

    ``found`` is of the same episodes, or over clips; ``accuracies`` (first, second) are of what is compared.
    ``whole`` (first, second): how many episodes hold only clips that both have. ``remarks`` say what is not
    alike.
    """

    found: Comparison | OverClips
    accuracies: tuple[float, float]
    whole: tuple[int, int]
    matched: Matched
    remarks: Sequence[str]

    def as_json(self) -> dict[str, Any]:
        """As documents have it; ``half_width`` and ``p`` are of the pairs, ``paired`` says of what."""
        return {
            "paired": "episodes" if isinstance(self.found, Comparison) else "clips",
            **(self.found.as_json() if isinstance(self.found, Comparison) else _as_json(self.found)),
            "accuracies": list(self.accuracies),
            "shared": {
                "clips": self.matched.clips,
                "by_digest": self.matched.by_digest,
                "by_name": self.matched.by_name,
                "other_content": self.matched.altered,
                "other_class": self.matched.relabelled,
                "episodes_of_shared_clips": list(self.whole),
                "same_episodes": self.matched.episodes.shape[1],
            },
            "remarks": list(self.remarks),
        }


def compare_exported(first: ExportedResult, second: ExportedResult) -> SharedComparison:
    """Compare on the episodes that are the same if these are most, else over the clips that both have.

    Raises:
        InputError: way or shot differ, or too little is shared.
    """
    _require_comparable(first, second)
    matched = match(first, second)
    remarks = _remarks(first, second, matched)
    sides, groups = _sides(first, second, matched)
    whole = (sides[0].whole, sides[1].whole)
    same = matched.episodes.shape[1]
    episodes = [len(each.predictions.query) for each in (first, second)]
    if same and same >= ENOUGH * min(episodes):
        if same < max(episodes):
            remarks.append(
                f"compared are the {counted(same, 'episode')} of {episodes[0]:,} and {episodes[1]:,}"
                " that are the same"
            )
        pair = aligned(first.predictions, second.predictions, matched)
        means = [float((each.predictions == each.targets).mean()) for each in pair]
        return SharedComparison(compare_predictions(*pair), (means[0], means[1]), whole, matched, remarks)
    if not all(len(side.query) for side in sides):
        raise InputError(
            "one side has no episode whose classes both have, so there is nothing to compare",
            next_step="Compare results of the same dataset and split.",
        )
    found = difference_over_clips(sides, groups)
    return SharedComparison(found, found.accuracies, whole, matched, remarks)


def _as_json(found: OverClips) -> dict[str, Any]:
    name = next(iter(found.intervals))
    told = found.intervals[name]
    return {
        "difference": found.difference,
        "half_width": told.half_width if math.isfinite(told.half_width) else None,
        "p": told.p,
        "intervals": {each: interval.as_json() for each, interval in found.intervals.items()},
        "headline": name,
        "clips": found.clips,
        "classes": found.classes,
    }


def _sides(
    first: ExportedResult, second: ExportedResult, matched: Matched
) -> tuple[list[Side], npt.NDArray[np.int64] | None]:
    """Both in the numbers of the first, behind which the second's own clips stand; and the clips' groups."""
    here, there = len(first.clips), len(second.clips)
    rows = np.where(matched.rows >= 0, matched.rows, here + np.arange(there))
    shared = np.zeros(here + there, bool)
    shared[matched.rows[matched.rows >= 0]] = True
    known = np.zeros(len(first.predictions.labels), bool)
    known[matched.labels[matched.labels >= 0]] = True
    own = np.where(known, np.arange(len(known)), -1)
    sides = [
        _side(first.predictions, np.arange(here), own, shared),
        _side(second.predictions, rows, matched.labels, shared),
    ]
    one, other = first.predictions.groups, second.predictions.groups
    if one is None or other is None:
        return sides, None
    # A group of the second that has a clip of the first is that clip's.
    _, one = np.unique(one, return_inverse=True)
    numbers = {int(group): here + place for place, group in enumerate(np.unique(other))}
    for row, group in zip(matched.rows.tolist(), other.tolist(), strict=True):
        if row >= 0:
            numbers[group] = int(one[row])
    of_other = np.array([numbers[group] for group in other.tolist()], np.int64)
    groups = np.concatenate([one, of_other])
    _, place = np.unique(groups, return_inverse=True)
    return sides, place.astype(np.int64)


def _side(
    made: Predictions,
    rows: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    shared: npt.NDArray[np.bool_],
) -> Side:
    some = made.of(np.asarray((labels[made.classes] >= 0).all(1)))
    classes = labels[some.classes]
    asked = np.take_along_axis(classes, some.targets, 1)
    right = (some.predictions == some.targets).astype(np.float64)
    return Side(classes, rows[some.support], rows[some.query], asked, right, shared)


def _require_comparable(first: ExportedResult, second: ExportedResult) -> None:
    for name in ("way", "shot"):
        here, there = (each.record[name] for each in (first, second))
        if here != there:
            raise InputError(
                f"A is {here}-{name} and B {there}-{name}, which are different tasks",
                next_step=f"Compare results of the same {name}; FILE::RESULT names one of several in a file.",
            )


def _remarks(first: ExportedResult, second: ExportedResult, matched: Matched) -> list[str]:
    """What is not alike, and may be part of the difference."""
    remarks = []
    modes = [each.record["query_mode"] for each in (first, second)]
    queries = [each.record["query"] for each in (first, second)]
    if modes[0] != modes[1]:
        remarks.append(
            f"A is {modes[0]} and B {modes[1]}: where queries see each other, that is part of the difference"
        )
    if queries[0] != queries[1]:
        remarks.append(
            f"A has {queries[0]} and B {queries[1]} queries a class"
            + (", which see each other: another task" if modes == ["joint", "joint"] else "")
        )
    labels = [len(each.predictions.labels) for each in (first, second)]
    both = int((matched.labels >= 0).sum())
    if max(labels) > both:
        remarks.append(
            f"{both} classes are in both, of {labels[0]} and {labels[1]}; episodes with others are left out"
        )
    if matched.altered:
        verb = "has" if matched.altered == 1 else "have"
        remarks.append(f"{counted(matched.altered, 'clip')} of the same name {verb} other content")
    if matched.relabelled:
        remarks.append(f"{counted(matched.relabelled, 'clip')} of both with different classes: left out")
    return remarks
