"""One maker per key: locks that end with their process.

The kernel holds them where the file system can; elsewhere (some network file systems) they are leases, files
with a heartbeat that are taken from a process that is gone: at once on its own host, after ``LAPSE_S`` on
others. No result depends on either: who publishes second drops what it made.
"""

import errno
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fsarctl.artifacts.process import Process
from fsarctl.errors import LockError
from fsarctl.progress import Reporter

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["hold"]

POLL_S = 0.1
LAPSE_S, BEAT_S = 120.0, 20.0
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}


@contextmanager
def hold(path: Path, doing: str, reporter: Reporter, patience_s: float = -1.0) -> Iterator[None]:
    """Holds the lock file ``path`` while ``doing`` something ("making ..."); waits for another, and says so.

    ``patience_s`` is how long to wait: 0 not at all, negative for ever.

    Raises:
        LockError: another process kept the lock longer than that.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    owner = path.with_suffix(".owner")
    lock = _acquired(path, owner, doing, reporter, patience_s)
    try:
        since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        with suppress(OSError):  # it is only told to who waits
            owner.unlink(missing_ok=True)  # that of another user
            owner.write_text(f"{Process.current()} (since {since})", encoding="utf-8")
        yield
    finally:
        lock.release()


def _acquired(path: Path, owner: Path, doing: str, reporter: Reporter, patience_s: float) -> "BaseFileLock":
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
            holder = _read_owner(owner)
            if patience_s != 0:
                reporter.note(f"{holder} is {doing}; waiting for it.{lapse}")
            try:
                lock.acquire(timeout=patience_s, poll_interval=POLL_S)
            except Timeout as error:
                raise LockError(
                    f"{holder} is {doing}.",
                    next_step=f"Wait for it to finish, or stop it; then run again.{lapse}",
                ) from error
    return lock


def _read_owner(owner: Path) -> str:
    try:
        return owner.read_text(encoding="utf-8").replace("process", "Process", 1) or "Another process"
    except OSError:
        return "Another process"
