"""The classes of the probes, and what each of their clips shows, moment by moment.

A clip is eight moments; the frames that are sampled of it are these. What is not said here (kind of the
shape, background, a slight shift, grain) is nuisance, drawn alike for all classes.

*order*: a shape is seen at three places in turn. Classes of a set show the same three in other orders. When
each is seen is drawn by lot, and nothing is there before, between and after them, so that also any two
moments that follow each other are the same for all.

*task*: nothing moves. Of three attributes (the shape's place, its colour and its size) one tells
the classes of a set apart, and the other two come as one of three scenes that all classes of the set
share. Support and query of a class are never of one scene, so that whoever compares everything is drawn to
other classes; in the support set the attribute that counts alone has as many values as there are classes.

*stages*: place or colour goes through three states in the order that the class's sub-actions say. The
other one and the size go through theirs in the order of a scene, as in *task*.

*motion*: a shape moves a little, three times from anywhere, in the class's direction. The picture's edges
are joined, so that any single frame is as likely for each class.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations, pairwise, permutations
from typing import Any, TypeAlias

import numpy as np

from fsarctl.config.dataset_table import PROBES

__all__ = [
    "ATTRIBUTES",
    "CELLS",
    "MOMENTS",
    "SAID",
    "Moments",
    "ProbeClass",
    "State",
    "class_of",
    "classes_of",
]

MOMENTS = 8
SCENES = 3
CELLS = 7
"""*motion*: the shape starts on a grid of so many places each way; the next one is 1/7 of the side away."""

Place: TypeAlias = tuple[float, float]
PLACES: dict[str, Place] = {
    "at the top left": (0.2, 0.2),
    "at the top": (0.5, 0.2),
    "at the top right": (0.8, 0.2),
    "on the left side": (0.2, 0.5),
    "in the middle": (0.5, 0.5),
    "on the right side": (0.8, 0.5),
    "at the bottom left": (0.2, 0.8),
    "at the bottom": (0.5, 0.8),
    "at the bottom right": (0.8, 0.8),
}
SIZES = ("small", "of medium size", "large")
FINE_SIZES = ("tiny", "rather small", "medium", "rather large", "huge")
HUES = 15


@dataclass(frozen=True)
class State:
    """What one moment shows.

    ``place`` is in fractions of the side, x to the right and y downwards. ``colour`` is a name in
    ``COLOURS``, or "hue N" (N fifteenths of the circle).
    """

    place: Place
    colour: str = "white"
    size: str = "of medium size"


Moments: TypeAlias = tuple[State | None, ...]
"""(MOMENTS,) what a clip shows; None: nothing is there."""


@dataclass(frozen=True)
class ProbeClass:
    """One class: the set of classes that an episode is drawn from, and what its clips show.

    ``scenes`` are what they show by turns, or None: the shape moves by ``step`` cells, from anywhere.
    ``apart``: support and query of an episode are never of one scene.
    """

    split: str
    set: str
    sub_actions: tuple[str, str, str]
    scenes: tuple[Moments, ...] | None = None
    apart: bool = False
    step: tuple[int, int] = (0, 0)
    label: str = ""

    def moments(self, number: int, generator: np.random.Generator) -> Moments:
        """What clip ``number`` shows; ``generator`` is the clip's."""
        if self.scenes is not None:
            return self.scenes[number % len(self.scenes)]
        hops: list[State | None] = []
        while len(hops) < MOMENTS:
            start = generator.integers(CELLS, size=2)
            for cell in (start, (start + self.step) % CELLS):
                x, y = ((int(each) + 0.5) / CELLS for each in cell)
                hops.append(State((x, y)))
            hops.append(None)
        return tuple(hops[:MOMENTS])


SILENT = ("There is one shape.", "One shape alone.", "A single shape.")
"""Sub-actions that are true of all classes alike: the text tells nothing."""

SAID: dict[str, tuple[str, Place | str]] = {
    **{f"The shape is {words}.": ("place", place) for words, place in PLACES.items()},
    **{f"The shape is {name}.": ("colour", name) for name in ("red", "green", "blue", "yellow", "white")},
}
"""*stages*: sub-action -> the attribute that it speaks of, and its value."""


@cache
def classes_of(probe: str) -> tuple[ProbeClass, ...]:
    """The classes of a probe, split by split, with labels that tell nothing.

    Raises:
        KeyError: there is no such probe.
    """
    made = [each for split in ("train", "val", "test") for each in MAKERS[probe](split)]
    return tuple(replace(each, label=f"{probe} {number:02d}") for number, each in enumerate(made, 1))


@cache
def class_of(label: str) -> ProbeClass:
    """The class of that label.

    Raises:
        KeyError: no probe has it.
    """
    return {each.label: each for probe in PROBES for each in classes_of(probe)}[label]


