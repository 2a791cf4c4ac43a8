"""Where a cache stands: disks that are full or not to be written, other users, clocks that are wrong."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import Bench, Row, started
from typed import type_in

__all__ = ["changed_clock", "full_disk", "full_stdout", "no_inodes", "other_user", "read_only"]


@contextmanager
def small_disk(limits: str) -> Iterator[Path]:
    """A file system of its own.

    Raises:
        OSError: it may not be mounted here.
    """
    place = Path(tempfile.mkdtemp())
    words = ["mount", "-t", "tmpfs", "-o", limits, "tmpfs", str(place)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        place.rmdir()
        raise OSError(done.stderr.strip() or "mount failed")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)
        place.rmdir()


def remount(disk: Path, limits: str) -> None:
    """Another size, or another right to write."""
    subprocess.run(["mount", "-o", f"remount,{limits}", str(disk)], check=True)


def full_disk(bench: Bench, row: Row, tries: int) -> None:
    """The disk is full somewhere on the way; with room again, the same command goes on."""
    need = sum(p.stat().st_size for p in (bench.finished / "cache").rglob("*") if p.is_file()) >> 20
    for _ in bench.numbers(tries):
        size = max(1, int(need * bench.dice.uniform(0.05, 0.9)))
        _too_little(bench, row, f"size={size}m", f"size={3 * need + 9}m", "disk is full")


def no_inodes(bench: Bench, row: Row, tries: int) -> None:
    """The disk has room, but for no other file; where it takes more, the same command goes on."""
    need = sum(1 for _ in (bench.finished / "cache").rglob("*"))
    for _ in bench.numbers(tries):
        number = max(9, int(need * bench.dice.uniform(0.05, 0.9)))
        _too_little(bench, row, f"nr_inodes={number}", f"nr_inodes={3 * need + 99}", "for no more files")


def _too_little(bench: Bench, row: Row, little: str, enough: str, words: str) -> None:
    if row.skipped:
        return
    project = bench.copy()
    shutil.rmtree(project / "cache")
    try:
        with small_disk(little) as disk:
            line = f"run --cache {disk}"
            process = started(project, line)
            said = process.communicate()[1]
            row.expect(f"{line}, {little}", process.returncode, said, 3, words)
            remount(disk, enough)
            done = type_in(project, f"fsarctl {line}", expect=None)
            row.expect(line, done.returncode, done.stderr, 0)
            shutil.copytree(disk, project / "cache")
    except OSError as error:
        row.skipped = f"no file system can be mounted here: {error}"
        return
    row.tries += 1
    bench.compare(project, row)


def full_stdout(bench: Bench, row: Row, tries: int) -> None:
    """Stdout leads where there is no room: it is said, and what is made is kept."""
    lines = {"eval": ("evaluate",), "run": (), "report": (), "status": (), "cache ls --json": ()}
    lines |= {"cache verify --json": (), "data check": (), "methods": (), "describe --show circle": ()}
    if not os.path.exists("/dev/full"):  # noqa: PTH110
        row.skipped = "there is no /dev/full here"
        return
    for number in bench.numbers(tries):
        line = list(lines)[number % len(lines)]
        project = bench.copy(lines[line])
        with open("/dev/full", "wb") as full:  # noqa: PTH123
            process = started(project, line, stdout=full)
            said = process.communicate()[1]
        row.expect(f"{line} > /dev/full", process.returncode, said, 3, "stdout cannot be written")
        row.tries += 1
        bench.compare(project, row)


READ_ONLY = (
    ("run", 0, "nothing to do"),
    ("train --force", 3, "cannot be written"),
    ("predict --support support --workers 1 clips", 0, ""),
    ("status", 0, ""),
    ("cache ls", 0, ""),
    ("cache verify", 0, "are whole"),
    ("cache gc --yes", 0, ""),
    ("eval --set eval.episodes=130", 3, "cannot be written"),
)
"""Command, its exit code where the cache can only be read, and words that it says."""


def read_only(bench: Bench, row: Row, tries: int) -> None:
    """The cache's disk can only be read: what is there is used, and what has to be written is refused."""
    for number in bench.numbers(tries):
        line, code, words = READ_ONLY[number % len(READ_ONLY)]
        project = bench.copy()
        try:
            with small_disk("size=200m") as disk:
                shutil.copytree(project / "cache", disk, dirs_exist_ok=True)
                remount(disk, "ro")
                done = type_in(project, f"fsarctl {line} --cache {disk}", expect=None)
                row.expect(line, done.returncode, done.stderr, code, words)
                shutil.rmtree(project / "cache")
                shutil.copytree(disk, project / "cache")
        except OSError as error:
            row.skipped = f"no file system can be mounted here: {error}"
            return
        row.tries += 1
        bench.compare(project, row)


