"""Many clips and many artifacts: seconds of computing, memory and open files at 1, 4 and 16 times as many.

A tenth of the clips cannot be read, as in a collection that was downloaded. All of a store's artifacts are of
other settings than the project's, and in the last row half of them are damaged.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from command_line import ENVIRONMENT, one_video
from timing import Options

from fsarctl.artifacts import Build, Store, Unit
from fsarctl.artifacts.command import Command

TIMES = (1, 4, 16)
CLIPS, ARTIFACTS = 3125, 126
MOST_LINKS = 10_000
SHAPES = """
[datasets.shapes]
kind = "shapes"
[model]
backbone = "tiny"
weights = "shipped"
"""
MANY = """
[datasets.many]
kind = "folder"
root = "clips"
[describe]
missing = "label"
[extract]
frames = 2
[train]
dataset = "shapes"
[eval]
dataset = "many"
"""


@dataclass(frozen=True)
class Cost:
    """What a command took, with all its processes."""

    seconds: float
    mib: float
    files: int


def cost(project: Path, line: str, code: int = 0) -> Cost:
    """Run a command, and watch it."""
    words = [sys.executable, "-m", "fsarctl", *line.split()]
    files = status = ended = 0
    workers: dict[int, float] = {}
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            words, cwd=project, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=said
        )
        while not ended:
            with suppress(psutil.Error):
                watched = psutil.Process(process.pid)
                files = max(files, watched.num_fds())
                for each in watched.children(recursive=True):
                    workers[each.pid] = sum(each.cpu_times()[:2])
            time.sleep(0.05)
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        if process.returncode != code:
            raise RuntimeError(f"{line}: exit code {process.returncode}: {said.read()[-2000:]!r}")
    return Cost(usage.ru_utime + usage.ru_stime + sum(workers.values()), usage.ru_maxrss / 1024, files)


def clips(number: int, folder: Path) -> dict[str, Cost]:
    """Decoding so many videos of two frames, of which every tenth is none."""
    (folder / "fsarctl.toml").write_text(SHAPES + MANY)
    for at in range(number):
        if at % MOST_LINKS == 0:
            first, broken = folder / f"video {at}.mp4", folder / f"broken {at}.mp4"
            one_video(first)
            broken.write_bytes(first.read_bytes()[:100])
        place = folder / "clips" / f"action {at % 100:02}"
        place.mkdir(parents=True, exist_ok=True)
        os.link(broken if at // 100 % 10 == 9 else first, place / f"{at:06}.mp4")
    return {
        "extract": cost(folder, "extract --dataset many --workers 1"),
        "extract, nothing to do": cost(folder, "extract --dataset many --workers 1"),
        "cache verify": cost(folder, "cache verify"),
    }


def artifacts(number: int, folder: Path) -> dict[str, Cost]:
    """Commands in a store of so many, a third of them made of another third."""
    (folder / "fsarctl.toml").write_text(SHAPES)
    units = chains(number, 0)
    Store(folder / "cache", project=folder).realise_all(units)
    costs = {
        line: cost(folder, line) for line in ("cache ls", "status", "cache verify", "cache gc --dry-run")
    }
    costs["plan of as many that are stale"] = computed(
        lambda: Store(folder / "cache", project=folder).plan(chains(number, 1))
    )
    for path in sorted((folder / "cache" / "artifacts" / "extract").glob("*/content")):
        path.chmod(0o644)
        path.write_bytes(b"damage" + path.read_bytes()[6:])
    costs["cache verify, a third damaged"] = cost(folder, "cache verify", code=5)
    costs["cache gc"] = cost(folder, "cache gc --yes")
    return costs


def computed(work: Callable[[], object]) -> Cost:
    """What is done in this process."""
    start = time.process_time()
    work()
    return Cost(time.process_time() - start, 0, 0)


def chains(number: int, seed: int) -> list[Unit]:
    """Evaluations of adapters of frames: three artifacts each."""

    def build(given: Build) -> None:
        (given.folder / "content").write_bytes(given.folder.parent.name.encode() * 50)

    def unit(stage: str, at: int, **inputs: Unit) -> Unit:
        return Unit(stage, 1, f"{stage} {at}", Command(stage), {"at": at, "seed": seed}, build, inputs)

    made = []
    for at in range(number // 3):
        frames = unit("extract", at)
        made.append(unit("evaluate", at, adapters=unit("train", at, frames=frames), frames=frames))
    return made


def table(
    title: str, amount: int, measure: Callable[[int, Path], dict[str, Cost]], times: tuple[int, ...]
) -> None:
    """Each row a command; the columns are how many there are."""
    costs = []
    for factor in times:
        with tempfile.TemporaryDirectory() as folder:
            costs.append(measure(amount * factor, Path(folder)))
    print(f"\n{title}: {', '.join(f'{amount * factor:,}' for factor in times)}")
    print(f"{'':34}{'seconds of computing':>27}  {'MiB':>18}  {'open files':>12}")
    for what in costs[0]:
        row = [each[what] for each in costs]
        print(
            f"{what:34}"
            + "".join(f"{each.seconds:9.2f}" for each in row)
            + "  "
            + "".join(f"{each.mib:6.0f}" for each in row)
            + "  "
            + "".join(f"{each.files:4}" for each in row),
            flush=True,
        )


def main(options: Options) -> None:
    """Print both tables."""
    small = 21 if options.quick else 1
    table("artifacts", ARTIFACTS // small, artifacts, TIMES[: 2 if options.quick else 3])
    table("clips", CLIPS // small, clips, TIMES[: 2 if options.quick else 3])


if __name__ == "__main__":
    main(Options(quick="--quick" in sys.argv))
