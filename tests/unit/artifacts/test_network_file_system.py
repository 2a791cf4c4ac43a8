"""A cache on a network file system: locks that do not hold, names that come late, machines that are gone."""

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import textwrap
from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from notes import Notes

from fsarctl.artifacts import Artifact, Build, Store, Unit, cache_layout
from fsarctl.artifacts.command import Command
from fsarctl.artifacts.manifest import ManifestError, read_manifest
from fsarctl.artifacts.process import Process
from fsarctl.artifacts.sharing import late_names
from fsarctl.artifacts.sharing.locks import hold
from fsarctl.errors import LockError
from fsarctl.progress import SILENT

HERE = Process.current()


def unit(build: Callable[[Build], None]) -> Unit:
    return Unit("train", 1, "train a", Command("train"), {}, build)


def whole(given: Build) -> None:
    (given.folder / "content").write_text("whole")


def never(_: Build) -> None:
    raise AssertionError("it is there already")


@pytest.fixture(autouse=True)
def network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(late_names, "is_of_one_machine", lambda _: False)
    monkeypatch.setattr(late_names, "POLL_S", 0.0)


@pytest.fixture
def no_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where locks hold on one machine alone."""
    monkeypatch.setattr("fsarctl.artifacts.cache_layout.Shelf.lock", lambda *_, **__: nullcontext())


@contextmanager
def on(host: str) -> Iterator[None]:
    """Whatever happens meanwhile happens on another machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fsarctl.artifacts.process._system", lambda: host)
        patch.setattr("platform.node", lambda: host)
        yield


@pytest.fixture
def unseen(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, int], list[str]]:
    """Makes a path unseen for so many looks, or until it is renamed to; what was looked at."""

    def hide(path: Path, looks: int) -> list[str]:
        looked: list[str] = []
        rename = os.rename

        def late(look):
            def look_late(name, *args, **kwargs):
                text = str(name).rstrip("/") if isinstance(name, (str, Path)) else ""
                if (text == str(path) or text.startswith(f"{path}/")) and len(looked) < looks:
                    looked.append(text)
                    raise FileNotFoundError(errno.ENOENT, "not seen yet", text)
                return look(name, *args, **kwargs)

            return look_late

        def telling_rename(old, new, *args, **kwargs):
            if str(new) == str(path):
                looked.extend([""] * looks)
            return rename(old, new, *args, **kwargs)

        monkeypatch.setattr(os, "stat", late(os.stat))
        monkeypatch.setattr(os, "lstat", late(os.lstat))
        monkeypatch.setattr(os, "rename", telling_rename)
        return looked

    return hide


def test_what_another_machine_has_just_done_is_waited_for(tmp_path: Path, unseen) -> None:
    """It said that it was done, and its rename is not seen yet."""
    with on("node7"):
        theirs = Store(tmp_path / "cache").realise(unit(whole))
    looked = unseen(theirs.path, 20)
    outcome = Store(tmp_path / "cache").realise_all([unit(never)])
    assert [each.artifact for each in outcome] == [theirs]
    assert len(looked) == 20


def test_who_never_saw_what_another_made_drops_its_own(tmp_path: Path, unseen, no_lock: None) -> None:
    with on("node7"):
        theirs = Store(tmp_path / "cache").realise(unit(whole))
    unseen(theirs.path, 10**6)
    made = Store(tmp_path / "cache").realise(unit(whole))
    assert made.manifest.provenance["created"] == theirs.manifest.provenance["created"]
    assert not list((tmp_path / "cache" / "work").glob("*/*"))
    assert [each.faults for each in Store(tmp_path / "cache").verify()] == [()]


@pytest.mark.parametrize("hides", [True, False])
def test_two_machines_never_work_in_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_lock: None, hides: bool
) -> None:
    """Though no lock keeps them apart, and neither sees what the other says that it does."""
    if hides:
        monkeypatch.setattr("fsarctl.artifacts.sharing.leases.Leases.works", lambda *_, **__: set())
    faster: list[Artifact] = []
    folders: list[Path] = []

    def build(given: Build) -> None:
        folders.append(given.folder)
        assert not (given.folder / "content").exists(), "nobody else works here"
        (given.folder / "content").write_text("half")
        if len(folders) == 1:
            with on("node7"):
                faster.append(Store(tmp_path / "cache").realise(unit(build)))
        (given.folder / "content").write_text("whole")

    made = Store(tmp_path / "cache").realise(unit(build))
    assert [made] == faster
    assert len({*folders}) == 2
    assert not list((tmp_path / "cache" / "work").glob("*/*"))


def test_unfinished_work_of_a_machine_that_is_gone_is_gone_on_with(tmp_path: Path) -> None:
    def killed(given: Build) -> None:
        whole(given)
        raise SystemExit

    def as_killed(*_: object) -> None:
        """Nothing is given back."""

    with on("node7"), pytest.MonkeyPatch.context() as patch:
        patch.setattr("fsarctl.artifacts.store.give_back", as_killed)
        with pytest.raises(SystemExit):
            Store(tmp_path / "cache").realise(unit(killed))
    (left,) = (tmp_path / "cache" / "work" / "train").iterdir()

    def goes_on(given: Build) -> None:
        assert (given.folder / "content").read_text() == "whole"

    # No lease of it is to be seen, which its youth explains: somebody may be at it.
    with pytest.raises(FileNotFoundError):
        Store(tmp_path / "cache").realise(unit(goes_on))
    shutil.rmtree(tmp_path / "cache" / "work" / "train" / left.name.partition(".")[0])
    os.utime(left, (0, 0))
    notes = Notes()
    Store(tmp_path / "cache", reporter=notes).realise(unit(goes_on))
    assert notes.said == ["Resuming train a, which was interrupted."]


