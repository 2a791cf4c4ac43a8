"""The engine of a Slurm cluster: each task is a job, many are an array, and submitit submits them.

A job that runs out of time, or gives way to another, is put into the queue again by submitit, with the same
call: what was done by then lies in the store. What has ended, a job says in a file; Slurm is asked about
those that have said nothing, since its accounts come late and not every cluster keeps any.
"""

import json
import math
import os
import re
import shlex
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fsarctl.artifacts.atomic_write import write_whole
from fsarctl.artifacts.sharing.late_names import LATE_S
from fsarctl.config.tables import SlurmConfig
from fsarctl.execution.engine import Ended, Heard, Need, Place, Task
from fsarctl.execution.slurm_commands import Slurm
from fsarctl.execution.worker_process import WorkerProcess
from fsarctl.video.processes.lifetime import STDIN
from fsarctl.video.processes.worker_pool import environment

__all__ = ["LOGS", "Call", "Record", "SlurmEngine", "detach", "jobs_under_way", "name_of_log", "records"]

LOGS = Path("logs", "slurm")
"""In the cache: a log and an end a job, and ``JOBS``; what submitit writes lies in a folder below."""
JOBS = "jobs.jsonl"
JOBS_AT_ONCE = 256
TRIES = 3
"""Of a task whose job left the queue without a word."""
LOOK_S, ASK_S = 2.0, 20.0
"""How often files are looked for, and Slurm is asked."""
MISSING = 1 + math.ceil(LATE_S / ASK_S)
"""Questions to which Slurm does not name a job, until it is lost: its last file may come late."""
FINAL = {
    "OUT_OF_MEMORY": ("ran out of memory", "Ask for more: --set execution.slurm.memory_gib=N"),
    "CANCELLED": ("was cancelled", "Run the same command again: it goes on from there."),
    "DEADLINE": ("missed its deadline", "Run the same command again: it goes on from there."),
}
"""States after which another try is not for us to decide."""


@dataclass(frozen=True)
class Call:
    """What a job does, as submitit keeps it: it makes a task, and writes its log and how that ended."""

    text: str
    log: str

    def __call__(self) -> None:
        task, log = Task.parse(self.text), Path(self.log)
        with log.open("a", encoding="utf-8") as out:

            def heard(message: Any) -> None:
                said = message.get("note") or (
                    f"part {message['part']} is there" if "part" in message else ""
                )
                if said:
                    out.write(f"{said}\n")
                    out.flush()

            out.write(f"{task.title}: {_job_here()}\n")
            out.flush()
            worker = WorkerProcess({"OMP_NUM_THREADS": os.environ.get("SLURM_CPUS_PER_TASK", "1")})
            ended = worker.perform(task, heard)
            worker.end()
            out.write(f"error: {ended.error}\n" if ended.exit_code else "done\n")
        if not ended.lost:
            write_whole(_end_of(log), json.dumps(asdict(ended)).encode())

    def checkpoint(self) -> Any:
        """What submitit puts into the queue again: the same, since its state lies in the store."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


@dataclass(frozen=True)
class Record:
    """A job that was submitted: its number, what it makes, and its log."""

    job: str
    title: str
    key: str = ""
    parts: tuple[int, ...] = ()
    log: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether it has said how it ended."""
        return _end_of(self.log).exists()


@dataclass
class _Submitted:
    task: Task
    record: Record
    tries: int
    missed: int = 0


