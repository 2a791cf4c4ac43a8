"""The artifact store: finds, explains and makes what units describe."""

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from fsarctl.artifacts.agenda import Agenda
from fsarctl.artifacts.atomic_write import following, is_abandoned, storage_errors, write_whole
from fsarctl.artifacts.build import clearing_the_way, divided, make, recover
from fsarctl.artifacts.cache_layout import Shelf, Verdict
from fsarctl.artifacts.command import joined
from fsarctl.artifacts.hashes import HashMemory
from fsarctl.artifacts.manifest import Artifact, read_sources
from fsarctl.artifacts.refusals import refuse_links
from fsarctl.artifacts.removal import (
    Removal,
    Sorted,
    Unfinished,
    clear_published,
    end_of,
    remove,
    sort_out,
    thin_out_shared,
    unfinished,
    upstream_of,
)
from fsarctl.artifacts.sharing.late_names import come_to_sight
from fsarctl.artifacts.sharing.leases import Lease, Leases, name_of
from fsarctl.artifacts.sharing.projects import Projects
from fsarctl.artifacts.sharing.work_places import give_back, new_place, places_of, take_over
from fsarctl.artifacts.snapshot import Snapshot
from fsarctl.artifacts.transfer.transfers import Transfers
from fsarctl.artifacts.unfinished.blocks import Blocks
from fsarctl.artifacts.unfinished.shared_parts import SHARED, SharedParts
from fsarctl.artifacts.unit import Build, Unit
from fsarctl.artifacts.unpublished import verify_records, verify_unfinished
from fsarctl.artifacts.why_stale import Change, changes
from fsarctl.config.paths import CACHE_TAG, located
from fsarctl.errors import FsarctlError, IntegrityError, LockError, UpstreamError
from fsarctl.progress import SILENT, Reporter, first_of

__all__ = ["Outcome", "State", "Store"]

CACHE_SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55"
"""By convention, what ``CACHE_TAG`` holds: backups pass such a folder over."""
NAMED = 3  # undone units named in an error

StateName = Literal["done", "stale", "missing", "waiting"]
T = TypeVar("T")


@dataclass(frozen=True)
class State:
    """Where one unit stands.

    done: its artifact is there. stale: its slot has another answer. missing: its slot has none.
    waiting: something upstream is not done, so its key is not known yet. ``artifact`` is the answer
    itself, or the newest other answer of the slot, and ``why`` tells how that differs.
    """

    unit: Unit
    name: StateName
    key: str | None
    artifact: Artifact | None
    why: tuple[Change, ...]


@dataclass(frozen=True)
class Outcome:
    """One unit of a run: its artifact, and whether it was made now or found."""

    unit: Unit
    artifact: Artifact
    made: bool


