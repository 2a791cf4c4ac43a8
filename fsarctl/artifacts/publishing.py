"""The end of making an artifact: its files are sealed, and its folder is renamed into its place."""

import errno
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from fsarctl.artifacts.atomic_write import following, sync_file, sync_folder
from fsarctl.artifacts.cache_layout import Shelf, files_of
from fsarctl.artifacts.hashes import BAR_BYTES
from fsarctl.artifacts.keys import file_sha256
from fsarctl.artifacts.manifest import MANIFEST, RESERVED, Artifact, Stored
from fsarctl.artifacts.refusals import content_of, is_there
from fsarctl.artifacts.sharing.late_names import come_to_sight
from fsarctl.artifacts.unit import Unit
from fsarctl.errors import FsarctlError, LockError
from fsarctl.progress import SILENT, Reporter

__all__ = ["publish", "seal"]

REPLACED = 20  # attempts beside others who replace the same


def seal(unit: Unit, folder: Path, reporter: Reporter) -> dict[str, Stored]:
    """Size and digest of every file of a folder, all of which are on the disk on return.

    Raises:
        FsarctlError: something is there that cannot be kept, or bears a name of the store's own.
    """
    try:
        paths = files_of(folder)
    except ValueError as error:
        raise FsarctlError(f"The {unit.stage} stage left something that cannot be kept: {error}.") from error
    if taken := [name for name in RESERVED if name in paths]:
        raise FsarctlError(
            f"The {unit.stage} stage wrote {taken[0]}, a name that the store keeps for itself."
        )
    files: dict[str, Stored] = {}
    sizes = {name: path.stat().st_size for name, path in paths.items()}
    shown = reporter if sum(sizes.values()) >= BAR_BYTES else SILENT
    with (
        shown.task("seal", len(paths), "file") as advance,
        ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool,
    ):
        for name, sha256 in zip(paths, pool.map(_sealed, paths.values()), strict=True):
            files[name] = Stored(sizes[name], sha256)
            advance()
    return files


def _sealed(path: Path) -> str:
    """The sha256 of a file that is on the disk on return; hashing leaves the other threads running."""
    sha256 = file_sha256(path)
    sync_file(path)
    return sha256


def publish(
    shelf: Shelf, stage: str, key: str, work: Path, manifest: bytes, *, force: bool = False
) -> Artifact | None:
    """Publish what is whole in a folder of work; its files are on the disk, and the caller holds the lock.

    One rename; the artifact that it replaces (``force``) is kept until it has happened. Where locks do not
    hold and another was faster, its artifact is given, and this one stays where it is.
    """
    _sync_folders(work / "folder")
    home = shelf.home(stage, key)
    with following(shelf.root):
        home.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(REPLACED):
        if is_there(home) and (force or attempt):
            with suppress(FileNotFoundError):  # another has just done the same
                home.rename(work / f"replaced{attempt or ''}")
        try:
            (work / "folder").rename(home)
            break
        except FileNotFoundError:
            # A server may do what it is asked, lose its answer, and refuse when it is asked again.
            if _has(home, manifest):
                break
            raise
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            come_to_sight(home)
            if not force and (faster := shelf.get(stage, key)):
                return faster
    else:
        raise LockError(
            f"Others put the {stage} artifact {home.name} into its place again and again.",
            next_step="Stop them, or wait for them to finish; then run again.",
        )
    for note in (shelf.obituary(stage, key), shelf.doubt(stage, key)):
        note.unlink(missing_ok=True)
    for folder in (home.parent, home.parent.parent, work):
        sync_folder(folder)
    _set_modes(home, stat.S_IMODE(shelf.root.stat().st_mode))
    shelf.discard(work)
    return None


def _has(home: Path, manifest: bytes) -> bool:
    try:
        return content_of(home / MANIFEST) == manifest
    except OSError:
        return False


def _set_modes(home: Path, mode: int) -> None:
    """Files and folders are for those for whom the store is, whatever wrote them.

    No file can be written, against accidents; folders can, so that removing needs no chmod.
    """
    paths = [
        (path, wanted)
        for parent, _, names in os.walk(home)
        for path, wanted in [(Path(parent), mode), *((Path(parent, name), mode & 0o444) for name in names)]
    ]
    # The manifest comes last: what is changed after it was changed after publishing.
    for path, wanted in sorted(paths, key=lambda each: each[0] == home / MANIFEST):
        with suppress(PermissionError):  # another user of the group began this work, and it is hers
            path.chmod(wanted)


def _sync_folders(folder: Path) -> None:
    for parent, _, _ in os.walk(folder, topdown=False):
        sync_folder(Path(parent))
