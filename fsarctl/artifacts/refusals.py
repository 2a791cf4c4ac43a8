"""When the file system will not show what is there: that says nothing of the bytes, and is never damage."""

import errno

from fsarctl.errors import InputError

__all__ = ["is_refused", "unreadable"]

_NOTHING_THERE = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP}


def is_refused(error: BaseException) -> bool:
    """Whether something is there that cannot be read now: no permission, an I/O error, a stale handle."""
    return isinstance(error, OSError) and error.errno is not None and error.errno not in _NOTHING_THERE


def unreadable(what: str, error: OSError) -> InputError:
    """``what`` cannot be read, and nothing was done to it."""
    place = f": {error.filename}" if error.filename else ""
    return InputError(
        f"{what} cannot be read: {error.strerror}{place}",
        next_step="Nothing is known to be wrong with it. Make it readable, or ask whoever made it to; then"
        " run the same command again.",
    )
