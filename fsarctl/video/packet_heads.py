"""What the first bytes of a packet tell without decoding it: what a decoder would silently depend on."""

import re
from typing import TYPE_CHECKING, Any

from av.video.stream import VideoStream

if TYPE_CHECKING:
    import av
    from av.stream import Stream

__all__ = ["PacketHeads", "is_repeat"]

HEAD = 4096  # bytes; what stands before a picture is seldom longer

BLANK = 8  # bytes of zero that no codec begins with

VP8_SHOWN = 0x10
"""In the first byte of a frame's header (RFC 6386, 9.1)."""

SMALLEST_PICTURE = 12
"""Bytes, from MPEG-4's start code on. A smaller one says "as before", and no frame comes of it."""

MPEG4_PICTURE = b"\x00\x00\x01\xb6"
MPEG4_PARAMETERS = re.compile(rb"\x00\x00\x01[\x20-\x2f]")
UNITS = re.compile(rb"\x00\x00\x01(.)", re.DOTALL)  # of H.264 and H.265 where start codes part them

AVC_PARAMETERS, AVC_PICTURES = (7, 8, 13, 15), range(1, 6)
HEVC_PARAMETERS, HEVC_SPLICES, HEVC_PICTURES = (32, 33, 34), (16, 17, 18), range(32)


def is_repeat(packet: "av.Packet[Any]") -> bool:
    """Whether it is empty, and means that the frame before it is shown once more; the end is empty too."""
    return packet.size == 0 and not (packet.dts is packet.pts is None)


class PacketHeads:
    """Looks at the packets of one stream."""

    def __init__(self, stream: VideoStream) -> None:
        self._codec = stream.codec_context.name
        configuration = stream.codec_context.extradata or b""
        place = {"h264": 4, "hevc": 21}.get(self._codec)
        starts_with_version = place is not None and len(configuration) > place and configuration[0] == 1
        self._length_bytes = (configuration[place] & 3) + 1 if place and starts_with_version else 0

    def is_hidden(self, packet: "av.Packet[Stream]") -> bool:
        """VP8's frame that others refer to and that is not shown; other codecs pack it with one that is."""
        return self._codec == "vp8" and not memoryview(packet)[0] & VP8_SHOWN

    def is_blank(self, packet: "av.Packet[Stream]") -> bool:
        """Whether nothing was ever written here, as in a download that did not end."""
        return self._codec != "rawvideo" and packet.size >= BLANK and not any(memoryview(packet)[:BLANK])

    def lacks_picture(self, packet: "av.Packet[Stream]") -> bool:
        """Whether it is one of MPEG-4 that only says that nothing changed."""
        if self._codec != "mpeg4":
            return False
        start = bytes(memoryview(packet)[:HEAD]).find(MPEG4_PICTURE)
        return packet.size - max(start, 0) < SMALLEST_PICTURE

    def is_splice(self, packet: "av.Packet[Stream]") -> bool:
        """Whether another stream begins here: new parameters by the container, or H.265's broken link."""
        if packet.has_sidedata("new_extradata"):
            return True
        return self._codec == "hevc" and self._has(packet, HEVC_SPLICES, HEVC_PICTURES)

    def sets_parameters(self, packet: "av.Packet[Stream]") -> bool:
        """Whether it tells the decoder how to decode what follows it."""
        if self._codec == "mpeg4":
            before = bytes(memoryview(packet)[:HEAD]).split(MPEG4_PICTURE)[0]
            return MPEG4_PARAMETERS.search(before) is not None
        if self._codec == "h264":
            return self._has(packet, AVC_PARAMETERS, AVC_PICTURES)
        if self._codec == "hevc":
            return self._has(packet, HEVC_PARAMETERS, HEVC_PICTURES)
        return False

    def _has(self, packet: "av.Packet[Stream]", wanted: tuple[int, ...], pictures: range) -> bool:
        """Whether a unit of these types stands before the first picture, or is it."""
        for first in self._units(packet):
            kind = first >> 1 & 63 if self._codec == "hevc" else first & 31
            if kind in wanted:
                return True
            if kind in pictures:
                return False
        return False

    def _units(self, packet: "av.Packet[Stream]") -> list[int]:
        """The first byte of each unit."""
        content = memoryview(packet)
        if not self._length_bytes:
            return [match[0] for match in UNITS.findall(bytes(content[:HEAD]))]
        first: list[int] = []
        place = 0
        while place + self._length_bytes < len(content) and len(first) < HEAD:
            length = int.from_bytes(content[place : place + self._length_bytes], "big")
            first.append(content[place + self._length_bytes])
            place += self._length_bytes + length
        return first