def test_who_was_taken_for_dead_ends_when_it_wakes(tmp_path: Path, no_lock: None) -> None:
    other: list[Artifact] = []

    def sleeps(given: Build) -> None:
        os.utime(given.folder.parent, (0, 0))
        with on("node7"), pytest.MonkeyPatch.context() as patch:
            patch.setattr("fsarctl.artifacts.sharing.leases.Leases.works", lambda *_, **__: set())
            other.append(Store(tmp_path / "cache").realise(unit(whole)))
        whole(given)

    with pytest.raises(LockError, match="taken over by another process"):
        Store(tmp_path / "cache").realise(unit(sleeps))
    assert [Store(tmp_path / "cache").realise(unit(never))] == other


def test_a_rename_that_the_server_did_and_denies_counts(tmp_path: Path, monkeypatch) -> None:
    """Its answer was lost, and the client asked again."""
    rename = os.rename

    def twice(old, new, *args, **kwargs):
        rename(old, new, *args, **kwargs)
        if "/artifacts/" in str(new):
            rename(old, new)

    monkeypatch.setattr(os, "rename", twice)
    made = Store(tmp_path / "cache").realise(unit(whole))
    assert (made.path / "content").read_text() == "whole"


def test_what_only_looked_damaged_is_put_back(tmp_path: Path, monkeypatch) -> None:
    """Another machine has replaced it, and this one's handle is that of the old one."""
    made = Store(tmp_path / "cache").realise(unit(whole))
    looks: list[Path] = []

    def stale(folder: Path):
        looks.append(folder)
        if len(looks) <= 2:
            raise ManifestError("it has no manifest")
        return read_manifest(folder)

    monkeypatch.setattr(cache_layout, "read_manifest", stale)
    notes = Notes()
    assert Store(tmp_path / "cache", reporter=notes).find(unit(never)) == made
    assert not notes.said
    assert not list((tmp_path / "cache" / "quarantine").iterdir())
    # A handle of what is there no more is no refusal, either.
    del looks[:]

    def gone(folder: Path):
        looks.append(folder)
        if len(looks) == 1:
            raise OSError(errno.ESTALE, "Stale file handle")
        return read_manifest(folder)

    monkeypatch.setattr(cache_layout, "read_manifest", gone)
    assert Store(tmp_path / "cache").find(unit(never)) == made


def test_a_lock_that_a_server_keeps_for_a_machine_that_is_gone_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsarctl.artifacts.sharing.locks.SILENT_S", 0.0)
    monkeypatch.setattr("fsarctl.artifacts.sharing.locks.LOOK_S", 0.01)
    path = tmp_path / "train.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for mark, host, passed in [("1-2-other000", "node7", True), (HERE.mark, HERE.host, False)]:
            path.with_suffix(".owner").write_text(f"process 4 on {host} (since then)\n{mark}\n")
            for is_heard in (True, False):
                notes = Notes()
                with (
                    nullcontext() if passed and not is_heard else pytest.raises(LockError, match="Process 4"),
                    hold(path, "making a", notes, 0.1, is_heard=lambda heard=is_heard: heard),
                ):
                    assert notes.said[-1].startswith(f"Process 4 on {host} (since then) has not been heard")


def test_a_lease_of_another_host_s_dead_process_ends_where_there_is_no_lock_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = """
        import errno, fcntl, os, socket, sys, time
        from pathlib import Path
        socket.gethostname = lambda: "node7"
        def refuse(*_): raise OSError(errno.ENOSYS, "Function not implemented")
        fcntl.flock = refuse
        from fsarctl.artifacts import process
        from fsarctl.artifacts.sharing import locks
        from fsarctl.progress import SILENT
        process._system = lambda: "another machine"
        process.platform.node = lambda: "node7"
        locks.LAPSE_S, locks.BEAT_S = 0.5, 0.1
        with locks.hold(Path(sys.argv[1]), "making train a", SILENT):
            print("held", flush=True)
            time.sleep(60)
    """

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr("fsarctl.artifacts.sharing.locks.LAPSE_S", 0.5)
    monkeypatch.setattr("fsarctl.artifacts.sharing.locks.BEAT_S", 0.1)
    path = tmp_path / "train.lock"
    notes = Notes()
    words = [sys.executable, "-c", textwrap.dedent(held), str(path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(LockError, match=r"Process \d+ on node7 \(since ") as caught:
            hold(path, "making train a", SILENT, patience_s=0).__enter__()
        assert "its lock ends 0 s from now" in caught.value.next_step
        process.kill()
    with hold(path, "making train a", notes, patience_s=60):
        assert "on node7" in notes.said[0]


def test_what_is_not_there_is_not_waited_for_on_a_disk_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late_names, "is_of_one_machine", lambda _: True)
    monkeypatch.setattr(late_names.time, "sleep", lambda _: pytest.fail("it waits"))
    assert not late_names.come_to_sight(tmp_path / "missing")
    assert late_names.come_to_sight(tmp_path)


def test_which_file_systems_are_of_one_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    mount = namedtuple("mount", "mountpoint fstype")
    mounts = {"/": "ext4", "/data": "nfs4", "/data/fast": "xfs", "/lab": "fuse.sshfs", "/scratch": "lustre"}
    monkeypatch.setattr("psutil.disk_partitions", lambda all: [mount(*each) for each in mounts.items()])
    where = {"/database": True, "/data/x": False, "/data/fast/x": True, "/lab/x": False, "/scratch": False}
    assert {path: late_names.is_of_one_machine(Path(path)) for path in where} == where
