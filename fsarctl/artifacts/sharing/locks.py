"""One maker per key: locks that end with their process.

The kernel holds them where the file system can; elsewhere (some network file systems) they are leases, files
with a heartbeat that are taken from a process that is gone: at once on its own host, after ``LAPSE_S`` on
others. A server may keep the lock of a machine that is gone: it is passed over when nobody who works there
has been heard of for ``SILENT_S``. No result depends on any of it: who publishes second drops what it made.
"""

import errno
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fsarctl.artifacts.process import Process
from fsarctl.artifacts.refusals import content_of
from fsarctl.artifacts.sharing.late_names import LATE_S
from fsarctl.artifacts.sharing.leases import SILENT_S
from fsarctl.errors import LockError
from fsarctl.progress import Reporter

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["hold"]

POLL_S, LOOK_S = 0.1, 20.0
DONE = "done"
LAPSE_S, BEAT_S = 120.0, 20.0
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}


@contextmanager
def hold(
    path: Path,
    doing: str,
    reporter: Reporter,
    patience_s: float = -1.0,
    *,
    is_heard: Callable[[], bool] = lambda: True,
) -> Iterator[bool]:
    """Holds the lock file ``path`` while ``doing`` something ("making ..."); waits for another, and says so.

    ``patience_s`` is how long to wait: 0 not at all, negative for ever. ``is_heard``: whether anybody is
    known to live who does it. Gives whether another machine has just said that it is done, in which case
    what it made may be seen late.

    Raises:
        LockError: another process kept the lock longer than that.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    owner = _Owner(path.with_suffix(".owner"))
    lock = _acquired(path, owner, doing, reporter, patience_s, is_heard)
    try:
        yield owner.take()
        owner.say_done()
    finally:
        lock.release()


def _acquired(
    path: Path,
    owner: "_Owner",
    doing: str,
    reporter: Reporter,
    patience_s: float,
    is_heard: Callable[[], bool],
) -> "BaseFileLock":
    from filelock import FileLock, SoftFileLease, Timeout

    mode = stat.S_IMODE(path.parent.stat().st_mode) & 0o666  # for those for whom the folder is
    lock: BaseFileLock = FileLock(path, mode=mode, fallback_to_soft=False)
    lapse = ""
    try:
        lock.acquire(timeout=0)
    except Timeout:
        pass
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        lease = path.with_suffix(".lease")
        lock = SoftFileLease(lease, mode=mode, lease_duration=LAPSE_S, heartbeat_interval=BEAT_S)
        lapse = f" If that process is gone, its lock ends {LAPSE_S:.0f} s from now; {lease} is the file."
    if not lock.is_locked:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if owner.is_elsewhere and not lapse:
                lapse = (
                    f" If that machine is gone, its lock is passed over after {SILENT_S / 60:.0f} minutes."
                )
            if patience_s != 0:
                reporter.note(f"{owner} is {doing}; waiting for it.{lapse}")
            began = time.monotonic()
            while True:
                waited_s = time.monotonic() - began
                left_s = LOOK_S if patience_s < 0 else min(LOOK_S, max(0.0, patience_s - waited_s))
                try:
                    lock.acquire(timeout=left_s, poll_interval=POLL_S)
                    break
                except Timeout as error:
                    if left_s < LOOK_S:
                        raise LockError(
                            f"{owner} is {doing}.",
                            next_step=f"Wait for it to finish, or stop it; then run again.{lapse}",
                        ) from error
                if time.monotonic() - began >= SILENT_S and owner.is_elsewhere and not is_heard():
                    reporter.note(f"{owner} has not been heard of for {SILENT_S / 60:.0f} minutes: going on.")
                    break
    return lock


class _Owner:
    """What the holder of a lock says of itself to those who wait: a line, its mark, and "done" in the end."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __str__(self) -> str:
        return self._lines()[0].replace("process", "Process", 1) or "Another process"

    @property
    def is_elsewhere(self) -> bool:
        """Whether it is on a machine whose processes this one cannot see."""
        mark = self._lines()[1]
        try:
            return not Process.was_here(mark)
        except ValueError:
            return False

    def take(self) -> bool:
        """It is this process now; whether the last one was elsewhere, and has just said that it was done."""
        done = self._lines()[2] == DONE and self.is_elsewhere
        process, before = Process.current(), self._changed()
        since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        with suppress(OSError):  # it is only told to who waits
            self._path.unlink(missing_ok=True)  # that of another user
            self._path.write_text(f"{process} (since {since})\n{process.mark}\n", encoding="utf-8")
        return done and self._changed() - before < LATE_S

    def say_done(self) -> None:
        with suppress(OSError), self._path.open("a", encoding="utf-8") as file:
            file.write(f"{DONE}\n")

    def _lines(self) -> list[str]:
        """Three, empty where there is none."""
        try:
            return [*content_of(self._path).decode("utf-8", "replace").split("\n"), "", "", ""][:3]
        except OSError:
            return ["", "", ""]

    def _changed(self) -> float:
        """By the clock of the file system."""
        try:
            return self._path.stat().st_mtime
        except OSError:
            return 0.0
