"""The command line when there is nothing to do: help, and run and status over many clips."""

import os
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from statistics import median

import av
import numpy as np
from timing import Options, Row, print_rows

FSARCTL = Path(sys.executable).with_name("fsarctl")
FILE = """
[datasets.shapes]
kind = "shapes"
clips_per_class = 4
[datasets.many]
kind = "folder"
root = "clips"
[describe]
missing = "label"
[extract]
frames = 2
[model]
backbone = "tiny"
weights = "shipped"
text_layers = 2
[train]
dataset = "shapes"
epochs = 1
episodes = 1
val_episodes = 1
shots = [1]
[eval]
dataset = "many"
episodes = 2
shots = [1]
"""
MOST_LINKS = 10_000  # file systems allow some ten thousand names of one file
# Without bytecode every start compiles all modules; and settings of the user's own are not measured.
OTHERS = ("PYTHONDONTWRITEBYTECODE", "FSARCTL_")
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(OTHERS)}
ASKED = {10_000: "1 s", 100_000: "5 s"}


def one_video(path: Path) -> None:
    """Two frames of 64 x 64 pixels."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(25))
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for level in (50, 200):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), level, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def seconds_of(project: Path, *words: str, repeats: int = 5) -> float:
    """Median seconds of a command that ran before."""
    taken = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        subprocess.run([FSARCTL, *words], cwd=project, env=ENVIRONMENT, check=True, capture_output=True)
        taken.append(time.perf_counter() - start)
    return median(taken[1:])


def measure(clips: int) -> list[Row]:
    """Run and status over a finished project of so many clips in 100 classes."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        (project / "fsarctl.toml").write_text(FILE)
        for number in range(clips):
            if number % MOST_LINKS == 0:
                first = project / f"video {number}.mp4"
                one_video(first)
            place = project / "clips" / f"action {number % 100:02}"
            place.mkdir(parents=True, exist_ok=True)
            os.link(first, place / f"{number:06}.mp4")
        subprocess.run([FSARCTL, "run"], cwd=project, env=ENVIRONMENT, check=True, capture_output=True)
        return [
            Row(f"fsarctl {command}, {clips:,} clips", f"{seconds_of(project, *command.split()):.2f} s", "",
                None, ASKED.get(clips, ""))
            for command in ("run", "run --jobs 2", "status")
        ]  # fmt: skip


def main(options: Options) -> None:
    """Print the table."""
    sizes = (300,) if options.quick else options.clips
    with tempfile.TemporaryDirectory() as folder:
        empty = f"{seconds_of(Path(folder), '--help'):.2f} s"
    rows = [Row("fsarctl --help", empty, "", None, "0.3 s")]
    for clips in sizes:
        rows += measure(clips)
    print_rows("The command line with nothing to do, median of five", rows)


if __name__ == "__main__":
    main(Options())
