"""OTAM: the soft cost of aligning a query's frames with a support video's in their order."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from fsarctl.config.setting import setting
from fsarctl.methods.frame_method import FrameMethod, FrameOptions
from fsarctl.methods.protocol import QueryMode, Scores, by_class
from fsarctl.models.metrics.cosines import cosines, damped_cosines
from fsarctl.models.metrics.otam import both_ways

__all__ = ["OTAM", "Options", "costs"]

VERSION = 1


@dataclass(frozen=True)
class Options(FrameOptions):
    """What there is to choose."""

    smoothing: float = setting(0.1, "lambda: how soft the minimum over paths is")
    cosine: Literal["damped", "true"] = setting(
        "damped", "of frames: the released code's, with 0.01 added to the product of lengths, or the true one"
    )
    shots: Literal["mean_of_costs", "class_mean"] = setting(
        "mean_of_costs", "a query's mean cost to the shots of a class, or its cost to their mean frames"
    )

    def __post_init__(self) -> None:
        if self.smoothing <= 0:
            raise ValueError(f"smoothing is {self.smoothing}; it must be above 0")


def costs(query: Tensor, shots: Tensor, options: Options) -> Tensor:
    """The cost of aligning each query with each class, from both sides.

    Shapes: (..., queries, T, D), (..., way, shot, T, D) -> (..., queries, way).
    """
    if options.shots == "class_mean":
        shots = shots.mean(dim=-3, keepdim=True)
    cosine = damped_cosines if options.cosine == "damped" else cosines
    distances = 1 - cosine(query[..., None, None, :, :], shots.unsqueeze(-5))
    return both_ways(distances, options.smoothing).mean(dim=-1)


class OTAM(FrameMethod):
    """Ordered temporal alignment (arXiv 1906.11415), whose only weights are the backbone's.

    A logit is minus the cost; queries see nothing but the support.
    """

    Options: ClassVar[type[FrameOptions]] = Options

    def score_features(
        self,
        support: Tensor | None,
        query: Tensor,
        text: Tensor | None,  # noqa: ARG002
        *,
        way: int | None = None,
        query_mode: QueryMode = "joint",  # noqa: ARG002
    ) -> Scores:
        """Minus :func:`costs`. Shapes: (..., way*shot, T, D), (..., queries, T, D) -> (..., queries, way)."""
        assert support is not None
        shots = by_class(support, way)
        logits = -costs(query, shots, self.options)
        return Scores(logits, video=logits, query_features=query, support_features=support)
