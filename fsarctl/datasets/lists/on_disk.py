"""Where the clips of a list are: lists are written on other disks, systems and for other containers.

A path is taken as it is written, or with another ending. Where none of a list is there: with the slashes of
this system; without the folders that its paths begin with elsewhere; and by its name alone, anywhere under
the root.
"""

import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fsarctl.datasets.benchmark import EXACTLY, SPELLINGS, in_class, match_videos
from fsarctl.datasets.lists.rows import Listed, Row
from fsarctl.datasets.lists.text_lines import parted
from fsarctl.datasets.video_tree import find_videos, is_video, plain_text, stem_of
from fsarctl.progress import counted

__all__ = ["Located", "locate"]

FAILURES = 200
"""Paths of which every ending is tried in vain, before the others are taken to be missing."""
LONGEST, DEEPEST = 2**12, 64
"""Characters, and folders, of a path of which endings are tried: what is longer is the path of nothing."""


@dataclass(frozen=True)
class Located:
    """``paths``: where the clip of each row is, or should be. ``remarks``: how they were found, where that is
    not as they are written.
    """

    paths: Sequence[str]
    remarks: Sequence[str] = ()


def locate(listed: Listed, base: Path, *, anywhere: bool = True) -> Located:
    """Where the clips of a list are, whose paths are relative to ``base``.

    ``anywhere``: look for the files' names under all of it, where none is where the list says.
    """
    disk, rows, remarks = _Disk(str(base)), listed.rows, []
    paths = [os.path.normpath(base / row.path) for row in rows]
    there = [disk.find(path) for path in paths]
    if not any(there) and any("\\" in row.path for row in rows):
        paths = [os.path.normpath(base / "/".join(_plain_parts(row))) for row in rows]
        there = [disk.find(path) for path in paths]
    if not any(there):
        there, beginning = _without_beginnings(rows, disk)
        if beginning:
            remarks.append(f"its paths begin with {beginning}, which is left out: {base} stands for it")
    by_name = [number for number, row in enumerate(rows) if not there[number] and row.by_name]
    if anywhere and not any(there):
        by_name = list(range(len(rows)))
    if by_name and base.is_dir():
        found = _by_name([rows[number] for number in by_name], base, listed.spelled)
        for number, path in found.items():
            there[by_name[number]] = path
        if lost := [number for number in found if not rows[by_name[number]].by_name]:
            remarks.append(f"{counted(len(lost), 'path')} of it found by the file's name alone under {base}")
    return Located([found or path for found, path in zip(there, paths, strict=True)], remarks)


def _plain_parts(row: Row) -> list[str]:
    """The parts of a path, without a drive of Windows."""
    return [part for part in parted(row.path) if not re.fullmatch(r"[A-Za-z]:", part)]


class _Disk:
    """What is there; each folder is listed but once."""

    def __init__(self, base: str) -> None:
        self.base = base
        self._folders: dict[str, Mapping[str, str]] = {}

    def find(self, path: str) -> str:
        """``path``, or the same under another ending; "" if neither is there."""
        if os.path.lexists(path):
            return path
        folder, name = os.path.split(path)
        beside = self._stems(folder)
        stem = stem_of(name)
        return f"{folder}/{beside[stem]}" if stem in beside else ""

    def _stems(self, folder: str) -> Mapping[str, str]:
        """Name without its ending -> name, of the videos and folders in a folder."""
        if folder not in self._folders:
            try:
                with os.scandir(folder) as entries:
                    names = [each.name for each in entries if is_video(each.name) or each.is_dir()]
            except (OSError, ValueError):
                names = []
            self._folders[folder] = {stem_of(name): name for name in sorted(names, reverse=True)}
        return self._folders[folder]


def _without_beginnings(rows: Sequence[Row], disk: _Disk) -> tuple[list[str], str]:
    """Each path under the root without what it begins with elsewhere, "" where there is none; and one of
    these beginnings.
    """
    beginnings: dict[tuple[str, ...], None] = {}
    there: list[str] = []
    failures = 0
    for row in rows:
        parts = tuple(_plain_parts(row))
        # the longest first, as they were found: where a shorter one is known, no longer one is tried
        known = [n for n in range(min(len(parts), DEEPEST), 0, -1) if parts[:n] in beginnings]
        is_path = len(row.path) <= LONGEST and len(parts) <= DEEPEST
        lengths = known or (range(1, len(parts)) if is_path and failures < FAILURES else ())
        ends = ((length, disk.find("/".join((disk.base, *parts[length:])))) for length in lengths)
        length, found = next(((length, path) for length, path in ends if path), (0, ""))
        failures += not found
        if found:
            beginnings[parts[:length]] = None
        there.append(found)
    claims: dict[str, set[str]] = defaultdict(set)
    for row, path in zip(rows, there, strict=True):
        claims[path].add(row.path)
    there = [path if len(claims[path]) == 1 else "" for path in there]
    if not any(there):
        return there, ""
    return there, "/" * rows[0].path.startswith("/") + "/".join(next(iter(beginnings)))


def _by_name(rows: Sequence[Row], base: Path, spelled: str) -> dict[int, str]:
    """Number of a row -> the video of its name under the root, where there is one alone."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        name = plain_text(_plain_parts(row)[-1]) if _plain_parts(row) else ""
        numbers[stem_of(name)].append(number)
    alone = {stem: some for stem, some in numbers.items() if len({rows[n].path for n in some}) == 1}
    labels = {stem: rows[some[0]].label for stem, some in alone.items()}
    try:
        tree = find_videos(base)
    except OSError:
        return {}
    matched = match_videos(labels, tree.videos, SPELLINGS.get(spelled, EXACTLY), tree.folders)
    return {
        number: f"{base}/{path}"
        for stem, path in matched.files.items()
        for number in alone[stem]
        if stem not in matched.doubles or in_class(path, labels[stem])
    }
