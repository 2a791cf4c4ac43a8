"""Time and memory at 1, 4 and 16 times the clips, episodes, way and shots; each point in its own process."""

import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from extraction import Watch, copies
from made import noise_loader, random_model
from timing import Options, in_a_process, peak_mib
from videos import Kind, make_video

from fsarctl.episodes.feature_cache import Room
from fsarctl.episodes.scoring import Scorer
from fsarctl.frames.extraction import Extractor

TIMES = (1, 4, 16)


@dataclass(frozen=True)
class Axis:
    """What grows, from how much, what that and the fixed rest is made of, and why it grows as it does."""

    name: str
    amount: int
    start: dict[str, int]
    grows: tuple[str, ...]
    why: str


EVALUATION = {"frames": 8, "classes": 8, "clips": 8, "way": 5, "shot": 1, "episodes": 32}
AXES = (
    Axis("clips, extracted", 64, {"videos": 64}, ("videos",),
         "each is decoded once, from when the worker is up, and few wait to be written"),
    Axis("clips of two frames, and a tenth as many episodes", 6272,
         {**EVALUATION, "frames": 2, "classes": 64, "clips": 98, "episodes": 627}, ("clips", "episodes"),
         "most are met once or twice; what is kept of them has a limit, here 64 MiB and a file of 256"),
    Axis("episodes of known clips", 32, {**EVALUATION, "known": 1}, ("episodes",),
         "each costs the same, and nothing of it stays but its scores"),
    Axis("way, and queries with it", 5,
         {**EVALUATION, "classes": 80, "clips": 2, "episodes": 4, "known": 1}, ("way",),
         "support and queries are as many more; Task-MSA and the scores look at pairs of them"),
    Axis("shots", 1, {**EVALUATION, "classes": 5, "clips": 17, "episodes": 16, "known": 1}, ("shot",),
         "support is as much more, queries are not"),
)  # fmt: skip


def evaluate(asked: dict[str, int], folder: Path) -> dict[str, float]:
    """Seconds of scoring, and MiB above what was there before."""
    torch.set_num_threads(1)
    model = random_model("tiny", 2, frames=asked["frames"])
    how = {name: asked[name] for name in ("classes", "clips", "way", "shot")}
    loader = noise_loader(model, folder, **how)
    list(Scorer(model, loader).score(range(1)))  # what torch sets up at its first use is not what grows
    before = peak_mib()
    room = Room(memory=2**28) if asked.get("known") else Room(memory=2**26, disk=2**28, folder=folder)
    scorer = Scorer(model, loader, room=room)

    def score() -> float:
        start = time.perf_counter()
        for _ in scorer.score(range(asked["episodes"])):
            pass
        return time.perf_counter() - start

    seconds = score()
    if asked.get("known"):
        seconds = score()
    return {"seconds": seconds, "mib": peak_mib() - before}


def extract(asked: dict[str, int], folder: Path) -> dict[str, float]:
    """Likewise of decoding small videos."""
    path = make_video(folder / "one.mp4", Kind("libx264", ".mp4", {"preset": "ultrafast"}, 64, 64), 24)

    def run(videos: int) -> float:
        out = folder / str(videos)
        out.mkdir()
        watch = Watch()
        how = {"frames": 8, "size": 74, "time_limit_s": 60.0, "workers": 1, "reporter": watch}
        Extractor(copies(path, videos), out, out / "scratch", **how).extract()
        return watch.times[-1] - watch.times[0]

    run(17)  # more than a shard: the writer and the decoder are there
    before = peak_mib()
    return {"seconds": run(asked["videos"]), "mib": peak_mib() - before}


def exponent(amounts: tuple[int, ...], values: list[float]) -> float:
    """p of value ~ amount^p, by least squares over their logarithms."""
    return float(np.polyfit(np.log(amounts), np.log(values), 1)[0])


def main(options: Options) -> None:
    """Print the table."""
    times = TIMES[:2] if options.quick else TIMES
    print("\nGrowth: the tiny backbone, one thread; seconds, and MiB above the process at rest")
    for axis in AXES[:3:2] if options.quick else AXES:
        points = []
        for factor in times:
            asked = {
                name: value * (factor if name in axis.grows else 1) for name, value in axis.start.items()
            }
            points.append(in_a_process("growth.py", json.dumps(asked)))
        seconds = [point["seconds"] for point in points]
        # Below a MiB it is the allocator that is measured.
        mib = [max(point["mib"], 1.0) for point in points]
        amounts = " -> ".join(f"{axis.amount * factor:,}" for factor in times)
        print(f"{axis.name}, {amounts}")
        print(f"  seconds {_listed(seconds, '.2f')}, exponent {exponent(times, seconds):.2f}")
        print(f"  MiB     {_listed(mib, '.0f')}, exponent {exponent(times, mib):.2f}")
        print(f"  {axis.why}", flush=True)


def _listed(values: list[float], form: str) -> str:
    return ", ".join(f"{value:{form}}" for value in values)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        wanted = json.loads(sys.argv[1])
        with tempfile.TemporaryDirectory() as place:
            print(json.dumps((extract if "videos" in wanted else evaluate)(wanted, Path(place))))
    else:
        main(Options())
