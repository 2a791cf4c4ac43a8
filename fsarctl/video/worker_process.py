"""Worker processes that neither outlive their parent, nor answer Ctrl-C in its place, nor import what lies
in the working directory; and the one pool of them."""

import importlib
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pebble import ProcessPool

__all__ = ["environment", "worker_pool"]

SILENCE = "fsarctl.video.silence"
DECODING = "fsarctl.video.decoding_pool"

LONGEST_FOLDER_OF_A_SOCKET = 103 - len("/pymp-12345678/listener-12345678")
"""Bytes: the fork server's socket lies among temporary files, and its address has at most 103 (on macOS)."""

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
def worker_pool(
    workers: int, begin: Callable[..., None] | None = None, *given: object
) -> Iterator[ProcessPool]:
    """Processes that decode or render; each calls ``begin`` with ``given`` first. They stop with an error.

    They are quiet, killable at once even within native code, and gone when this process is.
    """
    # Never fork: this process has threads (zarr's), and a fork copies their locks as they stand.
    # A fork server starts a worker in milliseconds, with the decoders already imported.
    if sys.platform == "win32":
        context = multiprocessing.get_context("spawn")
    else:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([SILENCE, DECODING])
        _start_fork_server()
    pool = ProcessPool(max_workers=workers, initializer=_begin, initargs=(begin, *given), context=context)
    try:
        yield pool
        pool.close()  # type: ignore[no-untyped-call]
    except BaseException:
        pool.stop()  # type: ignore[no-untyped-call]
        raise
    finally:
        pool.join()


def _begin(begin: Callable[..., None] | None, *given: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    importlib.import_module(SILENCE)
    if begin is not None:
        begin(*given)
    _leave_with_parent()


def _start_fork_server() -> None:
    """Ctrl-C is for the main process, which then stops the workers: the server and they inherit the mask."""
    from multiprocessing import resource_tracker
    from multiprocessing.forkserver import ensure_running

    with _starting(), _short_temporary_folder():
        resource_tracker.ensure_running()  # first, since it ends with SIGINT unblocked
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _short_temporary_folder() -> Iterator[None]:
    before = tempfile.tempdir
    if len(os.fsencode(tempfile.gettempdir())) > LONGEST_FOLDER_OF_A_SOCKET and sys.platform != "win32":
        tempfile.tempdir = "/tmp"
    try:
        yield
    finally:
        tempfile.tempdir = before


@contextmanager
def _starting() -> Iterator[None]:
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


def _leave_with_parent() -> None:
    """End this process when its parent is gone, even by kill -9."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
