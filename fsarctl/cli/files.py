"""Plain files that commands leave where the user wants them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from fsarctl.cli.console import say
from fsarctl.errors import InputError

__all__ = ["open_file", "writing"]


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A file to write to instead of ``path``, which it replaces once it is whole.

    Raises:
        InputError: it cannot be written there.
    """
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
    """Hand a file to what shows such files on this machine."""
    if typer.launch(str(path.absolute())) != 0:
        say(f"nothing here opens {path}: open it yourself")