ANNA, BEN, GROUP = 54322, 54323, 54321


def other_user(bench: Bench, row: Row, tries: int) -> None:
    """A cache of somebody else: what cannot be read is not damaged, what may not be written is refused."""
    if not hasattr(os, "getuid") or os.getuid() != 0:
        row.skipped = "only root can act as two other users"
        return
    kinds = [_of_one_group, _readable, _partly_hidden]
    spare = bench.copy(("evaluate",))  # to import what the others may not be able to read
    for line in ("run", "cache verify"):
        type_in(spare, f"fsarctl {line}")
    shutil.rmtree(spare)
    for number in bench.numbers(tries):
        project = bench.copy()
        for path in (project, *project.rglob("*")):
            os.chown(path, ANNA, GROUP)
        (project / "ben").mkdir(mode=0o777)
        (project / "ben").chmod(0o777)
        shutil.copy(project / "fsarctl.toml", project / "ben" / "fsarctl.toml")
        kinds[number % len(kinds)](project, row)
        shutil.rmtree(project / "ben")
        row.tries += 1
        bench.compare(project, row)


def _readable(project: Path, row: Row) -> None:
    _expect_as(BEN, row, project / "ben", "run", 0, "nothing to do")
    _expect_as(BEN, row, project / "ben", "cache verify", 0, "are whole")
    _expect_as(BEN, row, project / "ben", "eval --set eval.episodes=130", 3, "cannot be written")


def _partly_hidden(project: Path, row: Row) -> None:
    _for_the_group(project / "cache")
    hidden = next((project / "cache" / "artifacts" / "train").iterdir())
    hidden.chmod(0o700)
    _expect_as(BEN, row, project / "ben", "cache verify", 3, "cannot be read")
    _expect_as(BEN, row, project / "ben", "run", 3, "cannot be read")
    hidden.chmod(0o755)
    row.lost += (project / "cache" / "quarantine").exists()


def _of_one_group(project: Path, row: Row) -> None:
    _for_the_group(project / "cache")
    shutil.rmtree(project / "cache" / "artifacts" / "evaluate")
    _expect_as(ANNA, row, project, "eval", 0, "")
    for line, words in (("run", "nothing to do"), ("cache verify", "are whole"), ("eval --force", "")):
        _expect_as(BEN, row, project / "ben", line, 0, words)
    _expect_as(ANNA, row, project, "run", 0, "nothing to do")


def _for_the_group(cache: Path) -> None:
    """As it is where the folder was g+rws from the beginning."""
    for path in (cache, *cache.rglob("*")):
        if path.is_dir() or "artifacts" not in path.relative_to(cache).parts:
            path.chmod(0o2775 if path.is_dir() else 0o664)


def _expect_as(user: int, row: Row, project: Path, line: str, code: int, words: str) -> None:
    """A command as another user, in a process that has imported everything already."""

    def act() -> list[object]:
        done = type_in(project, f"fsarctl {line}", expect=None, FSARCTL_CACHE=str(_cache_of(project)))
        return [done.returncode, done.stderr]

    got, said = _as_user(user, act)
    row.expect(f"{line} as {'Anna' if user == ANNA else 'Ben'}", got, said, code, words)


def _cache_of(project: Path) -> Path:
    return (project.parent if project.name == "ben" else project) / "cache"


