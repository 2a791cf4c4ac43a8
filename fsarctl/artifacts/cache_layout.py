"""The store's folders on disk: what stands where, and whether it is whole.

    artifacts/<stage>/<key[:20]>/   finished artifacts: the stage's files, sources.json, manifest.json
    work/<stage>/<key[:20]>*/       unfinished ones: folder/ and scratch/, handed back after a crash
    locks/  quarantine/  trash/     one lock per key; damaged artifacts; what is being removed
    leases/  projects/  removed/    what running builds read; which projects use what; who removed what
    doubted/                        artifacts that were made of others while these were damaged
    records/  hashes.sqlite         paid answers, item by item; the memory of input hashes
    .seen-*                         what a command tells its workers, while they work

``Shelf`` knows folders and manifests; what they mean to a unit is ``store.py``.
"""

import errno
import json
import os
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from fsarctl.artifacts.atomic_write import following, is_abandoned, write_whole
from fsarctl.artifacts.hashes import RESTED_NS
from fsarctl.artifacts.keys import file_sha256
from fsarctl.artifacts.manifest import (
    MANIFEST,
    RESERVED,
    SOURCES,
    Artifact,
    Manifest,
    ManifestError,
    Stored,
    read_manifest,
)
from fsarctl.artifacts.process import Process
from fsarctl.artifacts.refusals import (
    A_FILE,
    A_FOLDER,
    is_refused,
    is_there,
    listed,
    reading_of,
    require_folder,
    sort_of,
    unreadable,
)
from fsarctl.artifacts.sharing.locks import hold
from fsarctl.progress import Reporter, first_of

__all__ = ["KEY_DIGITS", "SIGN", "Shelf", "Verdict", "files_of", "odd_in"]

EMPTIED = 100  # attempts beside others who remove the same
NAMED = 5  # doubted artifacts named in a note
KEY_DIGITS = 20  # 80 bits in a folder's name; the manifest has all of them
READ_ON_HIT = 2**16  # bytes; an array's larger files are not read on every hit,
ARRAY = ".zarr/"  # since who reads of them compares them first
PARTS_IN = (".", "doubted", "leases", "removed", "projects/*", "records/*", "records/*/servers")
"""Where a kill may leave a file that was being written; within work/ the next build deals with it."""
SIGN = ".seen-"
SIGN_S = 30 * 24 * 3600.0
"""A job may wait in a queue for as long, though the command that submitted it was killed."""
_FOREIGN = {".DS_Store"}  # left by a file browser, read by no stage


@dataclass(frozen=True)
class Verdict:
    """What verification found: no ``faults`` means every byte is as written.

    ``quarantined`` is where a damaged artifact was moved, None where it is whole or could not be moved.
    ``unread``: why it could not be read, which says nothing of it. ``sort``: what it is, in one word or two.
    """

    path: Path
    stage: str
    slot: str
    faults: tuple[str, ...]
    quarantined: Path | None
    unread: str = ""
    sort: str = "artifact"


