"""One maker per key: locks that die with their process."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fsarctl.artifacts.process import Process
from fsarctl.errors import LockError
from fsarctl.progress import Reporter

__all__ = ["hold"]

POLL_S = 0.1
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}


@contextmanager
def hold(path: Path, what: str, reporter: Reporter, patience_s: float = -1.0) -> Iterator[None]:
    """Holds the lock file ``path`` while ``what`` is made; waits for another holder, and says so.

    ``patience_s`` is how long to wait: 0 not at all, negative for ever.

    Raises:
        LockError: another process kept the lock longer than that, or the file system has no locks.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    owner = path.with_suffix(".owner")
    lock = FileLock(path)
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            holder = _read_owner(owner)
            if patience_s != 0:
                reporter.note(f"{holder} is making {what}; waiting for it.")
            try:
                lock.acquire(timeout=patience_s, poll_interval=POLL_S)
            except Timeout as error:
                raise LockError(
                    f"{holder} is making {what}.",
                    next_step="Wait for it to finish, or stop it; then run again.",
                ) from error
    except NotImplementedError as error:
        raise _no_locks(path) from error
    except OSError as error:
        if error.errno in _NO_LOCKS:
            raise _no_locks(path) from error
        raise
    try:
        owner.write_text(str(Process.current()), encoding="utf-8")
        yield
    finally:
        lock.release()


def _read_owner(owner: Path) -> str:
    try:
        return owner.read_text(encoding="utf-8").replace("process", "Process", 1) or "Another process"
    except OSError:
        return "Another process"


def _no_locks(path: Path) -> LockError:
    return LockError(
        f"The file system of {path.parent} offers no file locks.",
        next_step="Choose a cache folder on a local disk.",
    )
