"""Whether a clip shows any of the classes at all: by its best score, and by what is known to be none of them.

How high a best score has to be is learned from the support set itself. Each clip is scored once without
itself, as a clip whose class is there, and once without its class, as one whose class is not; negatives are
more of the second sort. Features of the others are those of the whole set, in which methods with Task-MSA
have seen the clip: computing them anew for each clip would cost as many sets as there are clips.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fsarctl.episodes.left_out import best_logit, left_out_logits
from fsarctl.methods.protocol import FewShotMethod
from fsarctl.predict.leave_one_out import spread
from fsarctl.predict.support_set import Support
from fsarctl.results.calibration import Calibration, Known, log_softmax, sigmoid_of

__all__ = ["Confidences", "beside", "beside_negatives", "confidences_of", "known_of", "with_negatives"]


@dataclass(frozen=True)
class Confidences:
    """``classes`` (clips, way): how likely each class is; ``none`` (clips,): that it is none of them, if that
    can be said. Together they are 1."""

    classes: NDArray[np.float64]
    none: NDArray[np.float64] | None


def confidences_of(
    scores: NDArray[np.float64],
    logit_scale: float,
    calibration: Calibration | None,
    known: Known | None,
    beside: NDArray[np.float64] | None = None,
) -> Confidences:
    """Softmax of ``logit_scale`` x score / temperature, times how likely it is any of the classes.

    Shapes: scores (clips, way); ``beside`` (clips,): what :func:`beside_negatives` gives.
    """
    logits = logit_scale * scores
    temperature = calibration.temperature if calibration else 1.0
    shares = np.exp(log_softmax(logits / temperature))
    if known is None:
        return Confidences(shares, None)
    there = known.sigmoid(logits.max(axis=-1))
    if beside is not None:
        there = there / (1 + np.exp(-np.clip(logit_scale / temperature * beside, -500, 500)))
    return Confidences(shares * there[:, None], 1 - there)


@torch.inference_mode()
def beside_negatives(model: FewShotMethod, support: Support, query: Tensor) -> Tensor | None:
    """The score of the best class less that of the nearest negative, each a class of its own.

    By video alone, since negatives have no text; None without negatives, or where text alone counts.

    Shapes: query, as :meth:`FewShotMethod.query_features`, (clips, ...) -> (clips,).
    """
    examples = with_negatives(model, support)
    if examples is None or support.negatives is None:
        return None
    return beside(model, examples, query, way=len(support.labels), negatives=len(support.negatives))


def with_negatives(model: FewShotMethod, support: Support) -> Tensor | None:
    """Examples of the classes and then of the negatives, each a class of its own; None without negatives.

    Class-major, as many of each as of any other: one of each unless the model needs equal shots.
    """
    if support.negatives is None or not model.needs_support:
        return None
    negatives = support.negatives
    if model.needs_equal_shots:  # as many of each class, so each negative as many times
        shots = len(support.features) // len(support.labels)
        return torch.cat([support.features, negatives.repeat_interleave(shots, dim=0)])
    return torch.cat([support.prototypes, negatives])


def beside(model: FewShotMethod, examples: Tensor, query: Tensor, *, way: int, negatives: int) -> Tensor:
    """As :func:`beside_negatives`, from what :func:`with_negatives` gave."""
    scores = model.score_features(examples, query, None, way=way + negatives, query_mode="independent").score
    return scores[:, :way].amax(-1) - scores[:, way:].amax(-1)


@torch.inference_mode()
def known_of(
    model: FewShotMethod, support: Support, videos: Tensor, groups: Sequence[str], negatives: Tensor | None
) -> Known | None:
    """How likely a clip of some best score shows a class that is there, from the support set alone.

    None where no class has two clips (of different groups), or the scores of both sorts do not differ so.

    Shapes: videos (clips of the support, as ``FewShotMethod.alone``), negatives likewise.
    """
    classes = support.classes.tolist()
    if len(set(classes)) == len(classes):  # one clip a class
        return None
    chosen = spread(len(videos))
    queries = [model.query_features(videos[each][None], query_mode="independent") for each in chosen]
    there, gone = left_out_logits(model, support.features, classes, support.text, queries, chosen, groups)
    strange = [] if negatives is None else list(negatives)
    everything = list(range(len(support.features)))
    for video in strange:
        query = model.query_features(video[None], query_mode="independent")
        logit = best_logit(model, support.features, classes, support.text, query, everything)
        gone.append(logit)
    if not there or not gone:
        return None
    sigmoid = sigmoid_of(there, gone)
    return Known(sigmoid, "support", len(there), len(strange)) if sigmoid.slope else None
