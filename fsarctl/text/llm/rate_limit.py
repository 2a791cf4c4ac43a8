"""A server's rate limit: one gate for all requests, and what is said of how long the labels will take."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fsarctl.progress import Reporter, counted, duration
from fsarctl.text.llm.refusals import RefusedError
from fsarctl.text.llm.retries import Patience, pause

__all__ = ["ClosedError", "Gate", "RateLimit", "sleep"]

FIRST_PAUSE_S = 5.0
"""After a refusal that does not say for how long: most limits are by the minute."""
CAREFUL = 5
"""Requests that go one by one after the limit was met; twice as many each time that it is met soon again."""
LONGEST_PACE_S = 60.0
WORTH_SAYING_S = 2.0
SAY_AGAIN_S = 60.0


async def sleep(seconds: float) -> None:
    """Wait."""
    await asyncio.sleep(seconds)


def now() -> float:
    """Seconds on the clock that ``sleep`` goes by."""
    return time.monotonic()


class ClosedError(Exception):
    """Nothing is asked any more; the message says why."""


class Gate:
    """What requests go through, so that one server's rate limit is met once and not by each of them.

    While it is closed all wait. Then they go one by one, in the order in which they came and at the pace that
    the server took them at, for a while that is longer each time that the limit is soon met again.
    """

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self.shut = ""
        """Why nothing goes through any more, if so."""
        self._opens = -math.inf
        self._careful, self._span = 0, CAREFUL
        self.in_vain = 0
        """Requests in a row that waited for their turn and were refused all the same."""
        self.said_when = False
        """At the last refusal the server said for how long to wait."""
        self._passed = 0
        """Since the last refusal."""
        self._since, self._pace = now(), 0.0
        self._turn = asyncio.Lock()

    @property
    def left(self) -> float:
        """Seconds until it opens."""
        return max(0.0, self._opens - now())

    @asynccontextmanager
    async def passing(self) -> AsyncIterator[bool]:
        """A request may go out within; gives whether it waited for its turn.

        Raises:
            ClosedError: not for a longer time than is waited, or never.
        """
        if not self._careful:
            yield False
            return
        async with self._turn:
            while (left := self.left) or self.shut:
                if why := self.closed():
                    raise ClosedError(why)
                await sleep(left)
            self._opens = now() + self._pace
            yield True

    def closed(self) -> str:
        """Why nothing goes through for longer than is waited; nothing where it does."""
        if self.shut or self._patience.waits(self.left):
            return self.shut
        return f"the server asks to wait {self.left:.0f} s"

    def close(self, seconds: float) -> None:
        """Let nothing through for so long."""
        self._opens = max(self._opens, now() + seconds)
        self._careful = max(self._careful, self._span)

    def refuse(self, asked: float | None, chance: float, *, in_turn: bool) -> None:
        """A request met the limit, perhaps ``in_turn``; the server asked for a pause, or did not say."""
        if self._passed:
            self._span *= 2
        self.in_vain += in_turn
        self.close(pause(self.in_vain, asked, chance, FIRST_PAUSE_S))
        if self._passed:
            self._pace = min((self._opens - self._since) / self._passed, LONGEST_PACE_S)
        self._since, self._passed = self._opens, 0
        self.said_when = asked is not None

    def answer(self) -> None:
        """A request got through."""
        self.in_vain = 0
        self._passed += 1
        if self._careful:
            self._careful -= 1
        else:
            self._span = max(CAREFUL, self._span - 1)


class RateLimit:
    """The limit as the labels meet it, of which ``labels`` were to be asked and ``done()`` are described."""

    def __init__(self, patience: Patience, labels: int, done: Callable[[], int], reporter: Reporter) -> None:
        self.gate = Gate(patience)
        self.is_met = False
        self._patience, self._labels, self._done, self._reporter = patience, labels, done, reporter
        self._began, self._said = now(), -math.inf

    def met(self, refusal: RefusedError) -> None:
        """Say for how long is waited, unless that was said just now."""
        self.is_met = True
        wait = self.gate.left
        if wait < WORTH_SAYING_S or now() - self._said < SAY_AGAIN_S or not self._patience.waits(wait):
            return
        self._said = now()
        rest, left = self.rest(), self._labels - self._done()
        takes = f"; {counted(left, 'label')} more will take about {duration(rest)}" if rest else ""
        said = f" ({refusal.said})" if refusal.said else ""
        self._reporter.note(f"the server's rate limit{said}: going on in {duration(wait)}{takes}")

    def rest(self) -> float | None:
        """About so long the labels will take that are not described; None before the first one is.

        As long, each, as those took that are, the present pause included.
        """
        done = self._done()
        took = now() - self._began + self.gate.left
        return took / done * (self._labels - done) if done else None
