"""Units of known length, and a worker that makes them: ``python -m known_units``."""

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from fsarctl.artifacts import Build, Store, Unit
from fsarctl.artifacts.command import Command, Option
from fsarctl.execution import ray_cluster, slurm, worker_process
from fsarctl.execution.job_schedule import Planned

__all__ = ["SPELL", "VERB", "SleepingCall", "SleepingWorker", "sleeping", "words_of"]

VERB = "sleep"
SPELL = "spell.json"
"""When a unit was begun, on the machine's clock, and by which process."""


def sleeping(numbers: Sequence[int], seconds: float) -> list[Unit]:
    """Units that keep nothing busy for so long; with 0 seconds, units of nothing."""

    def build(given: Build) -> None:
        begun = time.time()
        time.sleep(seconds)
        (given.folder / SPELL).write_text(json.dumps({"begun": begun, "worker": os.getpid()}))

    return [
        Unit(
            VERB,
            1,
            f"{VERB} {number}",
            Command(VERB, (Option("", (str(number),)),)),
            {"number": number, "seconds": seconds},
            build,
            apart=True,
        )
        for number in numbers
    ]


def words_of(root: Path, seconds: float) -> Callable[[str], Sequence[Option]]:
    """The options by which a worker plans one of them."""
    return lambda verb: (Option("", (str(root), str(seconds))),)


def _plan(arguments: tuple[str, ...], reporter: object, findings: object) -> Planned:
    _, number, root, seconds = arguments
    return Planned(Store(Path(root)), sleeping([int(number)], float(seconds)))


class SleepingWorker(ray_cluster._Worker):
    """What is on a node of Ray, with this module as the worker's."""

    def __init__(self) -> None:
        worker_process.WORKER = __name__
        super().__init__()


class SleepingCall(slurm.Call):
    """What a job of Slurm does, likewise."""

    def __call__(self) -> None:
        worker_process.WORKER = __name__
        super().__call__()


if __name__ == "__main__":
    from fsarctl.cli import worker

    worker._plan = _plan
    worker.serve()
