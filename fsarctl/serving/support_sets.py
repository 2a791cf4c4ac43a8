"""The support sets of a server, by name: folders of examples, and saved ones, below one folder.

A name or a label is looked for among what is there, never joined to a path as it comes, unless nothing in it
can lead elsewhere. What is new is a folder of its own, and so a dataset like any other:
``NAME/<class>/<clip>``.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fsarctl.artifacts.atomic_write import write_whole
from fsarctl.config.paths import CACHE_TAG
from fsarctl.datasets.video_tree import find_videos, is_video, plain_text
from fsarctl.errors import InputError
from fsarctl.errors.nearest import did_you_mean
from fsarctl.errors.shown import brief, escaped
from fsarctl.predict.recogniser import Recogniser
from fsarctl.progress import first_of
from fsarctl.video.container.first_bytes import HEAD_BYTES, content_of

__all__ = ["Example", "SupportSets"]

SAVED = ".safetensors"
ENDINGS = {"MP4 or QuickTime": ".mp4", "Matroska or WebM": ".webm", "AVI": ".avi", "Ogg": ".ogv"}
LONGEST_NAME = 120
"""Bytes of a name in UTF-8; a file system takes 255."""
SHOWN = 10


@dataclass(frozen=True)
class Example:
    """A clip of a class; ``name`` is its file's."""

    label: str
    name: str


class SupportSets:
    """All that lies in ``folder``, each loaded when it is first asked for, and again once it has changed.

    ``load``: what makes a recogniser of a support's path. Any thread may call any method.
    """

    def __init__(self, folder: Path, load: Callable[[Path], Recogniser]) -> None:
        self.folder = folder
        self._load = load
        self._loaded: dict[str, tuple[object, Recogniser]] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._loading = threading.Lock()
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Of folders and saved supports, sorted."""
        return sorted(self._paths())

    def examples(self, name: str) -> dict[Example, Path]:
        """The clips of a folder and where they lie, by class and name; none of a saved support.

        Raises:
            InputError: there is no such support.
        """
        path = self._path(name)
        found = {}
        for each in find_videos(path).videos if path.is_dir() else ():
            label, *rest = Path(plain_text(each)).parts
            if rest:
                found[Example(label, "/".join(rest))] = path / each
        return dict(sorted(found.items(), key=lambda item: (item[0].label, item[0].name)))

    def example(self, name: str, example: Example) -> Path | None:
        """Where one lies, None if there is none; the others are looked at only if it is not found at once.

        Raises:
            InputError: there is no such support.
        """
        path = self._path(name)
        parts = (example.label, *example.name.split("/"))
        if is_video(parts[-1]) and not any(_is_no_name(part) for part in parts):
            found = path.joinpath(*parts)
            above = (path.joinpath(*parts[:depth]) for depth in range(len(parts)))
            if found.is_file() and not any((each / CACHE_TAG).exists() for each in above):
                return found
        return self.examples(name).get(example)

    def recogniser(self, name: str) -> Recogniser:
        """Loaded, of what the support holds now.

        Raises:
            InputError: there is no such support, or it is none yet: one class, or no clip.
            UpstreamError: nothing is trained for it.
        """
        path = self._path(name)
        with self._lock:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            now = _signature(path)
            before = self._loaded.get(name)
            if before is None or before[0] != now:
                with self._loading:  # the first of them loads the backbone of all
                    self._loaded[name] = (now, self._load(path))
            return self._loaded[name][1]

    def add(self, name: str, label: str, clip: Path) -> Path:
        """Keep a clip as an example; the support and the class are made if need be. Gives its path.

        Raises:
            InputError: a name that cannot be a folder's, or a saved support.
        """
        name, label = plain_text(name), plain_text(label)
        for what, text in (("support", name), ("class", label)):
            _require_name(what, text)
        paths = self._paths()
        if name in paths and paths[name].is_file():
            raise InputError(
                f"{name!r} is a saved support, which takes no more examples",
                next_step="Choose another name.",
            )
        content = clip.read_bytes()
        kind = content_of(content[:HEAD_BYTES])
        if not kind.video:  # nobody would find it among the examples
            raise InputError(
                "its content does not say what kind of video it is", next_step="Send it as MP4 or WebM."
            )
        ending = ENDINGS.get(kind.words, "")
        with self._lock:
            folder = paths.get(name, self.folder / name) / label
            folder.mkdir(parents=True, exist_ok=True)
            taken = {each.stem for each in folder.iterdir()}
            number = next(n for n in range(1, len(taken) + 2) if f"{n:04}" not in taken)
            path = folder / f"{number:04}{ending}"
            write_whole(path, content)
        return path

    def remove(self, name: str, example: Example) -> None:
        """Delete an example, and its class' folder with the last.

        Raises:
            InputError: there is no such example.
        """
        path = self.example(name, example)
        if path is None:
            raise InputError(
                f"support {name!r} has no example {example.name!r} of {example.label!r}",
                next_step="Reload the page to see what it holds.",
            )
        if path.is_dir():
            raise InputError("this example is a folder of images", next_step=f"Remove {path} by hand.")
        path.unlink()
        with suppress(OSError):  # it holds others
            path.parent.rmdir()

    def close(self) -> None:
        """End the processes that decode."""
        for _, recogniser in self._loaded.values():
            recogniser.close()

    def _paths(self) -> dict[str, Path]:
        try:
            entries = [each for each in self.folder.iterdir() if not each.name.startswith(".")]
        except FileNotFoundError:
            return {}
        folders = {plain_text(each.name): each for each in entries if each.is_dir()}
        saved = {plain_text(each.stem): each for each in entries if each.suffix == SAVED and each.is_file()}
        return saved | folders

    def _path(self, name: str) -> Path:
        name, paths = plain_text(name), self._paths()
        if name not in paths:
            known = f"There are {first_of(sorted(paths), SHOWN)}" if paths else "There is none yet"
            raise InputError(
                f"there is no support {brief(name)!r}", next_step=known + did_you_mean(name, paths)
            )
        return paths[name]


def _signature(path: Path) -> Sequence[object]:
    """What is different once a support has changed."""
    files = [path] if path.is_file() else [path / each for each in find_videos(path).videos]
    facts = ((each, each.stat()) for each in files)
    return [(str(each), fact.st_size, fact.st_mtime_ns) for each, fact in facts]


def _is_no_name(part: str) -> bool:
    """Whether it leads elsewhere, would be passed over as hidden, or is no name at all."""
    return not part or part.startswith(".") or bool(set(part) & set("/\\:\0"))


def _require_name(what: str, text: str) -> None:
    """Refuse what is no name of a folder on every system, or would be passed over as hidden.

    Raises:
        InputError: it is none.
    """
    wrong = ""
    if not text.strip() or text != text.strip():
        wrong = "is empty, or begins or ends with a blank"
    elif text.startswith(".") or set(text) & set('/\\:*?"<>|') or escaped(text) != text:
        wrong = 'begins with a dot, or holds one of / \\ : * ? " < > | or a control character'
    elif text == CACHE_TAG:
        wrong = "marks folders that are passed over"
    elif len(text.encode()) > LONGEST_NAME:
        wrong = f"is longer than {LONGEST_NAME} bytes"
    if wrong:
        raise InputError(
            f"the {what} {brief(text)!r} {wrong}, and its clips lie in a folder of that name",
            next_step="Choose a shorter or plainer name.",
        )
