"""PyAV from the first frame to the last: it trusts neither times nor key frames, and misses no damage."""

from collections import deque
from dataclasses import replace
from pathlib import Path

import numpy as np
from av import VideoFrame
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from fsarctl.video.container.demuxing import (
    RAW,
    TOLERATED_LOSS,
    UnreadableVideoError,
    open_video,
    text_of,
    video_stream,
)
from fsarctl.video.container.packet_heads import is_repeat
from fsarctl.video.decoder_protocol import DecodedClip, UntrustedError, Video
from fsarctl.video.lost_packets import LostPackets
from fsarctl.video.rotate_and_resize import UPRIGHT, Scale, orientation_of, square_of
from fsarctl.video.sampling import segment_centres

__all__ = ["LinearPyAV"]

WITHOUT_ASPECT = (*RAW, "flv", "mpeg", "mpegts")
"""Containers that do not say how wide a pixel is: their pictures do, and may change it."""


class LinearPyAV:
    """PyAV from the first frame to the last: frames are counted, and only wanted ones converted."""

    name = "pyav-linear"

    def read(self, video: Video, frames: int, scale: Scale) -> DecodedClip:
        """Frames at ``segment_centres``.

        Raises:
            UntrustedError: nothing, or not enough, can be decoded.
            UnreadableVideoError: see ``square_of``.
        """
        path, packets = video.path, video.surveyed.packets
        decoded = _Pass(path, packets, frames, scale)
        if decoded.count and decoded.count != packets:
            expected, decoded = decoded.count, _Pass(path, decoded.count, frames, scale)
            if decoded.count != expected:
                raise UntrustedError(f"it gave {expected} frames, then {decoded.count}")
        count, lost = decoded.count, decoded.lost
        if not count:
            raise UntrustedError("no frame could be decoded")
        if lost:  # a decoder also drops, silently, what it cannot rebuild before the next key frame
            lost = max(lost, packets - count)
        if lost > TOLERATED_LOSS * packets:
            raise UntrustedError(f"{lost} of {packets} frames are damaged")
        indices = segment_centres(count, frames)
        problems = [f"{lost} of {packets} frames are damaged"] if lost else []
        if count != packets:
            problems.append(f"{count} frames came from {packets} packets")
        stacked = np.stack([decoded.pictures[index] for index in indices])  # (T, S, S, 3)
        return DecodedClip(stacked, self.name, indices, count, tuple(problems))


class _Pass:
    """One decoding of it all. ``count``: frames; ``pictures``: (S, S, 3) by index; ``lost``: frames damaged.

    Of ``expected`` frames the ``frames`` wanted ones are converted. A packet that is empty shows the frame
    before it once more, and a picture that does not say how it is turned is turned like the one before it.

    Raises:
        UntrustedError: the file cannot be read from its first frame on.
        UnreadableVideoError: see ``square_of``.
    """

    def __init__(self, path: Path, expected: int, frames: int, scale: Scale) -> None:
        self.count = self.lost = 0
        self.pictures: dict[int, NDArray[np.uint8]] = {}
        self._wanted = frozenset(segment_centres(expected, frames))
        self._scale = scale
        self._orientation = UPRIGHT
        self._aspects: dict[int | None, float] = {}
        self._repeats: deque[int | None] = deque()
        self._latest: VideoFrame | None = None
        with open_video(path) as container:
            stream = video_stream(container)
            stream.thread_type = "NONE"
            aspects_change = container.format.name in WITHOUT_ASPECT
            lost = LostPackets()
            try:
                for number, packet in enumerate(container.demux(stream)):
                    if is_repeat(packet):
                        if not packet.is_discard:
                            self._repeats.append(packet.pts)
                        continue
                    if aspects_change and packet.pts is None and packet.size:
                        packet.pts = number  # by which its frame is known
                    try:
                        decoded = packet.decode()
                    except Exception:
                        lost.add(packet)
                        self.lost += 1
                        continue
                    if aspects_change:
                        self._note_aspect(packet, stream)
                    for frame in decoded:
                        self.lost += lost.spoil(frame)
                        self._repeat(frame.pts)
                        self._show(frame)
                self._repeat(None)
            except UnreadableVideoError:
                raise
            except Exception as error:  # the demuxer itself; what came before it stands
                if not self.count:
                    raise UntrustedError(text_of(error)) from None

    def _note_aspect(self, packet: "Packet[VideoStream]", stream: VideoStream) -> None:
        """PyAV's frames do not say their pixels' shape; the decoder that just read the packet does."""
        self._aspects[packet.pts] = float(stream.codec_context.sample_aspect_ratio or 1)

    def _show(self, frame: VideoFrame) -> None:
        self._orientation = orientation_of(frame, self._orientation)
        self._latest = frame
        if self.count in self._wanted:
            aspect = self._aspects.get(frame.pts, self._scale.pixel_aspect)
            scale = replace(self._scale, pixel_aspect=aspect)
            self.pictures[self.count] = square_of(frame, scale, self._orientation)
        self.count += 1

    def _repeat(self, before: int | None) -> None:
        """Show the latest frame again for the packets that are due before a time, or for all of them."""
        while self._repeats:
            due = self._repeats[0]
            if before is not None and due is not None and due >= before:
                break
            self._repeats.popleft()
            if self._latest is not None:
                self._show(self._latest)
