"""Making one artifact: a folder of its own, the build, a look whether inputs changed, the manifest."""

import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from fsarctl.artifacts.atomic_write import in_the_way, remove, write_synced
from fsarctl.artifacts.cache_layout import Shelf, odd_in
from fsarctl.artifacts.hashes import HashMemory
from fsarctl.artifacts.keys import canonical, file_sha256
from fsarctl.artifacts.manifest import (
    MANIFEST,
    RESERVED,
    SOURCES,
    Artifact,
    Manifest,
    Source,
    Stored,
    content_digest,
    parse_manifest,
    render_manifest,
    render_sources,
)
from fsarctl.artifacts.provenance import provenance
from fsarctl.artifacts.publishing import publish, seal
from fsarctl.artifacts.removal import require_there
from fsarctl.artifacts.sharing.leases import name_of
from fsarctl.artifacts.snapshot import Snapshot
from fsarctl.artifacts.unfinished.shared_parts import SharedParts
from fsarctl.artifacts.unit import JSON, Build, Earlier, Files, Unit
from fsarctl.errors import InputError, IntegrityError
from fsarctl.progress import Reporter, first_of

__all__ = ["clearing_the_way", "divided", "make", "recover"]

T = TypeVar("T")

NAMED = 5  # changed inputs named in an error
DIVIDED = "divided"
"""In ``scratch``: the parts of this unit are made by others, too."""


def make(
    unit: Unit,
    key: str,
    look: Snapshot,
    shelf: Shelf,
    work: Path,
    hashes: HashMemory,
    project: Path,
    shared: Callable[[Unit], SharedParts],
    *,
    force: bool,
    reuse: bool,
) -> Artifact:
    """Builds a unit in the folder ``work`` and publishes the result under ``key``; the caller holds its lock.

    Where locks do not hold and another process was faster, its artifact is verified, and this one's dropped
    unless it is to replace it (``force``).
    With ``reuse`` False, a unit that could take parts of earlier artifacts makes everything anew.
    Whatever interrupts it, nothing is published and the work folder stays for the next attempt; only
    when an input changed meanwhile is the work thrown away, for it mixes the old and the new.

    Raises:
        IntegrityError: an input file changed while the build ran.
        UpstreamError: an artifact that it reads vanished meanwhile.
        FsarctlError: the build left a link, or a file with a reserved name.
    """
    folder = work / "folder"
    if force and not reuse:
        shelf.discard(work)  # from nothing
    is_begun = _open_work(shelf, work)
    # What is there of a divided unit, others have made for this build.
    resumed = is_begun and not (work / "scratch" / DIVIDED).exists()
    if resumed:
        shelf.reporter.note(f"Resuming {unit.slot}, which was interrupted.")

    facts: dict[str, JSON] = {}

    def record(name: str, value: JSON) -> None:
        canonical(value, name)  # refuses now what the manifest could not hold
        facts[name] = value

    listings = look.listings(unit)
    upstream = _upstreams(look, unit)
    _require(upstream, unit, shelf)
    started = time.monotonic()
    given = _given(unit, look, shelf, work, record, shared, reuse=reuse)
    for begun_before in (is_begun, False):
        try:
            unit.build(given)
            break
        except Exception as error:
            _require(upstream, unit, shelf)  # which says more
            if not (begun_before and _stands_in_the_way(error, work, shelf.reporter)):
                raise
            shelf.discard(work)
            resumed = _open_work(shelf, work)
            facts.clear()
    _require(upstream, unit, shelf)
    seconds = round(time.monotonic() - started, 3)

    try:
        _check_inputs(unit, look, hashes)
    except IntegrityError:
        shelf.discard(work)
        raise

    files = seal(unit, folder, shelf.reporter)
    sources = None
    if listings:
        content = render_sources(listings)
        write_synced(folder / SOURCES, content)
        sources = Stored(len(content), file_sha256(folder / SOURCES))
    made: dict[str, JSON] = {"seconds": seconds, "resumed": resumed, "facts": facts}
    manifest = Manifest(
        stage=unit.stage,
        version=unit.version,
        slot=unit.slot,
        key=key,
        digest=content_digest(files, unit.aside),
        command=str(unit.command),
        config=unit.config,
        inputs={name: _source(look, source) for name, source in unit.inputs.items()},
        files=files,
        sources=sources,
        provenance=provenance(project) | made,
        aside=unit.aside,
    )
    rendered = render_manifest(manifest)
    published = parse_manifest(
        rendered
    )  # what the next reader sees; a manifest it would refuse is never written
    write_synced(folder / MANIFEST, rendered)
    faster = None if force else shelf.get(unit.stage, key)
    faster = faster or publish(shelf, unit.stage, key, work, rendered, force=force)
    if faster:
        shelf.discard(work)
    return faster or Artifact(shelf.home(unit.stage, key), published)


