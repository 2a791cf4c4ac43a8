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
UNITS = re.compile(rb"\x00\x00\x01.", re.DOTALL)  # of H.264 and H.265 where start codes part them

AVC_SEI, HEVC_SEI, ORIENTATION, MORE = 6, 39, 47, 255
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
        self._latest: av.Packet[Stream] | None = None
        self._latest_units: list[tuple[int, int]] = []

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

    def turns(self, packet: "av.Packet[Stream]") -> bool:
        """Whether its picture says how it is turned (SEI, display orientation), which not each may do."""
        if self._codec not in ("h264", "hevc"):
            return False
        sei = AVC_SEI if self._codec == "h264" else HEVC_SEI
        content = memoryview(packet)
        return any(
            self._type(content[place]) == sei and ORIENTATION in _messages(content[place:end])
            for place, end in self._units(packet)
        )

    def _type(self, first: int) -> int:
        return first >> 1 & 63 if self._codec == "hevc" else first & 31

    def _has(self, packet: "av.Packet[Stream]", wanted: tuple[int, ...], pictures: range) -> bool:
        """Whether a unit of these types stands before the first picture, or is it."""
        content = memoryview(packet)
        for place, _ in self._units(packet):
            kind = self._type(content[place])
            if kind in wanted:
                return True
            if kind in pictures:
                return False
        return False

    def _units(self, packet: "av.Packet[Stream]") -> list[tuple[int, int]]:
        """Where each unit begins and ends, bytes; as far as the head goes where start codes part them."""
        if packet is not self._latest:  # several questions are asked of each packet
            self._latest, self._latest_units = packet, self._find_units(memoryview(packet))
        return self._latest_units

    def _find_units(self, content: memoryview) -> list[tuple[int, int]]:
        if not self._length_bytes:
            head = bytes(content[:HEAD])
            begins = [match.end() - 1 for match in UNITS.finditer(head)]
            return list(zip(begins, [*(place - 3 for place in begins[1:]), len(head)], strict=True))
        found: list[tuple[int, int]] = []
        place = 0
        while place + self._length_bytes < len(content) and len(found) < HEAD:
            begin = place + self._length_bytes
            place = begin + int.from_bytes(content[place:begin], "big")
            found.append((begin, place))
        return found


def _messages(unit: "memoryview | bytes") -> set[int]:
    """The types of the messages in a unit of supplemental information (ITU-T H.264, 7.3.2.3.1)."""
    content = bytes(unit[:HEAD]).replace(b"\x00\x00\x03", b"\x00\x00")
    place = 1 if unit[0] & 31 == AVC_SEI else 2
    found: set[int] = set()
    while place + 2 < len(content):
        numbers = []
        for _ in ("type", "bytes"):
            number = 0
            while place < len(content) and content[place] == MORE:
                number += MORE
                place += 1
            number += content[place] if place < len(content) else 0
            place += 1
            numbers.append(number)
        found.add(numbers[0])
        place += numbers[1]
    return found
