"""A folder dataset: root/<class>/<clip>, or root/<split>/<class>/<clip>."""

import os
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from fsarctl.config.dataset_table import DatasetConfig
from fsarctl.config.paths import located
from fsarctl.config.read_settings import toml_key
from fsarctl.datasets.class_levels import Level, levels_of
from fsarctl.datasets.class_splits import split_classes, split_name
from fsarctl.datasets.clips import Clip
from fsarctl.datasets.dataset import Dataset, RootError, set_root
from fsarctl.datasets.labels.label_map import named_labels, number_remarks
from fsarctl.datasets.video_tree import VideoTree, find_videos, left_out_words, plain_text
from fsarctl.errors import InputError
from fsarctl.progress import first_of

__all__ = ["classes_of", "levels_in", "list_videos", "open_folder"]

NAMED = 3


def open_folder(name: str, config: DatasetConfig, project: Path) -> Dataset:
    """The clips of each split; without any setting for splits every class is a test class.

    A class is a directory right under the root, or as deep as ``config.depth`` says; its clips are the videos
    in it, nested ones too. If the root holds nothing but train, val and test directories, the classes are one
    level down, and each is in the split of its directory unless a setting says otherwise. Names are
    NFC-normalised, so that they are the same on every file system.

    Raises:
        InputError: no such root, no videos in class directories, a name that is not UTF-8, or splits that
            the classes do not allow.
    """
    root = located(config.root, project)
    tree = list_videos(name, root)
    depth = config.depth or 1
    written, by_directory = classes_of(name, tree, depth)
    named = named_labels(name, config, project, written)
    classes = _renamed(written, named)
    loose = len(tree.videos) - sum(map(len, classes.values()))
    if not classes:
        raise RootError(
            f"dataset {name!r}: {root} has no videos in class directories"
            + (f", but {loose} lie {'in it directly' if depth == 1 else 'higher'}" if loose else "")
            + (f" ({left_out_words(tree.left_out)})" if tree.left_out else ""),
            next_step=f"{set_root(name)} so that videos are at root/{'*/' * (depth - 1)}<class>/<clip>.",
        )
    if by_directory and not (config.splits or config.split_file or config.split_ratio):
        of_directory = {split: {named[each] for each in labels} for split, labels in by_directory.items()}
        splits = _splits_of_directories(name, of_directory)
    else:
        splits = split_classes(name, config, project, classes.keys(), named)
    return Dataset.of_clips(
        {split: [clip for label in labels for clip in classes[label]] for split, labels in splits.items()},
        missing={},
        passed_over=tree.passed_over,
        remarks=[
            *_loose(loose, depth),
            *_no_classes(tree, depth + bool(by_directory)),
            *_other_levels(name, config, tree),
            *_unused(classes, splits),
            *number_remarks(name, config, project, named),
        ],
        left_out=tree.left_out,
    )


def list_videos(name: str, root: Path) -> VideoTree:
    """The videos under a dataset's root.

    Raises:
        InputError: there is no such directory, or it cannot be listed.
    """
    setting = f"datasets.{name}.root"
    # Of os.path, since these answer for any text, even a name that is too long.
    if not os.path.isdir(root):  # noqa: PTH112
        raise InputError(
            f"dataset {name!r}: {root} is {'not a directory' if os.path.isfile(root) else 'not there'}",  # noqa: PTH113
            next_step=f"Set {setting} to the directory that the videos are in.",
        )
    try:
        return find_videos(root)
    except OSError as error:
        raise InputError(
            f"dataset {name!r}: {root} cannot be read: {error.strerror}",
            next_step=f"Make it readable, or correct {setting}.",
        ) from None


def levels_in(tree: VideoTree) -> list[Level]:
    """Which directories may name the classes of a tree, those of splits left out.

    Raises:
        InputError: a name is not UTF-8.
    """
    inner = [_plain_parts(path, tree.root)[:-1] for path in tree.videos if "/" in path]
    if all(len(each) > 1 and split_name(each[0]) for each in inner):
        inner = [each[1:] for each in inner]
    return levels_of(inner)


