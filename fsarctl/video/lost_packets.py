"""What a packet that cannot be decoded spoils: frames that refer to it are grey or smeared, and libav does
not say so."""

import av
from av.packet import Packet
from av.video.stream import VideoStream

__all__ = ["LostPackets"]


class LostPackets:
    """Those of one stream so far, which is told of each and of every frame, as they come."""

    def __init__(self) -> None:
        self._spoiling = False
        self._time: int | None = None  # ticks

    def add(self, packet: "Packet[VideoStream]") -> None:
        """A packet could not be decoded; one that no other refers to spoils nothing."""
        if not packet.is_disposable:
            self._spoiling, self._time = True, packet.pts

    def spoil(self, frame: av.VideoFrame) -> bool:
        """Whether a frame is not whole. It is from the next key frame on."""
        if self._spoiling and frame.key_frame:
            # One that was read before the loss may come after it, and is not the next.
            self._spoiling = frame.pts is not None and self._time is not None and frame.pts < self._time
            return bool(frame.is_corrupt)
        return self._spoiling or bool(frame.is_corrupt)