def divided(
    unit: Unit,
    look: Snapshot,
    shelf: Shelf,
    work: Path,
    hashes: HashMemory,
    in_hand: Callable[[], Collection[str]],
    shared: Callable[[Unit], SharedParts],
) -> Build:
    """What the parts of a unit are given, which meet in the folder ``work``.

    What others have ``in_hand`` is no earlier work: each of many workers would read all that the others do.

    Raises:
        UpstreamError: an artifact that it reads vanished meanwhile.
    """
    _require(_upstreams(look, unit), unit, shelf)
    _begin_folders(shelf, work)
    (work / "scratch" / DIVIDED).touch()
    given = _given(unit, look, shelf, work, lambda name, value: None, shared, reuse=True, in_hand=in_hand)

    def require_unchanged(name: str, files: Sequence[str]) -> None:
        source = unit.inputs[name]
        if isinstance(source, Files):
            listing = look.listing(source)
            asked = {str(source.paths[file]): file for file in files if file in listing}
            before = {path: listing[file] for path, file in asked.items()}
            changed = hashes.changed(before, source.seen, source.members)
            _refuse_changed(unit, [asked[path] for path in changed])

    return replace(given, require_unchanged=require_unchanged)


def clearing_the_way(build: Build, act: Callable[[], T]) -> T:
    """What ``act``, which makes parts of a build beside others, gives: a folder in the place of a file of the
    unfinished work, or a file in that of a folder, is removed, and it is said."""
    work = build.folder.parent
    cleared = {work, build.folder, build.scratch}
    while True:
        try:
            return act()
        except OSError as error:
            path, sort = in_the_way(error, work) or (work, "")
            if path in cleared:
                raise
            cleared.add(path)
            build.reporter.note(
                f"DAMAGED: {path.relative_to(work)} of the unfinished work is {sort}. It is made again."
            )
            remove(path)


def _given(
    unit: Unit,
    look: Snapshot,
    shelf: Shelf,
    work: Path,
    record: Callable[[str, JSON], None],
    shared: Callable[[Unit], SharedParts],
    *,
    reuse: bool,
    in_hand: Callable[[], Collection[str]] = tuple,
) -> Build:
    """What the function that builds a unit in ``work`` is given."""
    upstream = {name: _upstream(look, each) for name, each in unit.inputs.items() if isinstance(each, Unit)}
    digests: dict[str, Mapping[str, str]] = {
        name: {file: stored.sha256 for file, stored in artifact.manifest.files.items()}
        for name, artifact in upstream.items()
    }
    return Build(
        work / "folder",
        work / "scratch",
        {name: artifact.path for name, artifact in upstream.items()},
        shelf.reporter,
        record,
        digests | look.listings(unit),
        lambda: _earlier(unit.stage, work, shelf, in_hand) if unit.reuses and reuse else [],
        shelf.seal_of(work),
        shared=shared,
    )


def recover(shelf: Shelf, stage: str, key: str) -> None:
    """Puts back the artifact that a killed replacement had just moved aside; the caller holds the lock."""
    home, work = shelf.home(stage, key), shelf.work(stage, key)
    for replaced in work.parent.glob(f"{work.name}*/replaced*"):
        if replaced.parent.is_symlink():
            continue
        if not home.exists():
            with suppress(FileNotFoundError):  # another has just done the same
                replaced.rename(home)
        shelf.discard(replaced)


def _open_work(shelf: Shelf, work: Path) -> bool:
    """Readies the work folder; True when an interrupted build, or parts of this one, left something in it."""
    folder, scratch = work / "folder", work / "scratch"
    _begin_folders(shelf, work)
    for name in RESERVED:
        shelf.discard(folder / name)
    return any(folder.iterdir()) or any(scratch.iterdir())


