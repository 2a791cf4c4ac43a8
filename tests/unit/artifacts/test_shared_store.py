"""Several projects on one store, and builds that run while somebody collects garbage."""

import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from notes import Notes

from fsarctl.artifacts import Artifact, Build, Store, Unit
from fsarctl.artifacts.command import Command
from fsarctl.artifacts.process import Process
from fsarctl.artifacts.removal import remove
from fsarctl.artifacts.sharing.locks import hold
from fsarctl.artifacts.sharing.projects import Projects
from fsarctl.errors import InputError, LockError, UpstreamError
from fsarctl.progress import SILENT


def unit(slot: str, build: Callable[[Build], None] | None = None, seed: int = 0, **inputs: Unit) -> Unit:
    def fill(given: Build) -> None:
        (given.folder / "content").write_text(f"{slot} {seed}")

    stage = slot.split()[0]
    return Unit(stage, 1, slot, Command(stage), {"slot": slot, "seed": seed}, build or fill, inputs)


@pytest.fixture
def at(tmp_path: Path) -> Callable[[str], Store]:
    """The store that all share, as the project of some name sees it."""

    def store(name: str) -> Store:
        (tmp_path / name).mkdir(exist_ok=True)
        return Store(tmp_path / "shared", project=tmp_path / name)

    return store


def test_gc_in_one_project_leaves_what_another_uses(at: Callable[[str], Store], tmp_path: Path) -> None:
    theirs = at("theirs").realise(unit("train theirs"))
    both = at("ours").realise(unit("extract both"))
    at("theirs").realise(unit("extract both"))
    old = at("ours").realise(unit("train ours"))
    at("ours").realise(unit("train ours", seed=1))
    found = at("ours").sort_out([unit("train ours", seed=1)])
    assert [(each.path, each.why) for each in found.doomed] == [(old.path, "the settings have changed since")]
    assert {each.path for each in found.kept} == {theirs.path, both.path}
    assert all(f"the project {tmp_path / 'theirs'} (" in each.whom for each in found.kept)
    assert [each.path for each in at("ours").gc([unit("train ours", seed=1)])] == [old.path]
    assert theirs.path.is_dir()
    # What ours has given up is theirs alone now, and goes with their own gc.
    assert {each.path for each in at("theirs").gc([])} == {theirs.path, both.path}
    assert at("ours").find(unit("train ours", seed=1)) is not None


def test_what_another_project_only_found_is_its_too(at: Callable[[str], Store]) -> None:
    """By whatever settings: a status, a sweep, a run with --set."""
    made = at("ours").realise(unit("train a"))
    assert [state.name for state in at("theirs").plan([unit("train a")])] == ["done"]
    assert at("ours").gc([]) == []
    assert made.path.is_dir()


def test_another_project_s_unfinished_work_stays(at: Callable[[str], Store]) -> None:
    def interrupted(given: Build) -> None:
        (given.folder / "half").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        at("theirs").realise(unit("train theirs", interrupted))
    (kept,) = at("ours").sort_out([]).kept
    assert kept.what == "unfinished train"
    assert at("ours").gc([]) == []
    assert [each.what for each in at("theirs").gc([])] == ["unfinished train"]


def test_a_project_that_is_gone_keeps_its_claims_until_it_is_forgotten(
    at: Callable[[str], Store], tmp_path: Path
) -> None:
    theirs = at("theirs").realise(unit("train theirs"))
    (tmp_path / "theirs").rename(tmp_path / "elsewhere")
    (kept,) = at("ours").sort_out([]).kept
    assert "nothing is any more" in kept.whom
    assert at("ours").gc([]) == []
    with pytest.raises(InputError, match=r"no other project at .*nobody") as caught:
        at("ours").gc([], forget=tmp_path / "nobody")
    assert str(tmp_path / "theirs") in caught.value.next_step
    assert [each.path for each in at("ours").gc([], forget=tmp_path / "theirs", dry_run=True)] == [
        theirs.path
    ]
    assert at("ours").sort_out([]).kept == [kept]
    assert [each.path for each in at("ours").gc([], forget=tmp_path / "theirs")] == [theirs.path]


