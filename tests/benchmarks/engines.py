"""What engines cost: units of known length on 1 to 8 nodes and in jobs, and a driver of units of nothing."""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from statistics import mean
from unittest.mock import patch

from fake_slurm import slurm_of_one_machine
from known_units import SPELL, VERB, SleepingCall, SleepingWorker, sleeping, words_of
from ray_nodes import Nodes
from timing import Options, in_a_process, peak_mib

from fsarctl.artifacts import Store
from fsarctl.artifacts.manifest import Manifest, content_digest, render_manifest
from fsarctl.config.tables import RayConfig, SlurmConfig
from fsarctl.execution import ray_cluster, slurm, worker_process
from fsarctl.execution.engine import WORKER, Ended, Engine, Heard, Task
from fsarctl.execution.job_schedule import Scheduler
from fsarctl.execution.local import LocalEngine
from fsarctl.execution.ray_cluster import RayEngine
from fsarctl.execution.slurm import SlurmEngine

NODES = (1, 2, 4, 8)
SECONDS = 2.0
UNITS = 16
"""A node."""
SHORT = 200
"""Units of no length, for what one costs."""
NOTHING = (1_000, 10_000, 100_000)
CLIPS = (500, 2_000, 8_000)


def on_ray(nodes: int, units: int, seconds: float, folder: Path) -> dict[str, float]:
    """Units of so many seconds, so many a node, on a cluster of so many nodes with a core each."""
    cluster = Nodes(nodes=nodes)
    try:
        engine = RayEngine(RayConfig(address=cluster.address), 0, 1, uses_gpus=False)
        with patch.object(ray_cluster, "_Worker", SleepingWorker):
            return _measured(engine, nodes, units, seconds, folder / "cache")
    finally:
        cluster.end()


def locally(jobs: int, units: int, seconds: float, folder: Path) -> dict[str, float]:
    """Likewise by processes of this machine."""
    return _measured(LocalEngine(jobs, jobs), jobs, units, seconds, folder / "cache")


def in_jobs(slots: int, units: int, seconds: float, folder: Path) -> dict[str, float]:
    """Likewise by jobs of a Slurm that runs so many at a time."""
    with slurm_of_one_machine(folder / "slurm", slots=slots) as fake:
        path = f"{fake.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        with patch.dict(os.environ, {"PATH": path}), patch.object(slurm, "Call", SleepingCall):
            engine = SlurmEngine(SlurmConfig(), slots, folder / "cache")
            return _measured(engine, slots, units, seconds, folder / "cache")


KINDS: dict[str, Callable[[int, int, float, Path], dict[str, float]]] = {
    "ray": on_ray,
    "local": locally,
    "slurm": in_jobs,
}


def _measured(engine: Engine, workers: int, units: int, seconds: float, root: Path) -> dict[str, float]:
    """How long it took, and how long a worker was at a unit, from one's beginning to the next one's.

    Jobs are workers that make one unit each: there it is from one beginning to the next one of any.
    """
    asked = sleeping(range(workers * units), seconds)
    start, busy = time.time(), time.process_time()
    with patch.object(worker_process, "WORKER", "known_units"):
        made = Scheduler(Store(root), engine, words_of(root, seconds)).make(asked)
    whole = time.time() - start
    spells = [json.loads((each.artifact.path / SPELL).read_bytes()) for each in made]
    begun: dict[int, list[float]] = {}
    for spell in sorted(spells, key=lambda spell: spell["begun"]):
        begun.setdefault(spell["worker"], []).append(spell["begun"])
    if all(len(times) == 1 for times in begun.values()):
        begun = {0: sorted(times[0] for times in begun.values())}
    steps = [after - before for times in begun.values() for before, after in pairwise(times)]
    return {
        "seconds": whole,
        "step": mean(steps),
        "first": min(times[0] for times in begun.values()) - start,
        "driver": (time.process_time() - busy) / len(asked),
    }


class Nobody:
    """An engine whose tasks end as soon as they are asked for; ``seconds`` of the processor were its own."""

    is_elsewhere, goes_on, jobs = False, False, 1000

    def __init__(self, root: Path) -> None:
        self._artifacts = root / "artifacts" / VERB
        self._waiting: deque[Task] = deque()
        self.seconds = 0.0

    def tasks_of(self, parts: int) -> int:
        return parts

    def begin(self, heard: Heard) -> None: ...

    def start(self, tasks: Sequence[Task]) -> None:
        self._waiting.extend(tasks)

    def ended(self) -> list[tuple[Task, Ended]]:
        start = time.process_time()
        task = self._waiting.popleft()
        config = {"number": int(task.arguments[1]), "seconds": 0.0}
        told = {"created": "2026-01-01T00:00:00+00:00"}
        digest = content_digest({}, ())
        manifest = Manifest(VERB, 1, task.title, task.key, digest, VERB, config, {}, {}, None, told)
        home = self._artifacts / task.key[:20]
        home.mkdir(parents=True)
        (home / "manifest.json").write_bytes(render_manifest(manifest))
        self.seconds += time.process_time() - start
        return [(task, Ended())]

    def end(self) -> None: ...


