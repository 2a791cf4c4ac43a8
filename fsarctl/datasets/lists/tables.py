"""Lists with columns: CSV in its dialects, and JSON. Which column holds what is known by its name."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from unicodedata import normalize

from fsarctl.config.setting_field import SPLITS
from fsarctl.datasets.class_splits import split_name
from fsarctl.datasets.labels.label_map import are_numbers
from fsarctl.datasets.labels.table import NAMES_OF_LABELS, Table
from fsarctl.datasets.lists.rows import SHAPE, Listed, Row, refused
from fsarctl.datasets.video_tree import is_video
from fsarctl.errors import InputError

__all__ = ["database_rows", "is_heading", "json_rows", "table_rows"]

PATHS = (
    *("path", "video_path", "clip_path", "file_path", "filepath", "filename", "file_name", "file"),
    *("video", "clip", "video_name", "videoname", "vid_name", "clip_name"),
    *("video_id", "videoid", "clip_id", "vid", "id"),
    *("name", "folder", "frame_dir", "frames_dir", "directory", "key"),
)
"""Columns that say which video it is, the surest first."""
LABELS = (*NAMES_OF_LABELS, "category", "activity", "tag")
COUNTS = ("total_frames", "num_frames", "n_frames", "nframes", "frames", "frame_count", "images", "count")
SPLIT_COLUMNS = ("split", "subset", "set")
WITHOUT_HEADING: Mapping[int, tuple[str, ...]] = {2: ("path", "label"), 3: ("path", "label", "split")}
KINETICS = ("youtube_id", "time_start", "time_end")

Cells = Sequence[tuple[int, Sequence[str]]]


def is_heading(cells: Sequence[str]) -> bool:
    """Whether these are names of columns, among which are those of a list."""
    columns = [_plain(cell) for cell in cells]
    return _first(LABELS, columns) is not None and _place(PATHS, columns) is not None


def table_rows(file: Path, cells: Cells, group_column: str, between: str = ",") -> Listed:
    """The rows of a table, whose first line may name its columns; ``between`` stands between its cells.

    Raises:
        InputError: a line is not a path and a label, or says no known split; ``group_column`` is not there.
    """
    while cells and len(cells[0][1]) > 2 and not any(row[-1] for _, row in cells):
        cells = [(line, row[:-1]) for line, row in cells]  # a delimiter at the end of each line
    if not cells:
        return Listed(())
    line, first = cells[0]
    columns = [_plain(cell) for cell in first]
    if set(KINETICS) <= set(columns):
        return _kinetics(file, columns, cells)
    if is_heading(first):
        cells = cells[1:]
    elif not is_video(first[0]) and _place(PATHS, columns) is not None and len(first) > 1:
        why = f"names no column of labels, such as {', '.join(LABELS[1:5])}"
        raise refused(file, line, between.join(first), why)
    else:
        columns = _without_heading(file, cells, between)
    if group_column and _plain(group_column) not in columns:
        raise InputError(
            f"{file} has no column {group_column!r}; it has {', '.join(columns)}",
            next_step="Correct group_column, or name the columns in the first line.",
        )
    return Listed(tuple(_rows(file, columns, cells, _plain(group_column), between)))


def json_rows(file: Path, table: Table) -> Listed:
    """The rows of a JSON file: a list of records or pairs, a mapping of videos to labels or of labels to
    lists of videos, or Kinetics' own form.

    Raises:
        InputError: nothing in it names videos and labels.
    """
    columns = [_plain(column) for column in table.columns]
    cells = [(entry, list(row)) for entry, row in table.rows]
    if "annotations" in columns and "key" in columns:
        return _kinetics_json(file, columns, cells)
    if columns == ["key", "value"] and not table.videos and _lists_videos(cells):
        columns = ["label", "path"]
    elif (columns == ["key", "value"] and table.videos) or columns == ["1", "2"]:
        columns = ["path", "label"]
    if not is_heading(columns):
        if _place(PATHS[:-1], columns) is not None and table.rows:
            raise InputError(
                f"{file} is {table.kind}, which names videos and no labels: {', '.join(table.columns)}",
                next_step="Of a benchmark's test set the labels are often not published: use the list of its"
                " training or validation videos.",
            )
        raise InputError(
            f"{file} is {table.kind}, in which nothing names videos and their labels"
            + (f"; it has {', '.join(table.columns)}" if table.columns else ""),
            next_step=SHAPE,
        )
    return Listed(tuple(_rows(file, columns, cells, "", ",", entry="entry")))


def _lists_videos(cells: Cells) -> bool:
    """Of a mapping, whether its values are videos or folders, and its keys so no splits but their labels."""
    paths = sum(is_video(value) or bool(re.search(r"[/\\]", value)) for _, (_, value) in cells)
    return paths == len(cells) and not all(split_name(key) for _, (key, _) in cells)


def database_rows(file: Path, text: str) -> Listed | None:
    """The rows of ActivityNet's form, in which UCF101 and HMDB51 go round too; None: it is another.

        {"labels": [...], "database": {"v_Archery_g01": {"subset": ..., "annotations": {"label": "Archery"}}}}

    Raises:
        InputError: an entry has no label, or several.
    """
    try:
        database = json.loads(text)["database"]
        entries = list(database.items())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    rows = []
    for number, (video, said) in enumerate(entries, 1):
        found = said.get("annotations") if isinstance(said, dict) else None
        annotations = found if isinstance(found, list) else [found]
        labels = {
            each["label"] for each in annotations if isinstance(each, dict) and _is_text(each.get("label"))
        }
        if len(labels) != 1:
            why = (
                "has several labels, and a clip is of one class"
                if labels
                else "has no label in its annotations"
            )
            raise refused(file, number, str(video), why, entry="entry")
        rows.append(Row(number, str(video), normalize("NFC", labels.pop()), by_name=True))
    return Listed(tuple(rows), (_unused("subset"),))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _without_heading(file: Path, cells: Cells, between: str) -> list[str]:
    line, first = cells[0]
    text = between.join(first)
    if len(first) > 3:
        raise refused(file, line, text, f"has {len(first)} columns: name them in a first line, as path,label")
    columns = WITHOUT_HEADING.get(len(first), ("path", "label", "split"))
    if len(first) == 3 and first[1].isdecimal() and split_name(first[2]) is None:
        return ["path", "images", "label"]
    if not is_video(first[0]) and is_video(first[-1]):
        why = "has its path last: name the columns in a first line of their own, such as label,path"
        raise refused(file, line, text, why)
    if not is_video(first[0]) and any(is_video(row[0]) for _, row in cells[1:2]):
        raise refused(file, line, text, "is neither a video nor the header path,label")
    return list(columns)


def _rows(
    file: Path, columns: Sequence[str], cells: Cells, group_column: str, between: str, *, entry: str = "line"
) -> Iterator[Row]:
    path_at = _place(PATHS, columns)
    label_at = _label_place(columns, cells)
    count_at, split_at = _place(COUNTS, columns), _place(SPLIT_COLUMNS, columns)
    group_at = columns.index(group_column) if group_column else None
    assert path_at is not None
    assert label_at is not None
    by_name = columns[path_at] in PATHS[PATHS.index("video_name") :]
    for line, row in cells:
        path, label = (row[at].strip() if len(row) == len(columns) else "" for at in (path_at, label_at))
        if not path or not label:
            raise refused(file, line, between.join(row), "is not a path and a label", entry=entry)
        split = split_name(row[split_at]) if split_at is not None else ""
        if split is None:
            raise refused(file, line, row[split_at or 0], f"is none of {', '.join(SPLITS)}", entry=entry)
        count = row[count_at].strip() if count_at is not None else ""
        yield Row(
            line,
            path,
            _without_brackets(columns[label_at], normalize("NFC", label)),
            split,
            row[group_at] if group_at is not None else "",
            int(count) if count.isdecimal() and len(count) < 10 else None,
            by_name and not re.search(r"[/\\]", path),
        )


def _without_brackets(column: str, label: str) -> str:
    """SSv2's templates say [something], which its labels do not."""
    return re.sub(r"[\[\]]", "", label) if column == "template" else label


