"""What every decoder is given and gives."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from fsarctl.video.container.demuxing import Survey
from fsarctl.video.rotate_and_resize import Scale

__all__ = ["DecodedClip", "Decoder", "UntrustedError", "Video"]


class UntrustedError(Exception):
    """This decoder's answer for this video is missing or not to be believed; the next one is asked."""


@dataclass(frozen=True)
class Video:
    """A file, open for demuxing, and what a survey of it found; it stands at its end."""

    path: Path
    container: InputContainer
    stream: VideoStream
    surveyed: Survey


@dataclass(frozen=True)
class DecodedClip:
    """T frames of a clip and how they were had.

    ``frames``: (T, S, S, 3) uint8, RGB. ``indices``: T positions in presentation order, of
    ``frame_count``. ``problems``: remarks on the video, and why earlier decoders were passed over.
    """

    frames: NDArray[np.uint8]
    decoder: str
    indices: tuple[int, ...]
    frame_count: int
    problems: tuple[str, ...] = ()


class Decoder(Protocol):
    """One way of reading frames.

    ``read`` raises ``UntrustedError`` when it has no answer that can be believed.
    """

    name: str

    def read(self, video: Video, frames: int, scale: Scale) -> DecodedClip: ...
