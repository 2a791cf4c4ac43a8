"""Whether a video's file can be opened at all, before anything looks into it."""

import os
import stat
from pathlib import Path

__all__ = ["why_unreadable"]


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