class SlurmEngine:
    """At most ``jobs`` jobs of the user's at a time; ``cache``: where they write, which all nodes see."""

    is_elsewhere, goes_on = True, True

    def __init__(
        self,
        config: SlurmConfig,
        jobs: int,
        cache: Path,
        slurm: Slurm | None = None,
    ) -> None:
        self.jobs = jobs or JOBS_AT_ONCE
        self._config = config
        self._cache, self._folder = cache, cache / LOGS
        self._slurm = slurm or Slurm(config, self.jobs, self._folder)
        self._under_way: dict[str, _Submitted] = {}
        self._left: dict[tuple[str, tuple[int, ...]], Record] = {}
        self._asked = time.monotonic()

    def tasks_of(self, parts: int) -> int:
        return min(parts, self._config.array)

    def require(self) -> None:
        self._slurm.require()

    def begin(self, heard: Heard) -> None:
        self._heard = heard
        self._folder.mkdir(parents=True, exist_ok=True)
        self.require()
        alive = self._slurm.alive()
        left = [each for each in records(self._cache) if alive is None or each.job in alive]
        self._left = {(each.key, each.parts): each for each in left if each.key and not each.has_ended}
        lines = "".join(f"{json.dumps(asdict(each))}\n" for each in left)
        write_whole(self._folder / JOBS, lines.encode())

    def start(self, tasks: Sequence[Task]) -> None:
        fresh = []
        for task in tasks:
            if record := self._left.pop((task.key, task.parts), None):
                self._heard(task, {"note": f"job {record.job}, submitted before, is at {task.title}"})
                self._under_way[record.job] = _Submitted(task, record, TRIES)
            else:
                fresh.append(task)
        self._submit(fresh, TRIES)

    def ended(self) -> list[tuple[Task, Ended]]:
        while True:
            # One look for all: a file server is not asked for a name a job, every two seconds.
            there = {path.name for path in self._folder.iterdir()}
            said = [job for job, each in self._under_way.items() if _end_of(each.record.log).name in there]
            ended = [each for job in said if (each := self._end(job))]
            if not ended and time.monotonic() - self._asked >= ASK_S:
                self._asked = time.monotonic()
                ended = self._ask()
            if ended:
                return ended
            time.sleep(LOOK_S)

    def end(self) -> None:
        self._slurm.cancel([*self._under_way])
        self._under_way.clear()

    def _submit(self, tasks: Sequence[Task], tries: int) -> None:
        """Submit what asks for the same in arrays."""
        by_need: dict[Need, list[Task]] = {}
        for task in tasks:
            by_need.setdefault(task.need, []).append(task)
        for need, alike in by_need.items():
            most = self._slurm.most_in_array()
            for start in range(0, len(alike), most):
                self._submit_array(alike[start : start + most], need, tries)

    def _submit_array(self, tasks: Sequence[Task], need: Need, tries: int) -> None:
        logs = [self._folder / name_of_log(task) for task in tasks]
        for log in logs:
            _end_of(log).unlink(missing_ok=True)
        calls = [Call(task.text, str(log)) for task, log in zip(tasks, logs, strict=True)]
        jobs = self._slurm.submit(calls, need)
        for job, task, log in zip(jobs, tasks, logs, strict=True):
            record = Record(job, task.title, task.key, task.parts, str(log))
            self._under_way[job] = _Submitted(task, record, tries)
        _note(self._folder, [self._under_way[job].record for job in jobs])

    def _end(self, job: str) -> tuple[Task, Ended] | None:
        """How a job ended, if it has said so."""
        submitted = self._under_way[job]
        try:
            ended = Ended(**json.loads(_end_of(submitted.record.log).read_bytes()))
        except FileNotFoundError:
            return None
        del self._under_way[job]
        if ended.exit_code:
            ended = replace(ended, error=f"{ended.error} (job {job}, log: {submitted.record.log})")
        return submitted.task, ended

    def _ask(self) -> list[tuple[Task, Ended]]:
        """What became of jobs that have said nothing, and are in no queue any more."""
        alive = self._slurm.alive()
        if alive is None:  # Slurm itself does not answer now
            return []
        ended = []
        for job, each in [*self._under_way.items()]:
            each.missed = 0 if job in alive else each.missed + 1
            if each.missed < MISSING:
                continue
            del self._under_way[job]
            state = self._slurm.state(job)
            what, step = FINAL.get(state, ("", ""))
            if what or each.tries == 1:
                ended.append((each.task, self._lost(each, what or f"ended ({state or 'gone'})", step)))
            else:
                told = f"job {job} ended ({state or 'gone'}) before {each.task.title} was there; once more"
                self._heard(each.task, {"note": told})
                self._submit([each.task], each.tries - 1)
        return ended

    def _lost(self, submitted: _Submitted, what: str, step: str) -> Ended:
        log = Path(submitted.record.log)
        if log.exists():
            where = f"log: {log}"
            step = step or "See its log, and `sacct -j` of its number."
        else:  # its shell may have said why
            out = self._folder / "submitit" / f"{submitted.record.job}_0_log.out"
            printed = out.read_text(errors="replace").split("\n") if out.exists() else []
            last = next((each.strip() for each in reversed(printed) if each.strip()), "")
            where = f"it has not begun to write {log}" + (
                f", and printed {last[:200]!r} ({out})" if last else ""
            )
            step = step or (
                "See that [execution.slurm] setup works on a node, and that the nodes see this folder,"
                " and fsarctl where it is here (docs/cluster.md)."
            )
        error = f"job {submitted.record.job}, at {submitted.task.title}, {what}; {where}"
        return Ended(7, error, step, lost=True)


