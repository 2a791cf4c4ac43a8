"""Metrics: how alike a query video and a class's prototype are (Eq. 11).

Each takes queries (..., Q, T, D) and prototypes (..., C, T, D) and gives scores (..., Q, C), larger
where more alike, batched over the leading axes and differentiable. ``METRICS`` names those without
weights of their own, ``metric_of`` makes any of them. A distance d becomes a score by softmax over the
classes of -d, so that the product of Eq. 18 stays defined; it is computed in float32.
"""

from collections.abc import Callable, Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from fsarctl.config.plugins import find_part
from fsarctl.models.metrics.bi_mhm import bi_mhm
from fsarctl.models.metrics.checked_metric import OwnMetric
from fsarctl.models.metrics.otam import otam
from fsarctl.models.metrics.protonet import protonet_frames, protonet_means, protonet_sequence
from fsarctl.models.metrics.trx import TRX
from fsarctl.models.seeding import seeded

__all__ = [
    "METRICS",
    "Metric",
    "bi_mhm",
    "metric_of",
    "otam",
    "protonet_frames",
    "protonet_means",
    "protonet_sequence",
]

Metric = Callable[[Tensor, Tensor], Tensor]


def _probabilities(distance: Metric, queries: Tensor, prototypes: Tensor) -> Tensor:
    return F.softmax(-distance(queries, prototypes), dim=-1)


METRICS: Mapping[str, Metric] = {
    "protonet_frames": protonet_frames,
    "protonet_means": protonet_means,
    "protonet_sequence": protonet_sequence,
    "bi_mhm": partial(_probabilities, bi_mhm),
    "otam": partial(_probabilities, otam),
}


def metric_of(
    name: str, embed: int, frames: int, *, pooled: bool = False, generator: torch.Generator | None = None
) -> Metric:
    """The metric ``name``: one of ``METRICS``, a fresh :class:`TRX`, or somebody else's.

    Args:
        name: as in ``METRICS``, "trx", or a part of the group "metrics" (``fsarctl.config.plugins``): a
            function like those here, or a class, made with ``embed``, ``frames`` and ``generator`` by name;
            PyTorch's own initialisation is seeded meanwhile.
        embed: D, the features' width; for metrics with weights, as are ``frames`` and ``generator``.
        pooled: for TRX, which see.

    Raises:
        ConfigError: there is no such metric, or it does not give one score for each query and class.
        InputError: somebody else's fails.
    """
    if name == "trx":
        return TRX(embed, frames, pooled=pooled, generator=generator)
    part = find_part("metrics", name, (*METRICS, "trx"))
    if part is None:
        return METRICS[name]
    own = part.load()
    if isinstance(own, type):
        with part.running(), seeded(generator and generator.clone_state()):
            own = own(embed=embed, frames=frames, generator=generator)
    return OwnMetric(part, own)