class Store:
    """Everything below one cache folder, as a project that uses it sees it.

    ``reporter`` hears of waiting, resuming and damage. ``rehash`` reads every input file again instead
    of trusting (path, size, mtime). ``project`` is the folder whose git commit manifests name, and that has
    a use for what is found and made here; the parent of ``root`` unless given. ``patience_s`` is how long to
    wait for another process that makes the same thing, negative for ever. ``remote`` is asked for what is to
    be made, before it is made.
    """

    def __init__(
        self,
        root: Path,
        *,
        reporter: Reporter = SILENT,
        rehash: bool = False,
        project: Path | None = None,
        patience_s: float = -1.0,
        remote: str = "",
    ) -> None:
        self.root = located(str(root), Path.cwd())
        refuse_links(self.root, deeper=("artifacts", "work", "projects", "records"))
        self._reporter = reporter
        self._project = project or self.root.parent
        self._patience_s = patience_s
        self._said: set[str] = set()
        self._swept = False
        self._shelf = Shelf(self.root, reporter)
        self._hashes = HashMemory(self.root / "hashes.sqlite", reporter, rehash=rehash)
        self._leases = Leases(self.root / "leases", reporter)
        self._projects = Projects(self.root / "projects", self._project, reporter)
        self.transfers = Transfers(self._shelf, self._projects, self._leases, remote)

    @property
    def records(self) -> Path:
        """The folder where stages keep paid answers, item by item; no gc touches it."""
        return self.root / "records"

    def sha256(
        self, paths: Iterable[str], members: Callable[[str], Sequence[str]] | None = None
    ) -> dict[str, str]:
        """The digest of the content of files outside the store, each read once and then remembered.

        ``members``: see ``Files``.

        Raises:
            InputError: a path is missing, unreadable or not a file.
            IntegrityError: a file changed while it was being read.
        """
        self._begin()
        return self._hashes.sha256(paths, members=members)

    def find(self, unit: Unit) -> Artifact | None:
        """The unit's artifact, whole as far as names and sizes tell; None if it is to be made.

        A damaged artifact is moved to quarantine with a note and counts as missing.

        Raises:
            InputError: an input file is missing or unreadable.
        """
        return self._look().artifact(unit)

    def state(self, unit: Unit) -> State:
        """Where one unit stands; see ``plan``."""
        return self._state(unit, self._look())

    def survey(self, goals: Sequence[Unit]) -> tuple[list[State], list[State]]:
        """Where each of the goals stands, one by one, and the ``plan`` that they need; in one look."""
        look = self._look()
        planned = [self._state(unit, look) for unit in look.order(goals)]
        by_identity = {look.identity(state.unit): state for state in planned}
        return [by_identity[look.identity(goal)] for goal in goals], planned

    def plan(self, units: Iterable[Unit]) -> list[State]:
        """Where the units and everything upstream of them stand, each once, upstream first.

        Raises:
            InputError: an input file is missing or unreadable.
        """
        look = self._look()
        return [self._state(unit, look) for unit in look.order(units)]

    def agenda(self, units: Sequence[Unit]) -> Agenda:
        """What of these units and all upstream of them is to be made, and in which order.

        Raises:
            InputError: an input file is missing or unreadable.
        """
        return Agenda(self._look(far=True), units)

    @contextmanager
    def parts(self, unit: Unit) -> Iterator[Build]:
        """What the parts of a unit whose upstream is done are given, while this lasts; ``gc`` leaves it.

        Raises:
            UpstreamError: something upstream is not done.
        """
        look = self._look(far=True)
        key = look.key(unit)
        if key is None:
            raise self._undone(unit, look)
        with (
            self._leases.hold() as lease,
            storage_errors(self.root),
            following(self.root),
            ExitStack() as others,
        ):
            rest = self._shelf.work(unit.stage, key)
            self._projects.claim(unit.stage, rest.name)
            # Where work rests, so that who puts the parts together takes them over.
            lease.take(unit.slot, [*(found.path for found in look.found()), rest])
            take_over(rest, rest, lambda: self._at_work(lease), self._leases.now())
            yield divided(
                unit,
                look,
                self._shelf,
                rest,
                self._hashes,
                lambda: self._leases.in_hand(but=lease),
                lambda other: self._shared(other, others),
            )

    def at_parts(self, build: Build, act: Callable[[], T]) -> T:
        """What ``act`` gives, which does something for the parts that ``build`` was given for.

        A folder in the place of a file of theirs, or a file in that of a folder, is removed with a note.

        Raises:
            InputError: the cache's disk is full or read-only.
        """
        with storage_errors(self.root):
            return clearing_the_way(build, act)

    def _shared(self, unit: Unit, lasting: ExitStack) -> SharedParts:
        """The parts of a unit that is never finished, which `gc` leaves as long as the stack lasts."""
        build = lasting.enter_context(self.parts(unit))
        for partial in build.scratch.glob(".*.partial"):
            if is_abandoned(partial):
                partial.unlink(missing_ok=True)
        (build.scratch / SHARED).touch()  # which also says when it was last used
        blocks = Blocks(sys.maxsize, 1, build.scratch, build.of, ".safetensors", "It is made again.")

        def thin_out(most: int) -> int:
            return thin_out_shared(self._shelf, unit.stage, most, self._leases, self._project)

        return SharedParts(blocks, self._reporter, thin_out)

    def realise(self, unit: Unit, *, force: bool = False) -> Artifact:
        """Finds or makes one unit, whose upstream must be done; ``force`` makes it again, from nothing.

        Raises:
            UpstreamError: something upstream is not done; the next step names the commands.
            IntegrityError: an input file changed during the build; nothing was published.
            InputError: an input file is unreadable, or the cache's disk is full or read-only.
            LockError: another process kept working on it for longer than ``patience_s``.
        """
        with self._leases.hold() as lease:
            self.clear(lease)
            return self._realise(unit, self._look(far=True), lease, force=force, reuse=not force).artifact

    def realise_all(
        self,
        units: Iterable[Unit],
        *,
        force: bool = False,
        again: Iterable[Unit] = (),
        upstream: bool = True,
    ) -> list[Outcome]:
        """Finds or makes the units and everything upstream, each once, upstream first.

        ``force`` makes the given units again, from nothing, and of their upstream only what is not done;
        those of ``again`` are made again from what their present artifacts have (see ``reuses``). With
        ``upstream`` False only the given units are made, and what they read must be done or among them.

        Raises:
            UpstreamError: with ``upstream`` False, something is not done; nothing was made then.
            FsarctlError: a build is foreseen to fail; nothing was made then.
            IntegrityError, InputError, LockError: see ``realise``; what was made before is kept.
        """
        wanted = list(units)
        look = self._look(far=True)
        given = {look.identity(unit) for unit in wanted}
        ordered = look.order(wanted)
        if not upstream:
            self._require_upstream(ordered, given, look)
            ordered = [unit for unit in ordered if look.identity(unit) in given]
        repeated = {look.identity(unit) for unit in again}
        anew = given if force else repeated
        self._foresee([u for u in ordered if look.identity(u) in anew or look.artifact(u) is None])
        with self._leases.hold() as lease:
            self.clear(lease)
            return [
                self._realise(
                    unit,
                    look,
                    lease,
                    force=(force and look.identity(unit) in given) or look.identity(unit) in repeated,
                    reuse=not force,
                )
                for unit in ordered
            ]

    def clear(self, mine: Lease | None = None) -> None:
        """Removes what removals and builds have left that were ended in their last moment."""
        self._shelf.empty_trash()
        clear_published(self._shelf, self._leases, mine)

    def require_upstream(self, units: Iterable[Unit]) -> None:
        """That all is done which units read that are not among them.

        Raises:
            UpstreamError: something is not.
        """
        wanted = list(units)
        look = self._look(far=True)
        self._require_upstream(look.order(wanted), {look.identity(unit) for unit in wanted}, look)

    def foresee(self, units: Iterable[Unit]) -> None:
        """Says what units that are not done, and what they read, foresee of their builds.

        Raises:
            FsarctlError: a build is foreseen to fail.
        """
        look = self._look()
        self._foresee([unit for unit in look.order(units) if look.artifact(unit) is None])

    def foresee_each(self, units: Iterable[Unit]) -> list[FsarctlError | None]:
        """Likewise of each alone, in one look: what it is refused with, or None."""
        look = self._look()
        refused: list[FsarctlError | None] = []
        for unit in units:
            try:
                self._foresee([each for each in look.order([unit]) if look.artifact(each) is None])
            except FsarctlError as error:
                refused.append(error)
            else:
                refused.append(None)
        return refused

    def artifacts(self) -> list[Artifact]:
        """Every artifact, by stage, slot and age."""
        return self._shelf.all()

    def unlisted(self, artifacts: Iterable[Artifact]) -> list[Path]:
        """What stands where an artifact would and is none of ``artifacts()``: `verify` says why."""
        return self._shelf.unlisted(artifacts)

    def unfinished(self) -> list[Unfinished]:
        """What lies beside the artifacts: shared parts, and what builds that are not through have made."""
        return unfinished(self._shelf)

    def named(self, beginning: str) -> list[Artifact]:
        """The artifacts whose key begins like this.

        Raises:
            IntegrityError: one of them has a damaged manifest, and is in quarantine now.
        """
        damaged = self._shelf.quarantine_unreadable(beginning)
        if damaged:
            raise IntegrityError(
                f"the artifact {damaged[0]} is damaged",
                next_step="`fsarctl run` or `fsarctl ablate` makes again what is missing.",
            )
        return [each for each in self._shelf.all() if each.key.startswith(beginning)]

    def checked(self, artifact: Artifact) -> Artifact:
        """An artifact that was listed, with its bytes verified as for a hit.

        Raises:
            IntegrityError: it is damaged, and in quarantine now.
        """
        whole = self._shelf.get(artifact.manifest.stage, artifact.key)
        if whole is None:
            raise IntegrityError(
                f"{artifact.manifest.slot} ({artifact.key[:12]}) is damaged",
                next_step=f"Make it again: {artifact.manifest.command}",
            )
        return whole

    def verify(self) -> Iterator[Verdict]:
        """Reads every byte of every artifact, of unfinished work and of records; what is damaged goes to
        quarantine with a note.

        Of what cannot be read the verdict says so; it stays where it is.

        Raises:
            InputError: the artifacts cannot be listed.
        """
        yield from self._shelf.verify()
        yield from verify_unfinished(self._shelf, self._leases.works())
        yield from verify_records(self._shelf)

    def sort_out(
        self,
        units: Iterable[Unit],
        *,
        keep: Sequence[str] = (),
        newest: Iterable[tuple[str, str]] = (),
        forget: Path | None = None,
        unclaimed: bool = False,
    ) -> Sorted:
        """What `gc` would remove, and what it would leave for others: projects, and builds that run.

        The units and their upstream stay, artifacts of the stages in ``keep`` with all that went into them,
        and the newest answer of each (stage, slot) in ``newest``; quarantine and records stay.
        While a unit's upstream is not done its key is unknown, and the newest answer of its slot stays:
        it may be the right one again. So does that of a unit that is not made yet and ``reuses`` parts.

        What the project that was at ``forget`` used counts as this one's. In a store outside this project,
        what no known project uses goes only if ``unclaimed``.

        Raises:
            InputError: no project at ``forget`` has used this store.
        """
        look = self._look()
        ordered = look.order(units)
        kept: set[Path] = set()
        for unit in ordered:
            key, made = look.key(unit), look.artifact(unit) is not None
            if key is not None:
                kept |= {self._shelf.home(unit.stage, key)}
                if not made:
                    kept |= set(places_of(self._shelf.work(unit.stage, key)))
            wanted = key is None or (unit.reuses and not made)
            if wanted and (last := look.newest(unit.stage, unit.slot)):
                kept |= {last.path}
        kept |= upstream_of(self._shelf.all(), keep)
        kept |= {last.path for stage, slot in newest if (last := look.newest(stage, slot))}
        return sort_out(
            self._shelf,
            kept,
            {unit.slot for unit in ordered},
            self._projects,
            self._leases.readers(),
            forget=forget,
            unclaimed=unclaimed or self._projects.is_around,
        )

    def gc(
        self,
        units: Iterable[Unit],
        *,
        keep: Sequence[str] = (),
        newest: Iterable[tuple[str, str]] = (),
        forget: Path | None = None,
        unclaimed: bool = False,
        dry_run: bool = False,
    ) -> list[Removal]:
        """Removes artifacts and unfinished work that nobody has a use for; see ``sort_out``.

        Raises:
            InputError: the cache cannot be written, or no project at ``forget`` has used it.
        """
        found = self.sort_out(units, keep=keep, newest=newest, forget=forget, unclaimed=unclaimed)
        if dry_run:
            return list(found.doomed)
        with storage_errors(self.root), following(self.root):
            if forget is not None:
                self._projects.take_over(forget, self._shelf.discard)
            removed = [
                each for each in found.doomed if remove(each, self._shelf, self._leases, self._project)
            ]
            self._projects.give_up([*found.given_up, *(name_of(each.path) for each in removed)])
            self._shelf.sweep()
            self._shelf.sweep_signs(self._leases.now)
        return removed

    def _require_upstream(self, ordered: Sequence[Unit], given: Collection[str], look: Snapshot) -> None:
        undone = [u for u in ordered if look.identity(u) not in given and look.artifact(u) is None]
        if undone:
            first = next(u for u in ordered if look.identity(u) in given and look.artifact(u) is None)
            raise self._upstream_error(first, undone, look)

    def _foresee(self, due: Sequence[Unit]) -> None:
        # What is wanted may be refused, where what it reads is only told: so it comes first.
        for unit in reversed(due):
            for remark in unit.foresee() if unit.foresee else ():
                if remark not in self._said:
                    self._said.add(remark)
                    self._reporter.note(f"warning: {remark}")

    def _look(self, *, far: bool = False) -> Snapshot:
        self._begin()
        return Snapshot(self._hashes, self._get_from_far if far else self._get, self._shelf.newest)

    def _get_from_far(self, stage: str, key: str) -> Artifact | None:
        """What is here, or else was finished elsewhere."""
        self.transfers.fetch(stage, key)
        return self._get(stage, key)

    def _begin(self) -> None:
        """Make the store's folder, which is marked as one of things that can be made again.

        Raises:
            InputError: it cannot be made.
        """
        tag = self.root / CACHE_TAG
        if tag.exists() and self.records.is_dir():
            return
        with storage_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            with following(self.root):
                self.records.mkdir(exist_ok=True)
                write_whole(tag, f"{CACHE_SIGNATURE}\n".encode())

    def _get(self, stage: str, key: str) -> Artifact | None:
        artifact = self._shelf.get(stage, key)
        if artifact is not None:
            self._projects.claim(stage, artifact.path.name)
        return artifact

    def _state(self, unit: Unit, look: Snapshot) -> State:
        key, artifact = look.key(unit), look.artifact(unit)
        if artifact is not None:
            return State(unit, "done", key, artifact, ())
        answer = look.newest(unit.stage, unit.slot)
        name: StateName = "waiting" if key is None else "stale" if answer else "missing"
        if answer is None:
            return State(unit, name, key, None, ())
        listings = look.listings(unit)
        why = changes(
            unit, look.digests(unit), listings, answer.manifest, read_sources(answer) if listings else {}
        )
        if key is not None and self._shelf.doubt(unit.stage, key).exists():
            why += (Change("inputs", "damaged when it was made", "whole"),)
        return State(unit, name, key, answer, why)

    def _realise(self, unit: Unit, look: Snapshot, lease: Lease, *, force: bool, reuse: bool) -> Outcome:
        key = look.key(unit)
        if key is None:
            raise self._undone(unit, look)
        if not force and (found := look.artifact(unit)):
            return Outcome(unit, found, made=False)
        if not self._swept:
            self._swept = True
            self._shelf.sweep()
        with storage_errors(self.root), following(self.root):
            self._projects.claim(unit.stage, self._shelf.home(unit.stage, key).name)
            lease.take(unit.slot, [found.path for found in look.found()])
        stage, rest = unit.stage, self._shelf.work(unit.stage, key)
        with (
            storage_errors(self.root),
            following(self.root),
            self._shelf.lock(
                stage,
                key,
                unit.slot,
                self._patience_s,
                is_heard=lambda: any(
                    name.startswith(name_of(rest)) for name in self._leases.works(but=lease)
                ),
            ) as is_done_elsewhere,
        ):
            recover(self._shelf, stage, key)
            before = self._shelf.get(stage, key)
            if before is None and is_done_elsewhere and come_to_sight(self._shelf.home(stage, key)):
                before = self._shelf.get(stage, key)
            if before is None or force:
                work = self._place_to_work(unit, rest, lease)
                try:
                    with ExitStack() as others:
                        artifact = make(
                            unit,
                            key,
                            look,
                            self._shelf,
                            work,
                            self._hashes,
                            self._project,
                            lambda other: self._shared(other, others),
                            force=force,
                            reuse=reuse,
                        )
                except FileNotFoundError as error:
                    if work.exists():
                        raise
                    raise LockError(
                        f"The unfinished work on {unit.slot} was taken over by another process, which took"
                        " this one for dead.",
                        next_step="Run again: it waits for the other, or goes on where that stopped.",
                    ) from error
                finally:
                    give_back(work, rest)
            else:
                artifact = before  # another process made it while this one waited
        if before is not None and artifact.digest != before.digest:
            self._note_difference(unit, before, artifact)
        look.learn(unit, artifact)
        return Outcome(unit, artifact, made=artifact is not before)

    def _place_to_work(self, unit: Unit, rest: Path, lease: Lease) -> Path:
        """Where the unit is made, by nobody else; with what a build has left that is gone."""
        work = new_place(rest)
        lease.take(unit.slot, [], work)
        take_over(rest, work, lambda: self._at_work(lease), self._leases.now())
        return work

    def _at_work(self, lease: Lease) -> set[str]:
        """The places of others who are known to live."""
        return {Path(name).name for name in self._leases.works(but=lease)}

    def _undone(self, unit: Unit, look: Snapshot) -> UpstreamError:
        undone = [each for each in look.order([unit])[:-1] if look.artifact(each) is None]
        return self._upstream_error(unit, undone, look)

    def _upstream_error(self, unit: Unit, undone: list[Unit], look: Snapshot) -> UpstreamError:
        states = [self._state(each, look) for each in undone]
        reasons = [
            f"{state.unit.slot} is out of date ({state.why[0]})"
            for state in states
            if state.name == "stale" and state.why
        ]
        reasons += [
            f"{state.unit.slot} was there: {end}"
            for state in states
            if state.key and (end := end_of(self._shelf, state.unit.stage, state.key))
        ]
        because = f": {'; '.join(reasons)}" if reasons else ""
        slots = [each.slot for each in undone]
        return UpstreamError(
            f"{unit.slot} needs {first_of(slots, NAMED)},"
            f" which {'is' if len(slots) == 1 else 'are'} not done{because}",
            next_step=f"Run: {' && '.join(map(str, joined(each.command for each in undone)))}",
        )

    def _note_difference(self, unit: Unit, before: Artifact, after: Artifact) -> None:
        old, new = before.manifest.files, after.manifest.files
        names = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
        self._reporter.note(
            f"{unit.slot} came out with other bytes than before in {len(names)} files ({names[0]}): "
            "what depends on it will be made again."
        )
