"""A list file as a dataset: its clips that are there, under the labels that it gives them."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from unicodedata import normalize

from fsarctl.config.dataset_table import DatasetConfig
from fsarctl.config.paths import located
from fsarctl.config.setting_field import SPLITS
from fsarctl.datasets.class_splits import split_classes
from fsarctl.datasets.clips import Clip
from fsarctl.datasets.dataset import Dataset, RootError, set_root
from fsarctl.datasets.labels.label_map import are_numbers, named_labels, number_remarks
from fsarctl.datasets.lists.on_disk import locate
from fsarctl.datasets.lists.read_list import SPLIT, read_list
from fsarctl.datasets.lists.rows import LONGEST_SHOWN, Row
from fsarctl.datasets.lists.text_lines import class_folders
from fsarctl.datasets.video_tree import PassedOver
from fsarctl.errors import InputError
from fsarctl.progress import counted, first_of, shortened
from fsarctl.video.frame_folders.images import NO_FRAMES, images_in

__all__ = ["open_list"]

NAMED = 5
SHOWN = 3
BENCHMARK = re.compile(r"(hmdb51|ucf101|kinetics\d*|ssv2)_(?=[^\W_])", re.IGNORECASE)
"""What some lists put before every label."""


def open_list(name: str, config: DatasetConfig, project: Path) -> Dataset:
    """The clips that the file lists and that are there; paths are relative to the root, or to the file.

    Raises:
        InputError: the file cannot be read, a line of it has no path and label, none of its videos is
            there, or its splits share a class.
    """
    file = located(config.file, project)
    listing = read_list(file, config.group_column)
    rows, named, remarks = _labelled(name, config, project, listing.rows)
    base = located(config.root, project) if config.root else file.parent
    splits = _splits(name, config, project, file, rows, named)
    where = {label: split for split, labels in splits.items() for label in labels}
    found = locate(replace(listing, rows=tuple(rows)), base, anywhere=bool(config.root))
    listed, repeated = _clips(file, base, rows, found.paths)
    remarks = [*listing.remarks, *found.remarks, *repeated, *remarks]
    clips: dict[str, list[Clip]] = {split: [] for split in splits}
    missing: dict[str, list[Clip]] = {split: [] for split in splits}
    passed_over: list[PassedOver] = []
    images: dict[str, int] = {}
    for clip in listed:
        if clip.label not in where:
            continue
        there = os.path.isfile(clip.file)  # noqa: PTH113 - answers for any text
        if not there and os.path.lexists(clip.file):
            images[clip.file] = _images(clip.file)
            there = images[clip.file] > 0
        if not there and os.path.lexists(clip.file):
            passed_over.append(PassedOver(clip.name, _what_it_is(clip.file)))
        (clips if there else missing)[where[clip.label]].append(clip)
    if not any(clips.values()):
        if folders := [clip.file for clip in listed if os.path.isdir(clip.file)]:  # noqa: PTH112
            raise InputError(
                f"dataset {name!r}: {file} lists {len(folders):,} folders, such as {folders[0]}, without"
                " numbered images, and no video that is there",
                next_step="List video files, or folders of frames that are called like img_00001.jpg.",
            )
        raise RootError(
            f"dataset {name!r}: none of the {len(rows):,} videos of {file} is there; the first: "
            f"{shortened(found.paths[0], LONGEST_SHOWN)}",
            next_step=f"{set_root(name)} to the directory that its paths are relative to.",
        )
    remarks += _counted_otherwise(rows, found.paths, images)
    return Dataset.of_clips(clips, missing, passed_over, remarks)


def _images(path: str) -> int:
    """How many frames a folder has; 0 of anything else."""
    try:
        return len(images_in(path).names)
    except OSError:
        return 0


def _counted_otherwise(rows: Sequence[Row], paths: Sequence[str], images: Mapping[str, int]) -> list[str]:
    """A remark on the folders of which the list says another number of frames than is there."""
    others = [
        f"{row.path} ({row.images} in the list, {images[path]} there)"
        for row, path in zip(rows, paths, strict=True)
        if row.images is not None and images.get(path, row.images) != row.images
    ]
    if not others:
        return []
    shown = first_of(others, NAMED)
    return [f"{counted(len(others), 'folder')} with another number of images than the list says: {shown}"]


def _labelled(
    name: str, config: DatasetConfig, project: Path, rows: Sequence[Row]
) -> tuple[list[Row], Mapping[str, str], list[str]]:
    """The rows under what their labels are called; what each written label is called; and remarks."""
    folders = {} if config.label_map else _folders_of_numbers(rows)
    plain = [replace(row, label=folders.get((row.split, row.label), row.label)) for row in rows]
    named = named_labels(name, config, project, (row.label for row in plain))
    remarks = number_remarks(name, config, project, named)
    if folders:
        shown = first_of(
            [f"{number} is {folder!r}" for (_, number), folder in sorted(folders.items())], SHOWN
        )
        remarks = [f"the labels are numbers, and each has a folder of its own: {shown}"]
    beginnings = {match[0] if (match := BENCHMARK.match(called)) else "" for called in named.values()}
    if len(beginnings) == 1 and (beginning := beginnings.pop()):
        named = {label: called.removeprefix(beginning) for label, called in named.items()}
        remarks.append(f"all labels begin with {beginning}, which is left out")
    labelled = [replace(row, label=named[row.label]) for row in plain]
    return labelled, {row.label: known.label for row, known in zip(rows, labelled, strict=True)}, remarks


def _folders_of_numbers(rows: Sequence[Row]) -> dict[tuple[str, str], str]:
    """(split, label) -> the folder of its clips, where a list has numbers alone, and a folder for each."""
    lists: dict[str, list[Row]] = {}
    for row in rows:
        lists.setdefault(row.split, []).append(row)
    return {
        (split, label): folder
        for split, some in lists.items()
        if are_numbers(row.label for row in some)
        for label, folder in class_folders(some).items()
    }


def _what_it_is(path: str) -> str:
    return NO_FRAMES if os.path.isdir(path) else "not a file, or a link that leads nowhere"  # noqa: PTH112


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
            next_step=f"Remove {SPLIT} or its split column, or splits, split_file and split_ratio.",
        )
    first: dict[str, Row] = {}
    for row in rows:
        other = first.setdefault(row.label, row)
        if other.split != row.split:
            raise InputError(
                f"{file}: class {row.label!r} is in {other.split} on line {other.line} and in {row.split} on"
                f" line {row.line}, and few-shot splits share no class",
                next_step=f"Set datasets.{name}.file to one of the lists: they share out clips, not classes."
                if SPLIT in file.name
                else f"Keep each class in one split, or remove the column and set"
                f" datasets.{name}.split_ratio = [0.6, 0.2, 0.2].",
            )
    return {
        split: sorted(label for label, row in first.items() if row.split == split)
        for split in SPLITS
        if any(row.split == split for row in first.values())
    }


def _clips(file: Path, base: Path, rows: Sequence[Row], paths: Sequence[str]) -> tuple[list[Clip], list[str]]:
    """The clip of each line that repeats none, and remarks.

    A clip is named after its label and its path within ``base``, or among the paths elsewhere.
    """
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
