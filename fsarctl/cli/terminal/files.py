"""Plain files that commands leave where the user wants them."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fsarctl.cli.terminal.console import say
from fsarctl.errors import InputError

__all__ = ["Kind", "begins", "open_file", "require_replaceable", "require_writable", "writing"]

HEAD = 2**16
"""Bytes, within which a file says what it is."""
GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Kind:
    """What a command writes: what it is called, how an earlier one is known, and the option that names it.

    ``option`` is empty where an argument does.
    """

    name: str
    is_one: Callable[[Path], bool]
    option: str = "--output"

    @property
    def other(self) -> str:
        """How another file is named."""
        return f"Name another with {self.option}" if self.option else "Name another file"


def begins(pattern: str) -> Callable[[Path], bool]:
    """What says whether a regular expression of ASCII is found where a file begins, decompressed."""
    found = re.compile(pattern.encode(), re.DOTALL)

    def is_one(path: Path) -> bool:
        import gzip
        import zlib

        try:
            with path.open("rb") as file:
                head = file.read(HEAD)
            if head.startswith(GZIP):
                with gzip.open(path) as unpacked:
                    head = unpacked.read(HEAD)
        except (OSError, EOFError, zlib.error):
            return False
        return found.search(head) is not None

    return is_one


def require_replaceable(path: Path, kind: Kind, inputs: Sequence[Path] = ()) -> None:
    """Make sure that nothing is lost when this command writes to ``path``, which need not be there.

    An empty file and an earlier one of its ``kind`` may be written over; what the command reads, its
    ``inputs``, may not, nor the settings of a project.

    Raises:
        InputError: something else is there.
    """
    from fsarctl.config.tables import FILE_NAME

    if path.resolve().name == FILE_NAME:
        raise InputError(f"{path} is where a project has its settings", next_step=f"{kind.other}.")
    if not path.is_file():
        return
    if any(each.exists() and each.samefile(path) for each in inputs):
        raise InputError(f"{path} is read by this command, and would be lost", next_step=f"{kind.other}.")
    if path.stat().st_size and not kind.is_one(path):
        raise InputError(
            f"{path} is there and is no {kind.name}: it would be lost",
            next_step=f"{kind.other}, or move that one away.",
        )


def require_writable(path: Path, kind: Kind, inputs: Sequence[Path] = ()) -> None:
    """Make sure, before work is done for it, that a file may be written there; see ``require_replaceable``.

    Raises:
        InputError: something else would be lost, it is read-only or no file, or its folder is not there.
    """
    if path.exists() and not (path.is_file() and os.access(path, os.W_OK)):
        raise InputError(
            f"{path} is {'read-only' if path.is_file() else 'no file'}", next_step=f"{kind.other}."
        )
    if not path.parent.is_dir():
        raise InputError(
            f"there is no folder {path.parent}",
            next_step=f"Make it. {kind.other}.",
        )
    require_replaceable(path, kind, inputs)


@contextmanager
def writing(path: Path, kind: Kind, inputs: Sequence[Path] = ()) -> Iterator[Path]:
    """A file to write to instead of ``path``, which it replaces once it is whole; links stay links.

    Raises:
        InputError: it cannot be written there, or something else would be lost.
    """
    path = path.resolve()
    require_writable(path, kind, inputs)
    from fsarctl.artifacts.atomic_write import replacing

    try:
        with replacing(path) as partial:
            yield partial
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror or error}", next_step=f"{kind.other}."
        ) from None


def open_file(path: Path) -> None:
    """Hand a file to the browser of this machine, or to $BROWSER."""
    import webbrowser

    if not webbrowser.open(path.absolute().as_uri()):
        say(f"no browser was found here: open {path} yourself")
