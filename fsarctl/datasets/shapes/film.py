"""A long video of *shapes* whose events are known: actions of a split's classes, and rest between them.

Scenes follow each other, each with a background, shapes at rest and grain of its own. In a scene an action
begins, ends, and for a while nothing moves but the grain. What happens when is a pure function of the seed;
clips of the benchmark have other numbers, so nothing of a film is in any support set.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from fsarctl.artifacts.atomic_write import replacing, write_whole
from fsarctl.datasets.shapes.classes import CLASSES
from fsarctl.datasets.shapes.drawing import draw, paint
from fsarctl.datasets.shapes.rendering import (
    FRAMES_PER_SECOND,
    SIDE,
    Nuisance,
    draw_nuisance,
    render,
    render_clip,
    write_video,
)
from fsarctl.errors import InputError
from fsarctl.progress import SILENT, Reporter

__all__ = ["EVENTS", "FILM", "FilmEvent", "frames_of", "plan_film", "write_film", "write_film_folder"]

FILM, EVENTS = "film.mp4", "events.csv"

FIRST_NUMBER = 10_000
"""Clips of the benchmark have smaller numbers."""

ACTIONS_A_SCENE = 6
STANDS_OUT = 0.8
"""How much a shape's red, green and blue differ from the background's together, as in a clip."""

REST_S = (0.5, 3.5)
"""How long nothing happens after an action, seconds."""


@dataclass(frozen=True)
class FilmEvent:
    """One action, from frame ``first`` up to ``end``; ``scene`` is where it happens."""

    label: str
    first: int
    end: int
    nuisance: Nuisance
    scene: Nuisance

    @property
    def start_s(self) -> float:
        """When it begins, seconds."""
        return self.first / FRAMES_PER_SECOND

    @property
    def end_s(self) -> float:
        """When it ends, seconds."""
        return self.end / FRAMES_PER_SECOND


def plan_film(split: str, seconds: float, seed: int) -> list[FilmEvent]:
    """What happens in a film, in order. Every class of the split comes once before any comes again."""
    generator = np.random.default_rng([seed, *split.encode()])
    labels = [one.label for one in CLASSES if one.split == split]
    events: list[FilmEvent] = []
    order: list[int] = []
    frame = int(FRAMES_PER_SECOND * generator.uniform(*REST_S))
    while True:
        number = len(events)
        if number % ACTIONS_A_SCENE == 0:
            scene = draw_nuisance(f"scene of {split}", FIRST_NUMBER + number, seed)
        order = order or generator.permutation(len(labels)).tolist()
        label = labels[order.pop()]
        nuisance = _seen(scene, label, number, seed)
        end = frame + len(nuisance.progress)
        if end > seconds * FRAMES_PER_SECOND:
            return events
        here = replace(nuisance, backdrop=scene.backdrop, bystanders=scene.bystanders, grain=scene.grain)
        events.append(FilmEvent(label, frame, end, here, scene))
        frame = end + int(FRAMES_PER_SECOND * generator.uniform(*REST_S))


def _seen(scene: Nuisance, label: str, number: int, seed: int) -> Nuisance:
    """Of the first clip whose actors stand out from the scene's background."""
    ends = [np.asarray(end) for end in (scene.backdrop.first, scene.backdrop.second)]
    for attempt in count():
        found = draw_nuisance(label, FIRST_NUMBER * (number + 1) + attempt, seed)
        colours = [np.asarray(actor.colour) for actor in found.actors]
        if min(abs(colour - end).sum() for colour in colours for end in ends) > STANDS_OUT:
            return found
    raise AssertionError


def frames_of(events: Sequence[FilmEvent], seconds: float, seed: int) -> Iterator[NDArray[np.uint8]]:
    """The pictures (SIDE, SIDE, 3), one at a time."""
    generator = np.random.default_rng([seed, 1])
    frame, total = 0, int(seconds * FRAMES_PER_SECOND)
    scene = events[0].scene if events else draw_nuisance("scene", FIRST_NUMBER, seed)
    for event in [*events, None]:
        first = total if event is None else event.first
        if event is not None and event.scene is not scene and event.first > frame:
            # The scene changes in the middle of the rest.
            middle = (frame + event.first) // 2
            yield from _grainy([_rest(scene)] * (middle - frame), scene, generator)
            frame, scene = middle, event.scene
        yield from _grainy([_rest(scene)] * (first - frame), scene, generator)
        frame = first
        if event is not None:
            scene = event.scene
            yield from _grainy(render(event.label, event.nuisance), scene, generator)
            frame = event.end


def write_film(
    folder: Path, split: str, seconds: float, seed: int, reporter: Reporter = SILENT
) -> list[FilmEvent]:
    """Write ``film.mp4`` (H.264), and ``events.csv``: what happens in it and when."""
    events = plan_film(split, seconds, seed)
    options = {"preset": "ultrafast", "crf": "24", "bf": "0", "threads": "1"}
    with (
        reporter.task("render film", int(seconds * FRAMES_PER_SECOND), "frame") as advance,
        replacing(folder / FILM) as partial,
        av.open(str(partial), "w", format="mp4") as container,
    ):
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options=options)
        stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, "yuv420p"
        stream.gop_size = 30
        for picture in frames_of(events, seconds, seed):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            advance(1)
        container.mux(stream.encode())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("start_s", "end_s", "class"))
    writer.writerows((f"{each.start_s:.3f}", f"{each.end_s:.3f}", each.label) for each in events)
    write_whole(folder / EVENTS, text.getvalue().encode())
    return events


def _rest(scene: Nuisance) -> NDArray[np.float32]:
    return draw(paint(scene.backdrop, SIDE), scene.bystanders)


def _grainy(
    pictures: Sequence[NDArray[np.float32]] | NDArray[np.float32],
    scene: Nuisance,
    generator: np.random.Generator,
) -> Iterator[NDArray[np.uint8]]:
    sheet = np.random.default_rng(scene.grain_seed).normal(0, scene.grain / 255, (2 * SIDE, 2 * SIDE, 3))
    for picture in pictures:
        y, x = generator.integers(0, SIDE, 2)
        grainy = np.clip(picture + sheet[y : y + SIDE, x : x + SIDE], 0, 1)
        yield (grainy * 255 + 0.5).astype(np.uint8)


def write_film_folder(
    folder: Path, split: str, seconds: float, seed: int, shots: int, reporter: Reporter
) -> list[FilmEvent]:
    """Write ``film.mp4``, ``events.csv``, and ``support/<class>/`` with ``shots`` clips of each class.

    Raises:
        InputError: the film is too short for an event, or the folder cannot be written.
    """
    labels = [one.label for one in CLASSES if one.split == split]
    if not plan_film(split, seconds, seed):
        raise InputError(f"nothing happens in {seconds:g} seconds", next_step="Give --seconds 10 or more.")
    try:
        with reporter.task("render support", len(labels) * shots, "clip") as advance:
            for label in labels:
                place = folder / "support" / label
                place.mkdir(parents=True, exist_ok=True)
                for number in range(shots):
                    write_video(place / f"{number}.mp4", render_clip(label, number, seed))
                    advance(1)
        return write_film(folder, split, seconds, seed, reporter)
    except OSError as error:
        raise InputError(
            f"the film cannot be written to {folder}: {error.strerror}", next_step="Name another folder."
        ) from None
