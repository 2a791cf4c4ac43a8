"""Decode clips in worker processes: a crash or a time-out costs one clip.

Workers are persistent, one per core is right, and die with the main process. This module is what
they import, so it stays light: no zarr, no torch.
"""

import importlib
import multiprocessing
import signal
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pebble import ProcessExpired, ProcessPool

from fsarctl.data.decoders import DecodedClip
from fsarctl.data.survey import UnreadableVideoError
from fsarctl.data.workers import leave_with_parent
from fsarctl.errors import FsarctlError

__all__ = ["Decode", "Failure", "decode_all"]

Decode: TypeAlias = Callable[[Path, int, int], DecodedClip]
"""(path, frames, size) -> clip; a function that another process can import."""

SILENCE = "fsarctl.data.silence"
WAITING = 16
"""Decoded clips that may wait for a slower one before them; with ``workers`` it bounds the memory."""


@dataclass(frozen=True)
class Failure:
    """Why a clip has no frames; ``retry`` when another run may have better luck."""

    reason: str
    retry: bool = False


def decode_all(
    tasks: Sequence[tuple[int, Path]],
    decode: Decode,
    frames: int,
    size: int,
    workers: int,
    time_limit_s: float,
) -> Generator[tuple[int, DecodedClip | Failure], None, None]:
    """Decode ``tasks``, (number, path) each; answers come in the order of the tasks.

    Closing the generator stops the workers.

    Raises:
        FsarctlError: the worker processes cannot be kept alive.
    """
    if not tasks:
        return
    ahead = WAITING + 4 * workers
    under_way: deque[tuple[int, Any]] = deque()
    queue = iter(tasks)
    with _pool(workers) as pool:
        while True:
            try:
                for row, path in islice(queue, ahead - len(under_way)):
                    future = pool.schedule(_attempt, args=(decode, path, frames, size), timeout=time_limit_s)
                    under_way.append((row, future))
                if not under_way:
                    return
                row, future = under_way.popleft()
                answer = _answer(future)
            except RuntimeError as error:  # a broken pool; workers that die idle break it
                raise FsarctlError(
                    f"the decoding processes could not be kept alive ({error}); a script must call this under"
                    ' `if __name__ == "__main__":`, since they import it',
                    next_step="Run it again: it goes on where it stopped. Fewer --workers need less memory.",
                ) from error
            yield row, answer


def _answer(future: Any) -> DecodedClip | Failure:
    try:
        answer: DecodedClip | Failure = future.result()
    except TimeoutError:
        return Failure("no answer within the time limit", retry=True)
    except ProcessExpired as error:
        return Failure(f"the decoder crashed ({_exit_name(error.exitcode)})", retry=True)
    return answer


def _exit_name(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"exit code {code}"


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPool]:
    # Never fork: this process has threads (zarr's), and a fork copies their locks as they stand.
    # A fork server starts a worker in milliseconds, with the decoders already imported.
    if sys.platform == "win32":
        context = multiprocessing.get_context("spawn")
    else:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([SILENCE, __name__])
        _start_fork_server()
    pool = ProcessPool(max_workers=workers, initializer=_start_worker, context=context)
    try:
        yield pool
        pool.close()  # type: ignore[no-untyped-call]
    except BaseException:
        pool.stop()  # type: ignore[no-untyped-call]
        raise
    finally:
        pool.join()


def _start_fork_server() -> None:
    """Ctrl-C is for the main process, which then stops the workers: the server and they inherit the mask."""
    from multiprocessing import resource_tracker
    from multiprocessing.forkserver import ensure_running

    resource_tracker.ensure_running()  # first, since it ends with SIGINT unblocked
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker() -> None:
    """Quiet, killable at once even within native code, and gone when the main process is."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    importlib.import_module(SILENCE)
    leave_with_parent()


def _attempt(decode: Decode, path: Path, frames: int, size: int) -> DecodedClip | Failure:
    """What a worker does: a clip, or the reason why there is none. No exception crosses over."""
    try:
        clip = decode(path, frames, size)
        _check(clip.frames, frames, size)
    except UnreadableVideoError as error:
        return Failure(error.message, error.retry)
    except Exception as error:
        # Without the path: the same bytes elsewhere fail with the same words.
        reason = f"decoding failed: {type(error).__name__}: {error}".replace(str(path), "the video")
        return Failure(reason, retry=isinstance(error, MemoryError))
    return clip


def _check(pictures: NDArray[np.uint8], frames: int, size: int) -> None:
    if pictures.shape != (frames, size, size, 3) or pictures.dtype != np.uint8:
        raise ValueError(f"the decoder gave {pictures.dtype} frames of shape {pictures.shape}")
