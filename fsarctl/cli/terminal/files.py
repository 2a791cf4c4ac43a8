"""Plain files that commands leave where the user wants them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fsarctl.cli.terminal.console import say
from fsarctl.errors import InputError

__all__ = ["open_file", "writing"]


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A file to write to instead of ``path``, which it replaces once it is whole; links stay links.

    Raises:
        InputError: it cannot be written there.
    """
    path = path.resolve()
    if path.exists() and not (path.is_file() and os.access(path, os.W_OK)):
        raise InputError(
            f"{path} is {'read-only' if path.is_file() else 'no file'}",
            next_step="Name another with --output.",
        )
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror or error}", next_step="Name another with --output."
        ) from None
    finally:
        partial.unlink(missing_ok=True)


def open_file(path: Path) -> None:
    """Hand a file to the browser of this machine, or to $BROWSER."""
    import webbrowser

    if not webbrowser.open(path.absolute().as_uri()):
        say(f"no browser was found here: open {path} yourself")
