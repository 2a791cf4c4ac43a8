"""Decode clips in worker processes: a crash or a time-out costs one clip.

Workers are persistent, one per core is right, and die with the main process. They put frames into memory
that they share with it: through a pipe a clip took 5 ms. This module is what they import, so it stays
light: no zarr, no torch.
"""

import ctypes
import shutil
import signal
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import wait
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import count, islice
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pebble import ProcessExpired, ProcessPool

from fsarctl.errors import FsarctlError
from fsarctl.video.container.demuxing import UnreadableVideoError
from fsarctl.video.decoder_protocol import DecodedClip
from fsarctl.video.processes.worker_pool import await_own_signal, not_kept_alive, worker_pool

__all__ = ["Decode", "Decoders", "Failure", "decode_all"]

Decode: TypeAlias = Callable[[Path, int, int], DecodedClip]
"""(path, frames, size) -> clip; a function that another process can import."""

WAITING = 16
WAITING_BYTES = 2**28
"""Decoded clips that may wait for a slower one before them, and how much memory they may take beyond one for
each worker."""

ATTEMPTS = 3
POLLED_S = 1.0
"""How often a clip that waits looks whether its pool is still there."""

NO_FRAMES = np.empty(0, np.uint8)
"""Stands for frames that are in the shared memory."""


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

    The frames of an answer are overwritten once the next one is asked for: copy what is to stay. Closing the
    generator stops the workers.

    Raises:
        FsarctlError: the worker processes cannot be kept alive, or there is no memory to share with them.
    """
    if not tasks:
        return
    clip_bytes = frames * size * size * 3
    ahead = min(WAITING + 4 * workers, max(workers + 1, WAITING_BYTES // clip_bytes), len(tasks))
    memory = _shared_memory(ahead * clip_bytes)
    places = np.ctypeslib.as_array(memory).reshape(ahead, frames, size, size, 3)
    under_way: deque[tuple[int, int, Any]] = deque()
    # A place is free again when its answer was used, and answers are used in the order of the tasks.
    queue = ((number % ahead, *task) for number, task in zip(count(), tasks, strict=False))
    with worker_pool(workers, _share, memory) as pool:
        while True:
            try:
                for place, row, path in islice(queue, ahead - len(under_way)):
                    what = (decode, path, frames, size, place)
                    under_way.append((place, row, pool.schedule(_work, args=what, timeout=time_limit_s)))
                if not under_way:
                    return
                place, row, future = under_way.popleft()
                if not _done(future, pool):
                    raise RuntimeError("all workers ended")
                answer = _answer(future)
            except RuntimeError as error:  # a broken pool; workers that die idle break it
                await_own_signal()
                raise not_kept_alive(error) from None
            yield row, answer if isinstance(answer, Failure) else replace(answer, frames=places[place])


class Decoders:
    """Worker processes that stay, for clips that are asked for one by one, by any thread.

    They start with the first clip. A worker that is killed costs the clip that it was at; one that is killed
    idle costs nothing.
    """

    def __init__(self, decode: Decode, frames: int, size: int, workers: int, time_limit_s: float) -> None:
        self._what = (decode, frames, size)
        self._workers, self._time_limit_s = workers, time_limit_s
        self._lock = threading.Lock()
        self._pool: ProcessPool | None = None
        self._running = ExitStack()

    def read(self, path: Path) -> DecodedClip | Failure:
        """A clip, or why it cannot be read.

        Raises:
            FsarctlError: the worker processes cannot be kept alive.
        """
        decode, frames, size = self._what
        trouble: RuntimeError | None = None
        for _ in range(ATTEMPTS):
            pool = self._active()
            try:
                future = pool.schedule(
                    _attempt, args=(decode, path, frames, size), timeout=self._time_limit_s
                )
                if _done(future, pool):
                    return _answer(future)
            except RuntimeError as error:  # workers that die idle break a pool
                trouble = error
        raise not_kept_alive(trouble)

    def close(self) -> None:
        """End the worker processes; another clip starts others."""
        with self._lock:
            self._pool = None
            self._running.close()

    def _active(self) -> ProcessPool:
        with self._lock:
            if self._pool is None or not self._pool.active:
                self._running.close()
                self._pool = self._running.enter_context(worker_pool(self._workers))
            return self._pool


def _shared_memory(size: int) -> "ctypes.Array[ctypes.c_ubyte]":
    """``size`` bytes in a file without a name: in /dev/shm if there is room, else among temporary files.

    Raises:
        FsarctlError: there is no room; touching it would end this process without a word.
    """
    places = [each for each in (Path("/dev/shm"), Path(tempfile.gettempdir())) if each.is_dir()]
    if all(shutil.disk_usage(each).free < size for each in places):
        raise FsarctlError(
            f"decoding needs {size / 2**20:.0f} MiB of shared memory, and neither"
            f" {' nor '.join(map(str, places))} has as much",
            next_step="Make room there, point TMPDIR to another disk, or use fewer --workers.",
        )
    memory: ctypes.Array[ctypes.c_ubyte] = RawArray("B", size)
    return memory


def _done(future: Any, pool: ProcessPool) -> bool:
    """Waits for an answer; False where the pool broke and none will come, which the future may not know."""
    while not future.done() and pool.active:
        wait([future], timeout=POLLED_S)
    return bool(future.done())


def _answer(future: Any) -> DecodedClip | Failure:
    try:
        answer: DecodedClip | Failure = future.result()
    except TimeoutError:
        return Failure("no answer within the time limit", retry=True)
    except ProcessExpired as error:
        await_own_signal(error.exitcode)
        return Failure(f"the decoder crashed ({_exit_name(error.exitcode)})", retry=True)
    return answer


def _exit_name(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"exit code {code}"


_shared = NO_FRAMES
"""In a worker: the memory for frames, which the main process reads."""


def _share(memory: "ctypes.Array[ctypes.c_ubyte]") -> None:
    global _shared
    _shared = np.ctypeslib.as_array(memory)


def _work(decode: Decode, path: Path, frames: int, size: int, place: int) -> DecodedClip | Failure:
    """What a worker does: a clip, its frames in the shared memory, or the reason why there is none."""
    answer = _attempt(decode, path, frames, size)
    if isinstance(answer, Failure):
        return answer
    _shared.reshape(-1, *answer.frames.shape)[place] = answer.frames
    return replace(answer, frames=NO_FRAMES)


def _attempt(decode: Decode, path: Path, frames: int, size: int) -> DecodedClip | Failure:
    """A clip, or the reason why there is none: no exception crosses over."""
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