ORDERED = {
    "train": (
        ("on the left side", "on the right side", "at the top"),
        ("at the top left", "in the middle", "at the bottom right"),
        ("at the bottom", "at the top right", "at the bottom left"),
        ("in the middle", "at the top", "on the left side"),
    ),
    "val": (
        ("at the top", "at the bottom left", "on the right side"),
        ("at the top left", "at the bottom", "in the middle"),
    ),
    "test": (
        ("on the left side", "at the bottom", "at the top right"),
        ("at the top left", "on the right side", "at the bottom left"),
    ),
}


TIMES = [
    times
    for times in combinations(range(1, MOMENTS - 1), 3)
    if all(after - before > 1 for before, after in pairwise(times))
]
"""*order*: when the three are seen, with nothing before, between and after them."""


def _order(split: str) -> list[ProbeClass]:
    found = []
    for number, places in enumerate(ORDERED[split]):
        for order in permutations(places):
            scenes = []
            for times in TIMES:
                seen = dict(zip(times, (State(PLACES[name]) for name in order), strict=True))
                scenes.append(tuple(seen.get(moment) for moment in range(MOMENTS)))
            found.append(ProbeClass(split, f"{split} {number}", SILENT, tuple(scenes)))
    return found


ATTRIBUTES = ("place", "colour", "size")
VALUES = 5
TASK_SETS = {"train": 4, "val": 1, "test": 1}


def _task(split: str) -> list[ProbeClass]:
    third = list(TASK_SETS).index(split)
    cells = [(x, y) for y in range(4) for x in range(4) if (x + 2 * y) % 3 == third][:VALUES]
    grid = [(0.5 + 0.21 * (x - 1.5), 0.5 + 0.21 * (y - 1.5)) for x, y in cells]
    hues = [f"hue {3 * n + third}" for n in range(VALUES)]
    values: dict[str, Sequence[Any]] = {"place": grid, "colour": hues, "size": FINE_SIZES}
    found = []
    for number in range(TASK_SETS[split]):
        for told in ATTRIBUTES:
            generator = np.random.default_rng([third, number, ATTRIBUTES.index(told)])
            drawn = {
                other: [values[other][n] for n in generator.permutation(VALUES)[:SCENES]]
                for other in ATTRIBUTES
                if other != told
            }
            for value in values[told]:
                states = [
                    State(**{told: value}, **{other: some[scene] for other, some in drawn.items()})
                    for scene in range(SCENES)
                ]
                scenes = tuple((state,) * MOMENTS for state in states)
                found.append(ProbeClass(split, f"{split} {told} {number}", SILENT, scenes, apart=True))
    return found


STAGED = {
    "train": (
        (("at the top", "at the bottom", "on the left side"), ("red", "green", "white")),
        (("at the top left", "on the right side", "at the bottom"), ("blue", "yellow", "white")),
        (("in the middle", "at the top right", "at the bottom left"), ("red", "blue", "green")),
    ),
    "val": ((("at the top right", "on the left side", "at the bottom"), ("white", "green", "blue")),),
    "test": ((("on the left side", "on the right side", "at the top"), ("green", "blue", "yellow")),),
}


def _stages(split: str) -> list[ProbeClass]:
    found = []
    for number, (places, colours) in enumerate(STAGED[split]):
        states: dict[str, list[Any]] = {"place": [PLACES[name] for name in places], "colour": list(colours)}
        for told, other, words in (("place", "colour", places), ("colour", "place", colours)):
            for order in permutations(range(SCENES)):
                first, second, third = (f"The shape is {words[n]}." for n in order)
                scenes = []
                for scene in range(SCENES):
                    turned = [(part + scene) % SCENES for part in range(SCENES)]
                    a, b, c = (
                        State(**{told: states[told][n], other: states[other][m]}, size=SIZES[m])
                        for n, m in zip(order, turned, strict=True)
                    )
                    scenes.append((a, a, None, b, b, None, c, c))
                name = f"{split} {told} {number}"
                found.append(ProbeClass(split, name, (first, second, third), tuple(scenes), apart=True))
    return found


VELOCITIES = {
    "train": ((1, 1), (1, -1), (2, 1), (1, 2), (2, -1), (1, -2)),
    "val": ((0, 2), (1, 0), (2, 2)),
    "test": ((2, 0), (0, 1), (2, -2)),
}


def _motion(split: str) -> list[ProbeClass]:
    both_ways = [(sign * x, sign * y) for x, y in VELOCITIES[split] for sign in (1, -1)]
    return [ProbeClass(split, split, SILENT, step=step) for step in both_ways]


MAKERS: dict[str, Callable[[str], list[ProbeClass]]] = {
    "order": _order,
    "task": _task,
    "stages": _stages,
    "motion": _motion,
}
