"""Anti-aliased pictures of plain shapes on a background, in numpy alone.

A picture is drawn from signed distances: negative inside a shape, positive outside, in units of the
shape's radius. Places are fractions of the picture's side, x to the right and y downwards.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["BACKDROPS", "COLOURS", "KINDS", "Backdrop", "Picture", "Sprite", "draw", "paint"]

Picture: TypeAlias = NDArray[np.float32]  # (H, W, 3), 0 to 1
Plane: TypeAlias = NDArray[np.floating[Any]]  # numpy's own types lose track of the precision

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.90, 0.12, 0.12),
    "orange": (0.97, 0.55, 0.08),
    "yellow": (0.95, 0.90, 0.15),
    "green": (0.12, 0.70, 0.20),
    "cyan": (0.15, 0.85, 0.88),
    "blue": (0.12, 0.25, 0.92),
    "purple": (0.55, 0.15, 0.80),
    "pink": (0.98, 0.50, 0.75),
    "white": (0.97, 0.97, 0.97),
    "black": (0.03, 0.03, 0.03),
}

BACKDROPS = ("plain", "graded", "striped", "checked")


def _crescent(x: Plane, y: Plane) -> Plane:
    crescent: Plane = np.maximum(np.hypot(x, y) - 1.0, 0.8 - np.hypot(x - 0.55, y))
    return crescent


KINDS: dict[str, Callable[[Plane, Plane], Plane]] = {
    "circle": lambda x, y: np.hypot(x, y) - 1.0,
    "square": lambda x, y: np.maximum(abs(x), abs(y)) - 0.85,
    "triangle": lambda x, y: np.maximum(abs(x) * 0.866 - y * 0.5, y) - 0.55,
    "diamond": lambda x, y: (abs(x) + abs(y) - 1.15) * 0.707,
    "ring": lambda x, y: abs(np.hypot(x, y) - 0.75) - 0.25,
    "cross": lambda x, y: np.minimum(
        np.maximum(abs(x) - 1.0, abs(y) - 0.35), np.maximum(abs(x) - 0.35, abs(y) - 1.0)
    ),
    "bar": lambda x, y: np.maximum(abs(x) - 1.1, abs(y) - 0.38),
    "crescent": _crescent,
}


@dataclass(frozen=True)
class Sprite:
    """One shape in one picture.

    ``x``, ``y``, ``radius`` are fractions of the picture's side, ``angle`` is in radians, ``opacity``
    runs from 0 (not there) to 1, ``colour`` is red, green, blue from 0 to 1.
    """

    kind: str
    colour: tuple[float, float, float]
    x: float
    y: float
    radius: float
    angle: float = 0.0
    opacity: float = 1.0


@dataclass(frozen=True)
class Backdrop:
    """What is behind the shapes: two colours mixed by one of ``BACKDROPS``.

    ``angle`` (radians) turns the pattern; ``period`` is its length as a fraction of the side.
    """

    pattern: str
    first: tuple[float, float, float]
    second: tuple[float, float, float]
    angle: float = 0.0
    period: float = 0.2


def paint(backdrop: Backdrop, side: int) -> Picture:
    """The background alone: (side, side, 3), 0 to 1."""
    steps = (np.arange(side, dtype=np.float32) + 0.5) / side - 0.5
    x, y = steps[None, :], steps[:, None]
    along = x * np.cos(backdrop.angle) + y * np.sin(backdrop.angle)
    across = y * np.cos(backdrop.angle) - x * np.sin(backdrop.angle)
    turn = 2 * np.pi / backdrop.period
    if backdrop.pattern == "plain":
        mix = np.zeros((side, side))
    elif backdrop.pattern == "graded":
        mix = np.clip(along + 0.5, 0, 1)
    elif backdrop.pattern == "striped":
        mix = np.clip(0.5 + 2 * np.sin(turn * along), 0, 1)
    elif backdrop.pattern == "checked":
        mix = np.clip(0.5 + 3 * np.sin(turn * along) * np.sin(turn * across), 0, 1)
    else:
        raise ValueError(f"no backdrop is called {backdrop.pattern!r}")
    first, second = np.asarray(backdrop.first), np.asarray(backdrop.second)
    picture: Picture = (first + (second - first) * mix[..., None]).astype(np.float32)
    return picture


def draw(picture: Picture, sprites: Sequence[Sprite]) -> Picture:
    """A copy of ``picture`` (side, side, 3) with the sprites on it, later ones in front."""
    picture = picture.copy()
    side = picture.shape[0]
    for sprite in sprites:
        reach = sprite.radius * 1.3 + 1.0 / side
        left, right = (round(side * edge) for edge in (sprite.x - reach, sprite.x + reach))
        top, bottom = (round(side * edge) for edge in (sprite.y - reach, sprite.y + reach))
        left, top = max(left, 0), max(top, 0)
        right, bottom = min(right + 1, side), min(bottom + 1, side)
        if sprite.opacity <= 0 or sprite.radius <= 0 or left >= right or top >= bottom:
            continue
        x = ((np.arange(left, right, dtype=np.float32) + 0.5) / side - sprite.x) / sprite.radius
        y = ((np.arange(top, bottom, dtype=np.float32) + 0.5) / side - sprite.y) / sprite.radius
        cos, sin = np.float32(np.cos(sprite.angle)), np.float32(np.sin(sprite.angle))
        along = x[None, :] * cos + y[:, None] * sin
        across = y[:, None] * cos - x[None, :] * sin
        distance = KINDS[sprite.kind](along, across) * np.float32(sprite.radius * side)  # pixels
        cover = np.clip(0.5 - distance, 0, 1)[..., None] * np.float32(sprite.opacity)
        window = picture[top:bottom, left:right]
        window += (np.asarray(sprite.colour, dtype=np.float32) - window) * cover
    return picture