@dataclass(frozen=True)
class Driver:
    """The job of a command that was detached: it runs that command, which submits the others."""

    arguments: tuple[str, ...]
    place: Place
    log: str

    def __call__(self) -> None:
        self.place.enter()
        with Path(self.log).open("a", encoding="utf-8") as out:
            out.write(f"{shlex.join(['fsarctl', *self.arguments])}: {_job_here()}\n")
            out.flush()
            command = [sys.executable, "-m", "fsarctl", *self.arguments]
            code = subprocess.run(command, stdout=out, stderr=out, stdin=STDIN, env=environment()).returncode
        write_whole(_end_of(self.log), json.dumps(asdict(Ended(code))).encode())
        if code:
            raise RuntimeError(f"exit code {code}: see {self.log}")  # so that Slurm's accounts tell

    def checkpoint(self) -> Any:
        """What is put into the queue again where the command had to give way."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def detach(config: SlurmConfig, cache: Path, arguments: Sequence[str], slurm: Slurm | None = None) -> Record:
    """Submit a command as a job that submits the others.

    Raises:
        ConfigError: Slurm is not there, or refuses it.
    """
    folder = cache / LOGS
    folder.mkdir(parents=True, exist_ok=True)
    slurm = slurm or Slurm(config, 1, folder)
    slurm.require()
    log = folder / f"fsarctl-{arguments[0]}-{uuid.uuid4().hex[:8]}.log"
    job = slurm.submit_driver(Driver(tuple(arguments), Place.here(), str(log)))
    record = Record(job, shlex.join(["fsarctl", *arguments]), log=str(log))
    _note(folder, [record])
    return record


def jobs_under_way(cache: Path) -> list[tuple[Record, str]]:
    """The jobs that were submitted for this cache and have not ended, and how they stand: "PENDING", ...

    Where Slurm cannot be asked they are "submitted".
    """
    open_ones = [each for each in records(cache) if not each.has_ended]
    if not open_ones:
        return []
    alive = Slurm(SlurmConfig(), 1, cache / LOGS).alive()
    if alive is None:
        return [(each, "submitted") for each in open_ones]
    return [(each, alive[each.job]) for each in open_ones if each.job in alive]


def records(cache: Path) -> list[Record]:
    """The jobs that were submitted for this cache, as far as it is known."""
    try:
        lines = (cache / LOGS / JOBS).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            fields = json.loads(line)
            found.append(Record(**{**fields, "parts": tuple(fields["parts"])}))
        except (ValueError, TypeError, KeyError):  # cut off by a kill
            continue
    return found


def name_of_log(task: Task) -> str:
    """What a task's log is called: after its unit, its key, and its parts."""
    words = re.sub(r"[^\w.+-]+", "-", task.title)[:80].strip("-.")
    parts = f"-parts-{task.parts[0]}-{task.parts[-1]}" if task.parts else ""
    return f"{words}-{task.key[:8]}{parts}.log"


def _note(folder: Path, jobs: Sequence[Record]) -> None:
    """Write down what was submitted, for `fsarctl status` and for a command that goes on."""
    with (folder / JOBS).open("a", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(asdict(each))}\n" for each in jobs)


def _end_of(log: Path | str) -> Path:
    return Path(f"{log}.ended.json")


def _job_here() -> str:
    import platform

    array, job = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_JOB_ID", "no job")
    number = f"{array}_{os.environ.get('SLURM_ARRAY_TASK_ID')}" if array else job
    return f"job {number} on {platform.node()}, {time.strftime('%Y-%m-%d %H:%M:%S')}"
