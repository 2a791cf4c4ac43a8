"""What a server has under way: who is worked on, who waits, for how long, and by what it is done."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, ParamSpec, TypeVar

from fastapi import Request

from fsarctl.predict.event_rules import EventRules
from fsarctl.predict.events import Event
from fsarctl.predict.recogniser import Recogniser
from fsarctl.progress import Advance
from fsarctl.serving.batches import Batches
from fsarctl.serving.support_sets import SupportSets
from fsarctl.serving.uploads import Limits, Refused, below, uploaded
from fsarctl.video.processes.decoding_pool import Decoders

__all__ = ["Work"]

P = ParamSpec("P")
R = TypeVar("R")


class Work:
    """What is under way, and what it is done by."""

    def __init__(self, supports: SupportSets, checked: Decoders, videos: Path | None, limits: Limits) -> None:
        self._supports, self._checked, self._videos, self._limits = supports, checked, videos, limits
        self.batches = Batches()
        self.working = self.waiting = 0
        self._places = asyncio.Semaphore(self._limits.at_once)
        self._threads = ThreadPoolExecutor(self._limits.at_once, thread_name_prefix="request")
        self._spotting = ThreadPoolExecutor(1, thread_name_prefix="spot")
        self._over = threading.Event()

    def close(self) -> None:
        self._over.set()
        self.batches.close()
        for each in (self._threads, self._spotting):
            each.shutdown(cancel_futures=True)
        self._supports.close()
        self._checked.close()

    async def thread(self, function: Callable[P, R], *given: P.args, **more: P.kwargs) -> R:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(function, *given, **more))

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One of the places of those that are worked on, after those that came before.

        Raises:
            Refused: too many wait already.
        """
        if self._places.locked() and self.waiting >= self._limits.waiting:
            raise Refused(503, f"{self.waiting} requests are waiting already", "Try again in a moment.")
        self.waiting += 1
        try:
            await self._places.acquire()
        finally:
            self.waiting -= 1
        self.working += 1
        try:
            yield
        finally:
            self.working -= 1
            self._places.release()

    @asynccontextmanager
    async def video(self, request: Request, path: str) -> AsyncIterator[Path]:
        if path:
            yield await self.thread(below, self._videos, path)
            return
        async with uploaded(request, self._limits) as video:
            yield video

    @asynccontextmanager
    async def in_time(self) -> AsyncIterator[None]:
        """
        Raises:
            Refused: it took too long.
        """
        try:
            async with asyncio.timeout(self._limits.seconds):
                yield
        except TimeoutError:
            raise Refused(
                504,
                f"there was no answer within {self._limits.seconds:g} s",
                "Send a shorter video, or try again later.",
            ) from None

    async def spot(
        self,
        recogniser: Recogniser,
        video: Path,
        lengths: Sequence[float] | None,
        stride: float | None,
        rules: EventRules,
    ) -> list[Event]:
        """One video at a time, which ends when nobody waits for it any more."""
        asked = _Deadline(monotonic() + self._limits.seconds, self._over)
        find = partial(recogniser.spot, video, lengths=lengths, stride=stride, rules=rules, reporter=asked)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._spotting, find)

    def listing(self) -> list[dict[str, Any]]:
        found = []
        for name in self._supports.names():
            classes: dict[str, list[str]] = {}
            for each in self._supports.examples(name):
                classes.setdefault(each.label, []).append(each.name)
            found.append({"name": name, "classes": classes})
        return found


class _Deadline:
    """A reporter that ends work that takes too long, or whose server is over."""

    def __init__(self, end: float, over: threading.Event) -> None:
        self._end, self._over = end, over

    @contextmanager
    def task(self, *_: object, **__: object) -> Iterator[Advance]:
        def advance(amount: int = 1, detail: str = "") -> None:  # noqa: ARG001
            if self._over.is_set() or monotonic() > self._end:
                raise TimeoutError

        yield advance

    def note(self, message: str) -> None: ...
