"""Text that people write by hand: UTF-8, or refused with the line that is not."""

import codecs
import csv
import io
from collections.abc import Iterator
from pathlib import Path

from fsarctl.errors import InputError

__all__ = ["BYTE_ORDER_MARK", "read_csv", "read_text"]

BYTE_ORDER_MARK = "\ufeff"


def read_text(path: Path, what: str, shape: str) -> str:
    """The whole file, with its byte order mark if it has one.

    ``what`` it is ("label list") and ``shape``, a sentence on how it is written, stand in the errors.

    Raises:
        InputError: it is not there, a directory, unreadable, or not UTF-8 text.
    """
    content = _read(path, what, shape)
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(
            f"{path} is UTF-16, not UTF-8 (line 1)",
            next_step=f"Save it as UTF-8: iconv -f UTF-16 -t UTF-8 {path.name} > new{path.suffix}",
        )
    if b"\0" in content:
        line = content.count(b"\n", 0, content.index(b"\0")) + 1
        raise InputError(f"{path} is a binary file (a zero byte on line {line})", next_step=shape)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path} is not UTF-8: byte 0x{content[error.start]:02x} on line {line}",
            next_step="Save it as UTF-8; from Latin-1: "
            f"iconv -f LATIN1 -t UTF-8 {path.name} > new{path.suffix}",
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


def _read(path: Path, what: str, shape: str) -> bytes:
    if path.is_dir():
        raise InputError(f"{path} is a directory, not a {what}", next_step=shape)
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(
            f"there is no {what} {path}", next_step=f"Write it, or correct the path. {shape}"
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the {what} {path}: {error}", next_step=shape) from None
