"""Clips of several requests that the model reads in one go, while others are decoded."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

from fsarctl.predict.predictor import Prediction
from fsarctl.predict.recogniser import Recogniser
from fsarctl.video.decoder_protocol import DecodedClip
from fsarctl.video.processes.decoding_pool import Failure

__all__ = ["Batches"]

Read: TypeAlias = tuple[str, DecodedClip | Failure]
Waiting: TypeAlias = list[tuple[Read, "asyncio.Future[Prediction]"]]


class Batches:
    """Clips wait while the model is at work; then those of one support, ``most`` at once, are the next.

    ``sizes``: how many clips each of them had, for whoever wants to know.
    """

    def __init__(self, most: int = 8) -> None:
        self._most = most
        self._waiting: dict[Recogniser, Waiting] = {}
        self._work: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self.sizes: list[int] = []

    async def answer(self, recogniser: Recogniser, clip: Read) -> Prediction:
        """As ``recogniser.answer([clip])``, and as soon as it can be."""
        future: asyncio.Future[Prediction] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(recogniser, []).append((clip, future))
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._all())
        return await future

    def close(self) -> None:
        """Wait for what the model is at."""
        self._thread.shutdown()

    async def _all(self) -> None:
        while self._waiting:
            recogniser = next(iter(self._waiting))
            waiting = self._waiting.pop(recogniser)
            now, later = waiting[: self._most], waiting[self._most :]
            if later:  # behind those of other supports
                self._waiting[recogniser] = later
            await self._some(recogniser, [each for each in now if not each[1].cancelled()])

    async def _some(self, recogniser: Recogniser, waiting: Waiting) -> None:
        if not waiting:
            return
        self.sizes = [*self.sizes[-99:], len(waiting)]
        loop = asyncio.get_running_loop()
        try:
            clips = [clip for clip, _ in waiting]
            answers = await loop.run_in_executor(self._thread, recogniser.answer, clips)
        except Exception as error:
            if len(waiting) > 1:  # find out whose fault it is
                for each in waiting:
                    await self._some(recogniser, [each])
            elif not waiting[0][1].done():
                waiting[0][1].set_exception(error)
            return
        for (_, future), answer in zip(waiting, answers, strict=True):
            if not future.done():
                future.set_result(answer)
