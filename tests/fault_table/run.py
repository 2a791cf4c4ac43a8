"""``make test-faults``: what kills, signals, damage and full disks come to, as a table.

    python tests/fault_table/run.py [--short] [--seed N]

``--short`` takes about two minutes on two idle cores; in full it takes hours. A try is *lost* when something
that was finished is gone, or can be had no more, or rubbish stays; *different* when what is there in the end
has other bytes than without the fault, or a command ends otherwise than it should; *undetected* when ``cache
verify`` overlooks damage. Tracebacks are counted, and what is called a bug. It ends with 1 where one of these
is not 0.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "faults")]

from conftest import SHAPES  # noqa: E402
from test_damaged_work import (  # noqa: E402
    SETTINGS,
    STAGES,
    StopAt,
    artifact_of,
    contents,
    cut,
    files_in,
    flip,
    zero,
)
from typed import plain_environment, type_in  # noqa: E402

from fsarctl.artifacts import Store  # noqa: E402
from fsarctl.cli.command import session  # noqa: E402

REMADE = {
    "extract": ("render", "extract", "train", "evaluate"),
    "train": ("train", "evaluate"),
    "eval": ("evaluate",),
    "run --jobs 2": ("train", "evaluate"),
    "report": ("report",),
    "cache verify": (),
    "cache gc --yes": (),
}
"""Command -> the stages whose artifacts are removed first, so that it has them to make again."""

ALL_GONE_S = 2.0


@dataclass
class Row:
    """One line of the table."""

    what: str
    tries: int = 0
    lost: int = 0
    different: int = 0
    undetected: int = 0
    tracebacks: int = 0
    seconds: float = 0.0
    skipped: str = ""
    remarks: list[str] = field(default_factory=list)

    def heard(self, said: str) -> None:
        """Count what no user may see."""
        if "Traceback" in said or "this is a bug in fsarctl" in said:
            self.tracebacks += 1
            self.remarks.append(said[-400:])

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.different or self.undetected or self.tracebacks)


@dataclass
class Bench:
    """A finished project, and copies of it to spoil."""

    finished: Path
    work: Path
    dice: random.Random

    def copy(self, without: tuple[str, ...] = ()) -> Path:
        """A project like the finished one, without the artifacts of some stages."""
        folder = self.work / f"{self.dice.getrandbits(64):016x}"
        shutil.copytree(self.finished, folder, symlinks=True)
        for stage in without:
            shutil.rmtree(folder / "cache" / "artifacts" / stage, ignore_errors=True)
        return folder

    def compare(self, project: Path, row: Row) -> None:
        """Count what of the finished project is not in the copy, or is another; remove the copy."""
        expected, found = digests(self.finished), digests(project)
        row.lost += len(expected.keys() - found.keys())
        row.different += sum(found[slot] != digest for slot, digest in expected.items() if slot in found)
        if left := [*project.glob("cache/trash"), *project.glob("cache/**/*.partial")]:
            row.lost += 1
            row.remarks.append(f"left behind: {left[0].relative_to(project)}")
        shutil.rmtree(project)


def digests(project: Path) -> dict[str, str]:
    """Slot -> digest of every artifact that the report is made of."""
    store = Store(project / "cache")
    return {e.manifest.slot: e.digest for e in store.artifacts() if e.manifest.stage != "report"}


def started(project: Path, line: str) -> subprocess.Popen[str]:
    """A command as a process, of a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "fsarctl", *line.split()],
        cwd=project,
        env=plain_environment(PYTHONPATH=str(TESTS.parent)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def kill(bench: Bench, row: Row, tries: int) -> None:
    """kill -9 at a moment drawn by chance; then the same command again."""
    lasts: dict[str, float] = {}
    for number in range(tries):
        line = list(REMADE)[number % len(REMADE)]
        if line not in lasts:
            project, begun = bench.copy(REMADE[line]), time.monotonic()
            row.heard(started(project, line).communicate()[1])
            lasts[line] = time.monotonic() - begun
            shutil.rmtree(project)
        project = bench.copy(REMADE[line])
        with started(project, line) as process:
            time.sleep(bench.dice.uniform(0, lasts[line]))
            os.kill(process.pid, signal.SIGKILL)
            row.heard(process.communicate()[1])
        for again in (line, "run"):
            row.heard(started(project, again).communicate()[1])
        row.tries += 1
        bench.compare(project, row)


def signals(bench: Bench, row: Row, tries: int) -> None:
    """A signal to the command alone, or to its group: exit code, and how soon everything is gone."""
    kinds = [
        (blow, group) for group in (False, True) for blow in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    ]
    for number in range(tries):
        blow, group = kinds[number % len(kinds)]
        project = bench.copy(REMADE["run --jobs 2"])
        with started(project, "run --jobs 2") as process:
            time.sleep(bench.dice.uniform(1.0, 6.0))
            (os.killpg if group else os.kill)(process.pid, blow)
            end = time.monotonic() + ALL_GONE_S
            while (left := in_session(process.pid)) and time.monotonic() < end:
                time.sleep(0.02)
            for each in left:
                os.kill(each, signal.SIGKILL)
            said = process.communicate()[1]
        row.heard(said)
        if left or process.returncode not in (128 + blow, 0) or "leaked" in said:
            row.different += 1
            row.remarks.append(f"{blow.name}: exit code {process.returncode}, {len(left)} processes left")
        row.heard(started(project, "run").communicate()[1])
        row.tries += 1
        bench.compare(project, row)


def in_session(number: int) -> list[int]:
    """The processes of a session that have not ended."""
    table = subprocess.run(["ps", "-eo", "pid=,sess=,stat="], capture_output=True, text=True, check=True)
    rows = [line.split() for line in table.stdout.splitlines()]
    return [int(pid) for pid, of, state in rows if int(of) == number and not state.startswith("Z")]


def damage_unfinished(bench: Bench, row: Row, tries: int) -> None:
    """One file of interrupted work is flipped, cut or zeroed; the artifact has to come out the same."""
    halves: dict[str, tuple[Path, dict[str, bytes]]] = {}
    for number in range(tries):
        stage = list(STAGES)[number % len(STAGES)]
        line, slot, title, step = STAGES[stage]
        if stage not in halves:
            half = bench.copy()
            expected = contents(artifact_of(half, slot))
            shutil.rmtree(artifact_of(half, slot))
            make_reporter = session.make_reporter
            session.make_reporter = lambda title=title, step=step: StopAt(title, step)  # type: ignore[assignment]
            type_in(half, line, expect=130)
            session.make_reporter = make_reporter
            halves[stage] = half, expected
        half, expected = halves[stage]
        project = bench.work / "damaged"
        shutil.copytree(half, project)
        path = bench.dice.choice(files_in(next((project / "cache" / "work" / stage).iterdir())))
        bench.dice.choice([flip, cut, zero])(path, bench.dice)
        done = type_in(project, line, expect=None)
        row.heard(done.stderr)
        row.tries += 1
        if done.returncode or contents(artifact_of(project, slot)) != expected:
            row.different += 1
            row.remarks.append(f"{path.name} of {stage}: {done.stderr[-200:]}")
        shutil.rmtree(project)


def damage_finished(bench: Bench, row: Row, tries: int) -> None:
    """One file of an artifact is flipped, cut or zeroed; verify has to find it."""
    project = bench.copy()
    paths = [
        p for p in sorted((project / "cache" / "artifacts").rglob("*")) if p.is_file() and p.stat().st_size
    ]
    for _ in range(tries):
        path = bench.dice.choice(paths)
        whole = path.read_bytes()
        path.chmod(0o644)
        while path.read_bytes() == whole:
            bench.dice.choice([flip, cut, zero])(path, bench.dice)
        home = Path(*path.parts[: len(project.parts) + 4])
        faulty = [each for each in Store(project / "cache").verify() if each.faults]
        row.tries += 1
        row.undetected += [each.path for each in faulty] != [home]
        for each in faulty:
            if each.quarantined:
                each.quarantined.rename(each.path)
        path.write_bytes(whole)
        shutil.rmtree(project / "cache" / "doubted", ignore_errors=True)


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """A file system of its own.

    Raises:
        OSError: it may not be mounted here.
    """
    place = Path(tempfile.mkdtemp())
    words = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        place.rmdir()
        raise OSError(done.stderr.strip() or "mount failed")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)
        place.rmdir()


