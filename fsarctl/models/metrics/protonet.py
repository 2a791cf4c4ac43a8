"""ProtoNet: the cosine of a query and a class's prototype, frame by frame or over the whole video."""

import torch.nn.functional as F
from torch import Tensor

from fsarctl.models.metrics.cosines import cosines

__all__ = ["protonet_frames", "protonet_means", "protonet_sequence"]


def protonet_frames(queries: Tensor, prototypes: Tensor) -> Tensor:
    """ProtoNet as the paper says it: the mean over frames of cos(q_t, p_t) (section 3.4)."""
    # A sum of dot products is the dot product of what is laid end to end.
    lengthwise = F.normalize(queries, dim=-1).flatten(-2) @ F.normalize(prototypes, dim=-1).flatten(-2).mT
    return lengthwise / queries.shape[-2]


def protonet_means(queries: Tensor, prototypes: Tensor) -> Tensor:
    """ProtoNet as the released code has it: the cosine of the temporal means, blind to order."""
    return cosines(queries.mean(dim=-2), prototypes.mean(dim=-2))


def protonet_sequence(queries: Tensor, prototypes: Tensor) -> Tensor:
    """ProtoNet on whole sequences: the cosine of all frames' features laid end to end.

    Like :func:`protonet_frames`, but a frame weighs as much as its features are long.
    """
    return cosines(queries.flatten(-2), prototypes.flatten(-2))
