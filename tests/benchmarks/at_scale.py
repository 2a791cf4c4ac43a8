"""What measured figures come to where there are many workers: the tables of docs/scale.md.

    python tests/benchmarks/at_scale.py

Nothing is measured here. A job is phases, each as long as what takes longest in it; a worker is one core of
the machine that the figures are from.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil

__all__ = ["JOBS", "WORKERS", "Figures", "known", "tables", "total"]

WORKERS = (1, 10, 100, 1_000)
HOUR = 3600.0


@dataclass(frozen=True)
class Figures:
    """Seconds of one core, bytes, or names a second: see ``WHAT``."""

    decode: float = 0.038
    video: float = 0.72e6
    frames: float = 1.585e6
    clip: float = 2.9
    episode: float = 4.5
    step: float = 13.4
    overhead: float = 0.06
    start: float = 5.2
    driver: float = 0.0042
    nothing: float = 43e-5
    listing: float = 5.3e-5
    kept: float = 3.4e3
    plan: float = 3.8e-5
    write: float = 1.0e-5
    read: float = 2.3e-5
    told: float = 99.0
    asked: float = 117.0
    opened: float = 11.0
    digest: float = 1 / 1.5e9
    bandwidth: float = 1e9
    names: float = 20_000.0


WHAT = {
    "decode": ("a clip decoded to 8 frames (250 at 340 x 256, H.264, a key frame in 250)", "s", "`engines`"),
    "video": ("such a clip", "B", "`engines`"),
    "frames": ("its 8 frames", "B", "`engines`"),
    "clip": ("a clip known: the frozen part of ViT-B/16, L = 2; once a worker", "s", "`engines`"),
    "episode": ("an episode of known clips, 5-way 1-shot", "s", "`engines`"),
    "step": ("a training step with kept prefixes", "s", "`engines`"),
    "overhead": ("a unit more than its work, Ray", "s", "`engines`"),
    "start": ("until a worker begins, Ray", "s", "`engines`"),
    "driver": ("a unit in the driver, Ray", "s", "`engines`"),
    "nothing": ("of that without Ray", "s", "`engines`, 100,000 units of nothing"),
    "listing": ("an artifact among those that are listed", "s", "`engines`"),
    "kept": ("a unit in the driver's memory", "B", "`engines`"),
    "plan": ("a clip of the dataset, where the command is typed", "s", "`command_line`"),
    "write": ("what is known of it, written for the workers", "s", "`engines`"),
    "read": ("the same, read by a worker, which plans with it", "s", "`engines`"),
    "told": ("the same, on the disk", "B", "`engines`"),
    "asked": ("a worker, until it looks at the clips of its first part", "names", "`engines`"),
    "opened": ("a clip that is decoded", "names", "`engines`"),
    "digest": ("a byte of a finished artifact (SHA-256)", "s", "`sha256sum`"),
    "bandwidth": ("a file server, in a second", "B", "assumed"),
    "names": ("a file server, in a second", "names", "assumed"),
}

Phase = Mapping[str, float]
"""Who is busy -> for how many seconds, beside each other."""
CORES, BYTES, NAMES, DRIVER, LAST = (
    *("the workers", "the file server's bytes", "the file server's names", "the driver"),
    "one worker, at the end",
)

KINETICS, SHARD = 650_000, 16
METHODS, EPISODES, BLOCK, IN_AN_EPISODE = 12, 10_000, 100, 10
NOVEL, ALL = 2_400, 10_000
"""Clips of the test classes of a usual benchmark, and of all its classes."""
RUNS, STEPS, VALIDATION = 1_000, 10_000, 10_000


def known(drawn: int, clips: int = NOVEL) -> float:
    """How many clips are met by so many draws, in the mean: n (1 - (1 - 1/n)^k)."""
    return clips * (1 - (1 - 1 / clips) ** drawn)


def planned(f: Figures, clips: int, workers: int) -> list[Phase]:
    """The one who plans looks at every clip and writes down what he finds; the workers read that."""
    return [
        {DRIVER: clips * (f.plan + f.write), NAMES: 2 * clips / f.names},
        {
            CORES: f.start + clips * f.read,
            BYTES: workers * clips * f.told / f.bandwidth,
            NAMES: workers * f.asked / f.names,
        },
    ]


def decoding(f: Figures, workers: int) -> list[Phase]:
    """One artifact: shards of 16 clips, at most 8 tasks a worker.

    Its videos are read once before, for their digests, and its bytes once more at the end.
    """
    shards = ceil(KINETICS / SHARD)
    tasks = min(shards, 8 * workers)
    a_task = ceil(shards / tasks) * SHARD * f.decode + f.overhead
    return [
        {DRIVER: KINETICS * f.video * f.digest, BYTES: KINETICS * f.video / f.bandwidth},
        *planned(f, KINETICS, workers),
        {
            CORES: ceil(tasks / workers) * a_task,
            BYTES: KINETICS * (f.video + f.frames) / f.bandwidth,
            NAMES: KINETICS * f.opened / f.names,
            DRIVER: tasks * f.driver,
        },
        {LAST: KINETICS * f.frames * max(f.digest, 1 / f.bandwidth)},
    ]


def evaluated(f: Figures, units: int, workers: int) -> list[Phase]:
    """So many evaluations: whole, or in blocks where there are two workers for each of them."""
    if workers // units > 1:
        blocks = units * EPISODES // BLOCK
        alike = min(EPISODES // BLOCK, ceil(blocks / workers))  # that a worker makes of one evaluation
        rounds = ceil(blocks / (workers * alike))
        tasks = blocks
    else:
        alike, rounds, tasks = EPISODES // BLOCK, ceil(units / workers), units
    clips = known(alike * BLOCK * IN_AN_EPISODE)
    seconds = clips * f.clip + alike * (BLOCK * f.episode + f.overhead)
    return [
        *planned(f, ALL, min(workers, tasks)),
        {
            CORES: rounds * seconds,
            BYTES: min(workers, tasks) * rounds * clips * f.frames / f.bandwidth,
            DRIVER: tasks * f.driver,
        },
    ]


def methods(f: Figures, workers: int) -> list[Phase]:
    """12 evaluations, each with the costs of Task-Adapter++."""
    return evaluated(f, METHODS, workers)


def sweep(f: Figures, workers: int) -> list[Phase]:
    """1,000 trainings, and an evaluation of each; each is planned anew by its worker, who was told once."""
    training = known(STEPS * IN_AN_EPISODE, ALL - NOVEL) * f.clip + STEPS * f.step + VALIDATION * f.episode
    return [
        {
            CORES: f.start + ceil(RUNS / workers) * (training + f.read * ALL + f.overhead),
            NAMES: RUNS * f.asked / f.names,
            DRIVER: RUNS * f.driver,
        },
        *evaluated(f, RUNS, workers),
        {DRIVER: 2 * RUNS * f.listing},
    ]


JOBS: dict[str, Callable[[Figures, int], list[Phase]]] = {
    "decoding Kinetics-700, 650,000 clips": decoding,
    "10,000 episodes of 12 methods": methods,
    "a sweep of 1,000 runs": sweep,
}


def total(phases: list[Phase]) -> tuple[float, str]:
    """Hours, and who is busy for most of them."""
    most = [max(phase, key=lambda who: phase[who]) for phase in phases]
    seconds: dict[str, float] = {}
    for who, phase in zip(most, phases, strict=True):
        seconds[who] = seconds.get(who, 0.0) + phase[who]
    return sum(seconds.values()) / HOUR, max(seconds, key=lambda who: seconds[who])


def saturated(job: Callable[[Figures, int], list[Phase]], f: Figures) -> tuple[int, str]:
    """From how many workers on, of 1, 2, 4, ..., something else than they takes longest; 0: of none tried."""
    for power in range(21):
        _, who = total(job(f, 2**power))
        if who != CORES:
            return 2**power, who
    return 0, ""


def tables(f: Figures | None = None) -> list[str]:
    """The tables of the page, in Markdown."""
    f = f or Figures()
    measured = ["| | | from |", "|---|---|---|"]
    for name, (what, unit, source) in WHAT.items():
        measured.append(f"| {what} | {_shown(getattr(f, name), unit)} | {source} |")
    head = "".join(f" {workers:,} |" for workers in WORKERS)
    hours = [f"| hours on so many workers |{head}", "|---|" + "---|" * len(WORKERS)]
    first = [
        "| | speed-up of 1,000 workers | workers wait for something from | for | and at 1,000 for |",
        "|---|---|---|---|---|",
    ]
    for name, job in JOBS.items():
        times = [total(job(f, workers)) for workers in WORKERS]
        hours.append(f"| {name} |" + "".join(f" {_number(time)} |" for time, _ in times))
        workers, who = saturated(job, f)
        limit = f"{workers:,} on | {who} | {times[-1][1]}" if workers else "none that was tried | |"
        first.append(f"| {name} | {_number(times[0][0] / times[-1][0])} | {limit} |")
    limits = ["| | |", "|---|---|"]
    limits += [f"| {what} | {value} |" for what, value in _limits(f).items()]
    return ["\n".join(table) for table in (measured, hours, first, limits)]


def _limits(f: Figures) -> dict[str, str]:
    """What bounds every job, whatever it is made of."""
    return {
        "units that the driver takes on in a second": f"{1 / f.driver:.0f}",
        "the shortest units that keep 1,000 workers busy": _shown(1_000 * f.driver, "s"),
        "units of which a worker does nine tenths work, at least": _shown(9 * f.overhead, "s"),
        "the driver's memory for a million units": _shown(1e6 * f.kept, "B"),
        "to list a million results": _shown(1e6 * f.listing, "s"),
        "to plan a command of Kinetics-700": _shown(KINETICS * f.plan, "s"),
        "bytes that each of its workers is told": _shown(KINETICS * f.told, "B"),
        "workers that begin at once there, and have been told within a minute": _number(
            60 * min(f.bandwidth / (KINETICS * f.told), f.names / f.asked)
        ),
    }


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _shown(value: float, unit: str) -> str:
    """A number with a unit that suits its size."""
    if unit == "s":
        for least, factor, small in ((1.0, 1.0, "s"), (1e-3, 1e3, "ms"), (1e-6, 1e6, "µs"), (0.0, 1e9, "ns")):
            if value >= least:
                return f"{value * factor:.3g} {small}"
    if unit == "B":
        for least, large in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
            if value >= least:
                return f"{value / least:.3g} {large}"
    return f"{value:,.0f} {unit}"


if __name__ == "__main__":
    print("\n\n".join(tables()))
