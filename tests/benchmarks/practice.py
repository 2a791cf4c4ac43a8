"""Bare loops over a decoder, and the common practice: every frame to a JPEG file, eight of them read."""

import subprocess
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import av
import decord
import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe
from numpy.typing import NDArray
from PIL import Image

from fsarctl.video.rotate_and_resize import Scale, square_of

__all__ = ["bare_decord", "bare_pyav", "dump_and_read", "read_pictures"]

Frames = NDArray[np.uint8]


def middles(count: int, frames: int) -> list[int]:
    """The middle of each of ``frames`` equal segments."""
    return [count * (2 * segment + 1) // (2 * frames) for segment in range(frames)]


def bare_pyav(path: Path, frames: int, size: int) -> Frames:
    """The same frames by the same decoder, with no question asked and nothing kept."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        decoder = stream.codec_context
        packets = [packet for packet in container.demux(stream) if packet.size]
        times = sorted(packet.pts or 0 for packet in packets)
        wanted = [times[place] for place in middles(len(times), frames)]
        pictures = {}
        keys = [place for place, packet in enumerate(packets) if packet.is_keyframe]
        for start, end in pairwise([*keys, len(packets)]):
            group = packets[start:end]
            last = max((place for place, each in enumerate(group) if each.pts in wanted), default=-1)
            if last < 0:
                continue
            for packet in [*group[: last + 1], None]:
                decoder.skip_frame = "DEFAULT" if packet is None or packet.pts in wanted else "NONREF"
                for frame in decoder.decode(packet):
                    if frame.pts in wanted:
                        pictures[frame.pts] = square_of(frame, Scale(size))
            decoder.flush_buffers()
        return np.stack([pictures[time] for time in wanted])


def bare_decord(path: Path, frames: int, size: int) -> Frames:
    """The usual loop over decord."""
    reader = decord.VideoReader(str(path), ctx=decord.cpu(0), width=size, height=size, num_threads=1)
    taken: Frames = reader.get_batch(middles(len(reader), frames)).asnumpy()
    del reader
    return taken


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
