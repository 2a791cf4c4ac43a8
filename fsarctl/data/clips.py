"""A clip: a video with a label. Labels and names are data, never paths."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Clip", "why_unreadable"]


@dataclass(frozen=True)
class Clip:
    """One labelled video.

    ``name`` identifies it within its dataset on any machine ("waving one hand/PS7A2P1T1.avi");
    ``file`` is where it is on this one: text, since 100,000 objects of Path take a second to make.
    """

    name: str
    label: str
    file: str

    @property
    def path(self) -> Path:
        """``file``, to work with."""
        return Path(self.file)


def why_unreadable(path: Path | str) -> str:
    """Why a video's file cannot even be opened: gone, no file, not permitted. "" if it can."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - asked of every clip on every run
    except OSError as error:
        return f"it cannot be opened: {error.strerror}"
    if stat.S_ISDIR(mode):
        return "it is not a file but a directory"
    if not stat.S_ISREG(mode):  # reading a FIFO would wait for ever
        return f"it is not a file but a {'FIFO' if stat.S_ISFIFO(mode) else 'device or socket'}"
    return "" if os.access(path, os.R_OK) else "it cannot be opened: Permission denied"
