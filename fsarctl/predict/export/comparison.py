"""Whether an exported model answers as fsarctl does: both name the same clips."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fsarctl.datasets.clip_files import open_support_folder
from fsarctl.errors import InputError
from fsarctl.predict.predictor import Predictor
from fsarctl.predict.support_set import Support
from fsarctl.video.decoder_protocol import DecodedClip
from fsarctl.video.processes.decoding_pool import Failure

__all__ = [
    "Answer",
    "Difference",
    "answers_of_files",
    "answers_of_ours",
    "difference",
    "frames_to_compare",
    "require_same",
]

MOST = 8
"""Clips that are compared."""
TOLERANCE = 1e-4
"""How far a score may be from ours, times the largest score if that is more than 1."""

Answer: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Of a clip: scores and confidences, (way,) each."""


@dataclass(frozen=True)
class Difference:
    """How far any score, and any confidence, is from ours, and how many clips have the same best class."""

    score: float
    confidence: float
    same: int


def frames_to_compare(predictor: Predictor, place: Path) -> NDArray[np.uint8]:
    """Some clips of a support folder, decoded, (clips, T, S, S, 3); noise where there are none to be read."""
    found: list[NDArray[np.uint8]] = []
    if place.is_dir():
        clips = open_support_folder(place).clips
        chosen = np.unique(np.linspace(0, len(clips) - 1, min(len(clips), MOST)).round().astype(int)).tolist()
        with closing(predictor.decoders) as decoders:
            read = [decoders.read(Path(clips[number].path)) for number in chosen]
        found = [each.frames for each in read if not isinstance(each, Failure)]
    if found:
        return np.stack(found)
    shape = (MOST, predictor.model.frames, predictor.size, predictor.size, 3)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def answers_of_ours(predictor: Predictor, support: Support, clips: NDArray[np.uint8]) -> list[Answer]:
    """What `fsarctl predict` says of clips, each by itself. Shapes: (clips, T, S, S, 3)."""
    found = []
    for clip in clips:
        decoded = DecodedClip(clip, "given", tuple(range(len(clip))), len(clip))
        (told,) = predictor.predict_at_once(support, [("clip", decoded)])
        of = {each.label: each for each in told.classes}
        score = np.array([of[label].score for label in support.labels], np.float32)
        found.append((score, np.array([of[label].confidence for label in support.labels], np.float32)))
    return found


def answers_of_files(encoder: Path, head: Path, clips: NDArray[np.uint8]) -> list[Answer]:
    """What two ONNX files say of them."""
    import onnxruntime

    first, second = (onnxruntime.InferenceSession(each) for each in (encoder, head))
    found = []
    for clip in clips:
        (features,) = first.run(None, {"pixels": clip})
        score, confidence, *_ = second.run(None, {"features": features})
        found.append((score, confidence))
    return found


def difference(theirs: Sequence[Answer], ours: Sequence[Answer]) -> Difference:
    """How far answers of the same clips are apart."""
    pairs = list(zip(theirs, ours, strict=True))
    return Difference(
        score=max(float(np.abs(a[0] - b[0]).max()) for a, b in pairs),
        confidence=max(float(np.abs(a[1] - b[1]).max()) for a, b in pairs),
        same=sum(int(a[0].argmax() == b[0].argmax()) for a, b in pairs),
    )


def require_same(found: Difference, ours: Sequence[Answer]) -> None:
    """Refuse scores that are not ours.

    Raises:
        InputError: they are further apart than :data:`TOLERANCE`.
    """
    largest = max(float(np.abs(score).max()) for score, _ in ours)
    if not found.score <= TOLERANCE * max(1.0, largest):
        raise InputError(
            f"the exported model gives other scores than fsarctl, by up to {found.score:.2g}",
            next_step="Use it where fsarctl is: `fsarctl predict`.",
        )