class Shelf:
    """The folders beneath ``root``; see the module."""

    def __init__(self, root: Path, reporter: Reporter) -> None:
        self.root = root
        self.reporter = reporter
        self._whole: set[tuple[object, ...]] = set()

    def home(self, stage: str, key: str) -> Path:
        """Where the finished artifact of a key stands."""
        return self.root / "artifacts" / stage / key[:KEY_DIGITS]

    def work(self, stage: str, key: str) -> Path:
        """Where unfinished work on a key rests; see ``places``."""
        return self.root / "work" / stage / key[:KEY_DIGITS]

    def seal_of(self, work: Path) -> str:
        """What the files in a folder where an artifact is made are of."""
        return f"{work.parent.name}/{work.name[:KEY_DIGITS]}"

    def doubt(self, stage: str, key: str) -> Path:
        """Where it is written down that an artifact was made of another while that was damaged."""
        return self.root / "doubted" / f"{stage}-{key[:KEY_DIGITS]}.json"

    def obituary(self, stage: str, key: str) -> Path:
        """Where it is written down who removed the artifact of a key."""
        return self.root / "removed" / f"{stage}-{key[:KEY_DIGITS]}.json"

    def lock(
        self,
        stage: str,
        key: str,
        what: str,
        patience_s: float = -1.0,
        *,
        is_heard: Callable[[], bool] = lambda: True,
    ) -> AbstractContextManager[bool]:
        """The lock of a key; see ``hold``."""
        path = self.root / "locks" / f"{stage}-{key[:KEY_DIGITS]}.lock"
        return hold(path, f"making {what}", self.reporter, patience_s, is_heard=is_heard)

    def get(self, stage: str, key: str, *, read_up_to: int = READ_ON_HIT) -> Artifact | None:
        """The artifact of a key if it is there and whole: every byte, but for an array's large files.

        Those, beyond ``read_up_to`` bytes, are compared when the first clip of them is read.
        A damaged one is moved to quarantine with a note, and counts as missing, as one in ``doubt`` does.

        Raises:
            InputError: it cannot be read.
        """
        home = self.home(stage, key)
        for last_look in (False, True):  # twice: another process may be replacing it right now
            with reading_of(f"the {stage} artifact {home.name}"):
                if not _is_taken(home) or self.doubt(stage, key).exists():
                    return None
                try:
                    artifact = Artifact(home, _manifest_in(home))
                    fault = next(_faults(artifact, key, read_up_to=read_up_to, known=self._whole), "")
                except ManifestError as error:
                    fault = str(error)
                except OSError as error:
                    if error.errno != errno.ESTALE or last_look:
                        raise
                    continue  # another machine has replaced it
            if not fault:
                return artifact
            if last_look and self.quarantine(home, fault) == home:
                return self.get(stage, key, read_up_to=read_up_to)
        return None

    def newest(self, stage: str) -> dict[str, Artifact]:
        """Slot -> the artifact that last answered its question, whatever its key."""
        return {artifact.manifest.slot: artifact for artifact in self.all(stage)}

    def all(self, stage: str = "*") -> list[Artifact]:
        """Every artifact with a manifest that can be read, by stage, slot and age."""
        artifacts = []
        for folder in self.homes(stage):
            try:
                artifacts.append(Artifact(folder, _manifest_in(folder)))
            except (ManifestError, OSError):
                continue  # `get` and `verify` deal with it
        return sorted(
            artifacts, key=lambda found: (found.manifest.stage, found.manifest.slot, found.manifest.created)
        )

    def quarantine_unreadable(self, beginning: str) -> list[str]:
        """Moves artifacts away whose key begins like this and whose manifest is damaged; their keys.

        Raises:
            InputError: one cannot be read.
        """
        moved = []
        for folder in self.homes("*"):
            if folder.name.startswith(beginning[:KEY_DIGITS]):
                try:
                    with reading_of(f"the {folder.parent.name} artifact {folder.name}"):
                        _manifest_in(folder)
                except ManifestError as error:
                    self.quarantine(folder, str(error))
                    moved.append(folder.name)
        return moved

    def unfinished(self) -> list[Path]:
        """The work folders that an interrupted or running build has left."""
        return sorted((self.root / "work").glob("*/*"))

    def verify(self, stage: str = "*") -> Iterator[Verdict]:
        """Reads every byte of every artifact, and moves the damaged ones to quarantine with a note."""
        homes = self.homes(stage)
        uses = _Uses(self)
        with self.reporter.task("verify", len(homes), "artifact") as advance:
            for home in homes:
                verdict = self._verify(home, uses)
                if verdict is not None:
                    yield verdict
                advance(1)
        yield from self._no_folders()
        if uses.asked:
            uses.read_new()  # what others have finished meanwhile
            for stage, key, since in uses.asked:
                self._doubt(stage, key, since, uses)

    def quarantine(self, folder: Path, fault: str, uses: "_Uses | None" = None) -> Path | None:
        """Moves a damaged artifact away, loudly; its new place, None if it cannot be moved.

        Where it is whole after all it is put back, and its new place is the old one: another machine has
        replaced it, and this one saw the names of before.
        """
        stage, key = folder.parent.name, folder.name
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        place = self.root / "quarantine" / f"{stage}-{key}-{moment}"
        named = f"DAMAGED: the {stage} artifact {key}: {fault}."
        since = _changed_ns(folder)
        try:
            with following(self.root):
                place.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(place)
        except FileNotFoundError:
            return None  # another process was faster
        except OSError as error:
            self.reporter.note(f"{named} It is not used, but it could not be moved away: {error.strerror}.")
            return None
        if _is_whole(place, stage, key):
            with suppress(OSError):  # somebody has made it again meanwhile
                place.rename(folder)
                return folder
        self.reporter.note(f"{named} It was moved to {place} and will be made again when it is needed.")
        uses = uses or _Uses(self)
        uses.asked.append((stage, key, since))
        self._doubt(stage, key, since, uses)
        return place

    def _doubt(self, stage: str, key: str, since_ns: int, uses: "_Uses") -> None:
        """Writes down of what was made of a damaged artifact that it was."""
        doubted = []
        for each, slot in uses.of(stage, key):
            if _published_ns(each.path) > since_ns:
                note = self.doubt(each.manifest.stage, each.key)
                with suppress(OSError), following(self.root):
                    note.parent.mkdir(parents=True, exist_ok=True)
                    write_whole(note, json.dumps({"made of": slot}).encode())
                doubted.append(each.manifest.slot)
        if doubted:
            self.reporter.note(
                f"Made of it since it was changed: {first_of(doubted, NAMED)}."
                f" {'It counts' if len(doubted) == 1 else 'They count'} as stale."
            )

    def quarantined(self, stage: str, key: str) -> list[Path]:
        """Where damaged artifacts of a key were moved to, the latest last."""
        return sorted((self.root / "quarantine").glob(f"{stage}-{key[:KEY_DIGITS]}-*"))

    def discard(self, folder: Path) -> None:
        """Removes a folder at one stroke: a kill halfway leaves rubbish in trash/, never half a folder."""
        for _ in range(EMPTIED):
            if not os.path.lexists(folder):
                break
            self._trash.mkdir(parents=True, exist_ok=True)
            with suppress(
                FileNotFoundError
            ):  # another process has just emptied it, or has removed the folder
                doomed = folder.rename(self._trash / uuid.uuid4().hex)
                _destroy(doomed)
                break
        with suppress(OSError):  # others are removing something, too
            self._trash.rmdir()

    def empty_trash(self) -> None:
        """Removes what an interrupted removal has left."""
        with suppress(OSError):  # another user's, or a cache that is read and not written
            if self._trash.exists():
                for doomed in self._trash.iterdir():
                    _destroy(doomed)
                self._trash.rmdir()

    def sweep(self) -> None:
        """Removes all that a kill has left, files that were being written among them."""
        self.empty_trash()
        with suppress(OSError):
            for place in PARTS_IN:
                for part in self.root.glob(f"{place}/.*.partial"):
                    if is_abandoned(part) and not part.parent.is_symlink():
                        part.unlink(missing_ok=True)

    def sweep_signs(self, now: Callable[[], float]) -> None:
        """Removes what commands told their workers that were killed here, or long ago; ``now`` is the time of
        the file system, which is asked by writing."""
        for sign in self.root.glob(f"{SIGN}*"):
            with suppress(OSError):
                if _is_orphaned(sign) or now() - sign.stat().st_mtime > SIGN_S:
                    sign.unlink()

    @property
    def _trash(self) -> Path:
        return self.root / "trash"

    def homes(self, stage: str) -> list[Path]:
        """Where artifacts stand, whole or not."""
        with reading_of("the list of artifacts"):
            stages = [each for each in listed(self.root / "artifacts") if stage in ("*", each.name)]
            return [home for each in stages for home in listed(each) if not home.name.startswith(".")]

    def unlisted(self, artifacts: Iterable[Artifact]) -> list[Path]:
        """What stands where an artifact would and is none of ``all``: damaged, or not to be read."""
        named = {each.path for each in artifacts}
        return [home for home in self.homes("*") if home not in named and os.path.lexists(home)]

    def _no_folders(self) -> Iterator[Verdict]:
        """What stands where a folder of artifacts would: others may have put it there, and it stays."""
        artifacts = self.root / "artifacts"
        for each in (artifacts, *listed(artifacts)):
            try:
                if not each.name.startswith("."):
                    require_folder(each)
            except FileNotFoundError:
                continue
            except NotADirectoryError as error:
                yield Verdict(each, each.name, "", (), None, str(error.strerror))

    def _verify(self, home: Path, uses: "_Uses") -> Verdict | None:
        for last_look in (False, True):
            slot = ""
            try:
                if not _is_taken(home):
                    return None  # removed or replaced since it was listed
                artifact = Artifact(home, _manifest_in(home))
                slot = artifact.manifest.slot
                faults = tuple(_faults(artifact, artifact.key, read_up_to=sys.maxsize, strays=True))
            except ManifestError as error:
                faults = (str(error),)
            except OSError as error:
                return Verdict(home, home.parent.name, slot, (), None, str(unreadable("it", error)))
            if not faults:
                return Verdict(home, home.parent.name, slot, (), None)
            if last_look:
                place = self.quarantine(home, first_of(faults, 1), uses)
                if place == home:
                    return Verdict(home, home.parent.name, slot, (), None)
                return Verdict(home, home.parent.name, slot, faults, place)
        return None


