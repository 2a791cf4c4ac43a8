"""Bare loops over a decoder, and the common practice: every frame to a JPEG file, eight of them read."""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import decord
import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["bare", "dump_and_read", "read_pictures", "tool"]

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


def tool() -> str:
    """What dumps the frames here; PyAV has the same encoder and the same file writer in it."""
    return "ffmpeg" if shutil.which("ffmpeg") else "PyAV, as there is no ffmpeg"


def dump_and_read(path: Path, frames: int, size: int) -> Frames:
    """Every frame to a JPEG file, ``frames`` of them read and scaled."""
    with tempfile.TemporaryDirectory() as folder:
        if shutil.which("ffmpeg"):
            words = ["ffmpeg", "-loglevel", "error", "-i", str(path), f"{folder}/%05d.jpg"]
            subprocess.run(words, check=True)
        else:
            _dump(path, folder)
        files = sorted(Path(folder).iterdir())
        return read_pictures([files[place] for place in middles(len(files), frames)], size)


def _dump(path: Path, folder: str) -> None:
    with av.open(str(path)) as given, av.open(f"{folder}/%05d.jpg", "w", format="image2") as output:
        source = given.streams.video[0]
        source.thread_type = "AUTO"
        stream: Any = output.add_stream("mjpeg", rate=source.average_rate, options={"qmin": "2", "q": "2"})
        stream.width, stream.height, stream.pix_fmt = source.width, source.height, "yuvj420p"
        for frame in given.decode(source):
            output.mux(stream.encode(frame.reformat(format="yuvj420p")))
        output.mux(stream.encode(None))


def read_pictures(files: Sequence[Path], size: int) -> Frames:
    """JPEG files, (files, size, size, 3)."""
    pictures = []
    for file in files:
        with Image.open(file) as picture:
            upright = picture.convert("RGB")
            scaled = upright if upright.size == (size, size) else upright.resize((size, size), 2)
            pictures.append(np.asarray(scaled))
    return np.stack(pictures)
