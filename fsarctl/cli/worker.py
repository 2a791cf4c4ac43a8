"""A worker: plans the tasks that it is told of by the words that a user would type, and makes them.

``python -m fsarctl.cli.worker`` reads a task a line, see ``fsarctl.execution.worker_process``. What
a command has planned, and what the parts of a unit need, is kept for the next task.
"""

import contextlib
import io
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from fsarctl.artifacts import Store, Unit
from fsarctl.artifacts.agenda import PATIENCE_S
from fsarctl.datasets.findings import Findings
from fsarctl.errors import ConfigError, FsarctlError
from fsarctl.execution.engine import Ended, Task
from fsarctl.execution.job_schedule import Planned, planning
from fsarctl.execution.worker_process import ended_message, message_line
from fsarctl.progress import Advance

__all__ = ["Worker", "serve"]

SAME_EVERYWHERE = "Use the same project, videos, weights and cache on every machine (docs/cluster.md)."


class Worker:
    """Makes tasks in this process; ``say`` is given each line of what is to be said meanwhile."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._reporter = _Telling(say)
        self._say = say
        self._entered = False
        self._findings = Findings()
        self._planned: tuple[tuple[str, ...], Planned] | None = None
        self._parts = _OpenParts()

    def perform(self, text: str) -> Ended:
        """Make a task; how it ended, whatever happened."""
        from fsarctl.config.plugins import fault_of_part

        task = Task.parse(text)
        try:
            self._perform(task)
        except FsarctlError as error:
            return Ended(error.exit_code, _said_here(task, error.message), error.next_step)
        except KeyboardInterrupt:
            return Ended(128 + 2, "interrupted")
        except Exception as error:
            if fault := fault_of_part(error):
                return Ended(fault.exit_code, _said_here(task, fault.message), fault.next_step)
            said = _said_here(task, f"{type(error).__name__}: {error}")
            return Ended(1, said, "Run it without --engine and --jobs for more about it.")
        return Ended()

    def _perform(self, task: Task) -> None:
        if not self._entered:
            task.place.enter()
            self._findings = self._told(task)
            self._entered = True
        if not task.parts:
            self._parts.close()
            store, unit = self._unit(task)
            store.realise(unit)
            return
        if self._parts.key != task.key:
            self._parts.close()
            self._parts.open(*self._unit(task), task.key)
        for part in task.parts:
            self._parts.make(part)
            self._say(message_line({"part": part}))

    def _told(self, task: Task) -> Findings:
        """What whoever planned has found out; nothing, where that is lost, and all is looked at here."""
        told = task.place.read()
        if told is None:
            self._reporter.note(f"{task.place.sign} is not what was written: {platform.node()} looks itself")
        return Findings() if told is None else Findings.parse(told)

    def _unit(self, task: Task) -> tuple[Store, Unit]:
        """The unit that is meant, among those that its words plan.

        Raises:
            FsarctlError: none of them has its key here, or what they mean is not there.
        """
        if self._planned is None or self._planned[0] != task.arguments:
            try:
                self._planned = task.arguments, _plan(task.arguments, self._reporter, self._findings)
            except FsarctlError as error:  # which was well where it was typed
                if platform.node() != task.place.host:
                    error.next_step = SAME_EVERYWHERE
                raise
        planned = self._planned[1]
        end = time.monotonic() + PATIENCE_S
        while (unit := planned.find(task.stage, task.key)) is None:
            if time.monotonic() > end or not planned.is_waiting(task.stage):
                raise ConfigError(
                    f"{platform.node()} plans {task.title} otherwise than {task.place.host}",
                    next_step=SAME_EVERYWHERE,
                )
            time.sleep(1.0)
        return planned.store, unit


class _OpenParts:
    """What makes the parts of one unit, its weights loaded."""

    def __init__(self) -> None:
        self.key = ""
        self._stack = ExitStack()
        self.make: Callable[[int], None] = lambda part: None

    def open(self, store: Store, unit: Unit, key: str) -> None:
        assert unit.parts is not None
        build = self._stack.enter_context(store.parts(unit))
        begun = store.at_parts(build, partial(unit.parts.begin, build))
        self.make = lambda part: store.at_parts(build, partial(begun, part))
        self.key = key

    def close(self) -> None:
        self.key, self.make = "", lambda part: None
        self._stack.close()


class _Telling:
    """A ``Reporter`` that tells whoever started this process."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._bars = 0
        self.is_quiet = False

    @contextmanager
    def task(self, description: str, total: int, unit: str, done: int = 0) -> Iterator[Advance]:
        if self.is_quiet:
            yield lambda amount=1, detail="": None
            return
        self._bars += 1
        number = self._bars
        told: dict[str, Any] = {"description": description, "total": total, "unit": unit, "done": done}
        self._say(message_line({"open": number, **told}))

        def advance(amount: int = 1, detail: str = "") -> None:
            self._say(message_line({"advance": number, "amount": amount, "detail": detail}))

        try:
            yield advance
        finally:
            self._say(message_line({"close": number}))

    def note(self, message: str) -> None:
        if not self.is_quiet:
            self._say(message_line({"note": message}))


def _said_here(task: Task, message: str) -> str:
    """What is wrong, and where, if that is another machine than the one where it is read."""
    host = platform.node()
    return message if host == task.place.host or message.startswith(host) else f"on {host}: {message}"


def _plan(arguments: tuple[str, ...], reporter: _Telling, findings: Findings) -> Planned:
    """What a command would make, by what is known of datasets and clips.

    Raises:
        FsarctlError: it is refused.
    """
    from fsarctl.cli.app import app

    # Whoever typed it has been told what is worth telling of the plan.
    with planning(reporter, findings), contextlib.redirect_stderr(io.StringIO()):
        reporter.is_quiet = True
        try:
            app(list(arguments), prog_name="fsarctl", standalone_mode=False)
        except Planned as planned:
            return planned
        finally:
            reporter.is_quiet = False
    raise FsarctlError(f"`fsarctl {' '.join(arguments)}` plans nothing that a worker could make")


def serve() -> None:
    """Make the tasks on stdin until it ends."""
    from fsarctl import leave_out_working_directory
    from fsarctl.cli.terminal.signals import ending_by_signals
    from fsarctl.video.processes.lifetime import end_with_whoever_started

    leave_out_working_directory()
    end_with_whoever_started(listens=False)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    sys.stdout = sys.stderr

    def say(line: str) -> None:
        out.write(line)
        out.flush()

    worker = Worker(say)
    try:
        with ending_by_signals():
            for line in sys.stdin:
                ended = worker.perform(line)
                say(ended_message(ended))
                if ended.exit_code == 128 + 2:
                    break
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(130)


if __name__ == "__main__":
    serve()
