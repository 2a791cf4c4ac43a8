"""Clips that a user points at: a folder of classes to learn from, and clips to classify."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fsarctl.datasets.clips import Clip
from fsarctl.datasets.video_tree import (
    DEAD_LINK,
    PassedOver,
    find_videos,
    is_video,
    left_out_words,
    passed_over_words,
    plain_text,
)
from fsarctl.errors import InputError
from fsarctl.video.frame_folders.images import frames_among, is_aside

__all__ = ["NEGATIVES", "ClipFile", "SupportFolder", "clip_files", "open_support_folder"]

NEGATIVES = "_none"
"""The folder of a support folder whose clips show none of the classes."""

NAMED = 3
SHAPE = "A support folder holds a folder for each class, and in it that class's clips."


@dataclass(frozen=True)
class ClipFile:
    """A video without a label; ``name`` is what the user calls it."""

    name: str
    path: Path


@dataclass(frozen=True)
class SupportFolder:
    """Examples of two or more classes; their number may differ from class to class.

    ``clips``: by class and name, both sorted. ``empty``: folders without a video, which are no class.
    ``negatives``: clips of none of the classes. ``passed_over``: what looks like a clip and is none, such as
    a link that leads nowhere.
    """

    clips: tuple[Clip, ...]
    empty: tuple[str, ...]
    negatives: tuple[Clip, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()


def open_support_folder(folder: Path) -> SupportFolder:
    """What ``folder``/<class>/<clip> holds, nested clips too; no video is opened.

    Hidden files and folders are passed over, and names are NFC-normalised. A folder ``_none`` is no class.

    Raises:
        InputError: it is not there or cannot be read, or holds no class, or one alone.
    """
    if not folder.is_dir():
        raise InputError(
            f"the support {folder} is {'not a folder' if folder.exists() else 'not there'}", next_step=SHAPE
        )
    try:
        clips, empty, loose, passed_over = _classes(folder)
    except OSError as error:
        raise InputError(
            f"the support {error.filename} cannot be read: {error.strerror}", next_step="Make it readable."
        ) from None
    labels = sorted({clip.label for clip in clips} - {NEGATIVES})
    if len(labels) < 2:
        found = f"one class alone, {labels[0]!r}" if labels else "no class folder with a video"
        said = passed_over_words(passed_over, NAMED)
        raise InputError(
            f"the support {folder} holds {found}"
            + (f" but {NEGATIVES}, which is none" if clips and not labels else "")
            + (f", but {loose} video{'s' * (loose > 1)} beside it" if loose else "")
            + (f" ({said})" if said else ""),
            next_step=f"{SHAPE} There must be two classes or more.",
        )
    clips.sort(key=lambda clip: (clip.label, clip.name))
    return SupportFolder(
        tuple(clip for clip in clips if clip.label != NEGATIVES),
        tuple(sorted(empty)),
        tuple(clip for clip in clips if clip.label == NEGATIVES),
        tuple(passed_over),
    )


def clip_files(paths: Sequence[Path], note: Callable[[str], None]) -> list[ClipFile]:
    """The files among ``paths``, whatever they hold, and the videos in the folders; each once.

    A folder of frames is a clip itself. ``note`` hears what of a folder looks like a clip and is none.

    Raises:
        InputError: a path is not there, or a folder holds no video.
    """
    found: dict[Path, ClipFile] = {}
    for path in paths:
        if not path.exists():
            raise InputError(
                f"there is no clip {path}" + (f": it is {DEAD_LINK}" if path.is_symlink() else ""),
                next_step="Name video files, or folders of them.",
            )
        clips, other = [ClipFile(str(path), path)], ""
        if path.is_dir() and not _is_clip(path):
            clips, other = _in_folder(path)
        if other:
            note(f"warning: {other}")
        for each in clips:
            found.setdefault(each.path.resolve(), each)
    return list(found.values())


def _classes(folder: Path) -> tuple[list[Clip], list[str], int, Sequence[PassedOver]]:
    """Clips, folders without any, the number of videos that lie beside the folders, what is passed over."""
    tree = find_videos(folder)
    videos = tree.videos
    clips = []
    for path in videos:
        name = plain_text(path)
        label, slash, _ = name.partition("/")
        if slash:
            clips.append(Clip(name, label, f"{folder}/{path}"))
    with os.scandir(folder) as entries:
        folders = {plain_text(each.name) for each in entries if each.is_dir() and each.name[0] != "."}
    return clips, list(folders - {clip.label for clip in clips}), len(videos) - len(clips), tree.passed_over


def _is_clip(folder: Path) -> bool:
    """Whether a folder is one clip: it holds images that are its frames, and no folder and no video."""
    try:
        with os.scandir(folder) as listing:
            entries = [each for each in listing if not each.name.startswith(".")]
            other = any(
                is_video(each.name) or (each.is_dir() and not is_aside(each.name)) for each in entries
            )
    except OSError:
        return False
    return not other and bool(frames_among(each.name for each in entries).names)


def _in_folder(folder: Path) -> tuple[list[ClipFile], str]:
    """Its videos, and the words for what is passed over."""
    try:
        tree = find_videos(folder)
    except OSError as error:
        raise InputError(
            f"{error.filename} cannot be read: {error.strerror}", next_step="Make it readable."
        ) from None
    other = passed_over_words(
        [PassedOver(str(folder / each.path), each.reason) for each in tree.passed_over], NAMED
    )
    if not tree.videos:
        said = "; ".join(filter(None, (other, left_out_words(tree.left_out))))
        raise InputError(
            f"there is no video in {folder}" + (f" ({said})" if said else ""),
            next_step="Name the files, or another folder.",
        )
    return [ClipFile(str(folder / plain_text(name)), folder / name) for name in tree.videos], other
