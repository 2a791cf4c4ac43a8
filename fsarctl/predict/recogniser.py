"""A model and a support set that are loaded once and answer many times: paths, bytes, or pictures.

Clips are decoded in worker processes that stay, with a time limit; all methods may be called by any thread,
and the model does one thing at a time. What arrives as bytes is a temporary file while it is read.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from fsarctl.errors import InputError
from fsarctl.predict.event_rules import EventRules
from fsarctl.predict.events import Event, events_of
from fsarctl.predict.predictor import Prediction, Predictor
from fsarctl.predict.spotting import score_windows, window_confidences
from fsarctl.predict.support_set import Support
from fsarctl.predict.windows import SHORTEST_S, STRIDES, Windows, WindowSize, exact_seconds
from fsarctl.progress import SILENT, Reporter
from fsarctl.video.container.demuxing import UnreadableVideoError
from fsarctl.video.decode_clip import clip_of_pictures
from fsarctl.video.decoder_protocol import DecodedClip
from fsarctl.video.processes.decoding_pool import Failure
from fsarctl.video.processes.worker_pool import temporary_folder
from fsarctl.video.read_through import course_of

__all__ = ["Clip", "Look", "Recogniser"]

Clip: TypeAlias = Path | str | bytes | NDArray[np.uint8]
"""A video file; the bytes of one; or pictures, (any number, H, W, 3), RGB, in the order of time."""

AT_ONCE = 8
"""Clips that the model reads in one go."""


@dataclass(frozen=True)
class Look:
    """``frames`` (T, H, W, 3): what the model reads of a clip. ``maps`` (T, rows, columns): where it looks.

    ``maps`` is None of a method that cannot say so.
    """

    frames: NDArray[np.uint8]
    maps: NDArray[np.float32] | None


class Recogniser:
    """Names clips, and finds actions in long videos, from one support set.

    A script that makes one needs ``if __name__ == "__main__":``, as whatever starts processes does.

    Args:
        predictor: the model, and how clips are read for it.
        support: of the classes.
        usual_sizes: the windows that suit the examples, where they are known.
    """

    def __init__(
        self,
        predictor: Predictor,
        support: Support,
        usual_sizes: Callable[[], Sequence[WindowSize]] | None = None,
    ) -> None:
        self._predictor, self.support = predictor, support
        self._usual_sizes = usual_sizes
        self._decoders = predictor.decoders
        self._turn = predictor.turn

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes."""
        return self.support.labels

    @property
    def predictor(self) -> Predictor:
        """The model, and how clips are read for it."""
        return self._predictor

    def predict(self, clip: Clip, name: str = "") -> Prediction:
        """Which class a clip shows; one that cannot be read says why.

        Raises:
            InputError: there is no such file, or pictures are none.
        """
        return self.answer([self.read(clip, name)])[0]

    def predict_many(self, clips: Clip | Iterable[Clip]) -> list[Prediction]:
        """As :meth:`predict` of each, several at once: each is as if it were alone."""
        given = [clips] if isinstance(clips, (Path, str, bytes)) else list(clips)
        with ThreadPoolExecutor(AT_ONCE) as threads:
            read = list(threads.map(self.read, given, [f"clip {n}" for n in range(1, len(given) + 1)]))
        parts = (read[start : start + AT_ONCE] for start in range(0, len(read), AT_ONCE))
        return [prediction for part in parts for prediction in self.answer(part)]

    def read(self, clip: Clip, name: str = "") -> tuple[str, DecodedClip | Failure]:
        """Decode a clip: what it is called, and its frames or why there are none.

        Raises:
            InputError: there is no such file, or pictures are none.
        """
        if isinstance(clip, np.ndarray):
            return name or "clip", self._pictures(clip)
        with _as_file(clip) as path:
            return (str(clip) if isinstance(clip, Path | str) else name or "clip"), self._decoders.read(path)

    def answer(self, clips: Sequence[tuple[str, DecodedClip | Failure]]) -> list[Prediction]:
        """What is said of clips that were ``read``, which the model reads in one go."""
        with self._turn:
            return self._predictor.predict_at_once(self.support, clips)

    @torch.inference_mode()
    def look(self, clip: DecodedClip) -> Look:
        """Where the model looks in a clip that was ``read``."""
        with self._turn:
            side = self._predictor.model.backbone.image_size
            _, maps = self._predictor.model.look(
                self._predictor.normalised(clip.frames)[None], query_mode="independent"
            )
        start = (self._predictor.size - side) // 2
        shown = clip.frames[:, start : start + side, start : start + side]
        return Look(shown, None if maps is None else maps[0].float().cpu().numpy())

    def spot(
        self,
        video: Path | str | bytes,
        *,
        lengths: Iterable[float] | None = None,
        stride: float | None = None,
        rules: EventRules | None = None,
        reporter: Reporter = SILENT,
    ) -> list[Event]:
        """When the actions happen in a long video.

        Args:
            video: a file, or the bytes of one.
            lengths: of windows, seconds; by default the quartiles of the examples' lengths.
            stride: from one window to the next, seconds; by default an eighth of each length.
            rules: how scores become events.
            reporter: hears of each window that is finished.

        Raises:
            InputError: there is no such file, it cannot be read, or there are no lengths.
        """
        sizes = self._sizes(lengths, stride)
        with _as_file(video) as path, tempfile.TemporaryDirectory(dir=temporary_folder()) as scratch:
            # A file that makes a decoder crash does so in a worker.
            tried = self._decoders.read(path)
            try:
                if isinstance(tried, Failure):
                    raise UnreadableVideoError(tried.reason)
                course = course_of(path)
                windows = Windows.over(sizes, self._predictor.model.frames, course.duration_s, course.frame_s)
                where = (path, course, windows, Path(scratch))
                scores = score_windows(self._predictor, self.support, *where, reporter=reporter)
            except UnreadableVideoError as error:
                raise InputError(
                    f"the video cannot be read: {error.message}",
                    next_step="Check that a player can show it.",
                ) from None
        confidences = window_confidences(self._predictor, self.support, scores)
        duration_s = float(course.duration_s)
        return events_of(confidences, windows, self.labels, rules or EventRules(), duration_s)

    def close(self) -> None:
        """End the decoding processes; another clip starts others."""
        self._decoders.close()

    def __enter__(self) -> "Recogniser":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _sizes(self, lengths: Iterable[float] | None, stride: float | None) -> Sequence[WindowSize]:
        if lengths is None:
            if self._usual_sizes is None:
                raise InputError(
                    "nothing says how long the examples are", next_step="Give lengths, in seconds."
                )
            sizes = self._usual_sizes()
        else:
            exact = sorted({exact_seconds(each, "a length", SHORTEST_S) for each in lengths})
            sizes = [WindowSize(each, each / STRIDES) for each in exact]
        if stride is not None:
            step = exact_seconds(stride, "the stride")
            sizes = [WindowSize(each.length_s, step) for each in sizes]
        return sizes

    def _pictures(self, pictures: NDArray[np.uint8]) -> DecodedClip | Failure:
        shape, kind = pictures.shape, pictures.dtype
        if len(shape) != 4 or shape[3] != 3 or 0 in shape or kind != np.uint8:
            raise InputError(
                f"pictures of {kind}, {shape}, are no clip",
                next_step="Give (pictures, height, width, 3) of uint8: red, green and blue, 0 to 255.",
            )
        predictor = self._predictor
        try:
            return clip_of_pictures(pictures, predictor.model.frames, predictor.size, predictor.resize)
        except UnreadableVideoError as error:
            return Failure(error.message)


@contextmanager
def _as_file(clip: Path | str | bytes) -> Iterator[Path]:
    """A path, for as long as it is read.

    Raises:
        InputError: there is no such file.
    """
    if not isinstance(clip, bytes):
        path = Path(clip)
        if not (path.is_file() or path.is_dir()):
            raise InputError(
                f"there is no clip {path}", next_step="Name a video file, or a folder of frames."
            )
        yield path
        return
    with tempfile.TemporaryDirectory(dir=temporary_folder()) as folder:
        path = Path(folder) / "clip"
        path.write_bytes(clip)
        yield path
