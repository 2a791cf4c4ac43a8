"""Oracles that cheat: each has one ability, perfectly, since it reads what was rendered instead of the video.

That an ability's oracle solves its probe shows that the probe can be solved; that the others are near chance
on it shows that nothing but this ability decides.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby, pairwise

from fsarctl.datasets.probes.classes import ATTRIBUTES, MOMENTS, SAID, Moments, State

__all__ = ["ORACLES", "Facts"]


@dataclass(frozen=True)
class Facts:
    """What is known of an episode: ``support`` (way, shot) and ``query`` show, and ``said`` (way, 3)."""

    support: Sequence[Sequence[Moments]]
    query: Moments
    said: Sequence[Sequence[str]]


PARTS = (range(0, 3), range(3, 5), range(5, MOMENTS))
"""The moments of beginning, process and end, as ``models.segments`` cuts eight frames."""


def by_order(facts: Facts) -> list[float]:
    """Compares all that is seen, the first with the first, the second with the second, whenever that is."""
    sought = _sequence(facts.query)

    def alike(clip: Moments) -> int:
        pairs = zip(_sequence(clip), sought, strict=False)
        return sum(_value(a, name) == _value(b, name) for a, b in pairs for name in ATTRIBUTES)

    return _mean([[alike(clip) for clip in shots] for shots in facts.support])


def by_task(facts: Facts) -> list[float]:
    """Looks for the attribute that keeps most classes apart, and compares that alone, whenever it shows."""
    bags = {name: [[_bag(clip, name) for clip in shots] for shots in facts.support] for name in ATTRIBUTES}
    apart = {name: _classes_apart(each) for name, each in bags.items()}
    telling = [name for name in ATTRIBUTES if apart[name] == max(apart.values())]
    sought = {name: _bag(facts.query, name) for name in telling}
    return _mean(
        [
            [
                sum((bags[name][row][shot] & sought[name]).total() for name in telling)
                for shot in range(len(shots))
            ]
            for row, shots in enumerate(facts.support)
        ]
    )


def by_stages(facts: Facts) -> list[float]:
    """Reads the sub-actions, and looks when in the query they are true; never at the support."""

    def true(sentence: str, part: range) -> int:
        attribute, value = SAID.get(sentence, ("", ""))
        return sum(_value(facts.query[moment], attribute) == value for moment in part) if attribute else 0

    return [float(sum(map(true, sentences, PARTS))) for sentences in facts.said]


def by_motion(facts: Facts) -> list[float]:
    """Compares how far, and which way, the shape went between two moments that both show it."""
    moved = _displacements(facts.query)
    return _mean([[(_displacements(clip) & moved).total() for clip in shots] for shots in facts.support])


ORACLES: Mapping[str, Callable[[Facts], list[float]]] = {
    "order": by_order,
    "task": by_task,
    "stages": by_stages,
    "motion": by_motion,
}
"""Ability -> the score that it gives each class, (way,)."""


def _value(state: State | None, name: str) -> object:
    return None if state is None else getattr(state, name)


def _sequence(clip: Moments) -> list[State]:
    """What is seen, once each, without the moments that show nothing."""
    return [state for state, _ in groupby(clip) if state]


def _bag(clip: Moments, name: str) -> "Counter[object]":
    return Counter(_value(state, name) for state in clip)


def _classes_apart(bags: Sequence[Sequence["Counter[object]"]]) -> int:
    """How many pairs of classes have no two clips that show the same."""
    return sum(all(a != b for a in one for b in other) for one, other in combinations(bags, 2))


def _displacements(clip: Moments) -> "Counter[tuple[float, ...]]":
    steps = []
    for before, after in pairwise(clip):
        if before and after:
            moved = zip(before.place, after.place, strict=True)
            steps.append(tuple(round((b - a + 0.5) % 1 - 0.5, 6) for a, b in moved))
    return Counter(steps)


def _mean(values: Sequence[Sequence[float]]) -> list[float]:
    return [sum(each) / len(each) for each in values]
