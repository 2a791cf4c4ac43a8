"""``make test-faults``: what kills, damage, full disks, other users and wrong clocks come to, as a table.

    python tests/fault_table/run.py [--short] [--seed N] [--row BEGINNING] [--tries N] [--minutes M]

``--short`` takes under two minutes on two idle cores; in full it takes hours, which rows one by one, in
pieces of other seeds, add up to: of so many tries, or of so many minutes. ``--finished FOLDER`` keeps the
project that all of them begin with, which takes a minute to make. ``guards.py`` sees every row fail.

A try is *lost* when something that was finished is gone, or can be had no more, or rubbish stays; *different*
when what is there in the end has other bytes than without the fault, or a command ends otherwise than it
should; *undetected* when ``cache verify`` overlooks damage. Tracebacks are counted, and what is called a bug.
It ends with 1 where one of these is not 0.
"""

import argparse
import json
import math
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import Bench, Row
from conftest import SHAPES
from damage import damage_finished, damage_unfinished
from kills import kill, many, signals, two_projects
from odd import odd_things
from places import changed_clock, full_disk, full_stdout, no_inodes, other_user, read_only
from test_damaged_work import SETTINGS
from typed import type_in

ROWS: dict[str, tuple[Callable[[Bench, Row, int], None], int, int]] = {
    "kill -9 at any moment": (kill, 200, 2),
    "SIGINT, SIGTERM, SIGHUP": (signals, 60, 2),
    "damage in unfinished work": (damage_unfinished, 500, 4),
    "damage in artifacts": (damage_finished, 500, 20),
    "no file or folder in its place": (odd_things, 200, 2),
    "full disk": (full_disk, 30, 1),
    "too few inodes": (no_inodes, 30, 1),
    "stdout on a full disk": (full_stdout, 27, 1),
    "cache that can only be read": (read_only, 24, 8),
    "another user": (other_user, 30, 3),
    "changed clock": (changed_clock, 30, 1),
    "two projects on one cache": (two_projects, 20, 1),
    "processes that ask for the same": (many, 8, 2),
}
"""What -> how it is tried, and how often in full and in short."""

SWEEP = """
[ablate.metrics]
title = "Metrics"
columns = ["metric"]
[[ablate.metrics.rows]]
name = "OTAM"
set = { "model.metric" = "otam" }
[[ablate.metrics.rows]]
name = "ProtoNet"
set = { "model.metric" = "protonet" }
"""


def main() -> None:
    """Try everything, print the table, and say by the exit code whether it is as it should be."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--short", action="store_true")
    arguments.add_argument("--seed", type=int, default=int(time.time()))
    arguments.add_argument("--row", action="append", help="only those that begin like this")
    arguments.add_argument("--tries", type=int, help="of each row, rather than its own number")
    arguments.add_argument("--minutes", type=float, default=math.inf, help="of each row, at most")
    arguments.add_argument("--finished", type=Path, help="where the finished project is, or is to be made")
    options = arguments.parse_args()
    print(f"seed {options.seed}", file=sys.stderr)
    rows = []
    with tempfile.TemporaryDirectory(prefix="fsarctl-faults-") as folder:
        Path(folder).chmod(0o755)  # other users are to reach what is in it
        finished = options.finished or Path(folder, "finished")
        if not finished.exists():
            finish(finished)
        bench = Bench(finished, Path(folder), random.Random(options.seed))
        for what, (attempt, full, short) in ROWS.items():
            if options.row and not what.startswith(tuple(options.row)):
                continue
            row, begun = Row(what), time.monotonic()
            bench.ends = begun + 60 * options.minutes
            attempt(bench, row, options.tries or (short if options.short else full))
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


def finish(project: Path) -> None:
    """A project whose every artifact is made, with a sweep to run and clips to name."""
    project.mkdir()
    (project / "fsarctl.toml").write_text(SHAPES + SETTINGS + SWEEP)
    type_in(project, "fsarctl run")
    rendered = sorted((project / "cache" / "artifacts" / "render").glob("*/*/*/*.mp4"))
    for number, clip in enumerate(rendered[:12]):
        place = project / ("clips" if number % 6 == 5 else f"support/{clip.parent.name}")
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, place / f"{clip.parent.name}-{clip.name}")


if __name__ == "__main__":
    main()
