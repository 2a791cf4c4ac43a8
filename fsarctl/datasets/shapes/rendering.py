"""*shapes*: a synthetic few-shot action benchmark, rendered on the spot.

Clips show simple shapes that move, grow, fade or change places. Most classes come in pairs that differ
in temporal order alone: the second is rendered as the exact time reverse of the first, so that a single
frame, or the average of all, says nothing about which of the two it is. Everything else (kind, colour,
size, place, speed, background, noise, shapes at rest) is nuisance, drawn alike for every class.
Clip number i of a class is a pure function of (seed, label, i).
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from pebble import ProcessExpired

from fsarctl.artifacts.atomic_write import replacing, write_whole
from fsarctl.artifacts.unfinished.journal import Entry, Journal, file_crc32c, note_lost
from fsarctl.datasets.shapes.classes import CLASSES, ShapeClass
from fsarctl.datasets.shapes.drawing import BACKDROPS, COLOURS, KINDS, Backdrop, Sprite, draw, paint
from fsarctl.datasets.shapes.motion import Pose
from fsarctl.errors import FsarctlError
from fsarctl.progress import Reporter
from fsarctl.video.processes.worker_pool import await_own_signal, not_kept_alive, worker_pool

__all__ = [
    "CLASSES",
    "SIDE",
    "Nuisance",
    "ShapeClass",
    "draw_nuisance",
    "render",
    "render_clip",
    "render_split",
    "render_videos",
    "write_video",
]

SIDE = 112
FRAMES_PER_SECOND = 15


_BY_LABEL = {one.label: one for one in CLASSES}


@dataclass(frozen=True)
class Nuisance:
    """Everything about a clip that its class does not decide.

    ``progress`` is 0 at the first frame and 1 at the last, one number a frame; ``shift`` and ``anchor``
    are fractions of the side; ``grain`` is the sensor noise's deviation in grey levels.
    """

    progress: tuple[float, ...]
    actors: tuple[Sprite, ...]
    bystanders: tuple[Sprite, ...]
    backdrop: Backdrop
    shift: tuple[float, float]
    stretch: float
    anchor: tuple[float, float]
    grain: float
    grain_seed: int


def draw_nuisance(label: str, number: int, seed: int) -> Nuisance:
    """The nuisance of clip ``number`` of a class: a pure function of the three."""
    generator = _generator(label, number, seed)
    uniform = generator.uniform

    backdrop = Backdrop(
        pattern=BACKDROPS[generator.integers(len(BACKDROPS))],
        first=(first := tuple(uniform(0.1, 0.9, 3))),
        second=tuple(np.clip(np.asarray(first) + uniform(-0.15, 0.15, 3), 0, 1)),
        angle=uniform(0, np.pi),
        period=uniform(0.12, 0.4),
    )

    def sprite(radius: float, x: float = 0.5, y: float = 0.5) -> Sprite:
        while True:
            name = list(COLOURS)[generator.integers(len(COLOURS))]
            colour = np.clip(np.asarray(COLOURS[name]) + uniform(-0.06, 0.06, 3), 0, 1)
            if min(abs(colour - end).sum() for end in (backdrop.first, backdrop.second)) > 0.8:
                break
        kind = list(KINDS)[generator.integers(len(KINDS))]
        return Sprite(kind, tuple(colour), x, y, radius, angle=uniform(-0.5, 0.5))

    frames = int(generator.integers(20, 41))
    start, end, bend = uniform(0, 0.25), uniform(0, 0.25), uniform(0.65, 1.55)
    steps = np.clip((np.linspace(0, 1, frames) - start) / (1 - start - end), 0, 1) ** bend
    return Nuisance(
        progress=tuple(steps.tolist()),
        actors=(sprite(uniform(0.08, 0.15)), sprite(uniform(0.08, 0.15))),
        bystanders=tuple(
            sprite(uniform(0.06, 0.14), *uniform(0.08, 0.92, 2)) for _ in range(generator.integers(1, 5))
        ),
        backdrop=backdrop,
        shift=(uniform(-0.1, 0.1), uniform(-0.1, 0.1)),
        stretch=uniform(0.7, 1.1),
        anchor=(uniform(0.3, 0.7), uniform(0.3, 0.7)),
        grain=uniform(0, 12),
        grain_seed=int(generator.integers(2**63)),
    )


def render(label: str, nuisance: Nuisance) -> NDArray[np.float32]:
    """The clip without its grain: (frames, SIDE, SIDE, 3), 0 to 1.

    Under one nuisance, the two classes of a pair give the same frames in opposite order.

    Raises:
        KeyError: no class has this label.
    """
    action = _BY_LABEL[label]
    background = paint(nuisance.backdrop, SIDE)
    frames = np.empty((len(nuisance.progress), SIDE, SIDE, 3), np.float32)
    for frame, progress in zip(frames, nuisance.progress, strict=True):
        moment = action.motion(progress)
        goal = np.float32(moment.light > 0)
        lit = background + (goal - background) * np.float32(0.75 * abs(moment.light))
        actors = [
            _dress(actor, pose, nuisance) for actor, pose in zip(nuisance.actors, moment.poses, strict=False)
        ]
        frame[:] = draw(lit, [*nuisance.bystanders, *actors])
    return frames[::-1] if action.backwards else frames


def render_clip(label: str, number: int, seed: int) -> NDArray[np.uint8]:
    """Clip ``number`` of a class as its video shows it: (frames, SIDE, SIDE, 3), before compression."""
    nuisance = draw_nuisance(label, number, seed)
    frames = render(label, nuisance)
    generator = np.random.default_rng(nuisance.grain_seed)
    # One sheet of grain a clip, seen through a window that jumps: a tenth of the cost of new grain a frame.
    sheet = generator.normal(0, nuisance.grain / 255, (2 * SIDE, 2 * SIDE, 3)).astype(np.float32)
    for frame in frames:
        y, x = generator.integers(0, SIDE, 2)
        frame += sheet[y : y + SIDE, x : x + SIDE]
    return (np.clip(frames, 0, 1) * 255 + 0.5).astype(np.uint8)


def _generator(label: str, number: int, seed: int) -> np.random.Generator:
    digest = hashlib.sha256(json.dumps([seed, label, number]).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest))


def _dress(actor: Sprite, pose: Pose, nuisance: Nuisance) -> Sprite:
    if pose.x is None or pose.y is None:
        x, y = nuisance.anchor
    else:
        x = 0.5 + (pose.x - 0.5) * nuisance.stretch + nuisance.shift[0]
        y = 0.5 + (pose.y - 0.5) * nuisance.stretch + nuisance.shift[1]
    goal = float(pose.tone > 0)
    red, green, blue = (part + (goal - part) * 0.85 * abs(pose.tone) for part in actor.colour)
    return Sprite(actor.kind, (red, green, blue), x, y, actor.radius * pose.scale, actor.angle, pose.opacity)


def render_split(
    folder: Path,
    split: str,
    clips_per_class: int,
    seed: int,
    workers: int,
    reporter: Reporter,
    finished: Journal | None = None,
) -> None:
    """Write a split's clips as ``render_videos`` does."""
    rows = [
        {"name": (name := f"{split}/{_slug(one.label)}/{number:02d}.mp4"), "label": one.label, "file": name}
        for one in CLASSES
        if one.split == split
        for number in range(clips_per_class)
    ]
    render_videos(folder, split, rows, clips_per_class, render_clip, seed, workers, reporter, finished)


