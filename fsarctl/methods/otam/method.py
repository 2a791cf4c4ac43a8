"""OTAM: the soft cost of aligning a query's frames with a support video's in their order."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from torch import Tensor

from fsarctl.config.setting import setting
from fsarctl.methods.frame_matching import FrameMatching, MatchingOptions, matching_costs
from fsarctl.methods.frame_method import FrameOptions
from fsarctl.models.metrics.otam import both_ways

__all__ = ["OTAM", "Options", "costs"]

VERSION = 1


@dataclass(frozen=True)
class Options(MatchingOptions):
    """What there is to choose."""

    smoothing: float = setting(0.1, "lambda: how soft the minimum over paths is")

    def __post_init__(self) -> None:
        if self.smoothing <= 0:
            raise ValueError(f"smoothing is {self.smoothing}; it must be above 0")


def costs(query: Tensor, shots: Tensor, options: Options) -> Tensor:
    """The cost of aligning each query with each class, from both sides.

    Shapes: (..., queries, T, D), (..., way, shot, T, D) -> (..., queries, way).
    """
    return matching_costs(query, shots, options, partial(both_ways, smoothing=options.smoothing))


class OTAM(FrameMatching):
    """Ordered temporal alignment (arXiv 1906.11415), whose only weights are the backbone's.

    A logit is minus the cost; queries see nothing but the support.
    """

    Options: ClassVar[type[FrameOptions]] = Options

    def costs(self, query: Tensor, shots: Tensor) -> Tensor:
        """:func:`costs`, as the options say."""
        return costs(query, shots, self.options)
