"""The engine of one machine: processes that share its cores, memory and GPUs."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

import psutil

from fsarctl.execution.engine import Ended, Heard, Need, Task
from fsarctl.execution.waiting_tasks import Line
from fsarctl.execution.worker_process import WorkerProcess
from fsarctl.progress import GIB
from fsarctl.video.processes.worker_pool import sweep

__all__ = ["LocalEngine", "end_all", "gpus_here"]

GRACE_S = 0.7
"""How long processes may take to end once they are told to."""
TRIES = 2
"""Of a task whose worker was lost."""
PINNED = "cuda:"


class LocalEngine:
    """At most ``jobs`` processes beside this one, as many as ``cores``, memory and ``gpus`` are enough for.

    ``gpus``: names for CUDA_VISIBLE_DEVICES; each is lent to ``beside`` tasks at a time. What needs more than
    there is runs alone.
    """

    is_elsewhere, goes_on = False, False

    def __init__(
        self,
        jobs: int,
        cores: int,
        gpus: Sequence[str] = (),
        beside: int = 1,
        memory_gib: float | None = None,
    ) -> None:
        self.jobs = jobs
        self._cores = max(cores, jobs)
        self._memory = psutil.virtual_memory().available / GIB if memory_gib is None else memory_gib
        self._gpus = [*gpus] * beside
        self._waiting = Line()
        self._hands: list[_Hand] = []
        self._done: SimpleQueue[tuple[_Hand, Task, int, Ended]] = SimpleQueue()

    def tasks_of(self, parts: int) -> int:
        return parts  # a worker keeps what the parts of a unit share

    def require(self) -> None: ...

    def begin(self, heard: Heard) -> None:
        self._heard = heard

    def start(self, tasks: Sequence[Task]) -> None:
        self._waiting.extend(tasks, TRIES)
        self._hand_out()

    def ended(self) -> list[tuple[Task, Ended]]:
        while True:
            hand, task, tries, ended = self._done.get()
            hand.task = None
            if ended.lost and tries > 1:
                self._heard(task, {"note": f"{ended.error}; it is begun again"})
                self._waiting.put_back(task, tries - 1)
                self._hand_out(hand.last)
                continue
            self._hand_out(hand.last)
            return [(task, ended)]

    def end(self) -> None:
        self._waiting.clear()
        end_all([process for hand in self._hands for process in hand.worker.stop()])
        for hand in self._hands:
            hand.orders.put(None)
        for hand in self._hands:
            hand.thread.join()
            hand.worker.close()

    def _hand_out(self, key: str = "") -> None:
        """Give to hands what there is room for, the unit ``key`` first; what is too large lets others by."""
        refused: set[Need] = set()
        while waiting := [each for each in self._waiting.first(key) if each.task.need not in refused]:
            each = waiting[0]
            hand = self._hand_for(each.task)
            if hand is None:
                refused.add(each.task.need)
                continue
            self._waiting.take(each)
            hand.task = each.task
            hand.orders.put((each.task, each.tries))

    def _hand_for(self, task: Task) -> "_Hand | None":
        """A free hand, if there is room: the one that was at the same unit, or another, or a new one."""
        busy = [hand for hand in self._hands if hand.task]
        if len(busy) >= self.jobs or (busy and not self._fits(task.need, busy)):
            return None
        gpu: str | None = None
        if self._gpus and task.need.gpus:
            taken = [hand.gpu for hand in busy if hand.gpu]
            free = [gpu for gpu in self._gpus if taken.count(gpu) < self._gpus.count(gpu)]
            if not free:
                return None
            gpu = free[0]
        idle = [hand for hand in self._hands if not hand.task and hand.gpu == gpu]
        for hand in sorted(idle, key=lambda hand: hand.last != task.key):
            hand.last = task.key
            return hand
        hand = _Hand(gpu, self._visible(gpu), self._done, self._heard, last=task.key)
        self._hands.append(hand)
        return hand

    def _visible(self, gpu: str | None) -> dict[str, str]:
        """What lets a process see this GPU alone; one that --device names, it finds itself."""
        if not self._gpus or self._gpus[0].startswith(PINNED):
            return {}
        return {"CUDA_VISIBLE_DEVICES": gpu or ""}

    def _fits(self, need: Need, busy: "Sequence[_Hand]") -> bool:
        needs = [need, *(hand.task.need for hand in busy if hand.task)]
        cores, memory = sum(each.cores for each in needs), sum(each.memory_gib for each in needs)
        return cores <= self._cores and memory <= self._memory


@dataclass
class _Hand:
    """A worker process, and the thread that speaks with it."""

    gpu: str | None
    more: Mapping[str, str]
    done: "SimpleQueue[tuple[_Hand, Task, int, Ended]]"
    heard: Heard
    last: str
    task: Task | None = None
    orders: "SimpleQueue[tuple[Task, int] | None]" = field(default_factory=SimpleQueue)

    def __post_init__(self) -> None:
        self.worker = WorkerProcess({"OMP_NUM_THREADS": "1", **self.more})
        self.thread = Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while order := self.orders.get():
            task, tries = order

            def heard(message: Mapping[str, Any], task: Task = task) -> None:
                self.heard(task, message)

            try:
                ended = self.worker.perform(task, heard)
            except Exception as error:  # a worker that cannot be started is no reason to wait for ever
                ended = Ended(1, f"no worker for {task.title}: {error}")
            self.done.put((self, task, tries, ended))


def gpus_here(device: str) -> list[str]:
    """The GPUs that ``device`` lets be used, as CUDA_VISIBLE_DEVICES names them, or as itself does."""
    if device.startswith(PINNED):
        return [device]
    if device not in ("auto", "cuda"):
        return []
    if not any(Path(place).exists() for place in ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")):
        return []
    import torch

    named = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = named.split(",") if named else [str(number) for number in range(torch.cuda.device_count())]
    return names[: torch.cuda.device_count()]


def end_all(processes: "Sequence[subprocess.Popen[Any]]") -> None:
    """End processes of fsarctl: at first as a user would, then for sure."""
    for process in processes:
        process.terminate()
    end = time.monotonic() + GRACE_S
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, end - time.monotonic()))
        process.kill()
        process.wait()
    sweep()
