"""Accuracy over episodes, with its interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Estimate", "estimate"]


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
