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
    """Pictures of the last ``kept_s`` seconds, by the time that they are shown from on.

    A window of ``length_s`` that ends at time t reads the pictures that are shown in the middle of its
    ``frames`` equal segments, as a window of a long video does.
    """

    def __init__(self, length_s: float, frames: int, kept_s: float) -> None:
        self._length_s, self._frames, self._kept_s = length_s, frames, kept_s
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
            self.begin_s = time_s
        self.end_s = time_s
        if picture is not None:
            self._shown.append((time_s, picture))
        # The one that is shown when the window begins is older than it.
        while len(self._shown) > 1 and self._shown[1][0] <= time_s - self._kept_s:
            self._shown.popleft()

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
