"""Extraction: against a bare loop over the decoder, against what is commonly done, and reading back."""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from practice import bare_decord, bare_pyav, dump_and_read, read_pictures
from timing import Options, Row, in_a_process, peak_mib, print_rows, side_by_side
from videos import KINDS, make_video

from fsarctl.datasets.clips import Clip
from fsarctl.frames.extraction import Extractor
from fsarctl.frames.frame_store import FrameStore
from fsarctl.frames.shards import CLIPS_PER_SHARD
from fsarctl.progress import SILENT
from fsarctl.video.decode_clip import decode_clip
from fsarctl.video.decoder_protocol import DecodedClip

FRAMES, SIZE = 8, 257
HOW = {"frames": FRAMES, "size": SIZE, "time_limit_s": 60.0}
ROUNDS = 4
EPISODE = 10


class Watch:
    """A reporter that notes when each clip was done."""

    def __init__(self) -> None:
        self.times: list[float] = []

    @contextmanager
    def task(self, *_: object, **__: object) -> Iterator[Callable[..., None]]:
        yield lambda amount=1, detail="": self.times.append(time.perf_counter())

    def note(self, message: str) -> None:
        """Nothing is worth a note here."""


def ours(path: Path, clips: int, workers: int) -> float:
    """Seconds a clip, from when the workers are up until the last clip, which comes after whole shards."""
    watch = Watch()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        Extractor(
            copies(path, clips), place, place / "scratch", workers=workers, reporter=watch, **HOW
        ).extract()
    return (watch.times[-1] - watch.times[workers - 1]) / (clips - workers)


def common(path: Path, clips: int, workers: int) -> float:
    """The same by dumping every frame, in as many processes, a file for each clip."""
    context = get_context("forkserver")
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(workers, mp_context=context) as pool:
        answers = pool.map(dump_and_read, repeat(path, clips), repeat(FRAMES), repeat(SIZE))
        for number, frames in enumerate(answers, 1):
            np.save(Path(folder) / f"{number}.npy", frames)
            if number == workers:
                start = time.perf_counter()
        return (time.perf_counter() - start) / (clips - workers)


def loop(decode: Callable[[Path, int, int], object], path: Path, clips: int) -> float:
    """Seconds a clip, decoded one after the other in this process."""
    start = time.perf_counter()
    for _ in range(clips):
        decode(path, FRAMES, SIZE)
    return (time.perf_counter() - start) / clips


def copies(path: Path, clips: int) -> list[Clip]:
    """As many clips, all of one video."""
    return [Clip(f"clip {number}", "action", str(path)) for number in range(clips)]


def decoding(folder: Path, quick: bool) -> list[Row]:
    """Each kind, and an even mix of them: the mean of their ratios, and all of it taken together."""
    rows, each_kind = [], []
    for name, kind in KINDS.items():
        path = make_video(folder / f"{name}{kind.ending}", kind, 16 if quick else 250)
        large = kind.width > 1000
        shards, few = (1, 3) if quick else (1, 6) if large else (8, 16)
        clips = shards * CLIPS_PER_SHARD + 1

        calls = (
            partial(loop, bare_pyav, path, clips),
            partial(loop, bare_decord, path, clips),
            partial(ours, path, clips, 1),
            partial(ours, path, clips, 2),
            partial(common, path, few, 2),
        )
        rounds = [[call() for call in calls] for _ in range(1 if quick else ROUNDS)]
        # The best of each: what else a machine does only ever adds.
        seconds = np.array([min(taken) for taken in zip(*rounds, strict=True)])
        each_kind.append(seconds)
        rows += _compared(name, seconds)
    table = np.array(each_kind)
    means = [
        Row(f"geometric mean of the five: {what}", "", "",
            float(np.exp(np.log(table[:, other] / table[:, ours]).mean())), asked)
        for (what, ours, other), asked in zip(_comparisons(), ("0.9", "", "1.7", "7.5"), strict=True)
    ]  # fmt: skip
    return [*rows, *_compared("as many clips of each kind", table.mean(0)), *means]


def _compared(name: str, seconds: NDArray[np.float64]) -> list[Row]:
    return [
        Row(f"{name}: {what}", f"{1 / seconds[ours]:.2f}", f"{1 / seconds[other]:.2f}",
            seconds[other] / seconds[ours], "")
        for what, ours, other in _comparisons()
    ]  # fmt: skip


def _comparisons() -> tuple[tuple[str, int, int], ...]:
    """What, and the places of ours and of the other: bare loops, one worker, two workers, JPEG files."""
    return (
        ("one worker, clips/s; bare loop", 2, 0),
        ("one worker; bare loop over decord", 2, 1),
        ("two workers; one", 3, 2),
        ("two workers; ffmpeg to JPEG, two processes", 3, 4),
    )


