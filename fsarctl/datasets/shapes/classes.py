"""The classes of *shapes*: what every command asks of them, apart from all that renders them."""

from dataclasses import dataclass

from fsarctl.datasets.shapes.motion import (
    Motion,
    approach,
    circle,
    fade,
    grow,
    join,
    light,
    shade,
    travel,
    visit,
)

__all__ = ["CLASSES", "ShapeClass"]


@dataclass(frozen=True)
class ShapeClass:
    """One action: a label, the split it belongs to, and a motion, which ``backwards`` plays in reverse."""

    label: str
    split: str
    motion: Motion
    backwards: bool = False


def _pair(split: str, motion: Motion, forwards: str, backwards: str) -> tuple[ShapeClass, ShapeClass]:
    return ShapeClass(forwards, split, motion), ShapeClass(backwards, split, motion, backwards=True)


def _visits(split: str, first: str, second: str, third: str) -> tuple[ShapeClass, ShapeClass]:
    def label(a: str, b: str, c: str) -> str:
        return f"a shape visits the {a}, then the {b}, then the {c}"

    return _pair(split, visit(first, second, third), label(first, second, third), label(third, second, first))


def _travels(split: str, first: str, second: str) -> tuple[ShapeClass, ShapeClass]:
    def label(a: str, b: str) -> str:
        return "a shape moves from " + " to ".join(
            place if place in ("left", "right") else f"the {place}" for place in (a, b)
        )

    return _pair(split, travel(first, second), label(first, second), label(second, first))


CLASSES: tuple[ShapeClass, ...] = (
    *_travels("train", "left", "right"),
    *_travels("train", "top left", "bottom right"),
    *_travels("train", "middle", "top"),
    *_pair(
        "train",
        travel("top left", "top right", "bottom right", "bottom left"),
        "a shape moves right, then down, then left",
        "a shape moves right, then up, then left",
    ),
    *_pair(
        "train",
        circle(),
        "a shape circles clockwise from the top",
        "a shape circles counterclockwise from the top",
    ),
    *_visits("train", "top", "left", "bottom"),
    *_visits("train", "left", "bottom", "top"),
    *_visits("train", "top left", "bottom right", "top right"),
    *_pair("train", grow(), "a shape grows", "a shape shrinks"),
    *_pair("train", fade(), "a shape slowly appears", "a shape slowly fades away"),
    *_pair(
        "train",
        light(),
        "the background turns from dark to bright",
        "the background turns from bright to dark",
    ),
    *_pair("train", approach("left", "right"), "two shapes come together", "two shapes move apart"),
    *_travels("val", "bottom left", "top right"),
    *_visits("val", "left", "bottom", "right"),
    *_pair(
        "val",
        travel("top right", "top left", "bottom left", "bottom right"),
        "a shape moves left, then down, then right",
        "a shape moves left, then up, then right",
    ),
    *_pair(
        "val",
        approach("top", "bottom"),
        "two shapes meet from above and below",
        "two shapes part upwards and downwards",
    ),
    *_travels("test", "bottom", "top"),
    *_visits("test", "left", "top", "right"),
    *_visits("test", "top", "right", "left"),
    *_pair(
        "test",
        travel("bottom left", "top left", "top right", "bottom right"),
        "a shape moves up, then right, then down",
        "a shape moves up, then left, then down",
    ),
    *_pair("test", join("bottom left", "top right"), "one shape joins another", "one shape leaves another"),
    *_pair("test", shade(), "a shape turns from dark to bright", "a shape turns from bright to dark"),
)
