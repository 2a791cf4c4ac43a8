"""``fsarctl`` as a user types it, run in this process: starting one imports torch, which takes seconds.

What has to be a process of its own (killed, interrupted, beside others, at a terminal) is started with
``FSARCTL`` and ``plain_environment``.
"""

import io
import logging
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

__all__ = ["FSARCTL", "Typed", "plain_environment", "started", "type_in"]

FSARCTL = Path(sys.executable).with_name("fsarctl")


@dataclass(frozen=True)
class Typed:
    """What a command said, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


def plain_environment(**more: str) -> dict[str, str]:
    """The environment without what this project, or a key, would be set by; and ``more``."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("FSARCTL_", "OPENAI_"))}
    return {**plain, **more}


def type_in(
    project: Path, *words: str, expect: int | None = 0, piped: bytes = b"", **environment: str
) -> Typed:
    """Run ``fsarctl`` in ``project`` and check its exit code (None: any), and that it shows no traceback.

    ``piped`` is what it reads on stdin. ``words`` are its arguments, or one line that begins with
    ``fsarctl``, as a shell takes it.
    """
    if len(words) == 1 and words[0].startswith("fsarctl"):
        words = tuple(shlex.split(words[0])[1:])
    done = _run(project, ["fsarctl", *words], plain_environment(**environment), piped)
    if expect is not None:
        assert done.returncode == expect, done.stderr
        assert "Traceback" not in done.stderr or "--debug" in words
    return done


@contextmanager
def started(project: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """``fsarctl`` as a process of its own, whose stderr is a pipe; after the block it has ended."""
    with subprocess.Popen(
        [str(FSARCTL), *words], cwd=project, env=plain_environment(), stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _run(project: Path, argv: list[str], environment: dict[str, str], piped: bytes) -> Typed:
    from fsarctl.cli import main

    out, err = _stream(), _stream()
    with _left_as_it_was(), _stdin(piped) as stdin:
        os.chdir(project)
        with (
            mock.patch.dict(os.environ, environment, clear=True),
            mock.patch.multiple(sys, argv=argv, stdin=stdin, stdout=out, stderr=err),
        ):
            try:
                main()
                code = 0
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    return Typed(code, _content(out), _content(err))


def _stdin(piped: bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(piped)) if piped else Path(os.devnull).open()


def _stream() -> io.TextIOWrapper:
    """Like a pipe, but for its descriptor."""
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)


def _content(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    # As subprocess does in text mode.
    return buffer.getvalue().decode().replace("\r\n", "\n")


@contextmanager
def _left_as_it_was() -> Iterator[None]:
    """What a command may change of the process is afterwards as before, and its threads have ended."""
    here, threads = Path.cwd(), set(threading.enumerate())
    handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)}
    torch_threads = sys.modules["torch"].get_num_threads() if "torch" in sys.modules else None
    logged = [(each, each.level, [*each.handlers]) for each in (logging.getLogger(), *_loggers())]
    try:
        yield
    finally:
        os.chdir(here)
        for each, handler in handlers.items():
            signal.signal(each, handler)
        for logger, level, logs in logged:
            if logger.level != level:  # setting it empties what all loggers remember
                logger.setLevel(level)
            logger.handlers[:] = logs
        if torch_threads is not None:
            sys.modules["torch"].set_num_threads(torch_threads)
        left = [each for each in threading.enumerate() if each not in threads and not each.daemon]
        if left:
            pytest.fail(f"the command left threads running: {left}")


def _loggers() -> list[logging.Logger]:
    known = list(logging.Logger.manager.loggerDict.values())
    return [each for each in known if isinstance(each, logging.Logger)]
