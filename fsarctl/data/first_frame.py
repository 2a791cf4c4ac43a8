"""The first frame of a video: how it is laid down, and a cheap way to know whether it can be read at all.

Worker processes import this module, so it stays light.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fsarctl.data.decoder import DecodedClip
from fsarctl.data.pictures import UPRIGHT, Orientation, orientation_of
from fsarctl.data.survey import UnreadableVideoError, open_video, survey, text_of, video_stream

__all__ = ["FirstFrame", "decode_first_frame", "look_at_first_frame"]


@dataclass(frozen=True)
class FirstFrame:
    """What the first frame tells about all of them.

    ``aspect``: width / height as a player shows it. ``orientation``: how a player turns what is decoded.
    ``damaged``: why it cannot be decoded, or "".
    """

    aspect: float = 1.0
    orientation: Orientation = UPRIGHT
    damaged: str = ""


def look_at_first_frame(path: Path) -> FirstFrame:
    """Decode as little as gives a frame.

    Raises:
        UnreadableVideoError: the file cannot be opened, or has no pictures.
    """
    with open_video(path) as container:
        stream = video_stream(container)
        stream.thread_type = "NONE"
        try:
            frame = next(container.decode(stream), None)
        except Exception as error:  # PyAV raises many types
            return FirstFrame(damaged=f"the first picture is damaged ({text_of(error)})")
        if frame is None:
            return FirstFrame()
        orientation = orientation_of(frame)
        aspect = frame.width / frame.height * float(stream.sample_aspect_ratio or 1)
        return FirstFrame(1 / aspect if orientation.swapped else aspect, orientation)


def decode_first_frame(path: Path, frames: int, size: int) -> DecodedClip:
    """The first frame, ``frames`` times, squashed to ``size`` x ``size``; the rest is only demuxed.

    Raises:
        UnreadableVideoError: empty, truncated, not a video, without a picture, or beyond decoding.
    """
    with open_video(path) as container:
        survey(container, video_stream(container))
    try:
        with open_video(path) as container:
            first = next(container.decode(video_stream(container)), None)
            picture = None if first is None else first.reformat(size, size, "rgb24", threads=1).to_ndarray()
    except Exception as error:  # PyAV raises many types
        raise UnreadableVideoError(f"no frame could be decoded ({type(error).__name__})") from None
    if picture is None:
        raise UnreadableVideoError("no frame could be decoded")
    return DecodedClip(np.stack([picture.astype(np.uint8, copy=False)] * frames), "pyav", (0,) * frames, 1)