class _Uses:
    """What was made of what: folders are listed and manifests read once, however many are asked about."""

    def __init__(self, shelf: Shelf) -> None:
        self.asked: list[tuple[str, str, int]] = []
        """Stage, key and since when, of those that were asked about."""
        self._shelf = shelf
        self._read: dict[Path, set[str]] = {}
        self._of: dict[tuple[str, str], list[tuple[Artifact, str]]] = {}

    def of(self, stage: str, key: str) -> list[tuple[Artifact, str]]:
        """The artifacts that were made of one, each with the slot that this one had then; told once."""
        if not self._read:
            self.read_new()
        return self._of.pop((stage, key[:KEY_DIGITS]), [])

    def read_new(self) -> None:
        """Look for artifacts that are new since the last time."""
        with reading_of("the list of artifacts"):
            stages = [each for each in listed(self._shelf.root / "artifacts") if is_there(each)]
            names = {each: set(os.listdir(each)) for each in stages}  # noqa: PTH208 - for speed
        for stage_folder, there in names.items():
            read = self._read.setdefault(stage_folder, set())
            for name in there - read:
                with suppress(ManifestError, OSError):  # `get` and `verify` deal with it
                    artifact = Artifact(stage_folder / name, _manifest_in(stage_folder / name))
                    read.add(name)
                    for source in artifact.manifest.inputs.values():
                        of = (source.stage, source.key[:KEY_DIGITS])
                        self._of.setdefault(of, []).append((artifact, source.slot))


