"""The first frame of a video: a cheap way to know whether it can be read at all.

Worker processes import this module, so it stays light.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fsarctl.video.container.demuxing import (
    TOLERATED_LOSS,
    UnreadableVideoError,
    open_video,
    survey,
    video_stream,
)
from fsarctl.video.container.packet_heads import is_repeat
from fsarctl.video.decoder_protocol import DecodedClip
from fsarctl.video.lost_packets import LostPackets
from fsarctl.video.rotate_and_resize import Scale, square_of

__all__ = ["decode_first_frame"]


def decode_first_frame(path: Path, frames: int, size: int) -> DecodedClip:
    """The first frame that is whole, ``frames`` times, squashed to ``size`` x ``size``.

    The rest is only demuxed; ``problems`` are remarks on all of it.

    Raises:
        UnreadableVideoError: empty, truncated, not a video, without a picture, or beyond decoding.
    """
    if path.is_dir():
        from fsarctl.video.frame_folders.decode_folder import decode_first_image

        return decode_first_image(path, frames, size)
    with open_video(path) as container:
        surveyed = survey(container, video_stream(container))
    try:
        picture = _first_picture(path, size, most_lost=TOLERATED_LOSS * surveyed.packets)
    except UnreadableVideoError:
        raise
    except Exception as error:  # PyAV raises many types
        raise UnreadableVideoError(f"no frame could be decoded ({type(error).__name__})") from None
    return DecodedClip(np.stack([picture] * frames), "pyav", (0,) * frames, 1, surveyed.problems)


def _first_picture(path: Path, size: int, most_lost: float) -> NDArray[np.uint8]:
    count, lost = 0, LostPackets()
    with open_video(path) as container:
        stream = video_stream(container)
        stream.thread_type = "NONE"
        for packet in container.demux(stream):
            if is_repeat(packet):
                continue
            try:
                decoded = packet.decode()
            except Exception:
                lost.add(packet)
                count, decoded = count + 1, []
            for frame in decoded:
                if not lost.spoil(frame):
                    return square_of(frame, Scale(size))
                count += 1
            if count > most_lost:
                raise UnreadableVideoError(f"no frame could be decoded: the first {count} are damaged")
    raise UnreadableVideoError("no frame could be decoded")
