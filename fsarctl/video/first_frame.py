"""The first frame of a video: its shape, and a cheap way to know whether it can be read at all.

Worker processes import this module, so it stays light.
"""

from pathlib import Path

import numpy as np

from fsarctl.video.decoder import DecodedClip
from fsarctl.video.pictures import orientation_of
from fsarctl.video.survey import UnreadableVideoError, open_video, survey, video_stream

__all__ = ["aspect_of", "decode_first_frame"]


def aspect_of(path: Path) -> float:
    """Width / height of the first frame as a player shows it; 1 where there is none to be decoded.

    Raises:
        UnreadableVideoError: the file cannot be opened, or has no pictures.
    """
    with open_video(path) as container:
        stream = video_stream(container)
        stream.thread_type = "NONE"
        try:
            frame = next(container.decode(stream), None)
        except Exception:  # PyAV raises many types; whoever decodes it all says what is wrong
            return 1.0
        if frame is None:
            return 1.0
        aspect = frame.width / frame.height * float(stream.sample_aspect_ratio or 1)
        return 1 / aspect if orientation_of(frame).swapped else aspect


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
