"""What all benchmarks share: side-by-side timing, memory of a process of its own, and the table."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

__all__ = [
    "NothingToMeasureError",
    "Options",
    "Row",
    "in_a_process",
    "peak_mib",
    "print_rows",
    "side_by_side",
]


class NothingToMeasureError(Exception):
    """This machine lacks what is to be measured; the message says what."""


@dataclass(frozen=True)
class Options:
    """``quick``: at a tiny size, to see that it works. ``compile``: gpu, with torch.compile as well.

    ``clips``: command_line, of how many clips the projects are.
    """

    quick: bool = False
    compile: bool = False
    clips: tuple[int, ...] = (10_000, 100_000)


@dataclass(frozen=True)
class Row:
    """One line of a table: what was measured, ours and the other, and the ratio that is asked for."""

    what: str
    ours: str
    other: str
    ratio: float | None
    target: str


def side_by_side(calls: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """Median seconds of each call; they take turns, so that a busy moment hits all of them."""
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(repeats):
        for call, taken in zip(calls, seconds, strict=True):
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
    return [median(taken) for taken in seconds]


def peak_mib() -> float:
    """The largest resident size this process ever had, MiB.

    Linux counts in what getrusage says the process that it was forked from, so its own figure is read.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_a_process(script: str, *words: str) -> dict[str, float]:
    """Run a benchmark file in a process of its own; it prints one JSON object last."""
    path = Path(__file__).with_name(script)
    places = os.pathsep.join([str(path.parents[1]), str(path.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(path), *words],
        env={**os.environ, "PYTHONPATH": places},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{script} {' '.join(words)} failed:\n{done.stderr[-2000:]}")
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def print_rows(title: str, rows: Sequence[Row]) -> None:
    """The rows as a table; a ratio is how many times better ours is."""
    print(f"\n{title}")
    cells = [("", "ours", "other", "ratio", "asked for")]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        cells.append((row.what, row.ours, row.other, ratio, row.target))
    widths = [max(len(line[column]) for line in cells) for column in range(5)]
    for line in cells:
        padded = [line[0].ljust(widths[0])]
        padded += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        print("  ".join(padded).rstrip(), flush=True)
