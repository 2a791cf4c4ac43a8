"""kill -9 anywhere: nothing half-made is ever seen, the rerun resumes, and its bytes are the same."""

import os
import signal
import subprocess
import sys
import textwrap
from itertools import count
from pathlib import Path

import pytest

from fsarctl.artifacts import Store, Unit
from fsarctl.artifacts.command import Command

# Reads "root<TAB>mode<TAB>moment" lines; each is done by a fork that kills itself at that moment.
CHILD = textwrap.dedent(
    """
    import os, signal, sys, traceback
    from pathlib import Path
    from fsarctl.artifacts import Files, Store, Unit
    from fsarctl.artifacts.command import Command
    from fsarctl.artifacts.provenance import provenance
    from filelock import FileLock, SoftFileLock  # a lock imports them, and each fork would again

    def scenario(root, mode, deadly):
        moments = 0

        def moment():
            nonlocal moments
            if moments == deadly:
                os.kill(os.getpid(), signal.SIGKILL)
            moments += 1

        def deadly_before(name):
            real = getattr(os, name)
            def call(*given, **options):
                moment()
                return real(*given, **options)
            setattr(os, name, call)

        for name in ("mkdir", "fsync", "rename", "chmod", "rmdir", "unlink"):
            deadly_before(name)

        def build(given):
            journal = given.scratch / "journal"
            done = journal.read_text().split() if journal.exists() else []
            for shard in map(str, range(4)):
                moment()
                if shard not in done:
                    (given.folder / shard).write_bytes(b"shard " + shard.encode())
                    moment()
                    with journal.open("a") as stream:
                        stream.write(shard + "\\n")
                    with (root / "log").open("a") as stream:
                        stream.write(shard)

        clip = {"videos": Files({"clip": root / "clip.mp4"})}
        unit = Unit("extract", 1, "extract k100", Command("extract"), {}, build, clip)
        if mode == "gc":
            Store(root / "cache").gc([])
        else:
            Store(root / "cache").realise(unit, force=mode == "force")
        (root / "moments").write_text(str(moments))

    provenance(Path("/"))  # what is the same for all is looked up once
    for line in sys.stdin:
        root, mode, deadly = line.rstrip("\\n").split("\\t")
        child = os.fork()
        if not child:
            try:
                scenario(Path(root), mode, int(deadly))
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    """
)


