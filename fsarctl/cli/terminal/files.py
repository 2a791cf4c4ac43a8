"""Plain files that commands leave where the user wants them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fsarctl.cli.terminal.console import say
from fsarctl.errors import InputError

__all__ = ["open_file", "require_writable", "writing"]


def require_writable(path: Path) -> None:
    """Make sure, before work is done for it, that a file may be written there.

    Raises:
        InputError: it is read-only or no file, or its folder is not there.
    """
    if path.exists() and not (path.is_file() and os.access(path, os.W_OK)):
        raise InputError(
            f"{path} is {'read-only' if path.is_file() else 'no file'}",
            next_step="Name another with --output.",
        )
    if not path.parent.is_dir():
        raise InputError(f"there is no folder {path.parent}", next_step="Make it, or name another --output.")


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A file to write to instead of ``path``, which it replaces once it is whole; links stay links.

    Raises:
        InputError: it cannot be written there.
    """
    path = path.resolve()
    require_writable(path)
    from fsarctl.artifacts.atomic_write import replacing

    try:
        with replacing(path) as partial:
            yield partial
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror or error}", next_step="Name another with --output."
        ) from None


def open_file(path: Path) -> None:
    """Hand a file to the browser of this machine, or to $BROWSER."""
    import webbrowser

    if not webbrowser.open(path.absolute().as_uri()):
        say(f"no browser was found here: open {path} yourself")
