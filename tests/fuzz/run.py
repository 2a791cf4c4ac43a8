"""``make fuzz``: thousands of damaged inputs for everything that reads files, and a table of what they did.

    python tests/fuzz/run.py [--inputs 2500] [--seed 0] [READER ...]
    python tests/fuzz/run.py READER --only 17      one input, with its traceback; where it is left, is said

A reader runs in a process of its own, whose memory is bounded and whose files are watched; one that computes
for ``HANG_S`` in silence is ended, and the next input is tried in another. The same seed, the same inputs.
"""

import argparse
import math
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

if __name__ == "__main__":
    sys.path[:1] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from damage import damaged
from readers import READERS, Reader

from fsarctl.errors import FsarctlError

__all__ = ["Watch", "attempt", "inputs"]

HANG_S = 5.0
WAITS = 12
"""Times ``HANG_S`` that an input may take without computing, for a machine that is busy otherwise."""
MEMORY = 2**30
"""Bytes more than what the reader has when its corpus is read; an input is a MiB at most."""
TRIED_BEFORE_ENOUGH = 200
"""Faults of one reader after which it is not asked further."""

REACHING = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "subprocess.Popen",
    "socket.connect",
    "socket.getaddrinfo",
)
"""What runs a program or calls somebody."""


class Watch:
    """Hears of files that are opened for writing, made, moved or removed outside ``allowed``."""

    def __init__(self) -> None:
        self.allowed: Path | None = None
        self.seen: list[str] = []
        sys.addaudithook(self._hear)

    @contextmanager
    def within(self, folder: Path) -> Iterator[list[str]]:
        """What is done elsewhere meanwhile."""
        self.allowed, self.seen = folder, []
        try:
            yield self.seen
        finally:
            self.allowed = None

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.allowed is None:
            return
        if event in REACHING:
            self.seen.append(f"{event} {str(arguments)[:200]}")
        elif event == "open":
            path, _, flags = arguments
            writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if writes and isinstance(path, str | bytes | os.PathLike):
                self._check(event, path)
        elif event in ("os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.chmod"):
            self._check(event, arguments[0], arguments[-1])
        elif event in ("os.rename", "os.link", "os.symlink"):
            self._check(event, arguments[1], arguments[-1])

    def _check(self, event: str, path: object, folder: object = -1) -> None:
        """``folder``: the descriptor of the one that a path begins at, if it is not the working directory."""
        if not isinstance(path, str | bytes | os.PathLike):
            return
        base = Path(f"/proc/self/fd/{folder}").readlink() if isinstance(folder, int) and folder > 2 else ""
        where = os.path.abspath(os.path.join(base, os.fsdecode(path)))  # noqa: PTH100, PTH118 - no link is followed
        inside = where.startswith(f"{self.allowed}{os.sep}") or where == str(self.allowed)
        if not inside and where != os.devnull and not where.startswith("/proc/"):
            self.seen.append(f"{event} {where}")


def inputs(reader: Reader, seed: int) -> tuple[str, bytes]:
    """Input ``seed`` of a reader: a file's name and its content. The first are the corpus as it is."""
    files = reader.corpus
    name = files[seed % len(files)].name
    contents = [file.read_bytes() for file in files]
    if seed < len(files):
        return name, contents[seed]
    return name, damaged(reader.name, seed, contents, seed % len(files))


def attempt(reader: Reader, name: str, content: bytes, folder: Path, watch: Watch) -> tuple[str, str]:
    """What is wrong with how ``content`` is read, in a word, and how it came to that; else ("", "")."""
    path = folder / name
    if path.is_dir():
        shutil.rmtree(path)
    path.write_bytes(content)
    try:
        with watch.within(folder) as elsewhere:
            reader.read(path)
    except reader.refuses as error:
        if isinstance(error, FsarctlError) and not str(error):
            return "says nothing", repr(error)
    except MemoryError:
        return "memory", traceback.format_exc()
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)
        house = [each for each in last if "/fsarctl/" in each.filename] or last
        where = f"{Path(house[-1].filename).name}:{house[-1].lineno}"
        return f"{type(error).__name__} at {where}", traceback.format_exc()
    return ("elsewhere", "; ".join(elsewhere)) if elsewhere else ("", "")


@dataclass
class Tally:
    """What the inputs of one reader came to."""

    tried: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    first: dict[str, tuple[int, str]] = field(default_factory=dict)
    hangs: int = 0
    elsewhere: int = 0
    memory: int = 0
    seconds: float = 0.0

    def add(self, seed: int, fault: str, how: str) -> None:
        self.faults[fault] += 1
        self.first.setdefault(fault, (seed, how))
        self.hangs += fault in ("hang", "died")
        self.elsewhere += fault == "elsewhere"

    @property
    def tracebacks(self) -> int:
        return sum(self.faults.values()) - self.hangs - self.elsewhere


