"""Label lists: one action label per line, cleaned in the open. Labels are data, never paths."""

import re
import shlex
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fsarctl.config.text_file import BYTE_ORDER_MARK, read_text
from fsarctl.datasets.labels.table import Table, table_in
from fsarctl.errors import InputError
from fsarctl.progress import first_of

__all__ = ["WHOLE_LINES", "LabelList", "read_labels"]

WHOLE_LINES = "line"
"""The column that stands for whole lines, where they only look like a table."""

LONGEST_LABEL = 300
_FORMAT = "A label list is UTF-8 text with one action label per line, such as: juggling balls"
_EXAMPLE = ("juggling balls", "long jump")
_LINES_SHOWN = 5
_SAMPLE = 60
_QUOTES = {'""', "''", "“”", "‘’", "„“", "«»", "``"}


@dataclass(frozen=True)
class LabelList:
    """The labels in the order of the file, each once, and what was cleaned, with line numbers.

    ``repeated``: the one of the remarks that says which labels were there before, or "".
    """

    labels: tuple[str, ...]
    remarks: tuple[str, ...]
    repeated: str = ""


def read_labels(
    path: Path, column: str | None = None, *, command: str = "fsarctl describe --labels FILE"
) -> LabelList:
    """The labels of a text file, a line each, or a column of the table that it is.

    A byte order mark, Windows line ends, blank lines, surrounding spaces, quotes around a whole line and
    repeated labels are dropped and reported as remarks. ``column``: a header, a number from 1, or "line" for
    whole lines whatever they look like. ``command``: what the next step adds a column to.

    Raises:
        InputError: the file cannot be read, is not UTF-8 text, holds no label, or a line cannot be
            a label (control characters, or more than 300 characters). Line numbers are named. Or it is a
            table and no column is named, or it has no such column.
    """
    content = read_text(path, "label list", _FORMAT, example=_EXAMPLE)
    text = content.removeprefix(BYTE_ORDER_MARK)
    lines = _entries(path, text, column, command)
    _refuse_lines(path, lines)

    first_line: dict[str, int] = {}
    blank, padded, quoted, repeated = [], [], [], []
    for number, line in lines:
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
    again = _remark("repeated", repeated, "dropped")
    return LabelList(tuple(first_line), (*remarks, *again), "".join(again))


def _entries(path: Path, text: str, column: str | None, command: str) -> list[tuple[int, str]]:
    """(line, text) of what may be labels.

    Raises:
        InputError: it is a table of which no column is named, or none of that name.
    """
    if column == WHOLE_LINES:
        return _numbered_lines(text)
    table = table_in(text)
    if table is None:
        if column not in (None, "1"):
            raise InputError(
                f"{path} has no column {column!r}: it has a label on each line",
                next_step=f"Leave out --column: {command}",
            )
        return _numbered_lines(text)
    if column is None:
        raise InputError(
            f"{path} is {table.kind}, not a list with one label on each line{_sample(table)}",
            next_step=_next_step(path, table, command),
        )
    return _column(path, table, column, command)


def _column(path: Path, table: Table, column: str, command: str) -> list[tuple[int, str]]:
    try:
        cells = table.cells(column)
    except KeyError:
        raise InputError(
            f"{path} has no column {column!r}", next_step=_next_step(path, table, command)
        ) from None
    uneven = [line for line, cell in cells if cell is None]
    if uneven:
        raise InputError(
            f"{path} has more or fewer cells than columns ({', '.join(table.columns)}) on {_lines(uneven)}",
            next_step="Put quotes around a cell that has a comma in it.",
        )
    found = [(line, cell) for line, cell in cells if cell is not None]
    if found and all(re.fullmatch(r"[-+\d.,]+", cell) for _, cell in found):
        raise InputError(
            f"column {column!r} of {path} holds numbers, and no labels",
            next_step=_next_step(path, table, command),
        )
    return found


def _sample(table: Table) -> str:
    """What its first row looks like."""
    if not table.rows:
        return ""
    line, cells = table.rows[0]
    row = textwrap.shorten(", ".join(cells), _SAMPLE, placeholder=" ...")
    return f" (columns: {', '.join(table.columns)}; row {line}: {row!r})"


def _next_step(path: Path, table: Table, command: str) -> str:
    anyway = f"if each line is a label as it stands: --column {WHOLE_LINES}"
    if table.labels is not None:
        return f"Name the column of the labels: {command} --column {shlex.quote(table.labels)}; {anyway}"
    if table.videos:
        return (
            f"The labels of videos are a dataset's: fsarctl init {shlex.quote(str(path))}, then fsarctl"
            f" describe; {anyway}"
        )
    if table.rows:
        return f"Numbers say nothing of an action: write its name on each line; {anyway}"
    return f"{_FORMAT}. Its table as CSV will do too, with --column NAME"


def _numbered_lines(text: str) -> list[tuple[int, str]]:
    lines = re.split(r"\r\n|\n|\r", text)
    if lines[-1] == "":
        lines.pop()
    return list(enumerate(lines, start=1))


def _unquoted(line: str) -> str:
    """What stands between quotes around the whole line, or the line; the same quotes within it stay."""
    first, last = line[:1], line[-1:]
    if len(line) < 2 or first + last not in _QUOTES or {first, last} & {*line[1:-1]}:
        return line
    return line[1:-1].strip()


def _refuse_lines(path: Path, lines: Sequence[tuple[int, str]]) -> None:
    unprintable = [n for n, line in lines if re.search(r"[\x00-\x08\x0b-\x1f\x7f]", line)]
    if unprintable:
        raise InputError(
            f"{path} has control characters on {_lines(unprintable)}", next_step=f"Remove them. {_FORMAT}"
        )
    long = [n for n, line in lines if len(line.strip()) > LONGEST_LABEL]
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
    shown = first_of([*map(str, numbers)], _LINES_SHOWN)
    return f"{'line' if len(numbers) == 1 else 'lines'} {shown}"
