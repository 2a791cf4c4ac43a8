"""The times of a source's pictures: those of a stream by its own clock, over gaps and leaps; those of a file
from its beginning. And whether who reads them is behind."""

import time

__all__ = ["LAG_S", "STILL", "StreamClock"]

STILL = 5
"""After so many pictures of one time the clock of a stream stands still, and they are taken to have none."""
LAG_S = 1.0
"""A stream that is as far behind drops frames."""
DRIFT = 1e-3
"""Seconds a second by which clocks differ at most: so fast is forgotten how early a frame once came."""
JUMP_S = 5.0
"""A stream's times that leap further begin anew."""
HOLE_S, BACK_S = 60.0, 1.0
"""A file whose times leap further on, or further back, is another recording from there."""
REORDERED = 16
"""Pictures that a codec may keep until it shows them: in AVI their times go back by as many."""
TICK_S = 1e-6
"""Shorter than a tick of any file: less are last bits."""


class StreamClock:
    """Of a source from when it was opened, whatever it was connected to anew since."""

    def __init__(self) -> None:
        self.time_s = 0.0
        """Of the latest picture, since the source was opened."""
        self.leaps = 0
        """How often the times of a file leapt."""
        self._started = time.monotonic()

    def connect(self, rate: float, *, finite: bool, timed: bool) -> None:
        """A connection begins, to pictures of ``rate`` a second, which may have no times: then the clock is
        ours. Those of a file (``finite``) count from its beginning."""
        self._rate, self._finite, self._timed = rate, finite, timed
        # A stream with a fast clock, or that begins with what it kept, is ahead of ours: after a gap it goes
        # on from there.
        self._base = 0.0 if finite else max(time.monotonic() - self._started, self.time_s)
        self._first: float | None = None
        self._latest = 0.0
        self._earliest = float("inf")  # of arrival less time: what the least delayed picture had
        self._waited_s = 0.0  # while the lag grew
        self._told: float | None = None
        self._still = 0

    def shows(self, told: float | None) -> float:
        """A picture has come, of the time that it ``told``.

        Returns:
            when it was to be shown, by ``time.monotonic``.
        """
        now = time.monotonic()
        self._still = self._still + 1 if told == self._told else 0
        self._told = told
        own = self._own(told, now)
        if self._first is None or not self._goes_on(own):
            self._begin_anew(own, now)
        elif self._finite and self._base + (own - self._first) < self.time_s + TICK_S:  # as `spot` has it
            self.time_s += 1 / self._rate
        else:
            self.time_s = self._base + (own - self._first)  # in this order it goes back by no last bit either
        self._earliest += DRIFT * max(own - self._latest, 0.0)
        self._latest = max(self._latest, own)
        self._earliest = min(self._earliest, now - self.time_s)
        return self.time_s + self._earliest

    def waits(self, seconds: float) -> None:
        """It was waited so long for what came next."""
        self._waited_s += seconds

    def is_behind(self) -> bool:
        """Whether who reads a stream is too slow for it; for a file one has all time."""
        if self._finite or self._first is None:
            return False
        lag = time.monotonic() - self.time_s - self._earliest
        if self._waited_s > lag > LAG_S:  # who waits is not behind: the stream's own clock is slow
            self._earliest, lag = self._earliest + lag, 0.0
        if lag < LAG_S / 2:
            self._waited_s = 0.0
        return lag > LAG_S

    def _own(self, told: float | None, now: float) -> float:
        if self._finite:
            return self._latest if told is None else told
        return now if told is None or self._still >= STILL or not self._timed else told

    def _goes_on(self, own: float) -> bool:
        if self._finite:
            return -max(BACK_S, REORDERED / self._rate) <= own - self._latest <= HOLE_S
        return 0 <= own - self._latest <= JUMP_S

    def _begin_anew(self, own: float, now: float) -> None:
        if self._first is not None and self._finite:
            self._base = self.time_s + 1 / self._rate
            self.leaps += 1
        elif self._first is not None:
            self._base = max(now - self._started, self.time_s)
        self._first = self._latest = own
        self._earliest = float("inf")
        self.time_s = self._base