def files_of(folder: Path) -> dict[str, Path]:
    """Every file below a folder by its relative path, "/" between the parts, in order.

    Raises:
        ValueError: there is something that is neither a file nor a folder, such as a link.
        OSError: a folder cannot be listed.
    """
    found: dict[str, Path] = {}

    def fail(error: OSError) -> None:
        raise error

    for parent, folders, names in os.walk(folder, onerror=fail):
        paths = [Path(parent, name) for name in (*folders, *names)]
        for path in paths:
            if odd := _oddity(path):
                raise ValueError(f"{path.relative_to(folder)} is {odd}")
        found |= {path.relative_to(folder).as_posix(): path for path in paths[len(folders) :]}
    return dict(sorted(found.items()))


def odd_in(folder: Path) -> dict[Path, str]:
    """What is neither a file nor a folder there, or the folder itself if it is none, and what it is."""
    if odd := _oddity(folder):
        return {folder: odd}
    return {path: odd for path in sorted(_neither(folder)) if (odd := _oddity(path))}


def _is_orphaned(sign: Path) -> bool:
    """Whether it names who wrote it, and that has ended here; of jobs that go on none is named."""
    try:
        return Process.has_ended(sign.name.removeprefix(SIGN).partition(".")[0])
    except ValueError:
        return False


def _neither(folder: Path | str) -> Iterator[Path]:
    """What seems to be neither a file nor a folder: a listing tells, so that nothing is looked at itself."""
    with suppress(OSError), os.scandir(folder) as listing:
        for entry in listing:
            if entry.is_dir(follow_symlinks=False):
                yield from _neither(entry.path)
            elif not entry.is_file(follow_symlinks=False):
                yield Path(entry.path)


def _oddity(path: Path) -> str:
    """What this is if neither a file nor a folder: a link leads elsewhere, and a pipe keeps who reads it."""
    try:
        sort = sort_of(os.lstat(path).st_mode)
    except FileNotFoundError:  # somebody is at work in it
        return ""
    return "" if sort in (A_FILE, A_FOLDER) else f"{sort}, neither a file nor a folder"


def _is_taken(home: Path) -> bool:
    """Whether anything stands where an artifact would.

    Raises:
        OSError: nobody will tell.
    """
    return is_there(home) or os.path.lexists(home)


def _manifest_in(home: Path) -> Manifest:
    """The manifest of what stands where an artifact would; see ``read_manifest``.

    Raises:
        ManifestError: also where that is no folder, such as a link to one.
    """
    try:
        require_folder(home)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ManifestError(str(error.strerror)) from error
    return read_manifest(home)


def _published_ns(folder: Path) -> int:
    """When an artifact was published: publishing touches the manifest last."""
    try:
        return (folder / MANIFEST).stat().st_ctime_ns
    except OSError:
        return 0


