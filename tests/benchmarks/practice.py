"""Bare loops over a decoder, and the common practice: every frame to a JPEG file, eight of them read."""

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import av
import decord
import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe
from numpy.typing import NDArray
from PIL import Image

__all__ = ["bare", "dump_and_read", "read_pictures"]

Frames = NDArray[np.uint8]


def bare(path: Path, frames: int, size: int, decoder: str) -> Frames:
    """The same frames by the same decoder, with no question asked and nothing kept."""
    return (_bare_decord if decoder == "decord" else _bare_pyav)(path, frames, size)


def middles(count: int, frames: int) -> list[int]:
    """The middle of each of ``frames`` equal segments."""
    return [count * (2 * segment + 1) // (2 * frames) for segment in range(frames)]


def _bare_decord(path: Path, frames: int, size: int) -> Frames:
    reader = decord.VideoReader(str(path), ctx=decord.cpu(0), width=size, height=size, num_threads=1)
    taken: Frames = reader.get_batch(middles(len(reader), frames)).asnumpy()
    del reader
    return taken


def _bare_pyav(path: Path, frames: int, size: int) -> Frames:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        wanted = set(middles(stream.frames, frames))
        return np.stack(
            [
                frame.reformat(size, size, "rgb24", interpolation="BILINEAR", threads=1).to_ndarray()
                for number, frame in enumerate(container.decode(stream))
                if number in wanted
            ]
        )


def dump_and_read(path: Path, frames: int, size: int) -> Frames:
    """Every frame to a JPEG file by the ffmpeg program, ``frames`` of them read and scaled."""
    with tempfile.TemporaryDirectory() as folder:
        words = [get_ffmpeg_exe(), "-loglevel", "error", "-i", str(path), f"{folder}/%05d.jpg"]
        subprocess.run(words, check=True)
        files = sorted(Path(folder).iterdir())
        return read_pictures([files[place] for place in middles(len(files), frames)], size)


def read_pictures(files: Sequence[Path], size: int) -> Frames:
    """JPEG files, (files, size, size, 3)."""
    pictures = []
    for file in files:
        with Image.open(file) as picture:
            upright = picture.convert("RGB")
            scaled = upright if upright.size == (size, size) else upright.resize((size, size), 2)
            pictures.append(np.asarray(scaled))
    return np.stack(pictures)
