"""How good answers from a support set are likely to be: each of its clips is named from the others.

A clip is never compared with one of its own group (person, recording), where groups are known. The interval
is over clips, or over groups: it says how far off other clips of the same kind may be. A support set of one
clip less is a little worse than the whole, and so is this accuracy. Of many clips some are named, spread
evenly: each needs the features of all others anew.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fsarctl.progress import SILENT, Reporter
from fsarctl.results.intervals import wilson

__all__ = ["Check", "Held", "MixedUp", "check_of", "spread"]

MOST = 200
"""Clips that are left out in turn."""

MOSTLY = 2 / 3
"""What share of a class's other clips is named rightly where one that is not is the odd one."""


@dataclass(frozen=True)
class Held:
    """One clip that was named from the others. ``margin``: the score of its class less the best other's."""

    clip: str
    label: str
    answer: str
    margin: float
    group: str = ""

    @property
    def right(self) -> bool:
        return self.answer == self.label


@dataclass(frozen=True)
class MixedUp:
    """``count`` of the ``of`` checked clips of ``label`` were taken for ``answer``."""

    label: str
    answer: str
    count: int
    of: int


@dataclass(frozen=True)
class Check:
    """What naming each clip from the others came to.

    ``accuracy`` and its 95 % interval (Wilson's, over ``independent`` clips or groups), 0 to 1; ``chance`` is
    what a guess would have. ``mixed_up``: most often first. ``odd``: clips that alone of their class are
    taken for something else. ``alone``: classes with one clip (or group), which cannot be checked.
    ``possible``: clips of the others; ``held`` are at most ``MOST`` of these.
    """

    held: tuple[Held, ...]
    accuracy: float
    low: float
    high: float
    chance: float
    independent: int
    by_group: bool
    mixed_up: tuple[MixedUp, ...]
    odd: tuple[Held, ...]
    alone: tuple[str, ...]
    possible: int

    @property
    def tells_nothing(self) -> bool:
        """Whether guessing would explain it as well."""
        return self.low <= self.chance

    @property
    def is_sample(self) -> bool:
        """Whether there are more clips than were named."""
        return self.possible > MOST


def check_of(
    labels: Sequence[str],
    clips: Sequence[tuple[str, str, str]],
    name_without: Callable[[Sequence[int], int], Mapping[str, float]],
    reporter: Reporter = SILENT,
) -> Check | None:
    """Name clips from all that are not of their groups; None where no class has two clips (or groups).

    Args:
        labels: the classes, all of which stay in question.
        clips: (name, label, group) of each; a group "" is the clip's own.
        name_without: (numbers of the clips that are left, number of the one to name) -> label -> score. A
            class that has no clip left has no part in it.
    """
    groups = [group or f"clip {number}" for number, (_, _, group) in enumerate(clips)]
    of_class: dict[str, set[str]] = {label: set() for label in labels}
    for (_, label, _), group in zip(clips, groups, strict=True):
        of_class[label].add(group)
    held = []
    shares: dict[str, list[bool]] = {}
    possible = [number for number, (_, label, _) in enumerate(clips) if len(of_class[label]) > 1]
    chosen = [possible[place] for place in spread(len(possible))]
    with reporter.task("check", len(chosen), "clip") as advance:
        for number in chosen:
            clip, label, group = clips[number]
            left = [other for other in range(len(clips)) if groups[other] != groups[number]]
            scores = name_without(left, number)
            advance(1)
            others = [score for other, score in scores.items() if other != label]
            if not others:  # all that is left is its own class
                continue
            answer = max(scores, key=lambda each: scores[each])
            held.append(Held(clip, label, answer, scores[label] - max(others), group))
            shares.setdefault(groups[number], []).append(answer == label)
    if not held:
        return None
    means = [sum(share) / len(share) for share in shares.values()]
    low, high = wilson(sum(means), len(means))
    return Check(
        held=tuple(held),
        accuracy=sum(means) / len(means),
        low=low,
        high=high,
        chance=1 / len(labels),
        independent=len(means),
        by_group=any(group for _, _, group in clips),
        mixed_up=_mixed_up(held),
        odd=tuple(each for each in held if _is_odd(each, held)),
        alone=tuple(label for label in labels if len(of_class[label]) < 2),
        possible=len(possible),
    )


def spread(count: int) -> list[int]:
    """``MOST`` of the numbers below ``count``, spread evenly; all, if they are no more."""
    numbers = np.linspace(0, count - 1, min(count, MOST)).round().astype(int)
    return [int(each) for each in np.unique(numbers)]


def _mixed_up(held: Sequence[Held]) -> tuple[MixedUp, ...]:
    of = Counter(each.label for each in held)
    pairs = Counter((each.label, each.answer) for each in held if not each.right)
    found = [MixedUp(label, answer, count, of[label]) for (label, answer), count in pairs.items()]
    return tuple(sorted(found, key=lambda each: (-each.count / each.of, each.label, each.answer)))


def _is_odd(one: Held, held: Sequence[Held]) -> bool:
    others = [each.right for each in held if each.label == one.label and each is not one]
    return not one.right and len(others) > 1 and sum(others) >= MOSTLY * len(others)
