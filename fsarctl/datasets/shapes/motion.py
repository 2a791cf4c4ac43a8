"""How the shapes of a clip move: each motion is a function of progress, from 0 to 1.

A motion says where its shapes are at one moment, in a frame of reference of its own; the nuisance of
a clip (``fsarctl.datasets.shapes.rendering``) then shifts and stretches it and dresses the shapes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

__all__ = [
    "Moment",
    "Motion",
    "Pose",
    "approach",
    "circle",
    "fade",
    "grow",
    "join",
    "light",
    "shade",
    "travel",
    "visit",
]

PLACES: dict[str, tuple[float, float]] = {
    "middle": (0.5, 0.5),
    "left": (0.2, 0.5),
    "right": (0.8, 0.5),
    "top": (0.5, 0.2),
    "bottom": (0.5, 0.8),
    "top left": (0.22, 0.22),
    "top right": (0.78, 0.22),
    "bottom left": (0.22, 0.78),
    "bottom right": (0.78, 0.78),
}


@dataclass(frozen=True)
class Pose:
    """One shape at one moment.

    ``x`` and ``y`` are fractions of the side, or None where the clip may put it anywhere; ``scale``
    multiplies its radius; ``tone`` is -1 for black, 0 for its own colour, 1 for white.
    """

    x: float | None
    y: float | None
    scale: float = 1.0
    opacity: float = 1.0
    tone: float = 0.0


@dataclass(frozen=True)
class Moment:
    """All shapes at one moment, and the light on the background: -1 dark, 0 its own, 1 bright."""

    poses: tuple[Pose, ...]
    light: float = 0.0


Motion: TypeAlias = Callable[[float], Moment]


def travel(*names: str) -> Motion:
    """One shape moves steadily through the named places."""
    stops = [PLACES[name] for name in names]

    def motion(progress: float) -> Moment:
        leg = min(int(progress * (len(stops) - 1)), len(stops) - 2)
        part = progress * (len(stops) - 1) - leg
        (x0, y0), (x1, y1) = stops[leg], stops[leg + 1]
        return Moment((Pose(x0 + (x1 - x0) * part, y0 + (y1 - y0) * part),))

    return motion


def visit(*names: str) -> Motion:
    """One shape is at each of the named places in turn, and jumps from one to the next.

    No frame shows it under way, so the orders of the same places have the same frames.
    """
    stops = [PLACES[name] for name in names]

    def motion(progress: float) -> Moment:
        return Moment((Pose(*stops[min(int(progress * len(stops)), len(stops) - 1)]),))

    return motion


def circle() -> Motion:
    """One shape goes round the middle once, clockwise from the top."""

    def motion(progress: float) -> Moment:
        turn = 2 * math.pi * progress
        return Moment((Pose(0.5 + 0.3 * math.sin(turn), 0.5 - 0.3 * math.cos(turn)),))

    return motion


def grow() -> Motion:
    """One shape becomes six times as large."""
    return lambda progress: Moment((Pose(None, None, scale=0.4 * 6.0**progress),))


def fade() -> Motion:
    """One shape appears out of nothing."""
    return lambda progress: Moment((Pose(None, None, opacity=progress),))


def shade() -> Motion:
    """One shape turns from nearly black to nearly white."""
    return lambda progress: Moment((Pose(None, None, tone=2 * progress - 1),))


def light() -> Motion:
    """The background turns from dark to bright behind one shape at rest."""
    return lambda progress: Moment((Pose(None, None),), light=2 * progress - 1)


def approach(first: str, second: str) -> Motion:
    """Two shapes move from the named places to the middle, until they touch."""
    starts = [PLACES[first], PLACES[second]]

    def motion(progress: float) -> Moment:
        return Moment(
            tuple(Pose(x + (0.5 - x) * 0.7 * progress, y + (0.5 - y) * 0.7 * progress) for x, y in starts)
        )

    return motion


def join(first: str, second: str) -> Motion:
    """One shape moves from the first place to a large one that rests at the second."""
    (x0, y0), (x1, y1) = PLACES[first], PLACES[second]

    def motion(progress: float) -> Moment:
        part = 0.75 * progress
        return Moment(
            (Pose(x1, y1, scale=1.4), Pose(x0 + (x1 - x0) * part, y0 + (y1 - y0) * part, scale=0.8))
        )

    return motion
