"""Which stretches of a long video are looked at, and which of its frames each of them reads.

A window of length L that starts at t reads T frames, those shown in the middle of its T equal segments, at
t + (2i + 1) L / 2T. At a constant rate these are the frames that ``segment_centres`` takes of the window cut
out as a video of its own; at a variable rate they are spaced by time, as a viewer sees them. Times are exact
fractions of seconds, so that windows that share frames share all of them.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fsarctl.errors import InputError

__all__ = [
    "QUARTILES",
    "SHORTEST_S",
    "STRIDES",
    "Slot",
    "WindowSize",
    "Windows",
    "exact_seconds",
    "usual_lengths",
]

QUARTILES = (0.25, 0.5, 0.75)
STRIDES = 8
"""Windows start this often within their length, unless a stride is given."""
SHORTEST_S = 0.05
"""Of a window: each has a place in memory, however short it is."""


class WindowSize(NamedTuple):
    """Seconds that a window lasts, and from one to the next."""

    length_s: Fraction
    stride_s: Fraction


class Slot(NamedTuple):
    """One frame that a window reads: at which time, of which size, the how manieth window, and segment."""

    time_s: Fraction
    size: int
    number: int
    segment: int


@dataclass(frozen=True)
class Windows:
    """The windows of one video.

    Rows count them size by size, each by its start. They are *complete*, with their last frame, in an order
    that is the same for the same sizes and duration.
    """

    sizes: tuple[WindowSize, ...]
    counts: tuple[int, ...]
    frames: int
    remarks: tuple[str, ...] = ()

    @classmethod
    def over(
        cls, sizes: Sequence[WindowSize], frames: int, duration_s: Fraction, frame_s: Fraction
    ) -> "Windows":
        """All windows that lack no more than a frame at the end.

        Sizes that the video is too short for become one window over all of it, which is said. No two windows
        of a size start within the same frame.
        """
        sizes = [WindowSize(length, max(stride, min(frame_s, length))) for length, stride in sizes]
        fitting = [each for each in sizes if each.length_s <= duration_s + frame_s]
        remarks: tuple[str, ...] = ()
        if long := [each for each in sizes if each not in fitting]:
            lengths = " and ".join(f"{float(each.length_s):g} s" for each in long)
            remarks = (
                f"it lasts {float(duration_s):.2f} s, so one window over all of it stands for {lengths}",
            )
            fitting.append(WindowSize(duration_s, duration_s))
        counts = tuple(int((duration_s + frame_s - each.length_s) / each.stride_s) + 1 for each in fitting)
        if long:
            counts = (*counts[:-1], 1)
        return cls(tuple(fitting), counts, frames, remarks)

    def __len__(self) -> int:
        return sum(self.counts)

    def row(self, slot: Slot) -> int:
        """The row of a slot's window."""
        return sum(self.counts[: slot.size]) + slot.number

    def spans(self) -> Iterator[tuple[Fraction, Fraction]]:
        """Start and length of every window, row by row."""
        for size, count in zip(self.sizes, self.counts, strict=True):
            for number in range(count):
                yield number * size.stride_s, size.length_s

    def slots(self) -> Iterator[Slot]:
        """Every frame that every window reads, in the order of their times; no list of them is made."""
        return heapq.merge(
            *(
                self._progression(size, segment)
                for size in range(len(self.sizes))
                for segment in range(self.frames)
            )
        )

    def _progression(self, size: int, segment: int) -> Iterator[Slot]:
        length, stride = self.sizes[size]
        middle = (2 * segment + 1) * length / (2 * self.frames)
        for number in range(self.counts[size]):
            yield Slot(middle + number * stride, size, number, segment)


def exact_seconds(value: float | str | Fraction, what: str, least_s: float = 0.0) -> Fraction:
    """A number of seconds as it is written: 0.1 is a tenth, not the float next to it.

    Raises:
        InputError: it is not above 0, or less than ``least_s``, or no number.
    """
    try:
        seconds = Fraction(str(value))
    except ValueError:
        seconds = Fraction(0)
    if seconds <= 0 or seconds < Fraction(str(least_s)):
        more = f"{least_s:g} seconds or more" if least_s else "seconds above 0"
        raise InputError(f"{what} is {value}", next_step=f"Give {more}, such as 2.5.")
    return seconds


def usual_lengths(videos: Iterable[Path], parts: Sequence[float] = QUARTILES) -> list[Fraction]:
    """Quantiles of the lengths of those that can be read, in tenths of a second, each once; none of none."""
    from fsarctl.video.container.demuxing import UnreadableVideoError
    from fsarctl.video.read_through import course_of

    found = []
    for video in videos:
        try:
            found.append(float(course_of(video).duration_s))
        except UnreadableVideoError:  # predict says so
            continue
    quantiles = np.quantile(found, parts) if found else ()
    return sorted({Fraction(max(round(10 * each), 1), 10) for each in quantiles})
