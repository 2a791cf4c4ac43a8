"""A list file, whatever wrote it, as rows."""

import csv
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fsarctl.config.setting_field import SPLITS
from fsarctl.config.text_file import BYTE_ORDER_MARK, read_csv, read_text
from fsarctl.datasets.labels.table import table_in
from fsarctl.datasets.lists.rows import SHAPE, Listed, Row, refused
from fsarctl.datasets.lists.tables import database_rows, is_heading, json_rows, table_rows
from fsarctl.datasets.lists.text_lines import VIDEO_AND_LABEL, lines_of, text_rows
from fsarctl.datasets.video_tree import is_video
from fsarctl.errors import InputError

__all__ = ["SPLIT", "read_list"]

SPLIT = "{split}"
LOOKED_AT = 50
"""Lines by which a list's form is known."""
COLUMNED = (".csv", ".tsv")
SAYS_DELIMITER = re.compile(r"\s*sep=([,;\t])[,;\t]*[\r\n]", re.IGNORECASE)
"""Excel's first line."""
HMDB51 = re.compile(r"(?P<label>.+)_test_split(?P<number>\d+)")


def read_list(file: Path, group_column: str) -> Listed:
    """The rows of a list file; {split} in its name stands for train, val and test, of which each has a list.

    Raises:
        InputError: it cannot be read or lists nothing, or a line of it is not understood; the line is named.
    """
    if SPLIT not in file.name:
        return _read(file, group_column)
    files = {split: file.with_name(file.name.replace(SPLIT, split)) for split in SPLITS}
    found = {split: _read(path, group_column, split) for split, path in files.items() if path.is_file()}
    if not found:
        raise InputError(
            f"there is no list file {file}, with train, val or test for {SPLIT}",
            next_step="Correct the path.",
        )
    rows = [replace(row, split=split) for split, listed in found.items() for row in listed.rows]
    remarks = dict.fromkeys(remark for listed in found.values() for remark in listed.remarks)
    return Listed(tuple(rows), tuple(remarks), next(iter(found.values())).spelled)


def _read(file: Path, group_column: str, split: str = "") -> Listed:
    if HMDB51.fullmatch(file.stem):
        return _hmdb51(file)
    text = read_text(file, "list file", SHAPE).removeprefix(BYTE_ORDER_MARK)
    if text.lstrip().startswith("{") and (database := database_rows(file, text)):
        found = database
    elif text.lstrip()[:1] in ("[", "{") and (table := table_in(text)) and "JSON" in table.kind:
        found = json_rows(file, table)
    elif delimiter := _delimiter(file, text):
        cells = list(read_csv(file, "list file", SHAPE, delimiter=delimiter))
        if SAYS_DELIMITER.match(text):
            cells = cells[1:]
        found = table_rows(file, cells, group_column, delimiter)
    else:
        if group_column and text.strip():
            raise InputError(
                f"{file} has no columns, and group_column is {group_column!r}",
                next_step="Name the list .csv with a header path,label and that column, or set group.",
            )
        found = text_rows(file, text, split)
    if not found.rows:
        raise InputError(f"{file} lists no video", next_step=SHAPE)
    return found


def _delimiter(file: Path, text: str) -> str:
    """What stands between its columns; "" where it has none."""
    if said := SAYS_DELIMITER.match(text):
        return said[1]
    lines = [line for _, line in lines_of(text)[:LOOKED_AT]]
    columned = file.suffix.lower() in COLUMNED
    for delimiter in (",", ";", "\t"):
        rows = _split(lines, delimiter)
        if not rows or len(rows[0]) < 2:
            continue
        videos = sum(is_video(row[0]) for row in rows)
        if is_heading(rows[0]) or (2 * videos > len(rows) and (columned or delimiter != "\t")):
            return delimiter
    if not columned:
        return ""
    if file.suffix.lower() == ".tsv":
        return "\t"
    spaced = [line for line in lines if VIDEO_AND_LABEL.fullmatch(line) or re.fullmatch(r"[^,;]+\s\d+", line)]
    if 2 * len(spaced) > len(lines):
        return ""
    even = (each for each in (",", ";", "\t") if _are_even(_split(lines, each)))
    return next(even, ",")


def _are_even(rows: Sequence[Sequence[str]]) -> bool:
    return bool(rows) and len(rows[0]) > 1 and len({len(row) for row in rows}) == 1


def _split(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    try:
        return list(csv.reader(lines, delimiter=delimiter, skipinitialspace=True))
    except csv.Error:
        return []


def _hmdb51(file: Path) -> Listed:
    """HMDB51's split files: one a class, lines of a video and 1, 2 or 0 for training, test or neither."""
    found = HMDB51.fullmatch(file.stem)
    assert found is not None
    ending = f"_test_split{found['number']}{file.suffix}"
    rows: list[Row] = []
    read_text(file, "list file", SHAPE)  # its own errors, before those of the files beside it
    for each in sorted(path for path in file.parent.iterdir() if path.name.endswith(ending)):
        label = each.name.removesuffix(ending).replace("_", " ")
        for number, line in lines_of(read_text(each, "list file", SHAPE).removeprefix(BYTE_ORDER_MARK)):
            if not (parts := re.fullmatch(r"(?P<video>\S.*?)\s+[012]", line)):
                raise refused(
                    each, number, line, "is not a video and 0, 1 or 2, as HMDB51's split files have it"
                )
            rows.append(Row(number, parts["video"], label, by_name=True))
    if not rows:
        raise InputError(f"{file} lists no video", next_step=SHAPE)
    remark = "the split files share out clips, not classes: their 0, 1 and 2 are not used"
    return Listed(tuple(rows), (remark,), "hmdb51")