def _as_user(user: int, act: Callable[[], list[object]]) -> tuple[int, str]:
    read_end, write_end = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            os.setgroups([GROUP])
            os.setgid(user)
            os.setuid(user)
            os.umask(0o077)
            answer = act()
        except BaseException:
            answer = [1, traceback.format_exc()]
        with os.fdopen(write_end, "w") as pipe:
            json.dump(answer, pipe)
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        code, said = json.load(pipe)
    os.waitpid(child, 0)
    return code, said


ELSEWHERE = """
import datetime, os, sys, time
shift, real, now, ticks = float(os.environ["CLOCK_SHIFT_S"]), datetime.datetime, time.time, time.time_ns

class Shifted(real):
    @classmethod
    def now(cls, tz=None):
        return real.now(tz) + datetime.timedelta(seconds=shift)

datetime.datetime = Shifted
time.time, time.time_ns = (lambda: now() + shift), (lambda: ticks() + int(shift * 1e9))
from fsarctl.artifacts import process
if os.environ["MACHINE"]:
    process._system = lambda: os.environ["MACHINE"]
    process.platform.node = lambda: os.environ["MACHINE"]
from fsarctl.cli import entry
sys.argv[0] = "fsarctl"
entry()
"""
"""A command on another machine, or on this one with another time of day than files have."""


def by_clock(project: Path, line: str, shift_s: float, machine: str = "") -> subprocess.Popen[str]:
    """A command whose clock goes so many seconds ahead of the disk's."""
    environment = {"CLOCK_SHIFT_S": str(shift_s), "MACHINE": machine}
    return started(project, line, program=("-c", ELSEWHERE), environment=environment)


def changed_clock(bench: Bench, row: Row, tries: int) -> None:
    """The time of day jumps by up to ten years between commands and machines."""
    for number in bench.numbers(tries):
        jump = [bench.dice.choice([-1, 1]) * 10 ** bench.dice.uniform(3, 8.5) for _ in range(3)]
        (_killed_between if number % 2 else _collected_beside)(bench, row, jump)
        row.tries += 1


def _killed_between(bench: Bench, row: Row, jump: list[float]) -> None:
    project = bench.copy(("train", "evaluate"))
    with by_clock(project, "train", jump[0]) as process:
        time.sleep(bench.dice.uniform(3, 9))
        process.kill()
        row.heard(process.communicate()[1])
    for line, shift_s, words in (("run", jump[1], ""), ("cache verify", jump[2], "are whole")):
        process = by_clock(project, line, shift_s)
        row.expect(
            f"{line} at {shift_s:+.0f} s",
            said=process.communicate()[1],
            code=process.wait(),
            wanted=0,
            words=words,
        )
    for line, words in (("cache gc --yes", "0 folders"), ("run", "nothing to do")):
        done = type_in(project, f"fsarctl {line}", expect=None)
        row.expect(line, done.returncode, done.stderr, 0, words)
    bench.compare(project, row)


def _collected_beside(bench: Bench, row: Row, jump: list[float]) -> None:
    """A machine trains while another, by its own clock, collects what its project uses no more."""
    project = bench.copy(("train", "evaluate"))
    settings = (project / "fsarctl.toml").read_text()
    jump[1] = abs(jump[1])  # by a clock that is ahead, others seem to be silent
    with by_clock(project, "train", jump[0], "another") as process:
        while not [*project.glob("cache/leases/[0-9a-f]*.json")] and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGSTOP)
        forms = settings.replace("datasets.shapes", "datasets.forms").replace("class = 6", "class = 7")
        (project / "fsarctl.toml").write_text(forms)
        other = by_clock(project, "cache gc --yes", jump[1])
        said = other.communicate()[1]
        row.expect(f"gc at {jump[1]:+.0f} s", other.returncode, said, 0)
        process.send_signal(signal.SIGCONT)
        said = process.communicate()[1]
    row.expect("train beside gc", process.returncode, said, 0)
    (project / "fsarctl.toml").write_text(settings)
    type_in(project, "fsarctl run")
    bench.compare(project, row)
