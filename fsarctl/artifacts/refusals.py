"""When the file system will not show what is there: that says nothing of the bytes, and is never damage.

And when it would show what is elsewhere: no link within a cache is followed.
"""

import errno
import os
import shlex
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from fsarctl.errors import InputError, IntegrityError

__all__ = [
    "A_FILE",
    "A_FOLDER",
    "content_of",
    "is_refused",
    "is_there",
    "listed",
    "reading",
    "reading_of",
    "refuse_links",
    "require_folder",
    "sort_of",
    "unreadable",
]

LARGEST = 2**28
"""Bytes of what is read whole; a manifest of a million files has fewer."""


A_FILE, A_FOLDER = "a file", "a folder"
_SORTS = {
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: A_FOLDER,
}

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


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Around the reading of a file of an artifact: whatever is wrong with it is one error.

    Raises:
        IntegrityError: it is not there, or is not what fsarctl writes.
        InputError: it cannot be read now.
    """
    try:
        yield
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as error:
        if isinstance(error, OSError) and is_refused(error):
            raise unreadable(str(path), error) from error
        raise IntegrityError(
            f"{path} is not what fsarctl writes: {type(error).__name__}: {error}",
            next_step="`fsarctl cache verify` moves what is damaged away; if it finds nothing, remove"
            f" {path.parent}. Then run the same command again.",
        ) from error


@contextmanager
def reading_of(what: str) -> Iterator[None]:
    """Says of a refusal what it was that could not be read.

    Raises:
        InputError: see ``unreadable``.
    """
    try:
        yield
    except OSError as error:
        if is_refused(error):
            raise unreadable(what, error) from error
        raise


def refuse_links(root: Path, *, deeper: Collection[str] = ()) -> None:
    """That no folder of a cache is a link: what is behind one is somebody's, and would be moved or removed.

    ``deeper``: the folders in ``root`` whose own folders are looked at, too.

    Raises:
        InputError: one is; it is named.
    """
    for folder in (root, *(root / name for name in deeper)):
        try:
            with os.scandir(folder) as entries:
                links = [each.path for each in entries if each.is_symlink()]
        except OSError:
            continue  # not there, or whoever reads it says what is wrong
        for link in links:
            if folder == root and Path(link).name.startswith("."):
                continue  # an editor's: no folder of a cache is called so
            raise InputError(
                f"{link} is a link, and a cache follows none: what is behind it may be anybody's",
                next_step=f"Remove it: rm {shlex.quote(link)}; a cache elsewhere is named with --cache.",
            )


def content_of(path: Path) -> bytes:
    """The bytes of a file of the cache, whoever put it there: neither a pipe keeps its reader, nor its size,
    and a link is not followed.

    Raises:
        OSError: it cannot be read; like a folder, what is no file, or larger than any such file.
    """
    # Looked at first: a socket cannot be opened, and a device may do something when it is.
    if (sort := sort_of(os.lstat(path).st_mode)) != A_FILE:
        raise IsADirectoryError(errno.EISDIR, f"it is {sort}", str(path))
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(os.fspath(path), flags)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST:
            raise IsADirectoryError(errno.EISDIR, "it is none of fsarctl's files", str(path))
        return file.read()


def sort_of(mode: int) -> str:
    """What something is, by its mode as ``lstat`` gives it: "a file", "a folder", "a link", "a pipe"."""
    return _SORTS.get(stat.S_IFMT(mode), A_FILE)


def require_folder(path: Path) -> None:
    """That a folder is there, and no link to one.

    Raises:
        NotADirectoryError: something else is; its ``strerror`` says what.
        OSError: nothing is there, or nobody will tell.
    """
    if (sort := sort_of(os.lstat(path).st_mode)) != A_FOLDER:
        raise NotADirectoryError(errno.ENOTDIR, f"it is {sort}, and no folder", str(path))


def is_there(folder: Path) -> bool:
    """Whether this is a folder.

    Raises:
        OSError: nobody will tell.
    """
    try:
        os.stat(f"{folder}{os.sep}")  # noqa: PTH116 - which a file is not
    except OSError as error:
        if is_refused(error):
            raise
        return False
    return True


def listed(folder: Path) -> list[Path]:
    """What is in a folder, in order; nothing where there is none.

    Raises:
        OSError: it cannot be listed.
    """
    try:
        return sorted(folder / name for name in os.listdir(folder))  # noqa: PTH208 - its errors are passed on
    except OSError as error:
        if is_refused(error):
            raise
        return []
