"""Worker processes that neither outlive their parent, nor answer Ctrl-C in its place, nor import what lies
in the working directory."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["environment", "leave_with_parent", "start_worker", "starting"]

SAFE = {"PYTHONSAFEPATH": "1"}
"""Keeps the working directory off the import path of ``python -c``, by which multiprocessing starts too."""


def environment() -> dict[str, str]:
    """The environment for another Python, in which nothing in the working directory is a module.

    An empty entry of PYTHONPATH means that directory, and is left out.
    """
    path = os.pathsep.join(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
    rest = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return rest | SAFE | ({"PYTHONPATH": path} if path else {})


@contextmanager
def starting() -> Iterator[None]:
    """While this lasts, processes that multiprocessing starts get ``environment``."""
    names = ("PYTHONPATH", *SAFE)
    before = {name: os.environ[name] for name in names if name in os.environ}
    wanted = environment()
    try:
        for name in names:
            _set(name, wanted.get(name))
        yield
    finally:
        for name in names:
            _set(name, before.get(name))


def _set(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def start_worker() -> None:
    """Leave Ctrl-C to the parent process, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    leave_with_parent()


def leave_with_parent() -> None:
    """End this process when its parent is gone, even by kill -9."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
