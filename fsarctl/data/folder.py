"""A folder dataset: root/<class>/<clip>, classes split by name."""

import difflib
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from fsarctl.data.clips import Clip
from fsarctl.errors import InputError

__all__ = ["VIDEO_EXTENSIONS", "plain", "scan", "videos_under"]

# fmt: off
VIDEO_EXTENSIONS = frozenset((
    ".3gp", ".asf", ".avi", ".divx", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov",
    ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv",
))
# fmt: on


def scan(name: str, root: Path, splits: Mapping[str, Sequence[str]]) -> dict[str, list[Clip]]:
    """The clips of each split, sorted by name; without ``splits`` every class is a test class.

    A class is a directory right under ``root``; its clips are the videos in it, nested ones too.
    Hidden files and directories are passed over. Names are NFC-normalised, so that they are the same
    on every file system. No video is opened.

    Raises:
        InputError: no such root, no videos, an unknown class in a split, or a class in two splits.
    """
    found = _classes(name, root)
    if not splits:
        return {"test": [clip for label in sorted(found) for clip in found[label]]}
    _check_splits(name, splits, found)
    return {
        split: [clip for label in sorted(labels) for clip in found[label]] for split, labels in splits.items()
    }


def _classes(name: str, root: Path) -> dict[str, list[Clip]]:
    """Every class that holds a video."""
    setting = f"datasets.{name}.root"
    if not root.is_dir():
        raise InputError(
            f"dataset {name!r}: {root} is {'not a directory' if root.exists() else 'not there'}",
            next_step=f"Set {setting} to the directory that holds one directory per class.",
        )
    try:
        return _scan_classes(name, root, setting)
    except PermissionError as error:
        raise InputError(
            f"dataset {name!r}: {error.filename} cannot be read: {error.strerror}",
            next_step="Make it readable, or move it out of the dataset.",
        ) from None


def _scan_classes(name: str, root: Path, setting: str) -> dict[str, list[Clip]]:
    found: dict[str, list[Clip]] = {}
    loose = 0
    with os.scandir(root) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                label = plain(entry.name, root)
                clips = [
                    Clip(f"{label}/{inner}", label, path) for inner, path in videos_under(Path(entry.path))
                ]
                if clips:
                    found.setdefault(label, []).extend(clips)
            else:
                loose += _is_video(entry.name)
    if not found:
        raise InputError(
            f"dataset {name!r}: {root} has no videos in class directories"
            + (f", but {loose} lie in it directly" if loose else ""),
            next_step=f"Set {setting} so that videos are at root/<class>/<clip>; "
            f"known extensions: {' '.join(sorted(VIDEO_EXTENSIONS))}.",
        )
    for clips in found.values():
        clips.sort(key=lambda clip: clip.name)
        for clip, follower in pairwise(clips):
            if clip.name == follower.name:
                raise InputError(
                    f"dataset {name!r}: {clip.path} and {follower.path} have the same name once normalised",
                    next_step="Rename one of them.",
                )
    return found


def videos_under(directory: Path) -> Iterator[tuple[str, Path]]:
    """Name within ``directory`` and path of every video under it, in no order."""
    pending = [("", str(directory))]
    while pending:
        prefix, place = pending.pop()
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                # A linked directory may lead back up; a linked video is just a video.
                if entry.is_dir(follow_symlinks=False):
                    pending.append((f"{prefix}{plain(entry.name, Path(place))}/", entry.path))
                elif _is_video(entry.name) and not entry.is_dir():
                    yield prefix + plain(entry.name, Path(place)), Path(entry.path)


def _is_video(file_name: str) -> bool:
    return os.path.splitext(file_name)[1].lower() in VIDEO_EXTENSIONS  # noqa: PTH122


def plain(file_name: str, parent: Path) -> str:
    """A name in ``parent`` as it is on every file system.

    Raises:
        InputError: it is not UTF-8.
    """
    try:
        file_name.encode()
    except UnicodeEncodeError:
        raise InputError(
            f"a name in {parent} is not valid UTF-8: {file_name!r}", next_step="Rename it."
        ) from None
    return unicodedata.normalize("NFC", file_name)


def _check_splits(name: str, splits: Mapping[str, Sequence[str]], found: Mapping[str, object]) -> None:
    setting = f"datasets.{name}.splits"
    uses = Counter(label for labels in splits.values() for label in labels)
    for split, labels in splits.items():
        if not labels:
            raise InputError(
                f"dataset {name!r}: split {split!r} names no class",
                next_step=f"Name its classes in {setting}.{split}, or remove the line.",
            )
        for label in labels:
            if label not in found:
                nearest = difflib.get_close_matches(label, found, n=3, cutoff=0.5)
                raise InputError(
                    f"dataset {name!r}: split {split!r} names {label!r}, but no such class has videos"
                    + (f"; the nearest: {', '.join(map(repr, nearest))}" if nearest else ""),
                    next_step=f"Correct {setting}.{split}, or add the directory with its videos.",
                )
            if uses[label] > 1:
                where = [split for split, labels in splits.items() if label in labels]
                raise InputError(
                    f"dataset {name!r}: class {label!r} stands {uses[label]} times, in {' and '.join(where)}",
                    next_step=f"Splits share no class: keep it once in {setting}.",
                )
