"""Whether a file goes on as far as its own structure says.

Durations that a container declares are often of something else: a subtitle that outlasts the pictures, the
clock on the wall. Its parts say how long they are in bytes, and a copy that was cut ends within one of them.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeAlias

__all__ = ["Ending", "boxes", "ending_of"]

TAIL = 4096  # bytes; a download that did not end may have its whole length, and nothing in it

UPPERMOST = (
    b"ftyp styp moov moof mfra mdat imda free skip wide sidx ssix meta udta uuid emsg prft pdin pnot PICT"
)
BOXES = frozenset(UPPERMOST.split())
BOX_HEAD, WIDE_BOX_HEAD, SIDX_HEAD, SIDX_ENTRY = 8, 16, 12, 12
SEGMENT, CLUSTER, LAST_EBML_ID_BYTES, LAST_EBML_SIZE_BYTES = 0x18538067, 0x1F43B675, 4, 8
LONGEST_ELEMENT_HEAD = LAST_EBML_ID_BYTES + LAST_EBML_SIZE_BYTES
CHUNK_HEAD, LIST_HEAD = 8, 12
FLV_TAG_HEAD, FLV_TAGS, FLV_LENGTH = 11, (8, 9, 18), 4
OGG_HEAD, RM_HEAD, RM_DATA_HEAD, PNG_HEAD, PNG_CHUNK = 27, 8, 10, 8, 12
GIF_HEAD, GIF_EXTENSION, GIF_IMAGE, GIF_COLOURS = 13, 2, 10, 0x80
ASF_HEAD, ASF_DATA = 24, bytes.fromhex("3626b2758e66cf11")
ASF_NO_DATA = 50  # bytes; what was written to a pipe leaves the length of its data open


class Ending(NamedTuple):
    """How a file ends. ``whole``: with its last part; None where that cannot be told.

    ``share``: of a file that does not, how much of all its bytes is there; 0 where it does not say.
    """

    whole: bool | None
    share: float = 0.0


class _Parts(NamedTuple):
    """Where a file's last part ends, and where it says that all of it ends, or 0; bytes from its begin on."""

    end: int
    promised: int = 0


Walk: TypeAlias = Callable[[BinaryIO, int], _Parts | None]