def classes_of(
    name: str, tree: VideoTree, depth: int = 1
) -> tuple[dict[str, list[Clip]], dict[str, set[str]]]:
    """Class -> its clips, and if the root's directories are splits, split -> its classes.

    ``depth``: how deep the directories are that name the classes, below the root or below a split's.

    Raises:
        InputError: a name is not UTF-8, or two are the same once normalised.
    """
    paths = [path for path in tree.videos if path.count("/") >= depth]
    parts = [_plain_parts(path, tree.root) for path in paths]
    tops = [split_name(each[0]) for each in parts]
    nested = all(top and len(each) > 1 + depth for top, each in zip(tops, parts, strict=True))
    classes: dict[str, list[Clip]] = {}
    by_directory: dict[str, set[str]] = {}
    for path, each, top in zip(paths, parts, tops, strict=True):
        label = each[depth] if nested else each[depth - 1]
        classes.setdefault(label, []).append(Clip("/".join(each), label, f"{tree.root}/{path}"))
        if nested and top:
            by_directory.setdefault(top, set()).add(label)
    for clips in classes.values():
        clips.sort(key=lambda clip: clip.name)
        for clip, follower in pairwise(clips):
            if clip.name == follower.name:
                raise InputError(
                    f"dataset {name!r}: {clip.file} and {follower.file} have the same name once normalised",
                    next_step="Rename one of them.",
                )
    return classes, by_directory


def _renamed(classes: dict[str, list[Clip]], named: Mapping[str, str]) -> dict[str, list[Clip]]:
    """The classes under the labels that their directories' numbers stand for."""
    renamed: dict[str, list[Clip]] = {}
    for written, clips in classes.items():
        label = named[written]
        renamed.setdefault(label, []).extend(replace(clip, label=label) for clip in clips)
    return renamed


def _plain_parts(path: str, root: Path) -> list[str]:
    try:
        path.encode()
    except UnicodeEncodeError:
        parent, _, file_name = path.rpartition("/")
        raise InputError(
            f"a name in {plain_text(str(root / parent))} is not valid UTF-8: {file_name!r}",
            next_step="Rename it.",
        ) from None
    return plain_text(path).split("/")


def _splits_of_directories(name: str, by_directory: dict[str, set[str]]) -> dict[str, list[str]]:
    shared = sorted(
        label
        for labels in by_directory.values()
        for label in labels
        if sum(label in others for others in by_directory.values()) > 1
    )
    if shared:
        raise InputError(
            f"dataset {name!r}: class {shared[0]!r} is in more than one of the directories"
            f" {', '.join(sorted(by_directory))}, and few-shot splits share no class",
            next_step=f"Say which classes are base and novel ones: datasets.{name}.splits, split_file, or"
            f" split_ratio = [0.6, 0.2, 0.2]; each class then has the clips of all these directories.",
        )
    return {split: sorted(labels) for split, labels in by_directory.items()}


def _loose(count: int, depth: int) -> list[str]:
    where = "in the root itself" if depth == 1 else f"less than {depth} directories deep"
    return [f"videos {where}, and so in no class: {count}"] if count else []


def _other_levels(name: str, config: DatasetConfig, tree: VideoTree) -> list[str]:
    """Where nobody has said which directories name the classes, and deeper ones look like it."""
    if config.depth or len(levels := levels_in(tree)) < 2:
        return []
    first, *others = levels
    shown = " or ".join(f"{each} (depth = {each.depth})" for each in others)
    return [
        f"the classes are {first}; directories in them have the same names again and again: if those are the"
        f" classes, {shown}, say so in [datasets.{toml_key(name)}], else depth = 1"
    ]


def _no_classes(tree: VideoTree, depth: int) -> list[str]:
    """What stands where classes stand and is none."""
    level = depth - 1
    used = {path.rpartition("/")[0] for path in tree.videos} | tree.folders
    used |= {"/".join(path.split("/")[: level + 1]) for path in used}
    empty = [path for path in tree.directories if path.count("/") == level and path not in used]
    shown = first_of([plain_text(path) for path in empty], NAMED)
    return [f"no class, since hidden or without a video: {shown}"] if empty else []


def _unused(classes: dict[str, list[Clip]], splits: dict[str, list[str]]) -> list[str]:
    used = {label for labels in splits.values() for label in labels}
    unused = sorted(classes.keys() - used)
    return [f"classes in no split: {first_of(unused, NAMED)}"] if unused else []
