"""Worker processes that neither outlive their parent, nor answer Ctrl-C in its place, nor import what lies
in the working directory; and the one pool of them."""

import importlib
import json
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from pebble import ProcessPool

from fsarctl.errors import FsarctlError
from fsarctl.video.processes.lifetime import LEFT_BEHIND, end_with_parent, named_parent

__all__ = [
    "await_own_signal",
    "environment",
    "not_kept_alive",
    "sweep",
    "temporary_folder",
    "worker_pool",
]

SILENCE = "fsarctl.video.processes.silence"
DECODING = "fsarctl.video.processes.decoding_pool"

LONGEST_FOLDER_OF_A_SOCKET = 103 - len("/pymp-12345678/listener-12345678")
"""Bytes: the fork server's socket lies among temporary files, and its address has at most 103 (on macOS)."""

SAFE = {"PYTHONSAFEPATH": "1"}
"""Keeps the working directory off the import path of ``python -c``, by which multiprocessing starts too."""

QUIET = {"PYTHONWARNINGS": "ignore:resource_tracker"}
"""A killed process leaves semaphores; multiprocessing removes them, and need not complain."""

ENDING = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if sys.platform != "win32" else [])]

TO_THE_GROUP_S = 0.5
"""How long a signal to all processes of a group may take to reach the last of them."""

OWNER = "fsarctl.json"

TURN = threading.Lock()
"""Of the thread that has changed where temporary files are."""


def environment() -> dict[str, str]:
    """The environment for another Python, in which nothing in the working directory is a module.

    An empty entry of PYTHONPATH means that directory, and is left out.
    """
    path = os.pathsep.join(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
    rest = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return rest | SAFE | ({"PYTHONPATH": path} if path else {})


def sweep() -> None:
    """Remove the temporary folders of worker pools whose process was killed."""
    from fsarctl.artifacts.process import Process

    for note in Path(tempfile.gettempdir()).glob(f"pymp-*/{OWNER}"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            owner = Process.of(json.loads(note.read_bytes()))
            if owner.is_here and not owner.is_alive:
                shutil.rmtree(note.parent, ignore_errors=True)


def temporary_folder() -> Path:
    """This process' own, where what it leaves goes with it, or is swept up once it was killed."""
    from multiprocessing import util

    with _short_temporary_folder():
        folder = Path(util.get_temp_dir())
        if folder not in LEFT_BEHIND:
            sweep()
            _sign(folder)
    return folder


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


def not_kept_alive(error: RuntimeError | None) -> FsarctlError:
    """What is said where workers cannot be had, or end whenever they begin, by which a pool is broken."""
    if script := _unguarded():
        return FsarctlError(
            f"the worker processes ended as they began: each imports {script}, which starts workers itself",
            next_step=f'Put what {Path(script).name} does under `if __name__ == "__main__":`.',
        )
    return FsarctlError(
        f"the worker processes could not be kept alive ({error})",
        next_step="Run it again: it goes on where it stopped. Fewer --workers need less memory.",
    )


def _unguarded() -> str:
    """The script that is run, if nothing in it asks whether it is imported, as every worker does; else ""."""
    script = getattr(sys.modules["__main__"], "__file__", None)
    if script is None:  # a notebook, or what a person types
        return ""
    try:
        return "" if b"__main__" in Path(script).read_bytes() else script
    except OSError:
        return ""


def await_own_signal(exit_code: int | None = None) -> None:
    """Let the signal come that ended a worker, if it was sent to the whole group; it ends this one too."""
    if exit_code in (None, -signal.SIGTERM):
        time.sleep(TO_THE_GROUP_S)


def _begin(begin: Callable[..., None] | None, *given: object) -> None:
    end_with_parent()  # the fork server, which ends with the main process
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    importlib.import_module(SILENCE)
    if begin is not None:
        begin(*given)
    _leave_with_parent()


def _start_fork_server() -> None:
    """Signals are for the main process, which then stops workers; the server and they inherit the mask."""
    from multiprocessing import resource_tracker, util
    from multiprocessing.forkserver import ensure_running

    bound = threading.current_thread() is threading.main_thread()  # another thread may end before the workers
    with _short_temporary_folder():
        sweep()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        try:
            with _starting(QUIET):
                resource_tracker.ensure_running()  # first, since it ends with two of them unblocked
                signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
            with _starting(named_parent() if bound else {}):
                ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        _sign(Path(util.get_temp_dir()))


def _sign(folder: Path) -> None:
    """Write down whose the folder of the fork server's socket is: it outlives a process that is killed."""
    from fsarctl.artifacts.process import Process

    LEFT_BEHIND.add(folder)
    if not (folder / OWNER).exists():
        (folder / OWNER).write_text(json.dumps(Process.current().fields), encoding="utf-8")


@contextmanager
def _short_temporary_folder() -> Iterator[None]:
    with TURN:
        before = tempfile.tempdir
        if len(os.fsencode(tempfile.gettempdir())) > LONGEST_FOLDER_OF_A_SOCKET and sys.platform != "win32":
            tempfile.tempdir = "/tmp"
        try:
            yield
        finally:
            tempfile.tempdir = before


@contextmanager
def _starting(more: Mapping[str, str]) -> Iterator[None]:
    """While this lasts, processes that multiprocessing starts get ``environment`` and ``more``."""
    names = ("PYTHONPATH", *SAFE, *more)
    before = {name: os.environ[name] for name in names if name in os.environ}
    wanted = {**environment(), **more}
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
