"""Accuracy over episodes with its interval, those of few clips and of differences, and the test of these."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = [
    "Estimate",
    "Interval",
    "drawn",
    "estimate",
    "estimate_over_seeds",
    "headline",
    "paired_estimate",
    "two_sided_p",
    "wilson",
]

MUCH = 1.5
"""So many times as wide as the interval over episodes, another one is the one to tell."""

# Student's t, 97.5 % point, for 1, 2, ... degrees of freedom; beyond the last one 1.96 is near enough.
T_975 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


@dataclass(frozen=True)
class Estimate:
    """A mean and the half-width of its 95 % interval, in the unit of the values."""

    mean: float
    half_width: float

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return self.mean + self.half_width


@dataclass(frozen=True)
class Interval:
    """A 95 % interval and how many episodes, clips, groups or classes it is over; ``p`` of a difference.

    ``p`` is of "the difference is 0", by the test that the interval belongs to.
    """

    low: float
    high: float
    count: int
    p: float | None = None

    @property
    def half_width(self) -> float:
        """Half of its width."""
        return (self.high - self.low) / 2

    def as_json(self) -> dict[str, float | int | None]:
        """As documents have it: one episode has no interval, and JSON no infinity."""
        finite = math.isfinite(self.half_width)
        ends = {"low": self.low if finite else None, "high": self.high if finite else None}
        return {**ends, "count": self.count, **({} if self.p is None else {"p": self.p})}


def headline(intervals: Mapping[str, Interval]) -> str:
    """Which interval is told where there is room for one: over clips (or groups) where it is much wider."""
    over = drawn(intervals)
    episodes = intervals["episodes"].half_width
    return "episodes" if intervals[over].half_width <= MUCH * episodes < math.inf else over


def drawn(intervals: Mapping[str, Interval]) -> str:
    """Whether they are over clips or over groups of them."""
    return next(name for name in ("groups", "clips") if name in intervals)


def estimate(values: Sequence[float]) -> Estimate:
    """Mean +/- 1.96 s / sqrt(n), with s the sample standard deviation over the n episodes.

    One value has no spread to measure, and an infinite half-width says so.

    Raises:
        ValueError: no values.
    """
    if not values:
        raise ValueError("no values to average")
    n = len(values)
    mean = math.fsum(values) / n
    if n == 1:
        return Estimate(mean, math.inf)
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    return Estimate(mean, 1.96 * math.sqrt(variance / n))


def estimate_over_seeds(values: Sequence[float]) -> Estimate:
    """Mean and Student's 95 % interval of one value for each seed: what another training would give.

    Seeds are few, so s is poorly known, and the interval is wider than 1.96 s / sqrt(n).

    Raises:
        ValueError: no values.
    """
    normal = estimate(values)
    if len(values) == 1:
        return normal
    t = T_975[min(len(values) - 1, len(T_975)) - 1]
    return Estimate(normal.mean, normal.half_width * t / 1.96)


def wilson(hits: float, count: float) -> tuple[float, float]:
    """Wilson's 95 % interval: (p + z^2/2n +/- z sqrt(p (1-p)/n + z^2/4n^2)) / (1 + z^2/n), z = 1.96.

    It has a width when all of a few are hits, and never leaves 0 to 1. Neither number need be whole.

    Raises:
        ValueError: ``count`` is not above 0.
    """
    if count <= 0:
        raise ValueError("no values to average")
    share, square = hits / count, 1.96**2 / count
    centre = share + square / 2
    reach = math.sqrt(max(0.0, share * (1 - share)) * square + square**2 / 4)
    return max(0.0, (centre - reach) / (1 + square)), min(1.0, (centre + reach) / (1 + square))


def paired_estimate(gained: float, lost: float, count: float) -> Estimate:
    """A difference of paired shares, ``gained`` - ``lost``, over ``count`` pairs, and its 95 % interval.

    Agresti and Min (2005): half a pair is added to each of the four cells, so that it has a width where no
    pair differs. ``count`` need not be whole.

    Raises:
        ValueError: ``count`` is not above 0.
    """
    if count <= 0:
        raise ValueError("no values to average")
    one, other, pairs = gained * count + 0.5, lost * count + 0.5, count + 2
    variance = one + other - (one - other) ** 2 / pairs
    return Estimate((one - other) / pairs, 1.96 * math.sqrt(variance) / pairs)


def two_sided_p(difference: Estimate) -> float:
    """P-value of "the mean is 0" by the z-test that the 95 % interval belongs to.

    Below 0.05 exactly when the interval leaves out 0 (1.96 is rounded, so up to 0.00001). It counts on
    the mean of many episodes being normal; 30 or more will do.
    """
    if difference.half_width == 0:
        return 1.0 if difference.mean == 0 else 0.0
    z = 1.96 * abs(difference.mean) / difference.half_width
    return 2 * statistics.NormalDist().cdf(-z)
