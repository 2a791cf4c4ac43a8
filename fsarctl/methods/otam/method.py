"""OTAM: the soft cost of aligning a query's frames with a support video's in their order."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from fsarctl.config.setting_field import require_bounds, setting
from fsarctl.methods.frame_matching import FrameMatching, MatchingOptions
from fsarctl.methods.frame_method import FrameOptions
from fsarctl.models.metrics.otam import both_ways

__all__ = ["OTAM", "Options"]

VERSION = 1


@dataclass(frozen=True)
class Options(MatchingOptions):
    """What there is to choose."""

    smoothing: float = setting(0.1, "lambda: how soft the minimum over paths is")

    def __post_init__(self) -> None:
        require_bounds(self, "smoothing", above=0)


class OTAM(FrameMatching):
    """Ordered temporal alignment (arXiv 1906.11415), whose only weights are the backbone's.

    A logit is minus the cost; queries see nothing but the support.
    """

    Options: ClassVar[type[FrameOptions]] = Options

    def cost(self, distances: Tensor) -> Tensor:
        """Of aligning frames in their order, from both sides."""
        return both_ways(distances, self.options.smoothing)