def of_nothing(units: int, folder: Path) -> dict[str, float]:
    """What the driver takes for so many units that nobody works at: seconds of the processor, and MiB."""
    root = folder / "cache"
    store, engine, asked = Store(root), Nobody(root), sleeping(range(units), 0.0)
    before, start = peak_mib(), time.process_time()
    Scheduler(store, engine, words_of(root, 0.0)).make(asked)
    seconds = time.process_time() - start - engine.seconds
    mib, start = peak_mib() - before, time.process_time()
    assert len(store.artifacts()) == units
    return {"seconds": seconds, "mib": mib, "listing": time.process_time() - start}


class Traced:
    """An engine that has one part made by a worker under strace; ``asked``: calls with a name in a folder."""

    is_elsewhere, goes_on, jobs = True, False, 1000

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: list[Task] = []
        self.asked: Counter[str] = Counter()

    def tasks_of(self, parts: int) -> int:
        return parts

    def begin(self, heard: Heard) -> None: ...

    def start(self, tasks: Sequence[Task]) -> None:
        self._waiting += tasks

    def ended(self) -> list[tuple[Task, Ended]]:
        task = next(each for each in self._waiting if each.parts)
        log = self._folder / "calls"
        traced = ["strace", "-f", "-qq", "-e", "trace=%file", "-o", str(log), sys.executable, "-m", WORKER]
        done = subprocess.run(traced, input=f"{task.text}\n", capture_output=True, text=True, check=True)
        assert '"exit_code": 0' in done.stdout, done
        for line in log.read_text().splitlines():
            if str(self._folder) in line:
                self.asked["videos" if f"{self._folder}/videos/" in line else "others"] += 1
        return [(task, Ended(1, "that is all"))]

    def end(self) -> None: ...


PROJECT = """
[datasets.mine]
root = "videos"
[model]
backbone = "tiny"
weights = "shipped"
strategy = "frozen"
[extract]
frames = 2
size = 32
"""


def names(clips: int, folder: Path) -> dict[str, float]:
    """How many names a worker asks a file server for, to decode one shard: of videos, and others."""
    from typed import type_in
    from videos import KINDS, make_video

    from fsarctl.execution import engines

    video = make_video(folder / "one.mp4", KINDS["H.264, GOP 12"], 12)
    for number in range(clips):
        place = folder / "videos" / f"class {number % 10}"
        place.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(video, place / f"{number:06}.mp4")
    (folder / "fsarctl.toml").write_text(PROJECT)
    time.sleep(2.5)  # until the files count as written
    engine = Traced(folder)
    with patch.object(engines, "engine_of", lambda *_: engine):
        type_in(folder, "extract", expect=1)
    return dict(engine.asked)


def told(clips: int) -> dict[str, float]:
    """What it takes to write down what is known of clips, and a worker to read it and to plan with it.

    Seconds of the processor, and bytes, a clip. Names are as long as those of Kinetics.
    """
    from fsarctl.artifacts.file_stat import Look
    from fsarctl.artifacts.keys import digest_of
    from fsarctl.artifacts.unit import Files
    from fsarctl.datasets.clips import Clip
    from fsarctl.datasets.dataset import Dataset
    from fsarctl.datasets.findings import Findings
    from fsarctl.stages.extract import Videos

    draw = random.Random(0)
    labels = [f"class of actions {number % 400:03}" for number in range(clips)]
    names = [f"{label}/{draw.randbytes(6).hex()[:11]}_000010_000020.mp4" for label in labels]
    some = [Clip(name, label, f"/data/kinetics/{name}") for name, label in zip(names, labels, strict=True)]
    times = [1_600_000_000_000_000_000 + draw.randrange(10**16) for _ in some]
    seen = {clip.file: Look(draw.randrange(10**6), at, at) for clip, at in zip(some, times, strict=True)}
    source = Files({clip.name: clip.file for clip in some}, seen)
    digests = {clip.name: draw.randbytes(32).hex() for clip in some}
    start = time.process_time()
    content = Findings({"mine": Dataset.of_clips({"test": some}, {})}).render([(source, digests)])
    written = time.process_time()
    findings = Findings.parse(content)
    digest_of(Videos.look(findings.datasets["mine"].clips["test"], findings.files).files.known)
    read = time.process_time()
    return {
        "write": (written - start) / clips,
        "read": (read - written) / clips,
        "told": len(content) / clips,
    }