def run(reader: Reader, first: int, count: int) -> Tally:
    """Try inputs ``first`` to ``first + count`` of a reader."""
    tally, seed, started = Tally(), first, time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        while seed < first + count and sum(tally.faults.values()) < TRIED_BEFORE_ENOUGH:
            seed = _in_a_process(reader, seed, first + count, Path(scratch), tally)
    tally.seconds = time.monotonic() - started
    return tally


def _in_a_process(reader: Reader, start: int, end: int, scratch: Path, tally: Tally) -> int:
    """The first input that this process did not come to."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(
        target=_work, args=(reader.name, start, end, scratch, theirs), daemon=True
    )
    process.start()
    theirs.close()
    seed, computed, waits = start, 0.0, WAITS
    patience = 120.0  # until all is imported
    try:
        while ours.poll(patience) or (waits and _computed(process) < computed + HANG_S):
            if not ours.poll():  # the machine is busy with something else
                waits -= 1
                continue
            waits = WAITS
            seed, fault, how, memory = ours.recv()
            computed, patience = _computed(process), HANG_S
            tally.memory = max(tally.memory, memory)
            tally.tried += 1
            if fault:
                tally.add(seed, fault, how)
            seed += 1
            if sum(tally.faults.values()) >= TRIED_BEFORE_ENOUGH:
                process.kill()
                return end
        fault = "hang"
    except EOFError:
        process.join()
        if process.exitcode == 0:
            return end
        fault = "died"
    process.kill()
    process.join()
    tally.tried += 1
    tally.add(seed, fault, f"exit code {process.exitcode}")
    return seed + 1


def _computed(process: multiprocessing.Process) -> float:
    """Seconds that it has computed so far; without an end where it has ended."""
    try:
        times = psutil.Process(process.pid).cpu_times()
    except psutil.NoSuchProcess:
        return math.inf
    return float(times.user + times.system)


def _work(name: str, start: int, end: int, scratch: Path, out: Connection) -> None:
    reader = READERS[name]
    warnings.simplefilter("ignore")
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)  # decoders complain there
    folder = Path(tempfile.mkdtemp(dir=scratch))
    os.environ.update(HOME=str(folder), TMPDIR=str(folder))
    tempfile.tempdir = str(folder)
    os.chdir(folder)
    watch = Watch()
    for file in reader.corpus:  # imports what it needs, which may write bytecode
        attempt(reader, file.name, file.read_bytes(), folder, watch)
    before = _used()
    resource.setrlimit(resource.RLIMIT_DATA, (_data() + MEMORY,) * 2)
    for seed in range(start, end):
        fault, how = attempt(reader, *inputs(reader, seed), folder, watch)
        out.send((seed, fault, how, max(_used() - before, 0)))


def _used() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _data() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> int:
    """Print the table; the exit code is 1 if anything was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("readers", nargs="*", choices=[[], *READERS], metavar="READER")
    parser.add_argument("--inputs", type=int, default=2500, help="for each reader")
    parser.add_argument("--seed", type=int, default=0, help="the first input's number")
    parser.add_argument("--only", type=int, help="this input alone, with its traceback")
    asked = parser.parse_args()
    if asked.only is not None:
        return _only(READERS[asked.readers[0]], asked.only)
    heads = ("inputs", "tracebacks", "hangs", "elsewhere", "memory", "seconds")
    print(f"{'reader':<14}", "{:>7} {:>10} {:>5} {:>9} {:>8} {:>8}".format(*heads))
    total, wrong = Counter[str](), 0
    for name in asked.readers or READERS:
        tally = run(READERS[name], asked.seed, asked.inputs)
        total.update(
            inputs=tally.tried, tracebacks=tally.tracebacks, hangs=tally.hangs, elsewhere=tally.elsewhere
        )
        print(
            f"{name:<14} {tally.tried:>7,} {tally.tracebacks:>10} {tally.hangs:>5} {tally.elsewhere:>9}"
            f" {tally.memory / 2**20:>5.0f} MB {tally.seconds:>8.0f}",
            flush=True,
        )
        for fault, times in tally.faults.most_common():
            seed, how = tally.first[fault]
            print(f"    {times} x {fault} (--only {seed}): {how.strip().splitlines()[-1][:150]}", flush=True)
        wrong += sum(tally.faults.values())
    print(f"{'all':<14}", "{:>7,} {:>10} {:>5} {:>9}".format(*(total[name] for name in heads[:4])))
    return 1 if wrong else 0


def _only(reader: Reader, seed: int) -> int:
    name, content = inputs(reader, seed)
    left = Path(tempfile.mkdtemp(prefix="fsarctl-fuzz-")) / name
    left.write_bytes(content)
    with tempfile.TemporaryDirectory() as folder:
        fault, how = attempt(reader, name, content, Path(folder), Watch())
    print(f"{left}: {len(content):,} bytes: {fault or 'nothing is wrong'}\n{how}")
    return 1 if fault else 0


if __name__ == "__main__":
    sys.exit(main())
