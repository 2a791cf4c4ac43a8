"""The videos under a directory: one look at the tree, and no file is opened.

Links are followed, to videos and to directories; a directory that several links lead to, or that contains
the link, is read once. What looks like a video and cannot be one (a link that leads nowhere, a pipe) is
passed over and said.
"""

import os
import unicodedata
from collections import deque
from dataclasses import dataclass
from pathlib import Path

__all__ = ["VIDEO_EXTENSIONS", "PassedOver", "VideoTree", "find_videos", "is_video", "plain_text"]

# fmt: off
VIDEO_EXTENSIONS = frozenset((
    ".3gp", ".asf", ".avi", ".divx", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov",
    ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv",
))
# fmt: on

CACHE_TAG = "CACHEDIR.TAG"  # marks a directory of things that can be made again, such as our own cache


@dataclass(frozen=True)
class PassedOver:
    """Something in a dataset's place that is not used: where within the root, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class VideoTree:
    """``videos``: paths within ``root``, with "/" between the parts, sorted. So are ``directories``, hidden
    ones too, though nothing in these is looked at.
    """

    root: Path
    videos: tuple[str, ...]
    passed_over: tuple[PassedOver, ...]
    directories: tuple[str, ...]


def find_videos(root: Path) -> VideoTree:
    """Every file under ``root`` with a video's extension.

    Hidden files and directories are not looked at, nor are directories that hold a CACHEDIR.TAG.

    Raises:
        OSError: ``root`` itself cannot be listed.
    """
    walk = _Walk(str(root))
    walk.directory("")
    passed_over = sorted(walk.passed_over, key=lambda each: each.path)
    return VideoTree(root, tuple(sorted(walk.videos)), tuple(passed_over), tuple(sorted(walk.directories)))


def is_video(file_name: str) -> bool:
    """Whether the name has the extension of a video."""
    return os.path.splitext(file_name)[1].lower() in VIDEO_EXTENSIONS  # noqa: PTH122


def plain_text(name: str) -> str:
    """A file's name as text that is the same on every file system: NFC, and printable if not UTF-8."""
    if name.isascii():
        return name
    return unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "backslashreplace"))


class _Walk:
    """Real directories first and linked ones after them, in order, so that what a link adds is certain."""

    def __init__(self, root: str) -> None:
        self.videos: list[str] = []
        self.passed_over: list[PassedOver] = []
        self.directories: set[str] = set()
        self._root = root
        self._seen: dict[tuple[int, int], str] = {}
        self._links: list[str] = []

    def directory(self, top: str) -> None:
        """Read ``top``, a path within the root, and everything under it."""
        self._real(top, linked=False)
        while self._links:
            links, self._links = sorted(self._links), []
            for link in links:
                self._real(link, linked=True)

    def _real(self, top: str, *, linked: bool) -> None:
        pending = deque([top])
        while pending:
            place = pending.popleft()
            try:
                pending.extend(self._list(place, linked))
            except OSError as error:
                if not place:
                    raise
                self._pass_over(place, _reason(error))

    def _list(self, place: str, linked: bool) -> list[str]:
        """Take a directory's videos and links; its real directories are for the caller."""
        path = f"{self._root}/{place}" if place else self._root
        status = os.stat(path)  # noqa: PTH116
        known = self._seen.setdefault((status.st_dev, status.st_ino), place)
        if linked and known != place:
            self._pass_over(place, f"it leads to {plain_text(known) or 'the root'}, which is read there")
            return []
        with os.scandir(path) as listing:
            entries = list(listing)
        if any(entry.name == CACHE_TAG for entry in entries):
            self.directories.discard(place)
            return []
        inner = []
        for entry in entries:
            where = f"{place}/{entry.name}" if place else entry.name
            try:
                if entry.is_dir():
                    self.directories.add(where)
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    inner.append(where)
                elif entry.is_symlink():
                    self._link(entry, where)
                elif is_video(entry.name):
                    self._file(entry, where)
            except OSError as error:
                self._pass_over(where, _reason(error))
        return inner

    def _link(self, entry: os.DirEntry[str], where: str) -> None:
        if entry.is_dir():
            self._links.append(where)
        elif not os.path.exists(entry.path):  # noqa: PTH110
            self._pass_over(where, "a link that leads nowhere")
        elif is_video(entry.name):
            self._file(entry, where)

    def _file(self, entry: os.DirEntry[str], where: str) -> None:
        if entry.is_file():
            self.videos.append(where)
        else:
            self._pass_over(where, "not a file")

    def _pass_over(self, where: str, reason: str) -> None:
        self.passed_over.append(PassedOver(plain_text(where), reason))


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