@pytest.fixture(scope="module")
def run():
    quick = {**os.environ, "PATH": ""}  # asking git takes longer than all the rest
    with subprocess.Popen(
        [sys.executable, "-c", CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env=quick,
    ) as process:

        def scenario(root: Path, mode: str = "-", deadly: int = -1) -> int:
            process.stdin.write(f"{root}\t{mode}\t{deadly}\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield scenario
        process.stdin.close()


def contents(root: Path) -> dict[str, bytes]:
    (artifact,) = Store(root / "cache").artifacts()
    return {
        path.name: path.read_bytes() for path in artifact.path.iterdir() if path.name != "manifest.json"
    } | {"digest": artifact.digest.encode(), "key": artifact.key.encode()}


def prepare(root: Path) -> Path:
    root.mkdir()
    (root / "clip.mp4").write_bytes(b"clip")
    return root


@pytest.fixture(scope="module")
def uninterrupted(run, tmp_path_factory):
    """The files of a run that nothing disturbed, and how many moments it has."""
    root = prepare(tmp_path_factory.mktemp("kill") / "whole")
    assert run(root) == 0
    return contents(root), int((root / "moments").read_text())


def seen(root: Path) -> None:
    """What any reader may see at any moment: whole artifacts or none."""
    assert all(not verdict.faults for verdict in Store(root / "cache").verify())


def left(root: Path) -> list[Path]:
    """What nobody has a use for."""
    cache = root / "cache"
    return [*cache.glob("trash"), *cache.glob("work/*/*"), *cache.rglob("*.partial")]


def test_a_kill_at_any_moment_of_a_first_build(run, uninterrupted, tmp_path):
    expected, _ = uninterrupted
    for deadly in count():
        root = prepare(tmp_path / str(deadly))
        outcome = run(root, deadly=deadly)
        if outcome == 0:  # a lease that was renewed meanwhile has moments of its own
            break
        assert outcome == -signal.SIGKILL
        seen(root)
        assert run(root) == 0
        seen(root)
        assert contents(root) == expected, deadly
        assert left(root) == []
        log = (root / "log").read_text()
        assert len(log) == len(set(log)), "no shard that the journal had was made again"
    assert deadly > 20


def test_a_kill_at_any_moment_of_a_replacement(run, uninterrupted, tmp_path):
    """`force` over a finished artifact: afterwards the old or the new one is found, never neither."""
    expected, moments = uninterrupted
    for deadly in range(moments // 2, moments + 20):
        root = prepare(tmp_path / str(deadly))
        assert run(root) == 0
        outcome = run(root, "force", deadly)
        assert outcome in (0, -signal.SIGKILL)
        seen(root)
        (root / "log").write_text("")
        assert run(root) == 0
        assert contents(root) == expected, deadly
        assert (root / "log").read_text() == "", "the answer that was there needed no making"
        # What was being made anew is gone on with, or gc's.
        assert [work for work in left(root) if not (work / "folder").exists()] == []
        if outcome == 0:
            break
    assert outcome == 0, "every moment was tried"


def test_a_kill_at_any_moment_of_a_gc(run, uninterrupted, tmp_path):
    """The artifact is there or gone, never half of it; the next gc removes the rest."""
    expected, moments = uninterrupted
    for deadly in range(moments):
        root = prepare(tmp_path / str(deadly))
        assert run(root) == 0
        outcome = run(root, "gc", deadly)
        seen(root)
        if Store(root / "cache").artifacts():
            assert contents(root) == expected
        assert run(root, "gc") == 0
        assert Store(root / "cache").artifacts() == []
        assert not (root / "cache" / "trash").exists()
        assert list((root / "cache").rglob("*.partial")) == []
        if outcome == 0:
            break
    assert outcome == 0, "every moment was tried"


def test_killed_again_and_again_it_still_gets_there(run, uninterrupted, tmp_path):
    expected, _ = uninterrupted
    root = prepare(tmp_path / "again")
    for deadly in (9, 12, 14, 16, 19, 25, 30):
        run(root, deadly=deadly)
        seen(root)
    assert run(root) == 0
    assert contents(root) == expected


def fill(given):
    (given.folder / "shard").write_text("frames")


def test_scratch_of_a_published_artifact_does_not_mislead_the_next_build(tmp_path):
    """The journal outlives a kill between the rename and the removal of the work folder."""

    def build(given):
        journal = given.scratch / "journal"
        if not journal.exists():
            (given.folder / "shard").write_text("frames")
            journal.write_text("done")

    unit = Unit("extract", 1, "slot", Command("extract"), {}, build)
    store = Store(tmp_path)
    artifact = store.realise(unit)
    scratch = tmp_path / "work" / "extract" / artifact.key[:20] / "scratch"
    scratch.mkdir(parents=True)
    (scratch / "journal").write_text("done")
    assert sorted(store.realise(unit, force=True).manifest.files) == ["shard"]


def test_an_artifact_caught_between_two_renames_is_put_back(tmp_path):
    """`force` was killed after the old artifact had moved aside and before the new one stood in its place."""

    def fail(_):
        raise RuntimeError("the old answer was lost")

    artifact = Store(tmp_path).realise(Unit("extract", 1, "slot", Command("extract"), {}, fill))
    work = tmp_path / "work" / "extract" / artifact.key[:20]
    (work / "folder").mkdir(parents=True)
    artifact.path.rename(work / "replaced")
    assert Store(tmp_path).realise(Unit("extract", 1, "slot", Command("extract"), {}, fail)) == artifact


def test_what_somebody_is_at_is_not_taken_for_what_a_kill_has_left(tmp_path):
    unit = Unit("extract", 1, "slot", Command("extract"), {}, fill)
    Store(tmp_path).realise(unit)
    with Store(tmp_path).parts(unit) as build:
        build.folder.rmdir()  # as it is once what is in it stands in its place
        build.scratch.mkdir(exist_ok=True)
        (build.scratch / "part").write_text("of it")
        Store(tmp_path).realise(unit)
        assert (build.scratch / "part").exists()
    Store(tmp_path).realise(unit)
    assert not (build.scratch / "part").exists()
