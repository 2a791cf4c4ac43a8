"""``make test-cluster``: what is lost and what differs when nodes, workers and drivers of a Ray cluster die.

    python tests/cluster/run.py [--short]

A cluster of a head without cores and three nodes with one each, all on this machine, by
``ray.cluster_utils.Cluster``. A project is made without an engine; of copies of it, some artifacts are made
again by the cluster while something is killed. *lost*: artifacts that are not there afterwards; *different*:
those with other bytes; *left*: workers that still run when the command has ended. It ends with 1 where one is
not 0.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from conftest import SHAPES  # noqa: E402
from ray_nodes import Nodes, wait_for, workers_of  # noqa: E402
from typed import plain_environment  # noqa: E402

from fsarctl.artifacts import Store  # noqa: E402

SETTINGS = """
[extract]
frames = 8
[train]
shots = [1]
episodes = 20
epochs = 1
val_episodes = 20
[eval]
shots = [1]
episodes = 1000
[ablate.rates]
title = "learning rates"
shots = [1]
[[ablate.rates.rows]]
name = "a"
set = { "train.lr" = 0.001 }
[[ablate.rates.rows]]
name = "b"
set = { "train.lr" = 0.002 }
[[ablate.rates.rows]]
name = "c"
set = { "train.lr" = 0.003 }
"""


@dataclass
class Row:
    """One line of the table."""

    what: str
    killed: str
    seconds: float = 0.0
    lost: int = 0
    different: int = 0
    left: int = 0
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        numbers = f"{self.seconds:7.1f} {self.lost:5d} {self.different:10d} {self.left:5d}"
        return f"ray     {self.what:<24} {self.killed:<22} {numbers}  {'; '.join(self.faults)}"

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.different or self.left or self.faults)


@dataclass
class Bench:
    """The finished projects, of a run and of a sweep, and the cluster."""

    work: Path
    nodes: Nodes
    count: int = 0

    def copy(self, finished: str, *without: str) -> Path:
        self.count += 1
        folder = self.work / f"copy {self.count}"
        shutil.copytree(self.work / finished, folder, symlinks=True)
        for stage in without:
            shutil.rmtree(folder / "cache" / "artifacts" / stage)
        return folder


def digests(project: Path) -> dict[str, str]:
    """What every artifact is of -> its digest."""
    return {f"{e.manifest.slot} {e.key}": e.digest for e in Store(project / "cache").artifacts()}


def started(project: Path, *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "fsarctl", *words],
        cwd=project,
        env=plain_environment(PYTHONPATH=os.environ.get("PYTHONPATH", "")),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def make(project: Path, *words: str) -> None:
    """Have a command done without an engine."""
    command = [sys.executable, "-m", "fsarctl", *words]
    subprocess.run(command, cwd=project, check=True, stdout=subprocess.DEVNULL, env=plain_environment())


def begun(project: Path) -> bool:
    """Whether something is in hand: what is killed afterwards is killed in the middle."""
    return any(project.glob("cache/work/*/*/scratch/*"))


def attempt(
    bench: Bench, what: str, killed: str, words: str, stages: tuple[str, ...], *, starts: bool = False
) -> Row:
    """Have a command done by the cluster while what is named is killed, and again where it has to be.

    With ``starts`` by a cluster that the command starts itself.
    """
    finished = "sweep" if words.startswith("ablate") else "run"
    row, project, start = Row(what, killed), bench.copy(finished, *stages), time.monotonic()
    address = [] if starts else ["--ray-address", bench.nodes.address]
    line = [*words.split(), "--engine", "ray", *address]
    driver = started(project, *line)
    if killed != "nothing":
        wait_for(lambda: begun(project) or driver.poll() is not None)
        if driver.poll() is not None:
            row.faults.append(f"it ended before anything could be killed: {driver.communicate()[1][-300:]}")
        elif killed == "a node":
            bench.nodes.kill_one_at_work()
        elif killed == "a worker":
            wait_for(lambda: [w for node in bench.nodes.nodes for w in workers_of(node)])[0].kill()
        else:
            driver.send_signal(signal.SIGINT if killed == "Ctrl-C" else signal.SIGKILL)
    said = driver.communicate(timeout=600)[1]
    wanted = {"Ctrl-C": 130, "the driver": -signal.SIGKILL}.get(killed, 0)
    if driver.returncode != wanted or "Traceback" in said:
        row.faults.append(f"exit code {driver.returncode}: {said[-600:]}")
    row.left += still_at_work(bench)
    if wanted:
        again = started(project, *line)
        said = again.communicate(timeout=600)[1]
        if again.returncode:
            row.faults.append(f"again: exit code {again.returncode}: {said[-600:]}")
    found, expected = digests(project), digests(bench.work / finished)
    row.lost += len(expected.keys() - found.keys())
    row.different += sum(found[each] != expected[each] for each in expected.keys() & found.keys())
    row.seconds = time.monotonic() - start
    shutil.rmtree(project)
    return row


def still_at_work(bench: Bench) -> int:
    """Workers that have not ended a while after their command has."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        left = sum(len(workers_of(node)) for node in bench.nodes.nodes)
        if not left:
            return 0
        time.sleep(0.2)
    return left