def _begin_folders(shelf: Shelf, work: Path) -> None:
    """Sees to it that work has its two folders, and nothing in them that leads elsewhere."""
    folder, scratch = work / "folder", work / "scratch"
    for path, odd in odd_in(work).items():
        shelf.reporter.note(
            f"DAMAGED: {path.relative_to(work)} of the unfinished work is {odd}. The work begins anew."
        )
        shelf.discard(work)
        break
    if not folder.is_dir():
        # Publishing moved `folder` away, or it never was: what scratch says of it is void.
        shelf.discard(scratch)
    for each in (folder, scratch):
        if not each.is_dir():  # it is not there, or a file
            shelf.discard(each)
        each.mkdir(parents=True, exist_ok=True)


def _stands_in_the_way(error: Exception, work: Path, reporter: Reporter) -> bool:
    """Whether a build found a folder in the place of a file of the unfinished work, or a file in that of a
    folder; it is said."""
    if not isinstance(error, (IsADirectoryError, NotADirectoryError, FileExistsError)):
        return False
    paths = [
        Path(os.fsdecode(each)) for each in (error.filename2, error.filename) if isinstance(each, str | bytes)
    ]
    if within := [each.relative_to(work) for each in paths if each.is_relative_to(work)]:
        reporter.note(f"DAMAGED: {within[0]} of the unfinished work: {error.strerror}. The work begins anew.")
    return bool(within)


def _earlier(stage: str, work: Path, shelf: Shelf, in_hand: Callable[[], Collection[str]]) -> list[Earlier]:
    """What is there of a stage, finished or not, the newest artifact first; ``work`` is the one in hand."""
    named = sorted(shelf.all(stage), key=lambda artifact: artifact.manifest.created, reverse=True)
    # What is copied of a damaged array is compared clip by clip.
    finished = (artifact for each in named if (artifact := _if_readable(stage, each.key, shelf)))
    others = [place for place in shelf.unfinished() if place.parent.name == stage and place != work]
    held = in_hand() if others else ()
    others = [place for place in others if name_of(place) not in held]
    return [
        *(Earlier(artifact.path) for artifact in finished),
        *(
            Earlier(place / "folder", place / "scratch", shelf.seal_of(place))
            for place in others
            if not odd_in(place)
        ),
    ]


def _if_readable(stage: str, key: str, shelf: Shelf) -> Artifact | None:
    try:
        return shelf.get(stage, key, read_up_to=0)
    except InputError as error:
        shelf.reporter.note(f"Nothing is taken from it: {error}")
        return None


def _upstreams(look: Snapshot, unit: Unit) -> list[Artifact]:
    return [_upstream(look, source) for source in unit.inputs.values() if isinstance(source, Unit)]


def _upstream(look: Snapshot, unit: Unit) -> Artifact:
    artifact = look.artifact(unit)
    assert artifact is not None, "the caller has a key, so every upstream is made"
    return artifact


def _require(artifacts: Iterable[Artifact], unit: Unit, shelf: Shelf) -> None:
    """That what a unit is made of is there still.

    Raises:
        UpstreamError: some of it is not.
    """
    require_there(artifacts, shelf, f"{unit.slot} was being made of it", str(unit.command))


def _check_inputs(unit: Unit, look: Snapshot, hashes: HashMemory) -> None:
    changed: list[str] = []
    for source in unit.inputs.values():
        if isinstance(source, Files):
            before = look.listing(source)
            left = {
                name: str(path)
                for name, path in source.paths.items()
                if Path(path).is_file() or (source.members and Path(path).is_dir())
            }
            after = hashes.sha256(left.values(), members=source.members)
            changed += [
                name for name in source.paths if name not in left or after[left[name]] != before[name]
            ]
    _refuse_changed(unit, changed)


def _refuse_changed(unit: Unit, changed: Sequence[str]) -> None:
    if changed:
        first = first_of(sorted(changed), NAMED)
        raise IntegrityError(
            f"Input files changed while {unit.slot} was being made: {first}. Nothing was published.",
            next_step=f"Wait until nothing writes to them, then run: {unit.command}",
        )


def _source(look: Snapshot, source: Unit | Files) -> Source:
    if isinstance(source, Files):
        return Source(look.files_digest(source), files=len(source.paths))
    artifact = _upstream(look, source)
    return Source(artifact.digest, stage=source.stage, slot=source.slot, key=artifact.key)
