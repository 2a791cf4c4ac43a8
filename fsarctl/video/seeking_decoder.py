"""Decode only what the wanted frames are made of.

The survey says when each packet's frame is shown, and from which key packet on it has to be decoded. So
the file is entered at these key packets, and of what follows, packets that no other frame needs are left
out. The survey's doubts come first; then the packet found has to be the one asked for, frames have to come
in the order of their times, and each one wanted with its own.
"""

from collections.abc import Iterable

import numpy as np
from av import VideoFrame
from numpy.typing import NDArray

from fsarctl.video.container.demuxing import TIMES_OF_DECODING, KeyPacket, UnreadableVideoError, text_of
from fsarctl.video.decoder_protocol import DecodedClip, UntrustedError, Video
from fsarctl.video.rotate_and_resize import Scale, square_of
from fsarctl.video.sampling import segment_centres

__all__ = ["SeekingPyAV"]


class SeekingPyAV:
    """PyAV from the key packet before each wanted frame; frames that nothing refers to are left out."""

    name = "pyav"

    def read(self, video: Video, frames: int, scale: Scale) -> DecodedClip:
        """Frames at ``segment_centres``.

        Raises:
            UntrustedError: the file's times cannot be relied on, or something else came than was asked for.
            UnreadableVideoError: see ``square_of``.
        """
        surveyed = video.surveyed
        if surveyed.distrusted:
            raise UntrustedError(surveyed.distrusted)
        indices = segment_centres(len(surveyed.frames), frames)
        wanted = [surveyed.frames[index] for index in indices]
        groups: dict[KeyPacket, set[int]] = {}
        for pts, key in wanted:
            groups.setdefault(key, set()).add(pts)
        pictures: dict[int, NDArray[np.uint8]] = {}
        try:
            for key, times in groups.items():
                pictures |= _decode(video, key, times, scale)
        except (UntrustedError, UnreadableVideoError):
            raise
        except Exception as error:  # PyAV raises many types
            raise UntrustedError(text_of(error)) from None
        if surveyed.in_order and video.stream.codec_context.has_b_frames:  # which it may find out late
            raise UntrustedError(TIMES_OF_DECODING)
        stacked = np.stack([pictures[pts] for pts, _ in wanted])  # (T, S, S, 3)
        return DecodedClip(stacked, self.name, indices, len(surveyed.frames))


def _decode(video: Video, key: KeyPacket, times: set[int], scale: Scale) -> dict[int, NDArray[np.uint8]]:
    """Pictures (S, S, 3) of the frames shown at ``times``, by time; decoding begins at ``key``."""
    decoder = video.stream.codec_context
    pictures: dict[int, NDArray[np.uint8]] = {}

    latest = key.pts - 1

    def take(decoded: Iterable[VideoFrame]) -> None:
        nonlocal latest
        for frame in decoded:
            if frame.pts is not None and frame.pts >= key.pts:  # before it, what an open GOP left behind
                if frame.pts <= latest:
                    raise UntrustedError("frames do not come in the order of their times")
                latest = frame.pts
            if frame.is_corrupt or (frame.pts == key.pts and not frame.key_frame):
                raise UntrustedError("a damaged frame")
            if frame.pts in times:
                pictures[frame.pts] = square_of(frame, scale)

    video.container.seek(key.pts, stream=video.stream)
    waiting = set(times)
    started = False
    for packet in video.container.demux(video.stream):
        pts = packet.pts
        started = started or (pts, packet.pos) == (key.pts, key.pos)
        if pts is None or not (started or pts < key.pts):
            break
        if started:
            decoder.skip_frame = "DEFAULT" if pts in times or pts == key.pts else "NONREF"
            take(decoder.decode(packet))
            waiting.discard(pts)
            if not waiting:
                break
    take(decoder.decode(None))
    if len(pictures) < len(times):
        raise UntrustedError("a frame did not come at its time")
    return pictures
