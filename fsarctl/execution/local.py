"""Runs commands beside each other, each in a process of its own; the store's locks keep them apart.

A unit of work is named by the command that makes it, so a process needs nothing but that command.
"""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from fsarctl.artifacts.command import Command, Option, words
from fsarctl.errors import FsarctlError
from fsarctl.progress import Reporter
from fsarctl.video.lifetime import STDIN, named_parent
from fsarctl.video.worker_process import environment, sweep

__all__ = ["Ended", "end_all", "require_success", "run_commands"]

ERROR = "error:"
GRACE_S = 0.7
"""How long commands may take to end once they are told to."""


@dataclass(frozen=True)
class Ended:
    """How a command ended; ``error`` is what it said, if it failed."""

    exit_code: int
    error: str


class _CommandError(FsarctlError):
    """A command failed; it has said why itself."""

    def __init__(self, command: Command, exit_code: int) -> None:
        super().__init__(f"{command} ended with exit code {exit_code}", next_step="See what it said above.")
        self.exit_code = exit_code


def run_commands(
    commands: Mapping[Command, str], jobs: int, reporter: Reporter, options: Sequence[Option] = ()
) -> dict[Command, Ended]:
    """Run commands, ``jobs`` at a time; what they say is passed on line by line.

    ``commands`` say of each what its lines begin with ("": nothing). ``options`` are added to each: what does
    not change a result is not part of a command's name. They end when this process does.
    Each process computes with one thread, since together they use ``jobs`` cores. Returns how each command
    ended.

    Raises:
        KeyboardInterrupt: a command was interrupted.
    """
    running = _Running(reporter, options)
    with ThreadPoolExecutor(jobs) as pool:
        try:
            answers = pool.map(lambda each: running.run(*each), commands.items())
            ended = dict(zip(commands, answers, strict=True))
        except BaseException:
            running.stop()
            raise
    if any(each.exit_code == 128 + 2 for each in ended.values()):
        raise KeyboardInterrupt
    return ended


def require_success(ended: Mapping[Command, Ended]) -> None:
    """Pass on the first failure.

    Raises:
        FsarctlError: a command failed; its exit code is the error's.
    """
    for command, each in ended.items():
        if each.exit_code != 0:
            raise _CommandError(command, each.exit_code)


@dataclass
class _Running:
    """The commands that run now."""

    reporter: Reporter
    options: Sequence[Option]
    processes: "list[subprocess.Popen[str]]" = field(default_factory=list)
    stopped: bool = False
    starting: Lock = field(default_factory=Lock)

    def run(self, command: Command, title: str) -> Ended:
        """Start a command and wait for its end."""
        with self.starting:
            if self.stopped:
                return Ended(128 + 2, "it was not begun")
            process = subprocess.Popen(
                [sys.executable, "-m", "fsarctl", *command.arguments, *words(self.options)],
                env={**environment(), **named_parent(), "OMP_NUM_THREADS": "1"},
                stdin=STDIN,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            self.processes.append(process)
        error = ""
        with process:
            assert process.stderr is not None
            for line in process.stderr:
                if line.startswith(ERROR):
                    error = line.removeprefix(ERROR).strip()
                if not self.stopped:
                    self.reporter.note(": ".join(filter(None, [title, line.rstrip("\n")])))
        return Ended(process.returncode, error or f"`{command}` ended with exit code {process.returncode}")

    def stop(self) -> None:
        """End them all. Nothing is begun any more."""
        with self.starting:
            self.stopped = True
        end_all(self.processes)


def end_all(processes: Sequence["subprocess.Popen[Any]"]) -> None:
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
