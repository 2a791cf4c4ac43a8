"""Removing what nobody has a use for, and saying of whatever is gone who removed it.

What is to go is written down before anybody looks for leases, and who takes a lease looks afterwards for
such a note: whichever of the two comes second sees the other, and no lock is needed for it.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fsarctl.artifacts.atomic_write import write_whole
from fsarctl.artifacts.cache_layout import KEY_DIGITS, Shelf
from fsarctl.artifacts.manifest import Artifact
from fsarctl.artifacts.process import Process
from fsarctl.artifacts.refusals import content_of, is_there
from fsarctl.artifacts.sharing.leases import Lease, Leases, name_of
from fsarctl.artifacts.sharing.projects import Projects
from fsarctl.artifacts.sharing.work_places import is_left
from fsarctl.artifacts.unfinished.shared_parts import SHARED
from fsarctl.errors import LockError, UpstreamError

__all__ = [
    "Kept",
    "Removal",
    "Sorted",
    "Unfinished",
    "clear_published",
    "end_of",
    "remove",
    "require_there",
    "sort_out",
    "thin_out_shared",
    "unfinished",
    "upstream_of",
]


REMADE = "it is computed again where it is needed"
UNKNOWN = "a project that is not known (--unclaimed removes it)"


@dataclass(frozen=True)
class Unfinished:
    """A folder beside the artifacts, of shared parts or of a build that is not through: what it is, where,
    and its size in bytes."""

    what: str
    path: Path
    bytes: int


@dataclass(frozen=True)
class Removal:
    """A folder that `gc` removes: what it is, where, its size in bytes, and why."""

    what: str
    path: Path
    bytes: int
    why: str


@dataclass(frozen=True)
class Kept:
    """A folder that these settings have no use for and that `gc` leaves: like ``Removal``, and for whom."""

    what: str
    path: Path
    bytes: int
    whom: str


@dataclass(frozen=True)
class Sorted:
    """What `gc` would do. ``given_up``: names of artifacts that this project claims no longer. ``damaged``:
    what stands where artifacts do, but says not or not rightly what it is; it stays."""

    doomed: Sequence[Removal]
    kept: Sequence[Kept]
    given_up: Sequence[str]
    damaged: Sequence[Path]


def sort_out(
    shelf: Shelf,
    kept: set[Path],
    slots: set[str],
    projects: Projects,
    readers: Mapping[str, str],
    *,
    forget: Path | None,
    unclaimed: bool,
) -> Sorted:
    """What of a store may go, but for ``kept``, which this project has a use for.

    ``slots``: the questions that its settings ask. ``readers``: see ``Leases``. ``forget``: where a project
    was whose claims do not count. ``unclaimed``: whether what no project is known to use may go.

    Raises:
        InputError: no project at ``forget`` has used this store.
    """
    doomed: list[Removal] = []
    left: list[Kept] = []
    given_up: list[str] = []
    others = projects.of_others(forget)
    homes, artifacts = shelf.homes("*"), shelf.all()
    damaged = {*homes} - {each.path for each in artifacts}
    finished = [
        (f"{each.manifest.stage} {each.manifest.slot}", each.path, each.manifest.slot, each.manifest.bytes)
        for each in artifacts
    ]
    found = [*finished, *((each.what, each.path, "", each.bytes) for each in unfinished(shelf))]
    for what, path, slot, size in found:
        if path in kept:
            continue
        claimed = f"{path.parent.name}/{path.name[:KEY_DIGITS]}"
        if claimed in others:
            left.append(Kept(what, path, size, others[claimed]))
            given_up.append(claimed)
        elif name_of(path) in readers:
            left.append(Kept(what, path, size, readers[name_of(path)]))
        elif not unclaimed and projects.nobody_claims(claimed):
            left.append(Kept(what, path, size, UNKNOWN))
        else:
            why = REMADE if _is_shared(path) else _why(slot, slots)
            doomed.append(Removal(what, path, size, why))
    there = {f"{path.parent.name}/{path.name[:KEY_DIGITS]}" for path in [*kept, *(each[1] for each in found)]}
    given_up += (name for name in projects.claims if name not in there)
    return Sorted(doomed, left, given_up, [home for home in sorted(damaged) if os.path.lexists(home)])


def unfinished(shelf: Shelf) -> list[Unfinished]:
    """What lies in a store beside its artifacts, and `gc` may remove."""
    return [Unfinished(_called(work), work, _size(work)) for work in shelf.unfinished()]


def clear_published(shelf: Shelf, leases: Leases, mine: Lease | None) -> None:
    """Removes what is left of a build that a kill or a full disk ended when its artifact was in its place."""
    with suppress(OSError):  # a cache that can only be read
        works = [
            work
            for work in shelf.unfinished()
            if not (work / "folder").exists() and is_there(shelf.home(work.parent.name, work.name))
        ]
        if works:
            in_hand, now = leases.in_hand(but=mine), leases.now()
            for work in works:
                if name_of(work) not in in_hand and is_left(work, now):
                    shelf.discard(work)


def remove(removal: Removal, shelf: Shelf, leases: Leases, project: Path) -> bool:
    """Removes it, unless it is being made or read; False then, and it is said."""
    stage, key = removal.path.parent.name, removal.path.name
    note = {
        "what": removal.what,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "project": str(project),
        "by": str(Process.current()),
    }
    obituary = shelf.obituary(stage, key)
    try:
        with shelf.lock(stage, key, removal.what, patience_s=0):
            if removal.path == shelf.home(stage, key):
                obituary.parent.mkdir(parents=True, exist_ok=True)
                write_whole(obituary, json.dumps(note, indent=1).encode())
            if reader := leases.readers().get(f"{stage}/{key}"):
                obituary.unlink(missing_ok=True)
                shelf.reporter.note(f"{removal.what} is read by {reader}; it stays.")
                return False
            shelf.discard(removal.path)
    except LockError:
        shelf.reporter.note(f"{removal.what} is being made by another process; it stays.")
        return False
    return True


def thin_out_shared(shelf: Shelf, stage: str, most: int, leases: Leases, project: Path) -> int:
    """Removes shared parts of a stage that nobody is at, the longest unused first, until ``most`` bytes or
    fewer are left. How many are.
    """
    there = [work for work in shelf.unfinished() if work.parent.name == stage and _is_shared(work)]
    sizes = {work: _size(work) for work in there}
    left = sum(sizes.values())
    readers = leases.readers() if left > most else {}
    for work in sorted(there, key=_last_used):
        if left <= most:
            break
        removal = Removal(_called(work), work, sizes[work], REMADE)
        if name_of(work) not in readers and remove(removal, shelf, leases, project):
            left -= sizes[work]
    return left


def end_of(shelf: Shelf, stage: str, key: str) -> str:
    """What has become of an artifact that was there and is not: who removed it; "" if nobody said so."""
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        note = json.loads(content_of(shelf.obituary(stage, key)))
        return (
            f"`fsarctl cache gc` of the project {note['project']} removed it ({note['by']}, {note['when']})"
        )
    if places := shelf.quarantined(stage, key):
        return f"it was damaged and is in quarantine: {places[-1]}"
    return ""


def require_there(artifacts: Iterable[Artifact], shelf: Shelf, doing: str, then: str) -> None:
    """That what somebody reads who holds a lease is there still; whoever removes it does so in spite of that.

    Raises:
        UpstreamError: some of it is not; what became of it is said, while ``doing`` what, and what to do
            ``then``, when it is made again.
    """
    for artifact in artifacts:
        stage, key, slot = artifact.manifest.stage, artifact.key, artifact.manifest.slot
        if shelf.obituary(stage, key).exists():  # it is being removed just now, or is to stay after all
            with shelf.lock(stage, key, slot):
                pass
        if not artifact.path.is_dir():
            raise UpstreamError(
                f"{slot} vanished while {doing}: {end_of(shelf, stage, key) or 'no fsarctl removed it'}",
                next_step=f"Make it again: {artifact.manifest.command}; then run: {then}",
            )


def upstream_of(artifacts: Sequence[Artifact], stages: Iterable[str]) -> set[Path]:
    """The artifacts of these stages and everything that they were made of, by folder."""
    by_key = {(found.manifest.stage, found.key): found for found in artifacts}
    pending = [found for found in by_key.values() if found.manifest.stage in stages]
    kept: set[Path] = set()
    while pending:
        artifact = pending.pop()
        if artifact.path not in kept:
            kept.add(artifact.path)
            sources = artifact.manifest.inputs.values()
            pending += [by_key[s.stage, s.key] for s in sources if (s.stage, s.key) in by_key]
    return kept


def _called(work: Path) -> str:
    return f"{'shared' if _is_shared(work) else 'unfinished'} {work.parent.name}"


def _is_shared(work: Path) -> bool:
    """Whether others find there what was made, and nothing is to be finished."""
    return (work / "scratch" / SHARED).exists()


def _last_used(work: Path) -> float:
    try:
        return (work / "scratch" / SHARED).stat().st_mtime
    except OSError:  # another removes it
        return 0.0


def _why(slot: str, slots: set[str]) -> str:
    if not slot:
        return "no setting leads to what it was to become"
    return "the settings have changed since" if slot in slots else "no setting asks for it"


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # a build may be at work in it
            total += path.lstat().st_size if not path.is_dir() else 0
    return total
