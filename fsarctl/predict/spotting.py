"""Scores of all windows of a long video, each as if it were a clip by itself.

The video is read once. A frame that several windows share is decoded once, and goes once through what of the
model depends on one frame alone (``FewShotMethod.each_frame``); what is left is done window by window, in
batches. Memory grows with the longest window, not with the video. What is finished is kept, a stretch of
windows at a time, and an interrupted run goes on after it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fsarctl.artifacts.atomic_write import replacing
from fsarctl.artifacts.unfinished.journal import Entry, Journal, file_crc32c, note_lost
from fsarctl.predict.predictor import Predictor
from fsarctl.predict.support_set import Support
from fsarctl.predict.windows import Slot, Windows
from fsarctl.progress import SILENT, Advance, Reporter
from fsarctl.video.read_through import Course, pictures_at

__all__ = ["BESIDE", "PARTS", "score_windows", "window_confidences"]

PARTS = ("score", "video", "text")
"""What of ``Scores`` is kept of a window, as far as there is any."""

BESIDE = len(PARTS)
"""The part that holds the best class beside the nearest negative, for each class the same; with negatives."""

STRETCH = 128
"""Windows that are finished together. Each stretch computes its frames anew, so that what is interrupted
comes out the same."""

WINDOWS_AT_ONCE = 8
FRAMES_AT_ONCE = 16

Picture = NDArray[np.uint8]


def score_windows(
    predictor: Predictor,
    support: Support,
    video: Path,
    course: Course,
    windows: Windows,
    scratch: Path,
    *,
    of: str = "",
    reporter: Reporter = SILENT,
    title: str = "spot",
) -> NDArray[np.float32]:
    """(windows, parts, way): ``PARTS`` of every window, row by row, and ``BESIDE`` with negatives.

    NaN is what the model or its support does not have, and all of a window that cannot be read.

    ``scratch`` holds what is finished of the build ``of``.

    Raises:
        UnreadableVideoError: nothing of the video can be decoded.
    """
    journal = Journal(scratch, of)
    kept = _Kept.read(journal, scratch, title, reporter)
    found = np.full((len(windows), _parts(support), len(support.labels)), np.nan, np.float32)
    for rows, scores in kept.stretches:
        found[rows] = scores
    done = sum(len(rows) for rows, _ in kept.stretches)
    number = len(kept.stretches)
    with reporter.task(title, len(windows), "window", done) as advance:
        for stretch in _stretches(predictor, video, course, windows, kept.latest):
            with predictor.turn:
                scores = _score(predictor, support, stretch, advance)
            found[stretch.rows] = scores
            name = f"stretch-{number:06}.npy"
            with replacing(scratch / name) as partial, partial.open("wb") as file:
                np.save(file, scores)
            facts = {"rows": stretch.rows, "latest": [str(stretch.latest[0]), stretch.latest[1]]}
            journal.add(Entry({name: file_crc32c(scratch / name)}, facts))
            number += 1
    return found


def window_confidences(
    predictor: Predictor, support: Support, scores: NDArray[np.float32]
) -> NDArray[np.float64]:
    """How likely each class is, as of a prediction. Shapes: as :func:`score_windows` -> (windows, way)."""
    wide = scores.astype(np.float64)
    beside = wide[:, BESIDE, 0] if wide.shape[1] > BESIDE else None
    return predictor.confidences(support, wide[:, 0], beside).classes


def _parts(support: Support) -> int:
    return len(PARTS) + (support.negatives is not None)


Latest = tuple[Fraction, int]
"""When a window is complete, and its size: what orders windows."""


@dataclass
class _Stretch:
    """Windows that are complete: ``rows``, the frames ``reads`` of each (None: unreadable), and the pictures.

    ``latest``: of its last window.
    """

    rows: list[int] = field(default_factory=list)
    reads: list[list[int] | None] = field(default_factory=list)
    pictures: Mapping[int, Picture] = field(default_factory=dict)
    latest: Latest = (Fraction(0), 0)


@dataclass(frozen=True)
class _Kept:
    """What an interrupted run has finished."""

    stretches: list[tuple[list[int], NDArray[np.float32]]]
    latest: Latest | None

    @classmethod
    def read(cls, journal: Journal, scratch: Path, title: str, reporter: Reporter) -> "_Kept":
        """What is whole, up to the first stretch that is not."""
        entries, lost = journal.read()
        whole: list[Entry] = []
        for each in entries:
            if not each.is_whole(scratch):
                lost += len(entries) - len(whole)
                break
            whole.append(each)
        note_lost(lost, title, reporter)
        if lost:
            journal.begin(whole)
        stretches = [(each.facts["rows"], np.load(scratch / next(iter(each.files)))) for each in whole]
        latest = None
        if whole:
            time_s, size = whole[-1].facts["latest"]
            latest = (Fraction(time_s), int(size))
        return cls(stretches, latest)


def _stretches(
    predictor: Predictor, video: Path, course: Course, windows: Windows, after: Latest | None
) -> Iterator[_Stretch]:
    """The windows that are complete ``after`` others, in stretches, with all pictures that each reads."""
    last = windows.frames - 1
    middles = [(2 * last + 1) * size.length_s / (2 * windows.frames) for size in windows.sizes]

    def completed(slot: Slot) -> Latest:
        return slot.number * windows.sizes[slot.size].stride_s + middles[slot.size], slot.size

    wanted = ((slot.time_s, slot) for slot in windows.slots() if after is None or completed(slot) > after)
    pictures: dict[int, Picture] = {}
    readers: Counter[int] = Counter()
    growing: dict[int, list[int] | None] = {}
    stretch = _Stretch(pictures=pictures)
    for moment in pictures_at(video, course, wanted, predictor.size, predictor.resize):
        slot = moment.asked
        row = windows.row(slot)
        reads = growing.setdefault(row, [])
        if moment.picture is None:
            readers.subtract(reads or [])
            growing[row] = None
        elif reads is not None:
            pictures[moment.index] = moment.picture
            readers[moment.index] += 1
            reads.append(moment.index)
        if slot.segment < last:
            continue
        stretch.rows.append(row)
        stretch.reads.append(growing.pop(row))
        stretch.latest = completed(slot)
        if len(stretch.rows) == STRETCH:
            yield stretch
            readers.subtract(index for reads in stretch.reads for index in reads or [])
            for index in [each for each in pictures if readers[each] <= 0]:
                del pictures[index], readers[index]
            stretch = _Stretch(pictures=pictures)
    if stretch.rows:
        yield stretch


@torch.inference_mode()
def _score(
    predictor: Predictor, support: Support, stretch: _Stretch, advance: Advance
) -> NDArray[np.float32]:
    """(windows, parts, way) of a stretch."""
    model = predictor.model
    scores = np.full((len(stretch.rows), _parts(support), len(support.labels)), np.nan, np.float32)
    readable = [place for place, reads in enumerate(stretch.reads) if reads is not None]
    left = Counter(index for reads in stretch.reads for index in reads or [])
    features: dict[int, Tensor] = {}
    advance(len(stretch.rows) - len(readable))
    for start in range(0, len(readable), WINDOWS_AT_ONCE):
        places = readable[start : start + WINDOWS_AT_ONCE]
        reads = [each for place in places if (each := stretch.reads[place]) is not None]
        missing = sorted({index for each in reads for index in each} - features.keys())
        for first in range(0, len(missing), FRAMES_AT_ONCE):
            some = missing[first : first + FRAMES_AT_ONCE]
            pixels = predictor.normalised(np.stack([stretch.pictures[index] for index in some]))
            features.update(zip(some, model.each_frame(pixels), strict=True))
        videos = model.from_frames(
            torch.stack([torch.stack([features[index] for index in each]) for each in reads])
        )
        made, beside = predictor.scores_beside(support, videos)
        if beside is not None:
            scores[places, BESIDE] = beside.float().cpu().numpy()[:, None]
        for part, name in enumerate(PARTS):
            if (values := getattr(made, name)) is not None:
                scores[places, part] = values.float().cpu().numpy()
        left.subtract(index for each in reads for index in each)
        for index in [each for each in features if left[each] <= 0]:
            del features[index]
        advance(len(places))
    return scores
