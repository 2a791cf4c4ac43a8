"""The latest seconds of a stream, and which of its frames a window of them reads."""

from bisect import bisect_right
from collections import deque

import numpy as np
from numpy.typing import NDArray

__all__ = ["RollingWindow"]

SPARE = 8
"""Pictures that are kept for each that a window reads; a stream of more a second is thinned out."""

Picture = NDArray[np.uint8]


class RollingWindow:
    """Pictures of the last seconds, by the time that they are shown from on.

    A window of ``length_s`` that ends at time t reads the pictures that are shown in the middle of its
    ``frames`` equal segments, as a window of a long video does. One begins every ``every_s``, and what none
    of them reads is not kept.
    """

    def __init__(self, length_s: float, frames: int, every_s: float) -> None:
        self._length_s, self._frames, self._every_s = length_s, frames, every_s
        self._gap_s = length_s / (SPARE * frames)
        self._shown: deque[tuple[float, Picture]] = deque()
        self.begin_s: float | None = None
        """When the stream began, or went on after a gap."""
        self.end_s = 0.0
        """When its latest picture began."""

    def wants(self, time_s: float) -> bool:
        """Whether the picture of this time would be kept."""
        return not self._shown or time_s - self._shown[-1][0] >= self._gap_s

    def add(self, time_s: float, picture: Picture | None) -> None:
        """The next picture, later than those before; None where it is not wanted."""
        if self.begin_s is None:
            self.begin_s = self.end_s = time_s
        # The one that is shown when a window begins is older than it. By when the picture before this one
        # began: the windows that end between the two are yet to be read.
        while len(self._shown) > 1 and self._shown[1][0] <= self.end_s - self._length_s - self._every_s:
            self._shown.popleft()
        if picture is not None:
            begun = self.begin_s + (time_s - self.begin_s) // self._every_s * self._every_s
            if self._shown and self._shown[-1][0] >= begun + self._length_s:
                self._shown.pop()  # it was shown between two windows
            self._shown.append((time_s, picture))
        self.end_s = time_s

    def clear(self) -> None:
        """After a gap: no window holds pictures of before and after it."""
        self._shown.clear()
        self.begin_s = None

    def ends_within(self, time_s: float) -> bool:
        """Whether all of the window that ends then has been shown."""
        # Not `time_s - length_s >= begin_s`: a last bit makes that false of some beginnings' first window.
        return self.begin_s is not None and self.begin_s + self._length_s <= time_s <= self.end_s

    def window(self, time_s: float) -> Picture:
        """(frames, S, S, 3): what the window that ends at this time reads."""
        times = [time for time, _ in self._shown]
        start = time_s - self._length_s
        middles = [start + (2 * i + 1) * self._length_s / (2 * self._frames) for i in range(self._frames)]
        places = [max(bisect_right(times, middle) - 1, 0) for middle in middles]
        return np.stack([self._shown[place][1] for place in places])
