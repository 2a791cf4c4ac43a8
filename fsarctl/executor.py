"""Runs commands beside each other, each in a process of its own; the store's locks keep them apart.

A unit of work is named by the command that makes it, so a process needs nothing but that command.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from fsarctl.errors import FsarctlError
from fsarctl.reporting import Reporter

__all__ = ["require_success", "run_commands"]

CALL = "from fsarctl.cli import main; main()"


class _CommandError(FsarctlError):
    """A command failed; it has said why itself."""

    def __init__(self, command: str, exit_code: int) -> None:
        super().__init__(f"{command} ended with exit code {exit_code}", next_step="See what it said above.")
        self.exit_code = exit_code


def run_commands(
    commands: Mapping[str, str], jobs: int, reporter: Reporter, words: Sequence[str] = ()
) -> dict[str, int]:
    """Run ``fsarctl ...`` command lines, ``jobs`` at a time; what they say is passed on line by line.

    ``commands`` say of each what its lines begin with ("": nothing). ``words`` are added to each: what does
    not change a result is not part of a command's name. Each process computes with one thread, since
    together they use ``jobs`` cores. Returns command -> exit code.

    Raises:
        KeyboardInterrupt: a command was interrupted.
    """
    with ThreadPoolExecutor(jobs) as pool:
        codes = pool.map(lambda each: _run(each[0], each[1], reporter, words), commands.items())
        ended = dict(zip(commands, codes, strict=True))
    if 128 + 2 in ended.values():
        raise KeyboardInterrupt
    return ended


def require_success(codes: Mapping[str, int]) -> None:
    """Pass on the first failure.

    Raises:
        FsarctlError: a command failed; its exit code is the error's.
    """
    for command, code in codes.items():
        if code != 0:
            raise _CommandError(command, code)


def _run(command: str, title: str, reporter: Reporter, more: Sequence[str]) -> int:
    words = [*shlex.split(command)[1:], *more]
    with subprocess.Popen(
        [sys.executable, "-c", CALL, *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            reporter.note(": ".join(filter(None, [title, line.rstrip("\n")])))
    return process.returncode
