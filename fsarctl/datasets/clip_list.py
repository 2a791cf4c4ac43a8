"""A list file as a dataset: path,label[,split] as CSV, or a path and a label a line as text."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unicodedata import normalize

from fsarctl.config.dataset_table import DatasetConfig
from fsarctl.config.paths import located
from fsarctl.config.setting import SPLITS
from fsarctl.config.text_file import BYTE_ORDER_MARK, read_csv, read_text
from fsarctl.datasets.class_splits import split_classes, split_name
from fsarctl.datasets.clips import Clip
from fsarctl.datasets.dataset import Dataset, set_root
from fsarctl.datasets.labels.label_map import named_labels, number_remarks
from fsarctl.datasets.video_tree import VIDEO_EXTENSIONS, PassedOver, is_video
from fsarctl.errors import InputError
from fsarctl.progress import first_of

__all__ = ["open_list"]

NAMED = 5
COLUMNS = ("path", "label", "split")
SHAPE = (
    "A list file has a path and a label on each line: clips/7.mp4,waving one hand (with .csv, and perhaps a"
    " third column for the split), or: clips/7.mp4 waving one hand (without quotes and comments)"
)
EXTENSIONS = "|".join(sorted(extension[1:] for extension in VIDEO_EXTENSIONS))
TEXT_LINE = re.compile(rf"(?P<path>.+?\.(?:{EXTENSIONS}))\s+(?P<label>\S.*)", re.IGNORECASE)


@dataclass(frozen=True)
class Row:
    """One line of the file; ``split`` and ``group`` are "" if the file does not say."""

    line: int
    path: str
    label: str
    split: str = ""
    group: str = ""


def open_list(name: str, config: DatasetConfig, project: Path) -> Dataset:
    """The clips that the file lists and that are there; paths are relative to the root, or to the file.

    Raises:
        InputError: the file cannot be read, a line of it has no path and label, none of its videos is
            there, or its splits share a class.
    """
    file = located(config.file, project)
    written = _read_rows(file, config.group_column)
    named = named_labels(name, config, project, (row.label for row in written))
    rows = [replace(row, label=named[row.label]) for row in written]
    base = located(config.root, project) if config.root else file.parent
    splits = _splits(name, config, project, file, rows, named)
    where = {label: split for split, labels in splits.items() for label in labels}
    listed, repeated = _clips(file, base, rows)
    remarks = [*repeated, *number_remarks(name, config, project, named)]
    clips: dict[str, list[Clip]] = {split: [] for split in splits}
    missing: dict[str, list[Clip]] = {split: [] for split in splits}
    passed_over: list[PassedOver] = []
    for clip in listed:
        if clip.label not in where:
            continue
        there = os.path.isfile(clip.file)  # noqa: PTH113 - answers for any text
        if not there and os.path.lexists(clip.file):
            passed_over.append(PassedOver(clip.name, _what_it_is(clip.file)))
        (clips if there else missing)[where[clip.label]].append(clip)
    if not any(clips.values()):
        if folders := [clip.file for clip in listed if os.path.isdir(clip.file)]:  # noqa: PTH112
            raise InputError(
                f"dataset {name!r}: {file} lists {len(folders):,} folders, such as {folders[0]}, and no video"
                " that is there",
                next_step="List video files; of a folder of frames, ffmpeg makes one: ffmpeg -i"
                " FOLDER/img_%05d.jpg FOLDER.mp4",
            )
        raise InputError(
            f"dataset {name!r}: none of the {len(rows):,} videos of {file} is there; the first: "
            f"{base / rows[0].path}",
            next_step=f"{set_root(name)} to the directory that its paths are relative to.",
        )
    return Dataset.of_clips(clips, missing, passed_over, remarks)


def _what_it_is(path: str) -> str:
    return "a folder" if os.path.isdir(path) else "not a file, or a link that leads nowhere"  # noqa: PTH112


def _read_rows(file: Path, group_column: str) -> list[Row]:
    table = file.suffix.lower() in (".csv", ".tsv")
    rows = list(_csv_rows(file, group_column.lower()) if table else _text_rows(file))
    if rows and group_column and not table:
        raise InputError(
            f"{file} has no columns, and group_column is {group_column!r}",
            next_step="Name the list .csv with a header path,label and that column, or set group.",
        )
    if not rows:
        raise InputError(f"{file} lists no video", next_step=SHAPE)
    return rows


def _csv_rows(file: Path, group_column: str) -> Iterator[Row]:
    columns: Sequence[str] | None = None
    heading: tuple[int, str] | None = None
    delimiter = "\t" if file.suffix.lower() == ".tsv" else ","
    for line, cells in read_csv(file, "list file", SHAPE, delimiter=delimiter):
        if columns is None:
            columns = [cell.lower() for cell in cells]
            if {"path", "label"} <= {*columns}:
                continue
            columns = COLUMNS[: len(cells)]
            heading = None if is_video(cells[0]) else (line, ",".join(cells))
        if group_column and group_column not in columns:
            raise InputError(
                f"{file} has no column {group_column!r}; it has {', '.join(columns)}",
                next_step="Correct group_column, or name the columns in the first line.",
            )
        values = dict(zip(columns, cells, strict=False))
        if len(cells) != len(columns) or not (values.get("path") and values.get("label")):
            raise _refused(file, line, ",".join(cells), "is not a path and a label")
        if heading and is_video(values["path"]):  # the first line is unlike the others
            raise _refused(file, *heading, "is neither a video nor the header path,label")
        split = split_name(values.get("split", ""))
        if split is None and "split" in values:
            raise _refused(file, line, values["split"], f"is none of {', '.join(SPLITS)}")
        group = values[group_column] if group_column else ""
        yield Row(line, values["path"], normalize("NFC", values["label"]), split or "", group)


def _text_rows(file: Path) -> Iterator[Row]:
    text = read_text(file, "list file", SHAPE).removeprefix(BYTE_ORDER_MARK)
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1):
        if not line.strip():
            continue
        path, tab, label = line.strip().partition("\t")
        if not tab:
            found = TEXT_LINE.fullmatch(line.strip())
            path, label = (found["path"], found["label"]) if found else ("", "")
        if not (is_video(path.strip()) and label.strip()):
            raise _refused(file, number, line.strip(), "is not the path of a video and a label")
        yield Row(number, path.strip(), normalize("NFC", label.strip()))


def _refused(file: Path, line: int, text: str, why: str) -> InputError:
    return InputError(f"{file}, line {line}: {text!r} {why}", next_step=SHAPE)


def _splits(
    name: str,
    config: DatasetConfig,
    project: Path,
    file: Path,
    rows: Sequence[Row],
    named: Mapping[str, str],
) -> dict[str, list[str]]:
    if not any(row.split for row in rows):
        return split_classes(name, config, project, {row.label for row in rows}, named)
    if config.splits or config.split_file or config.split_ratio:
        raise InputError(
            f"dataset {name!r}: {file} says itself which split each clip is in",
            next_step="Remove its split column, or splits, split_file and split_ratio.",
        )
    first: dict[str, Row] = {}
    for row in rows:
        other = first.setdefault(row.label, row)
        if other.split != row.split:
            raise InputError(
                f"{file}: class {row.label!r} is in {other.split} on line {other.line} and in {row.split} on"
                f" line {row.line}, and few-shot splits share no class",
                next_step=f"Keep each class in one split, or remove the column and set"
                f" datasets.{name}.split_ratio = [0.6, 0.2, 0.2].",
            )
    return {
        split: sorted(label for label, row in first.items() if row.split == split)
        for split in SPLITS
        if any(row.split == split for row in first.values())
    }


def _clips(file: Path, base: Path, rows: Sequence[Row]) -> tuple[list[Clip], list[str]]:
    """The clip of each line that repeats none, and remarks.

    A clip is named after its label and its path within ``base``, or among the paths elsewhere.
    """
    paths = [os.path.normpath(base / row.path) for row in rows]
    inside = os.path.join(os.path.normpath(base), "")  # noqa: PTH118
    outside = [os.path.dirname(path) for path in paths if not path.startswith(inside)]  # noqa: PTH120
    common = os.path.join(os.path.commonpath(outside), "") if outside else ""  # noqa: PTH118
    clips: dict[str, Clip] = {}
    repeated: list[int] = []
    for row, path in zip(rows, paths, strict=True):
        within = path.removeprefix(inside if path.startswith(inside) else common)
        name = f"{row.label}/{normalize('NFC', Path(within).as_posix())}"
        if name not in clips:
            clips[name] = Clip(name, row.label, path, row.group)
        elif clips[name].file == path:
            repeated.append(row.line)
        else:
            raise InputError(
                f"{file}, line {row.line}: {path} and {clips[name].file} come out as the same name, {name!r}",
                next_step="Rename one of them, or move both under the directory that paths are relative to.",
            )
    if not repeated:
        return list(clips.values()), []
    lines = first_of([*map(str, repeated)], NAMED)
    return list(clips.values()), [f"lines that repeat an earlier one, and are dropped: {lines}"]