def refused(bench: Bench, what: str, killed: str, address: str, says: str) -> Row:
    """A command that cannot be done by a cluster ends with a sentence."""
    row, project, start = Row(what, killed), bench.copy("run", "evaluate"), time.monotonic()
    driver = started(project, "eval", "--engine", "ray", "--ray-address", address)
    said = driver.communicate(timeout=300)[1]
    row.seconds = time.monotonic() - start
    if driver.returncode != 3 or says not in said or "Traceback" in said:
        row.faults.append(f"exit code {driver.returncode}: {said[-600:]}")
    shutil.rmtree(project)
    return row


@contextmanager
def another_version(folder: Path) -> Iterator[Nodes]:
    """A cluster on whose only node there is another fsarctl, as far as it says."""
    said = folder / "other" / "fsarctl-9.9.dist-info"
    said.mkdir(parents=True)
    (said / "METADATA").write_text("Metadata-Version: 2.1\nName: fsarctl\nVersion: 9.9\n")
    path = os.pathsep.join([str(said.parent), *filter(None, [os.environ.get("PYTHONPATH", "")])])
    nodes = Nodes({"PYTHONPATH": path}, nodes=1)
    try:
        yield nodes
    finally:
        nodes.end()


EVALUATE = ("an evaluation", "eval", ("evaluate",))
EXTRACT = ("an extraction", "extract", ("extract",))
SWEEP = ("a sweep", "ablate rates", ("train", "evaluate"))
SHORT = ((EVALUATE, "a node"), (EXTRACT, "a worker"), (EVALUATE, "the driver"))
LONG = (
    *((EXTRACT, killed) for killed in ("nothing", "a node", "a worker", "the driver")),
    *((EVALUATE, killed) for killed in ("nothing", "a node", "a worker", "the driver", "Ctrl-C")),
    *((SWEEP, killed) for killed in ("nothing", "a node", "a worker", "the driver")),
)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--short", action="store_true", help="three kills, a cluster of its own and two refusals"
    )
    short = parser.parse_args().short
    try:
        import ray  # noqa: F401
    except ImportError:
        print('Ray is not installed: pip install "fsarctl[ray]"', file=sys.stderr)
        return 0
    with tempfile.TemporaryDirectory(prefix="cluster-") as name:
        folder = Path(name)
        (folder / "run").mkdir()
        (folder / "run" / "fsarctl.toml").write_text(SHAPES + SETTINGS)
        make(folder / "run", "run", "--shots", "1")
        if not short:
            shutil.copytree(folder / "run", folder / "sweep", symlinks=True)
            for stage in SWEEP[2]:  # which the sweep does not make again
                shutil.rmtree(folder / "sweep" / "cache" / "artifacts" / stage)
            make(folder / "sweep", "ablate", "rates")
        bench = Bench(folder, Nodes())
        rows = []

        def show(row: Row) -> None:
            print(row, flush=True)
            rows.append(row)

        print("engine  in                       killed                 seconds  lost  different  left")
        try:
            for (what, words, stages), killed in SHORT if short else LONG:
                show(attempt(bench, what, killed, words, stages))
            for killed in ("nothing",) if short else ("nothing", "Ctrl-C"):
                what, words, stages = EVALUATE
                show(attempt(bench, f"{what}, no address", killed, words, stages, starts=True))
            show(refused(bench, "an address", "(nobody answers)", "127.0.0.1:9", "nobody answers at"))
        finally:
            bench.nodes.end()
        with another_version(folder) as others:
            show(refused(bench, "a cluster", "(another version)", others.address, "has fsarctl 9.9"))
    return int(not all(row.is_clean for row in rows))


if __name__ == "__main__":
    sys.exit(main())
