"""ProtoNet: how alike a query and the mean of a class's shots are."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from fsarctl.config.setting_field import require_bounds, setting
from fsarctl.methods.frame_method import FrameMethod, FrameOptions
from fsarctl.methods.protocol import QueryMode, Scores, by_class
from fsarctl.models.metrics.protonet import protonet_frames, protonet_means, protonet_sequence

__all__ = ["Options", "ProtoNet", "squared_distances"]

VERSION = 1

COSINES = {"means": protonet_means, "frames": protonet_frames, "sequence": protonet_sequence}


@dataclass(frozen=True)
class Options(FrameOptions):
    """What there is to choose."""

    metric: Literal["means", "frames", "sequence", "euclidean"] = setting(
        "means",
        "cosine of the mean frames, mean cosine of frames at one place, cosine of all frames end to end, "
        "or minus the squared distance of the mean frames (the paper's)",
    )
    temperature: float = setting(64.0, "cosines are multiplied by this; distances are taken as they are")

    def __post_init__(self) -> None:
        require_bounds(self, "temperature", above=0)


def squared_distances(queries: Tensor, prototypes: Tensor) -> Tensor:
    """|mean frame - mean frame|^2. Shapes: (..., Q, T, D), (..., C, T, D) -> (..., Q, C)."""
    apart = queries.mean(dim=-2).unsqueeze(-2) - prototypes.mean(dim=-2).unsqueeze(-3)
    return apart.square().sum(dim=-1)


class ProtoNet(FrameMethod):
    """Prototypical networks (arXiv 1703.05175) on frames, whose only weights are the backbone's.

    Queries see nothing but the support.
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
        """Queries against prototypes.

        Shapes: (..., way*shot, T, D), (..., queries, T, D) -> (..., queries, way).
        """
        assert support is not None
        prototypes = by_class(support, way).mean(dim=-3)
        options = self.options
        if options.metric == "euclidean":
            logits = -squared_distances(query, prototypes)
        else:
            logits = options.temperature * COSINES[options.metric](query, prototypes)
        return Scores(
            logits,
            video=logits,
            query_features=query,
            support_features=support,
            prototypes=prototypes,
        )
