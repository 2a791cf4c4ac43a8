"""Writing so that a power cut cannot halve it, and saying plainly when the disk refuses."""

import errno
import os
import shlex
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fsarctl.artifacts.process import Process
from fsarctl.artifacts.refusals import A_FILE, sort_of, unreadable
from fsarctl.errors import FsarctlError, InputError

__all__ = [
    "following",
    "PARTIAL",
    "in_the_way",
    "is_abandoned",
    "partial_of",
    "remove",
    "replacing",
    "storage_errors",
    "sync_file",
    "sync_folder",
    "write_synced",
    "write_whole",
]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST}
_NO_FILE = {errno.EISDIR, errno.ENXIO, errno.ELOOP}
_BROKEN = {errno.EIO, errno.ESTALE}
SPARE_INODES = 9
PARTIAL = ".partial"
"""How the name ends of what is not whole yet."""


def sync_file(path: Path) -> None:
    """Forces a file's bytes to the disk."""
    _sync(path, os.O_RDONLY)


def sync_folder(path: Path) -> None:
    """Forces a folder's list of names to the disk."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def write_synced(path: Path, content: bytes) -> None:
    """Writes a file and forces it to the disk."""
    path.write_bytes(content)
    sync_file(path)


@contextmanager
def replacing(path: Path, *, alone: bool = True, synced: bool = True) -> Iterator[Path]:
    """A file to write instead of ``path``: once it is whole and on the disk it takes that name.

    ``path`` is whole, or as it was before, whatever happens. ``alone``: nobody else writes it at the same
    time, so that what a kill leaves behind is overwritten by the next attempt. Not ``synced``: a power cut
    may halve it, which whoever reads it has to find out.
    """
    partial = path.with_name(f".{path.name}{PARTIAL}") if alone else partial_of(path)
    try:
        yield partial
        if synced:
            sync_file(partial)
        partial.replace(path)
    except BaseException:
        with suppress(OSError):  # a read-only folder has none of it
            partial.unlink(missing_ok=True)
        raise


def partial_of(path: Path) -> Path:
    """A hidden name beside ``path`` that nobody else takes, for what is to be there; it says whose it is."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.{Process.current().mark}{PARTIAL}")


def is_abandoned(partial: Path) -> bool:
    """Whether what has a name that ``partial_of`` gave belongs to a process that is gone."""
    try:
        return Process.has_ended(partial.suffixes[-2].removeprefix("."))
    except (IndexError, ValueError):
        return False


def remove(path: Path) -> None:
    """Removes a file, a link, or a folder with all that is in it; nothing, if none is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file that is there whole or as it was before, whoever else writes it meanwhile."""
    with replacing(path, alone=False) as partial:
        partial.write_bytes(content)


@contextmanager
def following(root: Path) -> Iterator[None]:
    """While this lasts, new files and folders are for those for whom the folder ``root`` is.

    A folder that a group shares (its bits g+rws) is shared by what is made in it, whatever the umask.
    """
    try:
        mode = root.stat().st_mode
    except OSError:  # not there yet: it will be as the umask says
        yield
        return
    before = os.umask(~mode & 0o777)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def storage_errors(root: Path) -> Iterator[None]:
    """Turns what a disk refuses into an error for the user; everything else passes through.

    Raises:
        InputError: the cache's disk is full or broken, or the cache at ``root`` cannot be written or read.
    """
    try:
        yield
    except FsarctlError:
        raise
    except Exception as error:
        if reason := _full(error):
            raise InputError(
                f"The disk is full: {reason}{_of_files(root)} (the cache is {root}).",
                next_step="Free some space (`fsarctl cache gc` removes outdated artifacts), then run the same"
                " command again: it goes on where it stopped.",
            ) from error
        if isinstance(error, OSError) and (error.errno in _BROKEN or _is_hidden(error, root)):
            raise unreadable(f"A file of the cache {root} or of its inputs", error) from error
        if isinstance(error, OSError) and (found := in_the_way(error, root)):
            path, sort = found
            move = shlex.join(["mv", str(path), f"{root}-{path.name}"])
            raise InputError(
                f"The cache cannot be written: {path} is {sort}.",
                next_step=f"Move it away: {move}; then run the same command again.",
            ) from error
        if isinstance(error, OSError) and error.errno in _DENIED and _is_within(error.filename, root):
            raise InputError(
                f"The cache cannot be written: {error.strerror}: {error.filename}.",
                next_step=f"Make {root} writable, or choose another cache folder.",
            ) from error
        raise


def _full(error: BaseException | None) -> str:
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return error.strerror or "no space left on device"
        # Libraries written in another language (safetensors) keep the words and lose the number.
        if "No space left on device" in str(error):
            return "No space left on device"
        error = error.__cause__ or error.__context__
    return ""


def _of_files(root: Path) -> str:
    """What a full disk lacks, if that is not bytes."""
    try:
        disk = os.statvfs(root)
    except OSError:
        return ""
    # Those few that the failure itself has given back; 0 of 0 where a file system does not count.
    lacks_inodes = 0 <= disk.f_favail < SPARE_INODES < disk.f_bavail and disk.f_files
    return ", for no more files than there are, however small (`df -i`)" if lacks_inodes else ""


def _is_hidden(error: OSError, root: Path) -> bool:
    """Whether something in the cache is not to be read, rather than not to be written."""
    if error.errno not in (errno.EACCES, errno.EPERM) or not _is_within(error.filename, root):
        return False
    return not os.access(Path(error.filename).parent, os.X_OK) or (
        os.path.exists(error.filename) and not os.access(error.filename, os.R_OK)  # noqa: PTH110 - may be bytes
    )


def in_the_way(error: OSError, root: Path) -> tuple[Path, str] | None:
    """What stands in the cache where a folder should, and is none, or where a file should; and what it is."""
    for name in (error.filename2, error.filename):
        if not _is_within(name, root):
            continue
        path = Path(os.fsdecode(name))
        if error.errno in (errno.EEXIST, errno.ENOTDIR):
            way = [each for each in (*reversed(path.parents), path) if each.is_relative_to(root)]
            if files := [each for each in way if os.path.lexists(each) and not each.is_dir()]:
                return files[0], "no folder"
        sort = sort_of(os.lstat(path).st_mode) if os.path.lexists(path) else A_FILE
        if error.errno in _NO_FILE and sort != A_FILE:
            return path, sort
    return None


def _is_within(filename: object, root: Path) -> bool:
    return isinstance(filename, (str, bytes)) and Path(os.fsdecode(filename)).is_relative_to(root)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    except OSError as error:
        error.filename = str(path)  # it was asked by number, which says nothing to a user
        raise
    finally:
        os.close(descriptor)
