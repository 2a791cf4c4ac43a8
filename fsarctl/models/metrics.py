"""Metrics: how alike a query video and a class's prototype are (Eq. 11).

Each takes queries (..., Q, T, D) and prototypes (..., C, T, D) and gives scores (..., Q, C), larger
where more alike, batched over the leading axes and differentiable. ``METRICS`` names them.
"""

from collections.abc import Callable, Mapping

import torch.nn.functional as F
from torch import Tensor

__all__ = ["METRICS", "Metric", "protonet_frames", "protonet_means", "protonet_sequence"]

Metric = Callable[[Tensor, Tensor], Tensor]


def protonet_frames(queries: Tensor, prototypes: Tensor) -> Tensor:
    """ProtoNet as the paper says it: the mean over frames of cos(q_t, p_t) (section 3.4)."""
    # A sum of dot products is the dot product of what is laid end to end.
    lengthwise = F.normalize(queries, dim=-1).flatten(-2) @ F.normalize(prototypes, dim=-1).flatten(-2).mT
    return lengthwise / queries.shape[-2]


def protonet_means(queries: Tensor, prototypes: Tensor) -> Tensor:
    """ProtoNet as the released code has it: the cosine of the temporal means, blind to order."""
    return _cosines(queries.mean(dim=-2), prototypes.mean(dim=-2))


def protonet_sequence(queries: Tensor, prototypes: Tensor) -> Tensor:
    """ProtoNet on whole sequences: the cosine of all frames' features laid end to end.

    Like :func:`protonet_frames`, but a frame weighs as much as its features are long.
    """
    return _cosines(queries.flatten(-2), prototypes.flatten(-2))


def _cosines(queries: Tensor, prototypes: Tensor) -> Tensor:
    return F.normalize(queries, dim=-1) @ F.normalize(prototypes, dim=-1).mT


METRICS: Mapping[str, Metric] = {
    "protonet_frames": protonet_frames,
    "protonet_means": protonet_means,
    "protonet_sequence": protonet_sequence,
}
