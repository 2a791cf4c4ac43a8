"""What a file is, by its first bytes: a video, or what else. Nothing of libav is needed for that."""

import re
from typing import NamedTuple

__all__ = ["HEAD_BYTES", "MP4", "NO_VIDEO", "TEXT", "UNKNOWN", "Content", "content_of"]

HEAD_BYTES = 4096

TS_PACKET, TS_SYNC, TS_PACKETS = 188, 0x47, 4
TIME_CODE = 4  # bytes, which camcorders put before each packet of a transport stream

NO_VIDEO = "it is not a video of a known format"
"""Of every other file; what it is may follow."""


class Content(NamedTuple):
    """``video``: whether it is one; ``words``: what it is, as "a PNG picture"."""

    video: bool
    words: str

    @property
    def refusal(self) -> str:
        """Why it is not read, of what is no video."""
        return f"{NO_VIDEO}, but {self.words}" if self.words else NO_VIDEO


UNKNOWN, TEXT = Content(False, ""), Content(False, "text")

MP4 = "MP4 or QuickTime"
STILL = b"avif|heic|heix|heim|heis|mif1|crx "
VIDEOS: tuple[tuple[str, re.Pattern[bytes]], ...] = tuple(
    (words, re.compile(pattern, re.DOTALL))
    for words, pattern in (
        (MP4, rb".{4}(ftyp(?!M4[ABP] |%s)|styp|moov|moof|mdat)|\x00.{3}(wide|free|skip|pnot)" % STILL),
        ("Matroska or WebM", rb"\x1a\x45\xdf\xa3"),
        ("AVI", rb"RIFF.{4}(AVI |AVIX|AMV )"),
        ("Flash", rb"FLV\x01"),
        ("Windows Media", rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
        ("Ogg", rb"OggS.*(\x80theora|OVP80|BBCD\x00|\x01video\x00)"),
        ("an MPEG programme", rb"\x00\x00\x01\xba|RIFF.{4}CDXA"),
        ("MPEG-1 or MPEG-2 video", rb"\x00\x00\x01\xb3"),
        ("MPEG-4 video", rb"\x00\x00\x01(\xb0.\x00\x00\x01|[\x00-\x1f]\x00\x00\x01[\x20-\x2f])"),
        ("H.264", rb"\x00{2,3}\x01([\x27\x47\x67]|\x09[\x10-\xf0]\x00{2,3}\x01)"),
        ("H.265", rb"\x00{2,3}\x01[\x40\x42\x46]\x01"),
        ("H.266", rb"\x00{2,3}\x01\x00[\x61\x69\x71\x79\xa1]"),
        ("Dirac", rb"BBCD"),
        ("AV1", rb"\x12\x00\x0a"),
        ("a GIF", rb"GIF8[79]a"),
        ("YUV4MPEG2", rb"YUV4MPEG2 "),
        ("IVF", rb"DKIF"),
        ("RealMedia", rb"\.RMF"),
        ("NUT", rb"nut/multimedia container"),
        ("MXF", rb"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02"),
        ("DV", rb"\x1f\x07\x00[\x3f\xbf]"),
        ("a Windows TV recording", rb"\xb7\xd8\x00\x20\x37\x49\xda\x11"),
        ("GXF", rb"\x00{4}\x01\xbc"),
        ("an animated PNG", rb"\x89PNG.*acTL"),
        ("a DHAV recording", rb"DHAV"),
        ("Flash (SWF)", rb"[FC]WS[\x01-\x40]"),
        ("RoQ", rb"\x84\x10\xff{4}"),
        ("Sega FILM", rb"FILM.{12}FDSC"),
    )
)
OTHERS: tuple[tuple[str, re.Pattern[bytes]], ...] = tuple(
    (words, re.compile(pattern, re.DOTALL))
    for words, pattern in (
        ("a PNG picture", rb"\x89PNG"),
        ("a JPEG picture", rb"\xff\xd8\xff"),
        ("an animated WebP, which is not read here", rb"RIFF.{4}WEBPVP8X.{14}ANIM"),
        ("a WebP picture", rb"RIFF.{4}WEBP"),
        ("AVS video, which is not read here", rb"\x00\x00\x01\xb0"),
        ("an AVIF or HEIF picture", rb".{4}ftyp(%s)" % STILL),
        ("a BMP picture", rb"BM.{4}\x00{4}"),
        ("a TIFF picture", rb"II\x2a\x00|MM\x00\x2a"),
        ("sound", rb"RIFF.{4}WAVE|ID3|\xff[\xe2-\xfd]|fLaC|OggS|.{4}ftypM4|#!AMR|MThd|FORM.{4}AIF"),
        ("a ZIP archive: unpack it", rb"PK[\x03\x05]"),
        ("compressed: unpack it", rb"\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd|7z\xbc\xaf|Rar!"),
        ("a PDF", rb"%PDF"),
        ("an HDF5 file", rb"\x89HDF"),
        ("a NumPy array", rb"\x93NUMPY"),
        ("a pointer of Git LFS: `git lfs pull` fetches the file", rb"version https://git-lfs"),
        ("a web page, which a server gave in its place", rb"(?i:\s*<(!doctype|html))"),
        ("a playlist, which names the videos", rb"#EXTM3U|ffconcat|\[playlist\]"),
    )
)  # fmt: skip
PRINTED = re.compile(rb"[\t\n\r\x20-\x7e\x80-\xff]+")


def content_of(head: bytes) -> Content:
    """What a file is that begins with ``head``, up to ``HEAD_BYTES`` of it."""
    for words, pattern in VIDEOS:
        if pattern.match(head):
            return Content(True, words)
    if any(_is_transport_stream(head[begin:], TS_PACKET + begin) for begin in (0, TIME_CODE)):
        return Content(True, "an MPEG transport stream")
    for words, pattern in OTHERS:
        if pattern.match(head):
            return Content(False, words)
    if head and not any(head):
        return Content(False, "zeros alone: what was set aside for it was not written")
    if PRINTED.fullmatch(head):
        return TEXT
    return UNKNOWN


def _is_transport_stream(head: bytes, packet: int) -> bool:
    marks = head[: packet * TS_PACKETS : packet]
    return len(marks) == TS_PACKETS and marks == bytes([TS_SYNC]) * TS_PACKETS