def render_videos(
    folder: Path,
    split: str,
    rows: Sequence[Mapping[str, str]],
    clips_per_class: int,
    drawn: Callable[[str, int, int], NDArray[np.uint8]],
    seed: int,
    workers: int,
    reporter: Reporter,
    finished: Journal | None = None,
) -> None:
    """Write clips as H.264 videos, and clips.json: [{"name", "label", "file"}], into ``folder``.

    ``rows`` are those of clips.json, class by class. ``drawn`` gives the frames of (label, number, seed),
    (frames, side, side, 3) uint8. Each video appears under its name when it is whole, so that a rerun goes
    on where the last one stopped: with a video that ``finished`` has, or without it with any that is there.
    ``file`` is relative to ``folder``.
    """
    for torn in folder.rglob("*.partial"):
        torn.unlink()
    there = {row["file"] for row in rows if (folder / row["file"]).exists()}
    if finished is not None:
        there &= _resume(finished, folder, split, reporter)
    jobs = [
        (folder / row["file"], row["label"], index % clips_per_class)
        for index, row in enumerate(rows)
        if row["file"] not in there
    ]
    for parent in {path.parent for path, _, _ in jobs}:
        parent.mkdir(parents=True, exist_ok=True)
    with reporter.task(f"render {split}", len(rows), "clip", done=len(rows) - len(jobs)) as advance:
        for written in _run(jobs, drawn, seed, workers):
            if finished is not None:
                finished.add(Entry({str(path.relative_to(folder)): crc for path, crc in written.items()}))
            advance(len(written))
    write_whole(folder / "clips.json", json.dumps(rows, indent=1).encode())


