"""Decoders that read text files, and extraction with them, as a script too: DECODER VIDEOS AT [PAST].

Worker processes import this file, and would wait for pytest, zarr or torch: it imports none of them.
"""

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fsarctl.video.container.demuxing import UnreadableVideoError
from fsarctl.video.decoder_protocol import DecodedClip

if TYPE_CHECKING:
    from fsarctl.datasets.clips import Clip
    from fsarctl.frames.frame_store import ClipRow
    from fsarctl.video.processes.decoding_pool import Decode

FRAMES, SIZE = 2, 64


def read_number(path: Path, frames: int, size: int) -> DecodedClip:
    """The file's number as frames of that grey, or what else it says."""
    text = path.read_text()
    if text == "broken":
        raise UnreadableVideoError("it is broken")
    if text == "surprise":
        raise RuntimeError(f"cannot fathom {path}")
    if text == "shape":
        size += 1
    pictures = np.full((frames, size, size, 3), int(text) if text.isdigit() else 0, np.uint8)
    return DecodedClip(pictures, "number", tuple(range(frames)), frames, ("a remark",))


def obey(path: Path, frames: int, size: int) -> DecodedClip:
    """Does what the file says."""
    text = path.read_text()
    if text == "hang":
        time.sleep(600)
    if text == "hang deaf":  # native code that never comes back to Python's signal handlers
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        time.sleep(600)
    if text == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if text == "exit":
        os._exit(3)
    if text.startswith("pid"):
        path.with_suffix(".pid").write_text(str(os.getpid()))
        time.sleep(600)
    return DecodedClip(np.full((frames, size, size, 3), int(text), np.uint8), "number", (0,) * frames, 1)


def slow(path: Path, frames: int, size: int) -> DecodedClip:
    """Noise; leaves a mark each time a clip is decoded."""
    with path.with_suffix(".decoded").open("a") as marks:
        marks.write("x")
    time.sleep(0.02)
    pictures = np.random.default_rng(int(path.stem)).integers(0, 256, (frames, size, size, 3), np.uint8)
    return DecodedClip(pictures, "slow", tuple(range(frames)), frames)


def clips_in(videos: Path) -> list["Clip"]:
    """A clip of each text file."""
    from fsarctl.datasets.clips import Clip

    return [Clip(path.stem, "a", str(path)) for path in sorted(videos.glob("*.txt"))]


def extract(
    decode: "Decode", clips: Sequence["Clip"], at: Path, past: Path | None = None, time_limit_s: float = 30
) -> tuple["ClipRow", ...]:
    """Extract into ``at``/artifact with two workers, and ``past``/artifact to copy from."""
    from fsarctl.frames.extraction import Extractor, Sources
    from fsarctl.progress import SILENT

    (at / "artifact").mkdir(parents=True, exist_ok=True)
    digests = {clip.name: f"digest of {clip.name}" for clip in clips}
    return (
        Extractor(
            clips,
            at / "artifact",
            at / "scratch",
            frames=FRAMES,
            size=SIZE,
            workers=2,
            reporter=SILENT,
            time_limit_s=time_limit_s,
            decode=decode,
            sources=Sources(digests, {}, [(past / "artifact", None)] if past else []),
        )
        .extract()
        .rows
    )


if __name__ == "__main__":
    decoder, where, *places = sys.argv[1:]
    extract(
        {"obey": obey, "slow": slow}[decoder], clips_in(Path(where)), *map(Path, places), time_limit_s=600
    )
