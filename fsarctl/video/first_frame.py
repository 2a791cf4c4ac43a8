"""The first frame of a video: a cheap way to know whether it can be read at all.

Worker processes import this module, so it stays light.
"""

from pathlib import Path

import numpy as np

from fsarctl.video.decoder_protocol import DecodedClip
from fsarctl.video.rotate_and_resize import Scale, square_of
from fsarctl.video.survey import UnreadableVideoError, open_video, survey, video_stream

__all__ = ["decode_first_frame"]


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
            picture = None if first is None else square_of(first, Scale(size))
    except UnreadableVideoError:
        raise
    except Exception as error:  # PyAV raises many types
        raise UnreadableVideoError(f"no frame could be decoded ({type(error).__name__})") from None
    if picture is None:
        raise UnreadableVideoError("no frame could be decoded")
    return DecodedClip(np.stack([picture] * frames), "pyav", (0,) * frames, 1)