def _resume(journal: Journal, folder: Path, split: str, reporter: Reporter) -> set[str]:
    """The videos that an interrupted run has finished, and that are as they were then."""
    entries, lost = journal.read()
    videos = {name: checksum for each in entries for name, checksum in each.files.items()}
    whole = {name: crc for name, crc in videos.items() if file_crc32c(folder / name) == crc}
    note_lost(lost + len(videos) - len(whole), f"render {split}", reporter)
    journal.begin([Entry(whole)] if whole else [])
    return set(whole)


def _run(
    jobs: list[tuple[Path, str, int]],
    drawn: Callable[[str, int, int], NDArray[np.uint8]],
    seed: int,
    workers: int,
) -> Iterable[dict[Path, str]]:
    batches = [jobs[start : start + 8] for start in range(0, len(jobs), 8)]
    if workers <= 1 or len(batches) <= 1:
        yield from map(partial(_write_clips, drawn=drawn, seed=seed), batches)
        return
    try:
        with worker_pool(min(workers, len(batches))) as pool:
            given = [pool.schedule(_write_clips, args=(batch, drawn, seed)) for batch in batches]
            for done in as_completed(given):
                yield done.result()
    except ProcessExpired as error:
        await_own_signal(error.exitcode)
        raise FsarctlError(
            "a process that renders videos was killed",
            next_step="Run it again: it goes on where it stopped. Fewer --workers need less memory.",
        ) from error
    except RuntimeError as error:  # a broken pool
        raise not_kept_alive(error) from None


def _write_clips(
    jobs: list[tuple[Path, str, int]], drawn: Callable[[str, int, int], NDArray[np.uint8]], seed: int
) -> dict[Path, str]:
    """Write these clips; the CRC-32C of each."""
    for path, label, number in jobs:
        write_video(path, drawn(label, number, seed))
    return {path: file_crc32c(path) for path, _, _ in jobs}


def write_video(path: Path, frames: NDArray[np.uint8]) -> None:
    """A clip as H.264. Shapes: frames (frames, side, side, 3)."""
    # The slower presets look ahead, and x264's AVX-512 code for that gives other bytes now and then
    # (3 of 100 videos); this one gave the same bytes 11,000 times.
    options = {"preset": "ultrafast", "crf": "24", "bf": "0", "threads": "1"}
    with replacing(path) as partial, av.open(str(partial), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options=options)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        stream.gop_size = 12
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def _slug(label: str) -> str:
    return re.sub(r"[^a-z]+", "-", label)
