"""Scores as probabilities: that a class is the right one, and that any of them is. Needs no torch.

*Temperature* (Guo et al. 2017): the softmax of logits / T, T by maximum likelihood. *Sigmoid* (Platt 1999):
how likely a clip shows any of the classes, by its best logit; of those with and without their class. How
good such probabilities are is said by the expected calibration error and a reliability diagram, and how well
known clips are told from unknown ones by AUROC and the false-positive rate at 95 % recall.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BINS",
    "Bin",
    "Calibration",
    "Known",
    "Sigmoid",
    "area_under_roc",
    "calibration_error",
    "false_positive_rate",
    "log_softmax",
    "reliability",
    "sigmoid_of",
    "temperature_of",
]

Array = NDArray[np.float64]
BINS = 10
"""Of equal width, as in Guo et al."""
LOWEST, HIGHEST = 1e-2, 1e2
"""Between which a temperature is looked for."""
STEPS = 100
PHI = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Sigmoid:
    """1 / (1 + exp(-slope (x - middle))): how likely a clip of best logit x is of a class that is there."""

    slope: float
    middle: float

    def __call__(self, logits: Array) -> Array:
        """Shapes: (...) -> the same."""
        return 1 / (1 + np.exp(-np.clip(self.slope * (logits - self.middle), -500, 500)))


@dataclass(frozen=True)
class Known:
    """``sigmoid``, and where it is from: the support set, of which ``held`` clips were left out in turn and
    to which ``negatives`` were added, or validation episodes, with so many queries."""

    sigmoid: Sigmoid
    told_by: Literal["support", "validation"]
    held: int
    negatives: int = 0


@dataclass(frozen=True)
class Calibration:
    """What validation episodes tell: the temperature of a softmax, and whether it is any of the classes."""

    temperature: float
    known: Known | None


@dataclass(frozen=True)
class Bin:
    """Answers whose confidence is in one part of 0 to 1: how many, their mean confidence, how many right."""

    count: int
    confidence: float
    accuracy: float


def log_softmax(logits: Array) -> Array:
    """Over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    found: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return found


def temperature_of(logits: Array, targets: NDArray[np.int64]) -> float:
    """The T for which softmax(logits / T) gives the targets the highest likelihood, by golden section.

    Minus the log-likelihood is convex in 1/T, so that there is one, between 0.01 and 100.

    Shapes: logits (n, way), targets (n,).
    """

    def cost(sharpness: float) -> float:
        return -float(log_softmax(sharpness * logits)[np.arange(len(targets)), targets].mean())

    low, high = 1 / HIGHEST, 1 / LOWEST
    for _ in range(STEPS):
        first, second = high - PHI * (high - low), low + PHI * (high - low)
        low, high = (low, second) if cost(first) <= cost(second) else (first, high)
    return 2 / (low + high)


def sigmoid_of(known: Sequence[float] | Array, unknown: Sequence[float] | Array) -> Sigmoid:
    """Platt's fit to best logits of clips with their class among the answers, and without.

    As many of the one as of the other are expected, however many there are here. Platt's targets, (n+1)/(n+2)
    and 1/(n+2), stand for 1 and 0, so that a few clips that can be parted make no certainty.

    Raises:
        ValueError: there are none of a kind.
    """
    x = np.concatenate([np.asarray(known, np.float64), np.asarray(unknown, np.float64)])
    there, gone = len(known), len(unknown)
    if not there or not gone:
        raise ValueError("clips with and without their class are needed")
    targets = np.concatenate([np.full(there, (there + 1) / (there + 2)), np.full(gone, 1 / (gone + 2))])
    weights = np.concatenate([np.full(there, 0.5 / there), np.full(gone, 0.5 / gone)])
    centre, spread = float(x.mean()), float(x.std()) or 1.0
    z = np.stack([(x - centre) / spread, np.ones_like(x)], axis=1)  # (n, 2)
    found = np.zeros(2)
    for _ in range(STEPS):  # Newton's method; the cost is convex
        p = 1 / (1 + np.exp(-np.clip(z @ found, -500, 500)))
        gradient = z.T @ (weights * (p - targets))
        hessian = (z * (weights * p * (1 - p))[:, None]).T @ z + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        # Far from the answer a whole step may overshoot.
        found = found - step * min(1.0, 2.0 / float(np.abs(step).max() or 1.0))
    slope, offset = float(found[0]), float(found[1])
    # Where unknown clips score higher the score says nothing, and each answer is as likely as not.
    if slope <= 1e-6:
        return Sigmoid(0.0, centre)
    return Sigmoid(slope / spread, centre - spread * offset / slope)


def reliability(confidences: Array, right: NDArray[np.bool_]) -> list[Bin]:
    """Answers by their confidence. Shapes: (n,), (n,) -> ``BINS``."""
    places = np.minimum((confidences * BINS).astype(int), BINS - 1)
    bins = []
    for place in range(BINS):
        here = places == place
        count = int(here.sum())
        means = (float(confidences[here].mean()), float(right[here].mean())) if count else (0.0, 0.0)
        bins.append(Bin(count, *means))
    return bins


def calibration_error(bins: Sequence[Bin]) -> float:
    """The mean over answers of |accuracy - confidence| of their bin (expected calibration error)."""
    total = sum(each.count for each in bins)
    return sum(each.count * abs(each.accuracy - each.confidence) for each in bins) / total


def area_under_roc(known: Array, unknown: Array) -> float:
    """How likely a known clip scores higher than an unknown one; equal scores count half (Mann-Whitney)."""
    ordered = np.sort(unknown)
    below, upto = np.searchsorted(ordered, known, "left"), np.searchsorted(ordered, known, "right")
    return float((below + upto).mean() / 2 / len(unknown))


def false_positive_rate(known: Array, unknown: Array, recall: float = 0.95) -> float:
    """The share of unknown clips that are taken for known, where that share of the known ones is."""
    threshold = np.sort(known)[::-1][math.ceil(recall * len(known)) - 1]
    return float((unknown >= threshold).mean())
