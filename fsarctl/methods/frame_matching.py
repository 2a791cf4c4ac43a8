"""Methods without weights of their own: a query's frames against those of each support video, by a cost."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from fsarctl.config.setting_field import setting
from fsarctl.methods.frame_method import FrameMethod, FrameOptions
from fsarctl.methods.protocol import QueryMode, Scores, by_class
from fsarctl.models.metrics.cosines import cosines, damped_cosines

__all__ = ["FrameMatching", "MatchingOptions", "matching_costs"]


@dataclass(frozen=True)
class MatchingOptions(FrameOptions):
    """What every method can be told that compares frames."""

    cosine: Literal["damped", "true"] = setting(
        "damped", "of frames: the released code's, with 0.01 added to the product of lengths, or the true one"
    )
    shots: Literal["mean_of_costs", "class_mean"] = setting(
        "mean_of_costs", "a query's mean cost to the shots of a class, or its cost to their mean frames"
    )


def matching_costs(
    query: Tensor, shots: Tensor, options: MatchingOptions, cost: Callable[[Tensor], Tensor]
) -> Tensor:
    """What it costs to match each query with each class.

    Shapes: (..., queries, T, D), (..., way, shot, T, D) -> (..., queries, way).

    Args:
        cost: of two videos by 1 - cosine of their frames, (..., T, T) -> (...).
    """
    if options.shots == "class_mean":
        shots = shots.mean(dim=-3, keepdim=True)
    cosine = damped_cosines if options.cosine == "damped" else cosines
    distances = 1 - cosine(query[..., None, None, :, :], shots.unsqueeze(-5))
    return cost(distances).mean(dim=-1)


class FrameMatching(FrameMethod):
    """A logit is minus the cost of matching; queries see nothing but the support.

    A subclass defines :meth:`cost`.
    """

    Options: ClassVar[type[FrameOptions]] = MatchingOptions

    @abstractmethod
    def cost(self, distances: Tensor) -> Tensor:
        """Of matching two videos, by 1 - cosine of their frames. Shapes: (..., T, T) -> (...)."""

    def score_features(
        self,
        support: Tensor | None,
        query: Tensor,
        text: Tensor | None,  # noqa: ARG002
        *,
        way: int | None = None,
        query_mode: QueryMode = "joint",  # noqa: ARG002
    ) -> Scores:
        """Minus costs. Shapes: (..., way*shot, T, D), (..., queries, T, D) -> (..., queries, way)."""
        assert support is not None
        logits = -matching_costs(query, by_class(support, way), self.options, self.cost)
        return Scores(logits, video=logits, query_features=query, support_features=support)
