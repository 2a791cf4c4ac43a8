"""A stream is watched: every so often the latest seconds of it are named.

One thread reads frames, another names windows. Of a live stream the latest window is named, and those that
came due meanwhile are left out and counted; a file waits until each is named.
"""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fsarctl.errors import InputError
from fsarctl.serving.live_source import FIRST_S, GROWS_S, LiveFrame, LiveSource
from fsarctl.serving.rolling_window import RollingWindow
from fsarctl.video.container.demuxing import UnreadableVideoError
from fsarctl.video.decoder_protocol import DecodedClip
from fsarctl.video.rotate_and_resize import UPRIGHT, Scale, orientation_of, square_of

if TYPE_CHECKING:
    from fsarctl.predict.predictor import Prediction
    from fsarctl.predict.recogniser import Recogniser

__all__ = ["Sight", "Watch"]


@dataclass(frozen=True)
class Sight:
    """What is seen from ``start_s`` to ``end_s``, seconds since the source was opened.

    ``latency_s``: from when its last frame was to be shown to now; None of a file. ``dropped_windows`` and
    ``dropped_frames``: so far.
    """

    start_s: float
    end_s: float
    prediction: "Prediction"
    latency_s: float | None
    dropped_windows: int
    dropped_frames: int
    gaps: int


class Watch:
    """A source, and what is seen in it. Until a model is there, frames of a stream are let go by.

    ``shown``: hears of every frame, by the thread that reads.
    """

    def __init__(self, source: LiveSource, shown: Callable[[LiveFrame], None] = lambda _: None) -> None:
        self._source, self._shown = source, shown
        self._news = threading.Condition()
        self._asked: _Asked | None = None
        self._due: float | None = None
        self._over = False
        self._error: BaseException | None = None
        self._fresh: LiveFrame | None = None
        self._orientation = UPRIGHT

    def open(self) -> None:
        """Begin to read.

        Raises:
            InputError: the source is not there: no frame came within some seconds.
        """
        threading.Thread(target=self._read, daemon=True, name="watch").start()
        with self._news:
            patience_s = GROWS_S if self._source.is_file else FIRST_S
            came = self._news.wait_for(self._has_begun, timeout=patience_s)
            if not came and self._source.may_come:
                self._news.wait_for(self._has_begun)  # it says itself when it does not grow
            if self._fresh is None:
                self.close()
                raise self._error or self._source.absent()

    def _has_begun(self) -> bool:
        return self._fresh is not None or self._over

    def close(self) -> None:
        """End reading."""
        self._source.close()
        with self._news:
            self._over = True
            self._news.notify_all()

    def sights(
        self, recogniser: "Recogniser", length_s: float, every_s: float
    ) -> Generator[Sight, None, None]:
        """The last ``length_s`` seconds, every ``every_s``, until the source ends.

        Raises:
            InputError: the source stopped and did not come back.
        """
        frames = recogniser.predictor.model.frames
        with self._news:
            self._asked = _Asked(
                *(length_s, every_s, frames),
                RollingWindow(length_s, frames, every_s),
                Scale(recogniser.predictor.size, recogniser.predictor.resize),
            )
            self._news.notify_all()
        dropped = 0
        try:
            while (found := self._next(self._asked)) is not None:
                end_s, clip, shown_at, skipped = found
                dropped += skipped
                (prediction,) = recogniser.answer([(self._source.address, clip)])
                latency_s = None if self._source.finite else time.monotonic() - shown_at
                yield Sight(
                    *(end_s - length_s, end_s, prediction, latency_s),
                    *(dropped, self._source.dropped, self._source.gaps),
                )
        finally:
            self.close()

    def _next(self, asked: "_Asked") -> tuple[float, DecodedClip, float, int] | None:
        """The next window: its end, its frames, when it was to be shown, and how many were left out."""
        with self._news:
            self._news.wait_for(lambda: self._over or self._is_due(asked))
            if self._due is None or self._fresh is None or not self._is_due(asked):
                if self._error is not None:
                    raise self._error
                return None
            skipped = 0
            if not self._source.finite:
                skipped = int((asked.rolling.end_s - self._due) / asked.every_s)
            end_s = self._due + skipped * asked.every_s
            pictures = asked.rolling.window(end_s)
            self._due = end_s + asked.every_s
            shown_at = self._fresh.shown_at - (self._fresh.time_s - end_s)
            self._news.notify_all()
        clip = DecodedClip(pictures, "live", tuple(range(asked.frames)), asked.frames)
        return end_s, clip, shown_at, skipped

    def _is_due(self, asked: "_Asked") -> bool:
        return self._due is not None and asked.rolling.ends_within(self._due)

    def _read(self) -> None:
        gaps = 0
        try:
            with closing(self._source.frames()) as frames:
                for each in frames:
                    if self._source.gaps != gaps:
                        gaps = self._source.gaps
                        self._forget()
                    self._take(each)
                    if self._over:
                        return
                    self._shown(each)
        except UnreadableVideoError as error:
            self._error = InputError(
                f"{self._source.address} cannot be watched: {error.message}",
                next_step="Choose another source.",
            )
        except Exception as error:
            self._error = error
        finally:
            with self._news:
                self._over = True
                self._news.notify_all()

    def _forget(self) -> None:
        """After a gap."""
        with self._news:
            self._due = None
            if self._asked is not None:
                self._asked.rolling.clear()

    def _take(self, each: LiveFrame) -> None:
        self._orientation = orientation_of(each.frame, self._orientation)
        with self._news:
            self._fresh = each
            self._news.notify_all()
            if self._source.finite:
                self._news.wait_for(lambda: self._over or self._asked is not None)
            asked = self._asked
        if asked is None:
            return
        picture = None
        if asked.rolling.wants(each.time_s):
            scale = replace(asked.scale, pixel_aspect=each.pixel_aspect, crop=each.crop)
            picture = square_of(each.frame, scale, self._orientation)
        with self._news:
            asked.rolling.add(each.time_s, picture)
            if self._due is None:
                self._due = each.time_s + asked.length_s
            self._news.notify_all()
            if self._source.finite:
                self._news.wait_for(lambda: self._over or not self._is_due(asked))


@dataclass(frozen=True)
class _Asked:
    """What is wanted of the frames, once that is known."""

    length_s: float
    every_s: float
    frames: int
    rolling: RollingWindow
    scale: Scale
