"""The probes as clips, drawn as ``classes`` says. Clip i of a class is a function of (seed, label, i)."""

import colorsys
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fsarctl.artifacts.unfinished.journal import Journal
from fsarctl.datasets.class_sets import ClassSets
from fsarctl.datasets.probes.classes import (
    FINE_SIZES,
    HUES,
    SCENES,
    SIZES,
    Moments,
    State,
    class_of,
    classes_of,
)
from fsarctl.datasets.shapes.drawing import COLOURS, KINDS, Backdrop, Picture, Sprite, draw, paint
from fsarctl.datasets.shapes.rendering import SIDE, render_videos
from fsarctl.progress import Reporter

__all__ = ["Nuisance", "clip_name", "draw_clip", "render_probe", "render_probe_clip", "sets_of", "shown"]

FRAMES = 3  # of each moment; the middle one is sampled
RADII = dict(zip((*SIZES, *FINE_SIZES), (0.085, 0.12, 0.165, 0.045, 0.07, 0.1, 0.14, 0.19), strict=True))
PALETTE = {
    **COLOURS,
    **{f"hue {n}": colorsys.hsv_to_rgb(n / HUES, 1.0, 0.95) for n in range(HUES)},
}


@dataclass(frozen=True)
class Nuisance:
    """What of a clip its class does not decide, drawn alike for all; as in *shapes*.

    ``shift`` is a fraction of the side and ``grain`` a deviation, of pictures from 0 to 1.
    """

    kind: str
    angle: float
    background: tuple[float, float, float]
    shift: tuple[float, float]
    grain: float
    grain_seed: int


def shown(label: str, number: int, seed: int) -> Moments:
    """What clip ``number`` of a class shows at each of its moments."""
    return _drawn(label, number, seed)[0]


def _drawn(label: str, number: int, seed: int) -> tuple[Moments, Nuisance]:
    digest = hashlib.sha256(json.dumps([seed, label, number]).encode()).digest()
    generator = np.random.default_rng(int.from_bytes(digest))
    moments = class_of(label).moments(number, generator)
    uniform = generator.uniform
    nuisance = Nuisance(
        kind=list(KINDS)[generator.integers(len(KINDS))],
        angle=uniform(-0.5, 0.5),
        background=tuple(uniform(0.0, 0.25, 3)),
        # Where edges are joined a shift is no other start.
        shift=(uniform(-0.02, 0.02), uniform(-0.02, 0.02)),
        grain=uniform(0, 0.03),
        grain_seed=int(generator.integers(2**63)),
    )
    return moments, nuisance


def draw_clip(moments: Sequence[State | None], nuisance: Nuisance) -> NDArray[np.float32]:
    """The clip without its grain: (frames, SIDE, SIDE, 3), 0 to 1.

    Between two moments the shape moves steadily where both show it in one colour and size; else it jumps.
    """
    background = paint(Backdrop("plain", nuisance.background, nuisance.background), SIDE)
    frames = [
        _picture(background, _between(moments, number), nuisance) for number in range(FRAMES * len(moments))
    ]
    return np.stack(frames)


def render_probe_clip(label: str, number: int, seed: int) -> NDArray[np.uint8]:
    """Clip ``number`` of a class as its video shows it: (frames, SIDE, SIDE, 3), before compression."""
    moments, nuisance = _drawn(label, number, seed)
    frames = draw_clip(moments, nuisance)
    generator = np.random.default_rng(nuisance.grain_seed)
    grain = generator.standard_normal(frames.shape, np.float32) * np.float32(nuisance.grain)
    return (np.clip(frames + grain, 0, 1) * 255 + 0.5).astype(np.uint8)


def render_probe(
    probe: str,
    folder: Path,
    split: str,
    clips_per_class: int,
    seed: int,
    workers: int,
    reporter: Reporter,
    finished: Journal | None = None,
) -> None:
    """Write a split's clips as ``render_videos`` does, and how episodes are drawn of them."""
    classes = [each for each in classes_of(probe) if each.split == split]
    rows = [
        {"name": (name := clip_name(each.label, split, number)), "label": each.label, "file": name}
        for each in classes
        for number in range(clips_per_class)
    ]
    sets_of(probe, split, clips_per_class).write(folder)
    render_videos(folder, split, rows, clips_per_class, render_probe_clip, seed, workers, reporter, finished)


def clip_name(label: str, split: str, number: int) -> str:
    """What clip ``number`` of a class is called."""
    return f"{split}/{re.sub('[^a-z0-9]+', '-', label)}/{number:02d}.mp4"


def sets_of(probe: str, split: str, clips_per_class: int) -> ClassSets:
    """Which classes go together into an episode, and which clips of a class are of one scene."""
    classes = [each for each in classes_of(probe) if each.split == split]
    groups = {
        clip_name(each.label, split, number): f"{each.label}, scene {number % SCENES}"
        for each in classes
        if each.apart
        for number in range(clips_per_class)
    }
    return ClassSets({each.label: each.set for each in classes}, groups or None)


def _between(moments: Sequence[State | None], frame: int) -> tuple[State, tuple[float, float]] | None:
    """What a frame shows, and where the shape is; None: nothing."""
    number, part = divmod(frame, FRAMES)
    state = moments[number]
    if state is None:
        return None
    following = moments[number + 1] if number + 1 < len(moments) else None
    before = moments[number - 1] if number else None
    a, b = (state, following) if following else (before or state, state)
    # Across joined edges the short way is meant.
    step = [(y - x + 0.5) % 1 - 0.5 for x, y in zip(a.place, b.place, strict=True)]
    x, y = (at + (part - FRAMES // 2) / FRAMES * by for at, by in zip(state.place, step, strict=True))
    return state, (x, y)


def _picture(
    background: Picture, seen: tuple[State, tuple[float, float]] | None, nuisance: Nuisance
) -> Picture:
    if seen is None:
        return background
    state, at = seen
    x, y = (part + by for part, by in zip(at, nuisance.shift, strict=True))
    shape = Sprite(nuisance.kind, PALETTE[state.colour], x, y, RADII[state.size], nuisance.angle)
    # What leaves at one edge comes in at the other.
    around = [(across, down) for across in (-1, 0, 1) for down in (-1, 0, 1)]
    return draw(background, [replace(shape, x=x + across, y=y + down) for across, down in around])
