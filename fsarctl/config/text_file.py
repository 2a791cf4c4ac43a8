"""Text that people write by hand: UTF-8, or refused with the line that is not."""

import codecs
import csv
import io
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from fsarctl.errors import InputError

__all__ = ["BYTE_ORDER_MARK", "STDIN", "read_csv", "read_text"]

BYTE_ORDER_MARK = "\ufeff"
STDIN = "-"
"""The path of what comes through a pipe."""
LARGEST = 2**27
"""Bytes; a list of a million clips has less."""
GZIP = "compressed by gzip"
BINARY = {
    b"PK\x03\x04": "a ZIP archive, such as an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an old Excel or Word document",
    b"%PDF": "a PDF document",
    b"{\\rtf": "an RTF document",
    b"\x1f\x8b": GZIP,
    b"PAR1": "a Parquet table",
    b"SQLite format 3": "an SQLite database",
    b"\x93NUMPY": "a NumPy array",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
}
"""How files begin that people take for text, and what they are."""


def read_text(
    path: Path, what: str, shape: str, *, example: Sequence[str] = (), one_name: bool = False
) -> str:
    """The whole file, with its byte order mark if it has one.

    ``what`` it is ("label list") and ``shape``, a sentence on how it is written, stand in the errors, and
    lines of an ``example``, where there are any, in the command that writes a file that is not there. A file
    that can have but ``one_name`` is replaced by the command that converts it; else a copy is written.
    ``path`` may be ``STDIN``.

    Raises:
        InputError: it is not there, a directory, unreadable, or not UTF-8 text.
    """
    content = _read(path, what, shape, example)
    if encoding := _wide_encoding(content):
        raise InputError(
            f"{path} is {encoding}, not UTF-8 (line 1)",
            next_step=f"Save it as UTF-8: {_iconv(path, encoding, one_name)}",
        )
    if kind := next((kind for start, kind in BINARY.items() if content.startswith(start)), ""):
        step = f"gunzip -k {shlex.quote(str(path))} unpacks it." if kind == GZIP else "Save its table as CSV."
        raise InputError(f"{path} is {kind}, not a {what}", next_step=f"{step} {shape}")
    if b"\0" in content:
        line = content.count(b"\n", 0, content.index(b"\0")) + 1
        raise InputError(f"{path} is a binary file (a zero byte on line {line})", next_step=shape)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path} is not UTF-8: byte 0x{content[error.start]:02x} on line {line}",
            next_step=f"Save it as UTF-8; from Latin-1: {_iconv(path, 'LATIN1', one_name)}",
        ) from None


def read_csv(path: Path, what: str, shape: str, *, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """(line number, cells without surrounding spaces) of each line that is not blank.

    Raises:
        InputError: as ``read_text``, or a quote that nothing closes.
    """
    text = read_text(path, what, shape).removeprefix(BYTE_ORDER_MARK)
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True
    )
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}", next_step=shape) from None


def _wide_encoding(content: bytes) -> str:
    """UTF-32 or UTF-16, by its mark or by the zero bytes of plain letters; "" for anything else."""
    if content.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "UTF-32"
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "UTF-16"
    start = content[:1000]
    for name, first in (("UTF-16LE", 1), ("UTF-16BE", 0)):
        others = start[1 - first :: 2]
        if len(start) > 3 and not any(start[first::2]) and all(others):
            return name
    return ""


def _iconv(path: Path, encoding: str, one_name: bool) -> str:
    """The command that writes a UTF-8 copy beside the file, and with ``one_name`` puts it in its place."""
    copy = shlex.quote(str(path.with_name(f"{path.stem}-utf8{path.suffix}")))
    own = shlex.quote(str(path))
    return f"iconv -f {encoding} -t UTF-8 {own} > {copy}" + f" && mv {copy} {own}" * one_name


def _read(path: Path, what: str, shape: str, example: Sequence[str]) -> bytes:
    if str(path) == STDIN and sys.stdin is not None:
        return sys.stdin.buffer.read()
    if path.is_dir():
        raise InputError(f"{path} is a directory, not a {what}", next_step=shape)
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except FileNotFoundError:
        step = "Write it, or correct the path."
        if example and path.parent.is_dir():
            lines = "".join(f"{line}\\n" for line in example)
            step = f"printf '{lines}' > {shlex.quote(str(path))} writes one."
        raise InputError(f"there is no {what} {path}", next_step=f"{step} {shape}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the {what} {path}: {error}", next_step=shape) from None
    if len(content) > LARGEST:
        raise InputError(
            f"{path} is larger than any {what}: more than {LARGEST / 2**20:.0f} MiB",
            next_step=f"Is it the right file? {shape}",
        )
    return content
