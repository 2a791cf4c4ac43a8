"""Whether a video's file can be opened at all, before anything looks into it."""

import os
import stat
from pathlib import Path

__all__ = ["looked_at", "why_unreadable"]


def why_unreadable(path: Path | str) -> str:
    """Why a video's file cannot even be opened: gone, no file, not permitted. "" if it can."""
    return looked_at(path)[1]


def looked_at(path: Path | str) -> tuple[os.stat_result | None, str]:
    """What the file system says of a video's file, and ``why_unreadable``; one of the two is empty."""
    try:
        seen = os.stat(path)  # noqa: PTH116 - asked of every clip on every run
    except OSError as error:
        return None, f"it cannot be opened: {error.strerror}"
    mode = seen.st_mode
    if stat.S_ISDIR(mode):
        return None, "it is not a file but a directory"
    if not stat.S_ISREG(mode):  # reading a FIFO would wait for ever
        return None, f"it is not a file but a {'FIFO' if stat.S_ISFIFO(mode) else 'device or socket'}"
    return (seen, "") if os.access(path, os.R_OK) else (None, "it cannot be opened: Permission denied")
