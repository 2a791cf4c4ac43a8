"""A sweep whose rows run in processes of their own: what the first costs, and what each other adds."""

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from made import VIT
from timing import Options, Row, print_rows

PROJECT = """
[datasets.shapes]
kind = "shapes"
clips_per_class = 5
[model]
backbone = "{backbone}"
weights = "{weights}"
visual_layers = 2
text_layers = 2
[train]
shots = [1]
epochs = 1
episodes = 2
val_episodes = 2
prefix_crops = {crops}
[eval]
shots = [1]
episodes = 6
frozen = false
"""
ROWS = ("Task-Adapter", "Task-Adapter++")
SWEEP = "table4"
ASKED = "1.67"
"""A row takes at most 0.6 of the first one's time."""


def seconds_of(project: Path, *words: str) -> float:
    """Seconds that a command computes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "fsarctl", *words, "--project", str(project)],
        check=True,
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(project: Path, backbone: str, weights: str, crops: int) -> list[Row]:
    """The first row of ``SWEEP``, and another one."""
    (project / "fsarctl.toml").write_text(
        PROJECT.format(backbone=backbone, weights=weights, crops=crops), encoding="utf-8"
    )
    seconds_of(project, "extract")
    first, other = (seconds_of(project, "ablate", SWEEP, "--rows", row) for row in ROWS)
    kept = sum(path.stat().st_size for path in project.glob("cache/work/prefix/*/scratch/*"))
    named = f"{backbone}, {'a fixed crop of a clip' if crops else 'new crops'} in training"
    return [
        Row(f"{named}: row {ROWS[1]!r}; the first", f"{other:.0f} s", f"{first:.0f} s", first / other, ASKED),
        Row(f"{named}: kept, MB", f"{kept / 1e6:.0f}", "", None, ""),
    ]


def main(options: Options) -> None:
    """Print the table."""
    plans = [("tiny", "shipped", 1)] if options.quick else [(VIT, "random", 1), (VIT, "random", 0)]
    rows: list[Row] = []
    for plan in plans:
        with tempfile.TemporaryDirectory() as folder:
            rows += measure(Path(folder), *plan)
    print_rows("Sweeping: rows in processes of their own, seconds of computing, 5-way 1-shot, float32", rows)


if __name__ == "__main__":
    main(Options())
