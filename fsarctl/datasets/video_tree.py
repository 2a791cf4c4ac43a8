"""The videos under a directory: one look at the tree, and only files whose ending says nothing are opened.

Links are followed, to videos and to directories; a directory that several links lead to, or that contains
the link, is read once. What looks like a video and cannot be one (a link that leads nowhere, a pipe) is
passed over and said; what is no video is counted by its ending. A directory of numbered images, without
videos in it or below, is a video too: one whose frames were dumped.
"""

import os
import unicodedata
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fsarctl.config.paths import CACHE_TAG
from fsarctl.progress import counted, first_of
from fsarctl.video.container.first_bytes import HEAD_BYTES, TEXT, UNKNOWN, Content, content_of
from fsarctl.video.frame_folders.images import IMAGE_EXTENSIONS, NO_FRAMES, frames_among, is_aside

__all__ = [
    "DEAD_LINK",
    "VIDEO_EXTENSIONS",
    "LeftOut",
    "PassedOver",
    "VideoTree",
    "find_videos",
    "is_video",
    "left_out_words",
    "passed_over_words",
    "plain_text",
    "stem_of",
]

# fmt: off
VIDEO_EXTENSIONS = frozenset((
    ".264", ".265", ".266", ".3g2", ".3gp", ".3gpp", ".amv", ".apng", ".asf", ".avc", ".avi", ".avif",
    ".cpk", ".dav", ".dif", ".divx", ".drc", ".dv", ".dvr-ms", ".f4v", ".flv", ".gif", ".gxf", ".h261",
    ".h263", ".h264", ".h265", ".h266", ".h26l", ".hevc", ".insv", ".ismv", ".ivf", ".m1v", ".m2p",
    ".m2t", ".m2ts", ".m2v", ".m4v", ".mj2", ".mjpeg", ".mjpg", ".mk3d", ".mkv", ".mov", ".mp2v",
    ".mp4", ".mpe", ".mpeg", ".mpg", ".mpv", ".mts", ".mxf", ".nut", ".obu", ".ogg", ".ogm", ".ogv",
    ".ogx", ".psp", ".qt", ".rm", ".rmvb", ".roq", ".swf", ".tod", ".ts", ".vc1", ".vob", ".vvc",
    ".webm", ".wm", ".wmv", ".wtv", ".xvid", ".y4m",
))

BY_CONTENT = frozenset((".avif", ".ogg", ".ogx"))
"""Endings of a video, or else of sound or of a picture alone."""

DOCUMENTS = frozenset((
    ".cff", ".cfg", ".csv", ".html", ".ini", ".ipynb", ".json", ".jsonl", ".lock", ".log", ".md", ".pdf",
    ".py", ".rst", ".sh", ".srt", ".toml", ".tsv", ".txt", ".vtt", ".xml", ".yaml", ".yml",
))
"""What often lies beside videos and says something of them, or of the project; nothing is said of these."""

OTHERS = frozenset((
    ".7z", ".aac", ".aif", ".aiff", ".bmp", ".bz2", ".doc", ".docx", ".flac", ".gz", ".h5", ".heic",
    ".heif", ".isma", ".jpeg", ".jpg", ".m4a", ".m4b", ".mat", ".mka", ".mks", ".mp3", ".mpo", ".npy",
    ".npz", ".opus", ".parquet", ".pickle", ".pkl", ".png", ".ppt", ".psd", ".pt", ".pth", ".rar",
    ".safetensors", ".tar", ".tgz", ".thm", ".tif", ".tiff", ".wav", ".webp", ".wma", ".xcf", ".xls",
    ".xlsx", ".xz", ".zip", ".zst",
))
"""Endings of no video; they are not opened."""

COPIES = frozenset((
    ".bak", ".crdownload", ".download", ".filepart", ".lrf", ".lrv", ".old", ".orig", ".part", ".partial",
    ".tmp",
))
"""Endings of a camera's small copies of its videos, of what a file was before, of unfinished downloads."""
# fmt: on

SYSTEM = frozenset(("thumbs.db", "ehthumbs.db", "desktop.ini"))
"""What Windows leaves in directories that someone looked at."""

DEAD_LINK = "a link that leads nowhere"
NAMED = 3

FEWEST_IMAGES = 2
"""One alone is a picture beside something else as a rule."""


@dataclass(frozen=True)
class PassedOver:
    """Something in a dataset's place that is not used: where within the root, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class LeftOut:
    """Files of one ending ("" of none) that are no videos: how many, and the first of them by its path."""

    ending: str
    files: int
    such_as: str


@dataclass(frozen=True)
class VideoTree:
    """``videos``: paths within ``root``, with "/" between the parts, sorted. So are ``directories``, hidden
    ones too, though nothing in these is looked at. ``left_out``: the most frequent first. ``folders``: those
    of the videos that are directories of images.
    """

    root: Path
    videos: tuple[str, ...]
    passed_over: tuple[PassedOver, ...]
    directories: tuple[str, ...]
    left_out: tuple[LeftOut, ...] = ()
    folders: frozenset[str] = frozenset()


def find_videos(root: Path) -> VideoTree:
    """Every file under ``root`` that ends like a video, or begins like one where its ending is not known.

    Hidden files and directories are not looked at, nor are directories that hold a CACHEDIR.TAG.

    Raises:
        OSError: ``root`` itself cannot be listed.
    """
    walk = _Walk(str(root))
    walk.directory("")
    walk.take_folders()
    passed_over = sorted(walk.passed_over, key=lambda each: each.path)
    left_out = (LeftOut(ending, count, plain_text(first)) for ending, (count, first) in walk.left_out.items())
    return VideoTree(
        root,
        tuple(sorted(walk.videos)),
        tuple(passed_over),
        tuple(sorted(walk.directories)),
        tuple(sorted(left_out, key=lambda each: (-each.files, each.ending))),
        frozenset(walk.folders),
    )


def left_out_words(left_out: Sequence[LeftOut]) -> str:
    """How many files are no videos, and which; "" where there are none."""
    if not left_out:
        return ""
    total = sum(each.files for each in left_out)
    kinds = [f"{each.files:,} {each.ending or 'without an ending'} ({each.such_as})" for each in left_out]
    taken = "a video" if total == 1 else "videos"
    return f"{counted(total, 'file')} not taken for {taken}: {first_of(kinds, NAMED)}"


def passed_over_words(passed_over: Sequence[PassedOver], most: int, hint: str = "") -> str:
    """What is in a dataset's place and not used, those with one reason together; "" where nothing is."""
    by_reason: dict[str, list[str]] = {}
    for each in passed_over:
        by_reason.setdefault(each.reason, []).append(each.path)
    kinds = [f"{first_of(paths, NAMED)} ({reason})" for reason, paths in by_reason.items()]
    return f"passed over: {first_of(kinds, most, hint)}" if kinds else ""