def full_disk(bench: Bench, row: Row, tries: int) -> None:
    """The disk is full somewhere on the way; with room again, the same command goes on."""
    need = sum(p.stat().st_size for p in (bench.finished / "cache").rglob("*") if p.is_file()) / 2**20
    for _ in range(tries):
        project = bench.copy()
        shutil.rmtree(project / "cache")
        try:
            with small_disk(max(1, int(need * bench.dice.uniform(0.05, 0.9)))) as disk:
                line = f"run --cache {disk}"
                process = started(project, line)
                said = process.communicate()[1]
                row.heard(said)
                if process.returncode != 3 or "full" not in said:
                    row.different += 1
                    row.remarks.append(f"exit code {process.returncode}: {said[-200:]}")
                subprocess.run(["mount", "-o", f"remount,size={int(3 * need) + 9}m", str(disk)], check=True)
                row.heard(started(project, line).communicate()[1])
                shutil.copytree(disk, project / "cache")
        except (OSError, FileNotFoundError) as error:
            row.skipped = f"no file system can be mounted here: {error}"
            return
        row.tries += 1
        bench.compare(project, row)


def many(bench: Bench, row: Row, tries: int) -> None:
    """So many processes ask for the same result: one of them makes it."""
    project = bench.copy(REMADE["eval"])
    processes = [started(project, "eval --shots 1") for _ in range(tries)]
    said = [process.communicate()[1] for process in processes]
    for each in said:
        row.heard(each)
    row.tries = tries
    row.different += sum(process.returncode != 0 for process in processes)
    row.different += sum("1 artifact made" in each for each in said) != 1
    bench.compare(project, row)