@pytest.mark.parametrize("moment", ["take_over", "claim"])
def test_two_may_forget_one_project_at_once(
    at: Callable[[str], Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    theirs, go_on, others = at("theirs").realise(unit("train theirs")), getattr(Projects, moment), ["ours"]

    def beside_another(*words: object) -> None:
        if others:
            at(others.pop()).gc([], forget=tmp_path / "theirs")
        go_on(*words)

    monkeypatch.setattr(Projects, moment, beside_another)
    at("ours").gc([], forget=tmp_path / "theirs")
    assert not others
    assert not theirs.path.exists()
    assert not (tmp_path / "cache" / "trash").exists()
    with pytest.raises(InputError, match="no other project"):
        at("ours").gc([], forget=tmp_path / "theirs")


def test_another_folder_at_the_same_path_is_another_project(
    at: Callable[[str], Store], tmp_path: Path
) -> None:
    """Two hosts, or two containers, may well have their projects at one path."""
    made = at("work").realise(unit("train a"))
    (tmp_path / "work").rename(tmp_path / "before")
    assert at("work").gc([]) == []
    assert made.path.is_dir()


def test_a_store_in_its_project_moves_with_it(tmp_path: Path) -> None:
    (tmp_path / "before").mkdir()
    Store(tmp_path / "before" / "cache", project=tmp_path / "before").realise(unit("train a"))
    (tmp_path / "before").rename(tmp_path / "after")
    store = Store(tmp_path / "after" / "cache", project=tmp_path / "after")
    assert [each.what for each in store.gc([])] == ["train train a"]


def test_what_no_known_project_uses_goes_unasked_only_from_a_store_of_one_s_own(
    at: Callable[[str], Store], tmp_path: Path
) -> None:
    """As an older version left it, which kept no account of who uses what."""
    for root, project in (("shared", "ours"), ("alone/cache", "alone")):
        (tmp_path / project).mkdir()
        Store(tmp_path / root, project=tmp_path / project).realise(unit("train a"))
        shutil.rmtree(tmp_path / root / "projects")
    (kept,) = at("ours").sort_out([]).kept
    assert "not known" in kept.whom
    assert at("ours").gc([]) == []
    assert len(at("ours").gc([], unclaimed=True)) == 1
    assert len(Store(tmp_path / "alone" / "cache", project=tmp_path / "alone").gc([])) == 1


def test_a_store_that_cannot_be_written_says_that_others_are_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store(tmp_path / "shared", project=tmp_path / "ours").realise(unit("train a"))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    notes = Notes()
    store = Store(tmp_path / "shared", project=tmp_path / "theirs", reporter=notes)
    assert store.find(unit("train a")) is not None
    assert notes.said == [
        f"Other projects cannot be told what this one uses: Read-only file system: {store._projects._home}."
    ]


def reading(read: Callable[[Build], None]) -> Unit:
    """A unit that calls ``read`` while it is built of the frames of another."""

    def build(given: Build) -> None:
        read(given)
        (given.folder / "weights").write_bytes((given.inputs["frames"] / "content").read_bytes())

    return unit("train a", build, frames=unit("extract a"))


def test_gc_leaves_what_a_running_build_reads(tmp_path: Path) -> None:
    notes = Notes()
    seen = []

    def collect(_: Build) -> None:
        store = Store(tmp_path / "cache", reporter=notes)
        seen.extend(store.sort_out([]).kept)
        assert store.gc([]) == []

    Store(tmp_path / "cache").realise_all([reading(collect)])
    assert [(each.what, each.whom) for each in seen if each.what == "extract extract a"] == [
        ("extract extract a", f"{Process.current()}, which makes train a")
    ]
    assert not list((tmp_path / "cache" / "leases").iterdir())
    assert len(Store(tmp_path / "cache").gc([])) == 2


def test_a_lease_taken_while_gc_makes_up_its_mind_is_heeded(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")
    artifact = store.realise(unit("extract a"))
    (doomed,) = store.sort_out([]).doomed
    with store._leases.hold() as lease:
        lease.take("train a", [artifact.path])
        assert not remove(doomed, store._shelf, store._leases, tmp_path)
    assert store.find(unit("extract a")) == artifact
    assert not list((tmp_path / "cache" / "removed").iterdir())


def test_what_removed_an_input_is_said(tmp_path: Path) -> None:
    """Nobody does so but by deleting leases, or on a machine whose heartbeats do not arrive."""

    def lose(_: Build) -> None:
        shutil.rmtree(tmp_path / "cache" / "leases")
        assert [each.what for each in Store(tmp_path / "cache").gc([])] == ["extract extract a"]

    with pytest.raises(UpstreamError) as caught:
        Store(tmp_path / "cache").realise_all([reading(lose)])
    assert caught.value.message.startswith("extract a vanished while train a was being made of it")
    assert f"`fsarctl cache gc` of the project {tmp_path} removed it" in caught.value.message
    assert str(Process.current()) in caught.value.message
    assert caught.value.next_step == "Make it again: fsarctl extract; then run: fsarctl train"
    # It is said no more once it is there again.
    assert len(Store(tmp_path / "cache").realise_all([reading(lambda _: None)])) == 2
    with pytest.raises(UpstreamError, match="no fsarctl removed it"):
        Store(tmp_path / "cache").realise_all(
            [reading(lambda given: shutil.rmtree(given.inputs["frames"]))], force=True
        )


def lease_of(folder: Path, process: Process, age_s: float = 0) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / "lease.json"
    path.write_text(
        json.dumps({"what": "train a", "makes": "train/k", "reads": ["extract/k"], **process.fields})
    )
    os.utime(path, (time.time() - age_s,) * 2)


def ended() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


HERE = Process.current()
ELSEWHERE = Process("node7", 4, "1", "another machine")


@pytest.mark.parametrize(
    ("process", "age_s", "is_void"),
    [
        (HERE, 1e6, False),  # its heart may stop, but it runs
        (Process(HERE.host, ended(), "", HERE.system), 0, True),
        (Process(HERE.host, HERE.number, "1", HERE.system), 0, True),  # another one, of the same number
        (ELSEWHERE, 300, False),
        (ELSEWHERE, 3600, True),
    ],
)
def test_the_leases_of_the_dead_are_void(
    tmp_path: Path, process: Process, age_s: float, is_void: bool
) -> None:
    notes = Notes()
    store = Store(tmp_path, reporter=notes)
    lease_of(tmp_path / "leases", process, age_s)
    who = f"{process}, which makes train a"
    assert store._leases.readers() == ({} if is_void else {"extract/k": who, "train/k": who})
    assert bool(notes.said) == is_void == (not list((tmp_path / "leases").iterdir()))


def test_a_lease_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsarctl.artifacts.sharing.leases.BEAT_S", 0.01)
    store = Store(tmp_path)
    with store._leases.hold() as lease:
        lease.take("train a", [tmp_path / "artifacts" / "extract" / "k"])
        (path,) = (tmp_path / "leases").glob("*.json")
        os.utime(path, (0, 0))
        until = time.monotonic() + 300
        while path.stat().st_mtime == 0 and time.monotonic() < until:
            time.sleep(0.01)
        assert path.stat().st_mtime > 0
        path.unlink()  # taken for dead by somebody, it comes back
        while not path.exists() and time.monotonic() < until:
            time.sleep(0.01)
        assert path.exists()


def test_a_lease_that_makes_no_sense_is_void(tmp_path: Path) -> None:
    notes = Notes()
    (tmp_path / "leases").mkdir()
    (tmp_path / "leases" / "x.json").write_text("{")
    assert Store(tmp_path, reporter=notes)._leases.readers() == {}
    assert "cannot be read" in notes.said[0]


def test_two_makers_whom_no_lock_keeps_apart_make_the_same_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a network file system whose locks hold on one machine alone."""
    monkeypatch.setattr("fsarctl.artifacts.cache_layout.Shelf.lock", lambda *_, **__: nullcontext())
    faster: list[Artifact] = []
    at_work: list[Path] = []

    def build(given: Build) -> None:
        (given.folder / "content").write_text("half")
        at_work.append(given.folder)
        if len(at_work) == 1:
            faster.append(Store(tmp_path / "cache").realise(unit("train a", build)))
        assert (given.folder / "content").read_text() == "half", "nobody else works here"
        (given.folder / "content").write_text("whole")

    outcome = Store(tmp_path / "cache").realise_all([unit("train a", build)])
    assert [each.artifact for each in outcome] == faster
    assert [each.faults for each in Store(tmp_path / "cache").verify()] == [()]
    assert not list((tmp_path / "cache" / "work").glob("*/*"))


def test_a_lock_where_the_file_system_has_none_ends_with_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = """
        import errno, fcntl, sys, time
        def refuse(*_): raise OSError(errno.ENOLCK, "No locks available")
        fcntl.flock = refuse
        from fsarctl.artifacts.sharing.locks import hold
        from fsarctl.progress import SILENT
        from pathlib import Path
        with hold(Path(sys.argv[1]), "making train a", SILENT):
            print("held", flush=True)
            time.sleep(60)
    """

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    path = tmp_path / "train.lock"
    words = [sys.executable, "-c", textwrap.dedent(held), str(path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(LockError) as caught, hold(path, "making train a", SILENT, patience_s=0):
            pass
        assert caught.value.message.startswith(f"Process {process.pid} on {HERE.host} (since ")
        assert "If that process is gone, its lock ends" in caught.value.next_step
        process.kill()
    with hold(path, "making train a", SILENT, patience_s=30):
        pass