def reading(folder: Path, quick: bool) -> list[Row]:
    """Episodes of random clips: from the store, by decoding, from JPEG files, and from a memory map."""
    clips = 32 if quick else 256
    path = make_video(folder / "one.mp4", KINDS["H.264, GOP 12"])
    rows_of = np.random.default_rng(0)
    place = folder / "store"
    place.mkdir()
    Extractor(copies(path, clips), place, folder / "scratch", workers=2, reporter=SILENT, **HOW).extract()
    store = FrameStore(place)
    mapped = folder / "mapped.bin"
    flat = np.memmap(mapped, np.uint8, "w+", shape=(clips, FRAMES, SIZE, SIZE, 3))
    pictures = folder / "pictures"
    pictures.mkdir()
    for row in range(clips):
        frames = store.read([row])[0]
        flat[row] = frames
        for number, frame in enumerate(frames):
            Image.fromarray(frame).save(pictures / f"{row}-{number}.jpg", quality=95)
    flat.flush()
    del flat  # what is mapped cannot be dropped from the page cache
    shards = [each for each in (place / "frames.zarr").iterdir() if each.name.startswith("c.")]

    def episode() -> list[int]:
        return rows_of.choice(clips, EPISODE, replace=False).tolist()

    def stored() -> None:
        store.read(episode())

    def decoded() -> None:
        for _ in episode():
            decode_clip(path, FRAMES, SIZE)

    def from_pictures() -> None:
        for row in episode():
            read_pictures([pictures / f"{row}-{number}.jpg" for number in range(FRAMES)], SIZE)

    def from_map() -> None:
        found = np.memmap(mapped, np.uint8, "r", shape=(clips, FRAMES, SIZE, SIZE, 3))
        np.stack([found[row] for row in episode()])

    repeats = 2 if quick else 15
    warm = dict(zip(("store", "decoding", "JPEG"),
                    side_by_side([stored, decoded, from_pictures], repeats), strict=True))  # fmt: skip
    cold: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for call, files, taken in ((stored, shards, cold[0]), (from_map, [mapped], cold[1])):
            forget(files)
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
    ours, other = (median(taken) for taken in cold)
    found = [("decoding on the fly", warm["store"], warm["decoding"], "25"),
             ("8 JPEG files a clip", warm["store"], warm["JPEG"], "2.5"),
             ("cold page cache; a NumPy memory map", ours, other, "1")]  # fmt: skip
    return [
        Row(
            f"reading back, clips/s; {what}",
            f"{EPISODE / ours:.0f}",
            f"{EPISODE / other:.0f}",
            other / ours,
            asked,
        )
        for what, ours, other, asked in found
    ]


def forget(files: list[Path]) -> None:
    """Drop what the page cache holds of these files."""
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def decode_and_say(path: Path, frames: int, size: int) -> DecodedClip:
    """As ``decode_clip``, and the worker's peak memory goes to a file."""
    clip = decode_clip(path, frames, size)
    Path(os.environ["WORKER_PEAK"]).write_text(f"{peak_mib():.1f}")
    return clip


def memory(clips: str) -> None:
    """Peaks of the main process and of its worker, MiB; run in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        os.environ["WORKER_PEAK"] = str(place / "peak")
        path = make_video(place / "one.mp4", KINDS["H.264, GOP 12"], 24)
        (place / "out").mkdir()
        how = {**HOW, "decode": decode_and_say, "workers": 1, "reporter": SILENT}
        Extractor(copies(path, int(clips)), place / "out", place / "scratch", **how).extract()
        print(json.dumps({"main": peak_mib(), "worker": float((place / "peak").read_text())}))


def main(options: Options) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        rows = [*decoding(Path(folder), options.quick), *reading(Path(folder), options.quick)]
    few = 16 if options.quick else 128
    once, more = (in_a_process("extraction.py", "memory", str(clips)) for clips in (few, 4 * few))
    rows += [
        Row(f"MiB of the {part} process, {4 * few} clips; {few} clips", f"{more[part]:.0f}",
            f"{once[part]:.0f}", once[part] / more[part], "1")
        for part in ("main", "worker")
    ]  # fmt: skip
    what = f"{FRAMES} frames of {SIZE} x {SIZE} from videos of 10 s"
    print_rows(f"Extraction: {what}, best of {ROUNDS}; reading back, medians", rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["memory"]:
        memory(sys.argv[2])
    else:
        main(Options())
