"""Label lists: one action label per line, cleaned in the open. Labels are data, never paths."""

import difflib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fsarctl.datasets.text_file import BYTE_ORDER_MARK, read_text
from fsarctl.errors import InputError

__all__ = ["LabelList", "loosely", "nearest", "read_labels"]

LONGEST_LABEL = 300
_FORMAT = "A label list is UTF-8 text with one action label per line, such as: juggling balls"
_LINES_SHOWN = 5
_CLOSE = 0.75
_QUOTES = {'""', "''", "“”", "‘’", "„“", "«»", "``"}


@dataclass(frozen=True)
class LabelList:
    """The labels in the order of the file, each once, and what was cleaned, with line numbers."""

    labels: tuple[str, ...]
    remarks: tuple[str, ...]


def read_labels(path: Path) -> LabelList:
    """The labels of a text file.

    A byte order mark, Windows line ends, blank lines, surrounding spaces, quotes around a whole line and
    repeated labels are dropped and reported as remarks.

    Raises:
        InputError: the file cannot be read, is not UTF-8 text, holds no label, or a line cannot be
            a label (control characters, or more than 300 characters). Line numbers are named.
    """
    content = read_text(path, "label list", _FORMAT)
    text = content.removeprefix(BYTE_ORDER_MARK)
    lines = re.split(r"\r\n|\n|\r", text)
    if lines[-1] == "":
        lines.pop()
    _refuse_lines(path, lines)

    first_line: dict[str, int] = {}
    blank, padded, quoted, repeated = [], [], [], []
    for number, line in enumerate(lines, start=1):
        written = line.strip()
        label = _unquoted(written)
        if not label:
            blank.append(number)
            continue
        if written != line:
            padded.append(number)
        if label != written:
            quoted.append(number)
        if label in first_line:
            repeated.append(f"{number} (as {first_line[label]})")
        else:
            first_line[label] = number
    if not first_line:
        raise InputError(f"{path} holds no label", next_step=_FORMAT)

    remarks = ["dropped the byte order mark"] if content != text else []
    if "\r" in text:
        remarks.append("read Windows line ends as line ends")
    remarks += _remark("blank", blank, "dropped")
    remarks += _remark("padded", padded, "stripped of surrounding spaces")
    remarks += _remark("quoted", quoted, "stripped of the quotes")
    remarks += _remark("repeated", repeated, "dropped")
    return LabelList(tuple(first_line), tuple(remarks))


def loosely(label: str) -> str:
    """A label as it is compared across spellings: ``LongJump``, ``long_jump`` and ``Long Jump`` are one.

    So are SSv2's ``Poking [something]``, as its annotations have it, and ``Poking something``.
    """
    # macOS decomposes accents in folder names; NFKC composes them again
    return re.sub(r"[\s_\[\]-]+", "", unicodedata.normalize("NFKC", label).casefold())


def nearest(label: str, labels: Iterable[str]) -> str | None:
    """The label that this one may be a misspelling of; None if none is close."""
    spelled = {loosely(each): each for each in labels}
    found = difflib.get_close_matches(loosely(label), list(spelled), n=1, cutoff=_CLOSE)
    return spelled[found[0]] if found else None


def _unquoted(line: str) -> str:
    """What stands between quotes around the whole line, or the line; the same quotes within it stay."""
    first, last = line[:1], line[-1:]
    if len(line) < 2 or first + last not in _QUOTES or {first, last} & {*line[1:-1]}:
        return line
    return line[1:-1].strip()


def _refuse_lines(path: Path, lines: Sequence[str]) -> None:
    unprintable = [n for n, line in enumerate(lines, 1) if re.search(r"[\x00-\x08\x0b-\x1f\x7f]", line)]
    if unprintable:
        raise InputError(
            f"{path} has control characters on {_lines(unprintable)}", next_step=f"Remove them. {_FORMAT}"
        )
    long = [n for n, line in enumerate(lines, 1) if len(line.strip()) > LONGEST_LABEL]
    if long:
        raise InputError(
            f"{path} has more than {LONGEST_LABEL} characters on {_lines(long)}",
            next_step=f"Is it the right file? {_FORMAT}",
        )


def _remark(kind: str, numbers: Sequence[int | str], what: str) -> list[str]:
    if not numbers:
        return []
    plural = "" if len(numbers) == 1 else "s"
    return [f"{len(numbers)} {kind} line{plural} {what}: {_lines(numbers)}"]


def _lines(numbers: Sequence[int | str]) -> str:
    shown: Iterable[str] = map(str, numbers[:_LINES_SHOWN])
    more = f" and {len(numbers) - _LINES_SHOWN} more" if len(numbers) > _LINES_SHOWN else ""
    return f"{'line' if len(numbers) == 1 else 'lines'} {', '.join(shown)}{more}"
