"""What a line of a list says, whatever form the list has."""

from dataclasses import dataclass
from pathlib import Path

from fsarctl.errors import InputError
from fsarctl.progress import shortened

__all__ = ["LONGEST_SHOWN", "SHAPE", "Listed", "Row", "refused"]

SHAPE = (
    "A list file has a path and a label on each line: clips/7.mp4,waving one hand (with .csv, and perhaps a"
    " third column for the split), or: clips/7.mp4 waving one hand (without quotes and comments). Of frames"
    " it has: FOLDER COUNT LABEL"
)

LONGEST_SHOWN = 300
"""Characters of a line, or of a path, in an error."""


@dataclass(frozen=True)
class Row:
    """One line of the file, or one entry of a JSON file; ``split`` and ``group`` are "" if it does not say.

    ``images``: how many frames it says that a folder has. ``by_name``: ``path`` is the name of a video that
    may lie anywhere under the root.
    """

    line: int
    path: str
    label: str
    split: str = ""
    group: str = ""
    images: int | None = None
    by_name: bool = False


@dataclass(frozen=True)
class Listed:
    """A whole list. ``spelled``: the benchmark by whose spellings its names are found, or "".

    ``remarks``: what it says that is not used.
    """

    rows: tuple[Row, ...]
    remarks: tuple[str, ...] = ()
    spelled: str = ""


def refused(file: Path, line: int, text: str, why: str, *, entry: str = "line") -> InputError:
    """The error of a line that is not as it should be."""
    return InputError(f"{file}, {entry} {line}: {shortened(text, LONGEST_SHOWN)!r} {why}", next_step=SHAPE)