def is_video(file_name: str) -> bool:
    """Whether the name has the extension of a video."""
    return _ending(file_name) in VIDEO_EXTENSIONS


def stem_of(file_name: str) -> str:
    """The name without the ending of a video, if it has one."""
    return os.path.splitext(file_name)[0] if is_video(file_name) else file_name  # noqa: PTH122


def _ending(file_name: str) -> str:
    return os.path.splitext(file_name)[1].lower()  # noqa: PTH122


def plain_text(name: str) -> str:
    """A file's name as text that is the same on every file system: NFC, and printable if not UTF-8."""
    if name.isascii():
        return name
    try:
        encoded = os.fsencode(name)
    except UnicodeEncodeError:  # half of a character, as JSON can spell it: no file is called so
        encoded = name.encode("utf-8", "surrogatepass")
    return unicodedata.normalize("NFC", encoded.decode("utf-8", "backslashreplace"))


class _Walk:
    """Real directories first and linked ones after them, in order, so that what a link adds is certain."""

    def __init__(self, root: str) -> None:
        self.videos: list[str] = []
        self.passed_over: list[PassedOver] = []
        self.directories: set[str] = set()
        self.left_out: dict[str, tuple[int, str]] = {}
        self.folders: dict[str, list[str]] = {}
        self._no_clips: dict[str, str] = {}
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

    def take_folders(self) -> None:
        """Make videos of the directories of images; those above others or above videos are none."""
        above = {parent for path in (*self.videos, *self.folders) for parent in _parents(path)}
        for place in sorted(above & self.folders.keys()):
            for name in self.folders.pop(place):
                self._leave_out(f"{place}/{name}", _ending(name))
        self.videos += self.folders
        beside = {place.rpartition("/")[0] for place in self.folders} - {""}
        for place in self.directories - above - self.folders.keys():
            parent, _, name = place.rpartition("/")
            said = parent in beside or place in self._no_clips
            if said and not name.startswith(".") and not is_aside(name):
                self._pass_over(place, self._no_clips.get(place, NO_FRAMES))

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
        images = self._images(place, entries)
        for entry in entries:
            if entry.name in images:
                continue
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
                else:
                    self._file(entry, where)
            except OSError as error:
                self._pass_over(where, _reason(error))
        return inner

    def _images(self, place: str, entries: Sequence[os.DirEntry[str]]) -> Collection[str]:
        """The images of a directory that may be one clip; they are taken, or left out, all together."""
        named = [(each.name, each) for each in entries if each.name.lower().endswith(IMAGE_EXTENSIONS)]
        names = [name for name, _ in named if not name.startswith(".")]
        if len(names) < FEWEST_IMAGES or not place or is_aside(place.rpartition("/")[2]):
            return ()
        if any(is_video(entry.name) for entry in entries):
            return ()
        frames = frames_among(names)
        if len(frames.names) < FEWEST_IMAGES:
            if frames.reason and frames.numbered:
                self._no_clips[place] = frames.reason
            return ()
        images = {name for name, entry in named if entry.is_file()}
        self.folders[place] = sorted(images)
        return images

    def _link(self, entry: os.DirEntry[str], where: str) -> None:
        if entry.is_dir():
            self._links.append(where)
        elif not os.path.exists(entry.path):  # noqa: PTH110
            self._pass_over(where, DEAD_LINK)
        else:
            self._file(entry, where)

    def _file(self, entry: os.DirEntry[str], where: str) -> None:
        ending = _ending(entry.name)
        known = ending in VIDEO_EXTENSIONS
        if not entry.is_file():
            if known:
                self._pass_over(where, "not a file")
        elif (known and ending not in BY_CONTENT) or (content := _content(entry, ending)).video:
            self.videos.append(where)
        elif content != TEXT:
            self._leave_out(where, ending)

    def _leave_out(self, where: str, ending: str) -> None:
        count, first = self.left_out.get(ending, (0, where))
        self.left_out[ending] = count + 1, min(first, where)

    def _pass_over(self, where: str, reason: str) -> None:
        self.passed_over.append(PassedOver(plain_text(where), reason))


def _parents(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _content(entry: os.DirEntry[str], ending: str) -> Content:
    """What a file is by its ending, or else by its first bytes."""
    if ending in DOCUMENTS or entry.name.lower() in SYSTEM:
        return TEXT
    if ending in OTHERS or ending in COPIES or entry.name.endswith("~"):
        return UNKNOWN
    with open(entry.path, "rb") as file:  # noqa: PTH123 - of each of many
        return content_of(file.read(HEAD_BYTES))


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
