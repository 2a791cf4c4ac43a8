"""A finished project that is spoiled copy by copy, and what is counted of it."""

import itertools
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "faults")]

from typed import plain_environment  # noqa: E402

from fsarctl.artifacts import Store  # noqa: E402

__all__ = ["Bench", "Row", "digests", "started"]


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

    def expect(self, line: str, code: int, said: str, wanted: int, words: str = "") -> None:
        """Count a command that ended otherwise than it should, or said something else."""
        self.heard(said)
        if code != wanted or words not in said:
            self.different += 1
            self.remarks.append(f"{line}: exit code {code}, not {wanted} and {words!r}: {said[-300:]}")

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.different or self.undetected or self.tracebacks)


@dataclass
class Bench:
    """A finished project, and copies of it to spoil."""

    finished: Path
    work: Path
    dice: random.Random
    ends: float = math.inf
    """When no further try is begun, by ``time.monotonic``."""

    def numbers(self, tries: int) -> Iterator[int]:
        """The numbers of the tries, as far as there is time."""
        return itertools.takewhile(lambda _: time.monotonic() < self.ends, range(tries))

    def copy(self, without: tuple[str, ...] = ()) -> Path:
        """A project like the finished one, without the artifacts of some stages."""
        folder = self.work / f"{self.dice.getrandbits(64):016x}"
        shutil.copytree(self.finished, folder, symlinks=True)
        for stage in without:
            shutil.rmtree(folder / "cache" / "artifacts" / stage, ignore_errors=True)
        return folder

    def compare(self, project: Path, row: Row, expected: frozenset[tuple[str, str]] = frozenset()) -> None:
        """Count what of the finished project is not in the copy, or is another; remove the copy."""
        expected, found = expected or digests(self.finished), digests(project)
        missing = {slot for slot, _ in expected} - {slot for slot, _ in found}
        other = {slot for slot, _ in expected - found} - missing
        row.lost += len(missing)
        row.different += len(other)
        row.remarks += [f"lost: {slot}" for slot in missing] + [f"other bytes: {slot}" for slot in other]
        rubbish = ("cache/trash", "cache/work/*/*", "cache/**/*.partial", ".*")
        if left := [each for pattern in rubbish for each in project.glob(pattern)]:
            row.lost += 1
            row.remarks.append(f"left behind: {left[0].relative_to(project)}")
        shutil.rmtree(project)


def digests(project: Path) -> frozenset[tuple[str, str]]:
    """Slot and digest of every artifact that the report is made of."""
    found = Store(project / "cache").artifacts()
    return frozenset((e.manifest.slot, e.digest) for e in found if e.manifest.stage != "report")


def started(
    project: Path,
    line: str,
    *,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
    program: tuple[str, ...] = ("-m", "fsarctl"),
    environment: Mapping[str, str] = {},
) -> subprocess.Popen[str]:
    """A command as a process, of a session of its own."""
    within = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    return subprocess.Popen(
        [sys.executable, *program, *line.split()],
        cwd=project,
        env=plain_environment(PYTHONPATH=within, **environment),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_hear_hangups,
    )


def _hear_hangups() -> None:
    """Also where this is run by ``nohup``, which has all that it starts ignore them."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
