"""Runs commands beside each other, each in a process of its own; the store's locks keep them apart.

A unit of work is named by the command that makes it, so a process needs nothing but that command.
"""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from fsarctl.artifacts.command import Command, Option, words
from fsarctl.errors import FsarctlError
from fsarctl.progress import Reporter
from fsarctl.video.worker_process import environment

__all__ = ["Ended", "require_success", "run_commands"]

ERROR = "error:"


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
    not change a result is not part of a command's name. Each process computes with one thread, since
    together they use ``jobs`` cores. Returns how each command ended.

    Raises:
        KeyboardInterrupt: a command was interrupted.
    """
    with ThreadPoolExecutor(jobs) as pool:
        answers = pool.map(lambda each: _run(each[0], each[1], reporter, options), commands.items())
        ended = dict(zip(commands, answers, strict=True))
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


def _run(command: Command, title: str, reporter: Reporter, more: Sequence[Option]) -> Ended:
    error = ""
    with subprocess.Popen(
        [sys.executable, "-m", "fsarctl", *command.arguments, *words(more)],
        env={**environment(), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(ERROR):
                error = line.removeprefix(ERROR).strip()
            reporter.note(": ".join(filter(None, [title, line.rstrip("\n")])))
    return Ended(process.returncode, error or f"`{command}` ended with exit code {process.returncode}")