def of_work(backbone: str, folder: Path) -> dict[str, float]:
    """Seconds of one core, and bytes, of what units are made of: clips, episodes and steps.

    ViT-B/16, L = 2, 5-way 1-shot; a clip of ten seconds at 340 x 256 as Kinetics is commonly kept.
    """
    import torch
    from made import noise_loader, random_model
    from training import prepared, steps
    from videos import KINDS, make_video

    from fsarctl.episodes.scoring import Scorer
    from fsarctl.video.decode_clip import decode_clip

    torch.set_num_threads(1)

    def seconds(call: Callable[[], object], repeats: int = 3) -> float:
        start = time.process_time()
        for _ in range(repeats):
            call()
        return (time.process_time() - start) / repeats

    for name in ("frames", "train"):
        (folder / name).mkdir()
    path = make_video(folder / "clip.mp4", KINDS["H.264, GOP 250"], 250)
    frames = decode_clip(path, 8, 257).frames  # what is loaded once is not measured
    decode = seconds(lambda: decode_clip(path, 8, 257), 10)
    model = random_model(backbone, 2)
    loader = noise_loader(model, folder / "frames", classes=5, clips=2, way=5, shot=1)
    scorer = Scorer(model, loader)
    first = seconds(lambda: next(scorer.score([0])), 1)
    episode = seconds(lambda: next(scorer.score([0])))
    step = steps(*prepared(str(folder / "train"), backbone))["kept"]
    step()
    return {
        "decode": decode,
        "frames": frames.nbytes,
        "video": path.stat().st_size,
        "clip": (first - episode) / len(loader.store),
        "episode": episode,
        "step": seconds(step),
    }


def main(options: Options) -> None:
    """Print the tables."""
    from made import VIT  # nothing of which the processes that only sleep have a use for

    places = [str(Path(__file__).parents[1]), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(places)  # for workers of workers
    seconds, units = (0.2, 2) if options.quick else (SECONDS, UNITS)
    measure = partial(in_a_process, "engines.py")
    print(f"\nEngines: units that sleep {seconds:g} s, {units} a node; s from one to the next of a worker")
    for nodes in NODES[:1] if options.quick else NODES:
        if find_spec("ray") is None:
            print('ray: not installed: pip install "fsarctl[ray]"')
            break
        got = measure("ray", str(nodes), str(units), str(seconds))
        speed, ideal = nodes * seconds / got["step"], units * seconds
        print(
            f"ray, {nodes} nodes: overhead {1000 * (got['step'] - seconds):.0f} ms a unit,"
            f" speed-up {speed:.2f} ({speed / nodes:.3f} of ideal);"
            f" in all {got['seconds']:.1f} s for {ideal:.0f}, the first began after {got['first']:.1f} s",
            flush=True,
        )
    print("one unit of no length after another: ms from one to the next; ms of the driver's processor")
    for name in ("local",) if options.quick else KINDS:
        count = 10 if options.quick or name == "slurm" else SHORT
        got = measure(name, "1", str(count), "0")
        print(f"{name}: {1000 * got['step']:.0f}; {1000 * got['driver']:.1f}", flush=True)
    print("a driver of units of nothing: seconds of the processor; MiB above a process at rest; to list them")
    for count in NOTHING[:1] if options.quick else NOTHING:
        got = measure("nothing", str(count))
        print(f"{count:,}: {got['seconds']:.1f}; {got['mib']:.0f}; {got['listing']:.1f}", flush=True)
    got = measure("told", "1000" if options.quick else "100000")
    print(
        f"what workers are told of a clip: {got['told']:.0f} bytes, {1e6 * got['write']:.1f} us to write,"
        f" {1e6 * got['read']:.1f} us to read and to plan with",
        flush=True,
    )
    print("what a worker asks of the file system to decode a shard: names of videos; others")
    for count in () if shutil.which("strace") is None else CLIPS[:1] if options.quick else CLIPS:
        asked = measure("names", str(count))
        print(f"{count:,} clips: {asked['videos']:.0f}; {asked['others']:.0f}", flush=True)
    print("what units are made of, ViT-B/16, L = 2: seconds of one core, or bytes")
    for name, value in measure("work", "tiny" if options.quick else VIT).items():
        print(f"{name}: {value:.3g}", flush=True)


if __name__ == "__main__":
    what, *numbers = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="engines-") as place:
        if what == "nothing":
            print(json.dumps(of_nothing(int(numbers[0]), Path(place))))
        elif what == "told":
            print(json.dumps(told(int(numbers[0]))))
        elif what == "names":
            print(json.dumps(names(int(numbers[0]), Path(place))))
        elif what == "work":
            print(json.dumps(of_work(numbers[0], Path(place))))
        else:
            workers, count, length = int(numbers[0]), int(numbers[1]), float(numbers[2])
            print(json.dumps(KINDS[what](workers, count, length, Path(place))))