def _changed_ns(folder: Path) -> int:
    """When something in a damaged artifact was first changed after it was published, as far as can be seen.

    What leaves no trace (bits that rot on a disk) is found when it is read, and nothing is made of it.
    """
    if sort_of((seen := os.lstat(folder)).st_mode) != A_FOLDER:
        return seen.st_ctime_ns
    published = _published_ns(folder)
    later = [
        changed
        for parent, _, names in os.walk(folder)
        for path in (parent, *(f"{parent}{os.sep}{name}" for name in names))
        if (changed := os.lstat(path).st_ctime_ns) > published
    ]
    try:
        read_manifest(folder)
    except (ManifestError, OSError):
        return min([published, *later])
    return min(later, default=time.time_ns())


def _destroy(folder: Path) -> None:
    """Removes a folder that another process may be removing as well; what is open may stay for later."""
    for _ in range(EMPTIED):
        if not os.path.lexists(folder):
            break
        try:
            if folder.is_symlink() or not folder.is_dir():
                folder.unlink()
            else:
                shutil.rmtree(folder)
        except OSError as error:  # a network file system keeps a file that is open, under another name
            if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EBUSY, errno.ESTALE):
                raise


def _is_whole(place: Path, stage: str, key: str) -> bool:
    """Whether an artifact that was moved is whole, to the last byte."""
    try:
        artifact = Artifact(place, _manifest_in(place))
        manifest = artifact.manifest
        if manifest.stage != stage or manifest.key[:KEY_DIGITS] != key:
            return False
        return not next(_content_faults(artifact, read_up_to=sys.maxsize, strays=True, known=None), "")
    except (ManifestError, OSError):
        return False


def _faults(
    artifact: Artifact,
    key: str,
    *,
    read_up_to: int,
    strays: bool = False,
    known: set[tuple[object, ...]] | None = None,
) -> Iterator[str]:
    """What is wrong with names, sizes, the bytes of files up to a size, and stray files if asked.

    ``known`` are files that this process has read and found whole; they are not read again.
    """
    folder, manifest = artifact.path, artifact.manifest
    if manifest.key != key or folder.name != key[:KEY_DIGITS] or folder.parent.name != manifest.stage:
        yield "it stands in the place of another key"
    yield from _content_faults(artifact, read_up_to=read_up_to, strays=strays, known=known)


def _content_faults(
    artifact: Artifact, *, read_up_to: int, strays: bool, known: set[tuple[object, ...]] | None
) -> Iterator[str]:
    folder, manifest = artifact.path, artifact.manifest
    base = f"{folder}{os.sep}"
    for name in _folders_of(manifest.files):
        try:
            require_folder(Path(base + name))
        except FileNotFoundError:
            continue  # its files are missing
        except NotADirectoryError as error:
            yield f"{name}: {error.strerror}"
            return
    for name, stored in manifest.files.items():
        yield from _file_faults(base + name, name, stored, read_up_to, known)
    if manifest.sources:
        yield from _file_faults(base + SOURCES, SOURCES, manifest.sources, read_up_to, known)
    if strays:
        expected = {*manifest.files, *RESERVED}
        try:
            present = files_of(folder)
        except ValueError as error:
            yield str(error)
            return
        for name, path in present.items():
            if name not in expected and path.name not in _FOREIGN:
                yield f"{name} does not belong to it"


def _folders_of(names: Iterable[str]) -> list[str]:
    """The folders that files of these names are in, each before those that are in it."""
    nearest = {PurePosixPath(name.rpartition("/")[0]) for name in names}
    return sorted({str(each) for folder in nearest for each in (folder, *folder.parents)} - {"."})


def _file_faults(
    path: str, name: str, stored: Stored, read_up_to: int, known: set[tuple[object, ...]] | None
) -> Iterator[str]:
    try:
        seen = os.lstat(path)
        size = seen.st_size
        version = (path, stored.sha256, size, seen.st_ino, seen.st_mtime_ns, seen.st_ctime_ns)
        if (sort := sort_of(seen.st_mode)) != A_FILE:
            yield f"{name} is {sort}"
        elif size != stored.bytes:
            yield f"{name} has {size} bytes instead of {stored.bytes}"
        elif known is not None and version in known:
            return
        elif size <= read_up_to or ARRAY not in name:
            if file_sha256(path) != stored.sha256:
                yield f"{name} has other bytes than were written"
            # A file that is as young as its clock's tick can change again and look the same.
            elif known is not None and time.time_ns() - max(seen.st_mtime_ns, seen.st_ctime_ns) > RESTED_NS:
                known.add(version)
    except FileNotFoundError:
        yield f"{name} is missing"
    except OSError as error:
        if is_refused(error):
            error.filename = error.filename or path
            raise
        yield f"{name} cannot be read ({error.strerror})"
