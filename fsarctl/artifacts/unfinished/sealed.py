"""Files of unfinished work and of paid answers: each bears a seal that binds its bytes to what they are of.

The seal is a text field ``"seal"`` within the file, of a JSON document or of a safetensors header, so that
such a file is what it would be without one. Its first digits say what the content is of, the others are the
SHA-256 of all bytes with these others as zeros:

    "seal": "<16 digits of sha256(of)><64 digits of sha256(the file, with zeros here)>"
"""

import hashlib
import json
import re
import uuid
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from fsarctl.artifacts.atomic_write import remove
from fsarctl.progress import Reporter

__all__ = [
    "EMPTY_SEAL",
    "SEAL",
    "SealError",
    "is_before_seals",
    "is_there",
    "read_sealed_json",
    "require_sealed",
    "seal_file",
    "sealed",
    "sealed_json",
    "set_aside",
    "whole_content",
]

SEAL = "seal"
OF_DIGITS, SUM_DIGITS = 16, 64
EMPTY_SEAL = "0" * (OF_DIGITS + SUM_DIGITS)
"""The value of the field before the file is sealed."""

_FIELD = re.compile(b'"seal": ?"([0-9a-f]{%d})([0-9a-f]{%d})"' % (OF_DIGITS, SUM_DIGITS))


class SealError(ValueError):
    """The bytes are not those that were written, or not of what they are asked for."""


def require_sealed(content: bytes, of: str) -> None:
    """Refuse bytes that are not whole, or are of something else.

    Raises:
        SealError: it says which.
    """
    field = _FIELD.search(content)
    if field is None:
        raise SealError("it bears no checksum")
    if field[2].decode() != _sum(content, field.start(2), field.end(2)):
        raise SealError("its checksum is another")
    if field[1].decode() != _of(of):
        raise SealError("it is of something else")


def is_before_seals(content: bytes) -> bool:
    """Whether these bytes are a whole safetensors file of an earlier version, which sealed none.

    A field of a seal's length is a seal whose name is damaged.
    """
    try:
        start = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:start])
        said = header.pop("__metadata__", {}).values()
        end = start + max(tensor["data_offsets"][1] for tensor in header.values())
        return end == len(content) and all(len(each) != len(EMPTY_SEAL) for each in said)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False


def sealed_json(fields: Mapping[str, Any], of: str, *, indent: int | None = None) -> bytes:
    """A JSON object of these fields and its seal, which comes last."""
    content = bytearray(json.dumps({**fields, SEAL: EMPTY_SEAL}, indent=indent).encode())
    _seal(content, of)
    return bytes(content)


def read_sealed_json(content: bytes, of: str, unsealed: Collection[str] = ()) -> Any:
    """The JSON document in these bytes.

    ``unsealed``: the fields that one without a seal may have; none, then each has to bear one. A field whose
    name is damaged is none of them, so that a seal cannot be lost unseen.

    Raises:
        SealError: they are not whole, or are of something else.
        ValueError, RecursionError: they are no JSON.
    """
    if unsealed and not _FIELD.search(content):
        document = json.loads(content)
        if isinstance(document, dict) and document.keys() <= set(unsealed):
            return document
    require_sealed(content, of)
    return json.loads(content)


def sealed(content: bytes, of: str) -> bytes:
    """The content of a file, which has an ``EMPTY_SEAL``, with its seal."""
    whole = bytearray(content)
    _seal(whole, of)
    return bytes(whole)


def seal_file(path: Path, of: str) -> None:
    """Seal a file that was written with an ``EMPTY_SEAL``."""
    content = bytearray(path.read_bytes())
    place = _seal(content, of)
    with path.open("r+b") as file:
        file.seek(place.start)
        file.write(content[place])


def is_there(path: Path, of: str, reporter: Reporter, then: str) -> bool:
    """Whether a sealed file of unfinished work is there, and whole; see ``whole_content``."""
    return whole_content(path, of, reporter, then) is not None


def whole_content(path: Path, of: str, reporter: Reporter, then: str) -> bytes | None:
    """What a sealed file of unfinished work holds, if it is there, and whole; a damaged one is removed, and
    it is said.

    ``then`` says what follows from that.

    Raises:
        OSError: it cannot be read.
    """
    try:
        content = path.read_bytes()
        require_sealed(content, of)
    except FileNotFoundError:
        return None
    except (IsADirectoryError, SealError) as error:
        remove(path)  # unless another has found it, too
        reporter.note(f"DAMAGED: {path.name} of the unfinished work: {error}. {then}")
        return None
    return content


def set_aside(path: Path, folder: Path) -> Path:
    """Move a damaged file into ``folder``, under a name of its own; where it is now.

    Raises:
        OSError: it cannot be moved.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return path.replace(folder / f"{path.name}.{uuid.uuid4().hex[:8]}")


def _seal(content: bytearray, of: str) -> slice:
    """Put the seal into its place, which is returned."""
    field = _FIELD.search(content)
    assert field is not None, "the caller has put an empty seal into it"
    start, middle, end = field.start(1), field.start(2), field.end(2)
    content[start:middle] = _of(of).encode()
    content[middle:end] = _sum(content, middle, end).encode()
    return slice(start, end)


def _sum(content: bytes | bytearray, start: int, end: int) -> str:
    """SHA-256 of the content with zeros from ``start`` to ``end``."""
    with memoryview(content) as view:
        digest = hashlib.sha256(view[:start])
        digest.update(b"0" * (end - start))
        digest.update(view[end:])
    return digest.hexdigest()


def _of(of: str) -> str:
    return hashlib.sha256(of.encode()).hexdigest()[:OF_DIGITS]
