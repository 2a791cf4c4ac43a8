"""Where unfinished work lies, so that two never work in one folder: whatever locks do, whatever is seen late.

    <key[:20]>                      nobody is at it: whoever renames it first has it
    <key[:20]>.<process>.<digits>   this process is at it, or was until it was killed

A rename is one process's alone on every file system, and what it does to a folder that is not there any more
is an error, not a second owner. Who sleeps for so long that others take its work finds it gone, and ends.
"""

import os
import time
import uuid
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from fsarctl.artifacts.process import Process
from fsarctl.artifacts.sharing.late_names import LATE_S

__all__ = ["give_back", "is_left", "new_place", "places_of", "take_over"]


def places_of(rest: Path) -> list[Path]:
    """Where the work that rests at ``rest`` may lie: there, or where somebody took it; the newest first."""
    held = sorted(rest.parent.glob(f"{rest.name}.*"), key=_changed, reverse=True)
    return [each for each in (rest, *held) if each.is_dir() and not each.is_symlink()]


def new_place(rest: Path) -> Path:
    """A name that is this build's alone."""
    return rest.with_name(f"{rest.name}.{Process.current().mark}.{uuid.uuid4().hex[:8]}")


def take_over(rest: Path, place: Path, at_work: Callable[[], Collection[str]], now: float) -> bool:
    """Bring unfinished work that nobody is at to ``place``; False where there is none.

    ``at_work`` gives the names of places whose holders are known to live: all leases are read for that, so it
    is asked where there is need. ``now``: the file system's time.
    """
    for left in places_of(rest):
        if is_left(left, now) and (left == rest or left.name not in at_work()):
            with suppress(FileNotFoundError):  # another was faster
                left.rename(place)
                return True
    return False


def give_back(place: Path, rest: Path) -> None:
    """Leave unfinished work for the next one, if there is any."""
    with suppress(OSError):  # there is none, or another's lies there: it is found where it is
        place.rename(rest)


def is_left(place: Path, now: float) -> bool:
    """Whether the holder of a place has ended, or is on another machine and has never been heard of."""
    _, _, mark = place.name.partition(".")
    if not mark:
        return True
    mark = mark.split(".")[0]
    try:
        if Process.was_here(mark):
            return Process.has_ended(mark)
    except ValueError:
        pass
    return now - _changed(place) > LATE_S  # before that its lease may not be seen yet


def _changed(place: Path) -> float:
    try:
        return os.stat(place).st_mtime  # noqa: PTH116 - with its error
    except OSError:
        return time.time()
