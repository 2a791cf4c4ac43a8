"""A process that makes tasks one after another, as the engine sees it that started it.

It is told a task a line, and answers with messages, each a line that begins with ``MARK``: ``note`` (a
remark), ``open``, ``advance`` and ``close`` (a progress bar and its number), ``part`` (one is there), and
last ``ended``. Any other line is what a library has printed.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from threading import Lock
from typing import Any

from fsarctl.execution.engine import WORKER, Ended, Task
from fsarctl.video.processes.lifetime import named_parent
from fsarctl.video.processes.worker_pool import environment

__all__ = ["MARK", "WorkerProcess", "message_line"]

MARK = "\x1e"
END_S = 5.0
"""For a worker to end that is told nothing any more."""


def message_line(message: Mapping[str, Any]) -> str:
    """A message as a line."""
    return f"{MARK}{json.dumps(message, ensure_ascii=True)}\n"


class WorkerProcess:
    """A worker beside this process; it ends when this one, or the thread that started it, does.

    ``more`` is added to its environment.
    """

    def __init__(self, more: Mapping[str, str] | None = None) -> None:
        self._starting = Lock()
        self._stopped = False
        self._more = dict(more or {})
        self._process: subprocess.Popen[str] | None = None

    def perform(self, task: Task, heard: Callable[[Mapping[str, Any]], None]) -> Ended:
        """Have a task made; ``heard`` is told what the worker says. One that was lost before is replaced."""
        process = self._started()
        if process is None:
            return Ended(128 + 2, "it was not begun")
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(f"{task.text}\n")
            process.stdin.flush()
        except OSError:
            pass  # it has ended, and its output says why
        last = ""
        for line in process.stdout:
            before, mark, message = line.rstrip("\n").partition(MARK)
            if before:
                last = before
                heard({"note": before})
            if mark:
                said = json.loads(message)
                if "ended" in said:
                    return Ended(**said["ended"])
                heard(said)
        code = process.wait()
        self.close()
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        return Ended(1, f"a worker ended {how} during {task.title}{f': {last}' if last else ''}", lost=True)

    def stop(self) -> "list[subprocess.Popen[str]]":
        """Begin nothing any more; the process that is to be ended, if there is one."""
        with self._starting:
            self._stopped = True
            process = self._process  # which ``close`` forgets meanwhile
            return [process] if process else []

    def end(self) -> None:
        """End the process, which is at nothing."""
        for process in self.stop():
            assert process.stdin is not None
            with suppress(OSError):
                process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(END_S)
            process.kill()
            process.wait()
        self.close()

    def close(self) -> None:
        """Give back what a process that has ended was spoken to by."""
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout):
                with suppress(OSError):  # what was still to be written
                    if pipe is not None:
                        pipe.close()
            self._process = None

    def _started(self) -> "subprocess.Popen[str] | None":
        with self._starting:
            if self._stopped:
                return None
            if self._process is None or self._process.poll() is not None:
                with _warned():
                    self._process = subprocess.Popen(
                        [sys.executable, "-m", WORKER],
                        env={**environment(), **named_parent(), **self._more},
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=subprocess.STDOUT,
                        text=True,
                        errors="replace",
                    )
            return self._process


def ended_message(ended: Ended) -> str:
    """The last message of a task."""
    return message_line({"ended": asdict(ended)})


@contextmanager
def _warned() -> Iterator[None]:
    """What is started meanwhile does not hear the signal by which Slurm warns of an end; this does."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