def _kinetics(file: Path, columns: Sequence[str], cells: Cells) -> Listed:
    if "label" not in columns:
        why = "names no column of labels: use a list of training or validation videos, which have them"
        raise refused(file, cells[0][0], ",".join(cells[0][1]), why)
    places = [columns.index(name) for name in (*KINETICS, "label")]
    rows = []
    for line, row in cells[1:]:
        try:
            video, start, end, label = (row[place].strip() for place in places)
            rows.append(_kinetics_row(line, video, float(start), float(end), label))
        except (IndexError, ValueError, OverflowError):
            raise refused(file, line, ",".join(row), f"is not {', '.join((*KINETICS, 'label'))}") from None
    said = [column for column in SPLIT_COLUMNS if column in columns]
    return Listed(tuple(rows), tuple(map(_unused, said)), "kinetics100")


def _kinetics_json(file: Path, columns: Sequence[str], cells: Cells) -> Listed:
    key, annotations = columns.index("key"), columns.index("annotations")
    rows = []
    for entry, row in cells:
        try:
            said = json.loads(row[annotations])
            start, end = map(float, said["segment"])
            rows.append(_kinetics_row(entry, row[key], start, end, str(said["label"])))
        except (ValueError, KeyError, TypeError, OverflowError):
            why = "has no label and segment in its annotations"
            raise refused(file, entry, row[key][:40], why, entry="entry") from None
    said = [column for column in SPLIT_COLUMNS if column in columns]
    return Listed(tuple(rows), tuple(map(_unused, said)), "kinetics100")


def _kinetics_row(line: int, video: str, start: float, end: float, label: str) -> Row:
    """Files are named after the film and the seconds: abcdefghijk_000012_000022."""
    if not video or not label:
        raise ValueError("no video or no label")
    name = f"{video}_{int(start):06d}_{int(end):06d}"
    return Row(line, name, normalize("NFC", label), by_name=True)


def _unused(column: str) -> str:
    return f"its column {column} shares out clips, not classes, and is not used"


def _label_place(columns: Sequence[str], cells: Cells) -> int | None:
    """The surest column of labels that has words in it, or else the surest one."""
    likely = [columns.index(name) for name in LABELS if name in columns]
    worded = (at for at in likely if not are_numbers(row[at].strip() for _, row in cells if len(row) > at))
    return next(worded, likely[0] if likely else None)


def _place(known: Sequence[str], columns: Sequence[str]) -> int | None:
    name = _first(known, columns)
    return None if name is None else columns.index(name)


def _first(known: Sequence[str], columns: Sequence[str]) -> str | None:
    return next((name for name in known if name in columns), None)


def _plain(column: str) -> str:
    return re.sub(r"[\s-]+", "_", column.strip().lower())
