"""Accuracy over episodes with its interval, and the test of a difference."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Estimate", "estimate", "two_sided_p"]


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


def two_sided_p(difference: Estimate) -> float:
    """P-value of "the mean is 0" by the z-test that the 95 % interval belongs to.

    Below 0.05 exactly when the interval leaves out 0 (1.96 is rounded, so up to 0.00001). It counts on
    the mean of many episodes being normal; 30 or more will do.
    """
    if difference.half_width == 0:
        return 1.0 if difference.mean == 0 else 0.0
    z = 1.96 * abs(difference.mean) / difference.half_width
    return 2 * statistics.NormalDist().cdf(-z)