ROWS: dict[str, tuple[Callable[[Bench, Row, int], None], int, int]] = {
    "kill -9 at any moment": (kill, 200, 2),
    "SIGINT, SIGTERM, SIGHUP": (signals, 60, 2),
    "damage in unfinished work": (damage_unfinished, 500, 8),
    "damage in artifacts": (damage_finished, 500, 20),
    "full disk": (full_disk, 30, 1),
    "processes that ask for the same": (many, 8, 2),
}
"""What -> how it is tried, and how often in full and in short."""


def main() -> None:
    """Try everything, print the table, and say by the exit code whether it is as it should be."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--short", action="store_true")
    arguments.add_argument("--seed", type=int, default=int(time.time()))
    options = arguments.parse_args()
    print(f"seed {options.seed}", file=sys.stderr)
    rows = []
    with tempfile.TemporaryDirectory(prefix="fsarctl-faults-") as folder:
        finished = Path(folder, "finished")
        finished.mkdir()
        (finished / "fsarctl.toml").write_text(SHAPES + SETTINGS)
        type_in(finished, "fsarctl run")
        bench = Bench(finished, Path(folder), random.Random(options.seed))
        for what, (attempt, full, short) in ROWS.items():
            row, begun = Row(what), time.monotonic()
            attempt(bench, row, short if options.short else full)
            row.seconds = time.monotonic() - begun
            rows.append(row)
            print(f"{what}: {row.seconds:.0f} s", file=sys.stderr)
    columns = ("tries", "lost", "different", "undetected", "tracebacks", "seconds")
    print(f"{'what':32}" + "".join(f"{name:>11}" for name in columns))
    for row in rows:
        counts = "".join(f"{round(getattr(row, name)):11}" for name in columns)
        print(f"{row.what:32}{counts}" + (f"  skipped: {row.skipped}" if row.skipped else ""))
    for row in rows:
        for remark in row.remarks:
            print(f"{row.what}: {remark}", file=sys.stderr)
    print(json.dumps({"seed": options.seed, "clean": all(row.is_clean for row in rows)}))
    sys.exit(not all(row.is_clean for row in rows))


if __name__ == "__main__":
    main()