def ending_of(path: Path, kind: str) -> Ending:
    """How a file ends whose container is ``kind``, in libav's words."""
    walk = WALKS.get(kind)
    if walk is None:
        return Ending(None)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            parts = walk(file, size)
            file.seek(size - min(TAIL, size // 8))
            blank = not any(file.read())
    except OSError:
        return Ending(None)
    if parts is None or blank:
        return Ending(None)
    if max(parts) <= size:
        return Ending(True)
    return Ending(False, size / parts.promised if parts.promised > size else 0)


def boxes(path: Path) -> dict[bytes, int]:
    """Name -> end of the boxes on an MP4's uppermost level, as far as they can be followed; bytes."""
    with path.open("rb") as file:
        return {name: end for name, _, end in _boxes(file, path.stat().st_size)}


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, begin of the content and end of each box; the last one may end beyond the file."""
    place = 0
    while place < size:
        head = _read(file, place, WIDE_BOX_HEAD)
        length, name = int.from_bytes(head[:4], "big"), head[4:8]
        wide = length == 1
        if wide:
            length = int.from_bytes(head[8:16], "big")
        elif length == 0:  # up to the end
            length = size - place
        begin = place + (WIDE_BOX_HEAD if wide else BOX_HEAD)
        if name not in BOXES or place + length < begin:
            return
        yield name, begin, place + length
        place += length


def _mp4(file: BinaryIO, size: int) -> _Parts | None:
    end, promised = 0, 0
    for name, begin, end in _boxes(file, size):
        if name == b"sidx":
            promised = max(promised, end + _indexed_bytes(_read(file, begin, end - begin)))
    return _Parts(end, promised) if end >= size else None


def _indexed_bytes(content: bytes) -> int:
    """How far after it the fragments go that a segment index lists (ISO/IEC 14496-12, 8.16.3)."""
    wide = content[:1] == b"\x01"
    times = 16 if wide else 8
    place = SIDX_HEAD + times
    first = int.from_bytes(content[SIDX_HEAD + times // 2 : place], "big")
    count = int.from_bytes(content[place + 2 : place + 4], "big")
    entries = (content[place + 4 + SIDX_ENTRY * number :][:4] for number in range(count))
    return first + sum(int.from_bytes(entry, "big") & 0x7FFFFFFF for entry in entries)


def _matroska(file: BinaryIO, size: int) -> _Parts | None:
    """Segment and clusters are entered, since they may leave their length open; the rest is skipped."""
    place, end, promised = 0, size, 0
    while place < end:
        head = _read(file, place, LONGEST_ELEMENT_HEAD)
        id_bytes = _leading_zeros(head, 0) + 1
        size_bytes = _leading_zeros(head, id_bytes) + 1
        if id_bytes > LAST_EBML_ID_BYTES or size_bytes > LAST_EBML_SIZE_BYTES:
            return None
        begin = id_bytes + size_bytes
        if len(head) < begin:
            return _Parts(place + begin, promised)
        name = int.from_bytes(head[:id_bytes], "big")
        length = int.from_bytes(head[id_bytes:begin], "big") & ((1 << 7 * size_bytes) - 1)
        place += begin
        unknown = length == (1 << 7 * size_bytes) - 1
        if name == SEGMENT and not unknown:
            end = promised = place + length
            if end > size:
                return _Parts(size, promised)
        if name not in (SEGMENT, CLUSTER):
            if unknown:
                return None
            place += length
    return _Parts(place, promised)


def _leading_zeros(head: bytes, place: int) -> int:
    """Of the byte there; 8 of a zero. Of what is beyond the end, none."""
    return 8 - head[place].bit_length() if place < len(head) else 0


def _avi(file: BinaryIO, size: int) -> _Parts | None:
    """Lists are entered, since a recording that was not finished leaves their lengths open."""
    place, promised, indexed = 0, 0, False
    while place + CHUNK_HEAD <= size:
        head = _read(file, place, CHUNK_HEAD)
        name, length = head[:4], int.from_bytes(head[4:], "little")
        if not all(0x20 <= byte < 0x7F for byte in name):
            return None
        if name in (b"RIFF", b"LIST"):
            promised = max(promised, place + CHUNK_HEAD + length) if length < 2**32 - 1 else promised
            place += LIST_HEAD
        else:
            indexed = indexed or name == b"idx1"
            place += CHUNK_HEAD + length + length % 2
    # The last chunk's padding may be left out. What RIFF promises is less certain than an index that is
    # there, and some count its own head.
    return _Parts(place - 1, 0 if indexed else promised - CHUNK_HEAD)


def _flv(file: BinaryIO, size: int) -> _Parts | None:
    place = int.from_bytes(_read(file, 5, 4), "big")
    while place + FLV_LENGTH < size:
        head = _read(file, place + FLV_LENGTH, FLV_TAG_HEAD)
        if head[0] & 31 not in FLV_TAGS:
            return None
        place += FLV_LENGTH + FLV_TAG_HEAD + int.from_bytes(head[1:4], "big")
    return _Parts(place)


def _asf(file: BinaryIO, size: int) -> _Parts | None:
    """Up to the end of its data: an index may follow, and is of no account."""
    place = 0
    while place < size:
        head = _read(file, place, ASF_HEAD)
        length = int.from_bytes(head[16:], "little")
        if head.startswith(ASF_DATA):
            return None if length <= ASF_NO_DATA else _Parts(place + length, place + length)
        if length < ASF_HEAD:
            return None
        place += length
    return _Parts(place)


def _ogg(file: BinaryIO, size: int) -> _Parts | None:
    place = 0
    while place < size:
        head = _read(file, place, OGG_HEAD)
        if not b"OggS".startswith(head[:4]):
            return None
        lengths = file.read(head[-1]) if len(head) == OGG_HEAD else b""
        place += OGG_HEAD + len(lengths) + sum(lengths)
    return _Parts(place)


def _real_media(file: BinaryIO, size: int) -> _Parts | None:
    """Some count the head of the data twice."""
    place = 0
    while place < size:
        head = _read(file, place, RM_HEAD)
        length = int.from_bytes(head[4:], "big")
        if length <= RM_HEAD or not head[:4].strip(b".").isalnum():
            return None
        place += length
    place -= RM_DATA_HEAD
    return _Parts(place, place)


def _gif(file: BinaryIO, size: int) -> _Parts | None:
    """Up to its trailer; blocks of at most 255 bytes before it."""
    head = _read(file, 0, GIF_HEAD)
    place = GIF_HEAD + _gif_colours(head[10:11])
    while place < size:
        head = _read(file, place, GIF_IMAGE)
        if head.startswith(b";"):
            return _Parts(place + 1)
        if head.startswith(b","):
            place += GIF_IMAGE + _gif_colours(head[9:]) + 1
        elif head.startswith(b"!"):
            place += GIF_EXTENSION
        else:
            return None
        while length := sum(_read(file, place, 1)):
            place += 1 + length
        place += 1
    return _Parts(max(place, size + 1))


def _gif_colours(flags: bytes) -> int:
    """Bytes of the table of colours that follows."""
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & GIF_COLOURS else 0


def _apng(file: BinaryIO, size: int) -> _Parts | None:
    """A file that was cut has as great a share of its bytes as of the frames that it counts."""
    place, promised, frames = PNG_HEAD, 0, 0
    while place < size:
        head = _read(file, place, PNG_CHUNK)
        name = head[4:8]
        if name == b"acTL":
            promised = int.from_bytes(head[8:], "big")
        frames += name == b"fcTL"
        place += PNG_CHUNK + int.from_bytes(head[:4], "big")
        if name == b"IEND":
            return _Parts(place)
    return _Parts(max(place, size + 1), size * promised // max(frames, 1))


WALKS: dict[str, Walk] = {
    "apng": _apng,
    "gif": _gif,
    "ogg": _ogg,
    "rm": _real_media,
    "mov,mp4,m4a,3gp,3g2,mj2": _mp4,
    "matroska,webm": _matroska,
    "avi": _avi,
    "flv": _flv,
    "asf": _asf,
}


def _read(file: BinaryIO, place: int, count: int) -> bytes:
    file.seek(place)
    return file.read(count)
