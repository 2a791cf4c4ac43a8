"""Metrics: how alike a query video and a class's prototype are (Eq. 11).

Each takes queries (..., Q, T, D) and prototypes (..., C, T, D) and gives scores (..., Q, C), larger
where more alike, batched over the leading axes and differentiable. ``METRICS`` names those without
weights of their own, ``metric_of`` makes any of them. A distance d becomes a score by softmax over the
classes of -d, so that the product of Eq. 18 stays defined; it is computed in float32.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsarctl.config.parts import Part, find_part
from fsarctl.errors import ConfigError
from fsarctl.models.trx import TRX

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

OTAM_SMOOTHING = 0.1
"""Lambda: how soft OTAM's minimum is."""


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


def bi_mhm(queries: Tensor, prototypes: Tensor) -> Tensor:
    """Bidirectional mean Hausdorff metric, the distance of two sets of frames: blind to order.

    d = sum_l min_m D[l,m] + sum_m min_l D[l,m] with D = 1 - cos.

    Shapes: (..., Q, T, D), (..., C, T, D) -> (..., Q, C).
    """
    distances = _frame_distances(queries, prototypes)
    return distances.amin(dim=-1).sum(dim=-1) + distances.amin(dim=-2).sum(dim=-1)


def otam(queries: Tensor, prototypes: Tensor) -> Tensor:
    """Ordered temporal alignment: the soft cost of the cheapest monotone path, from either side.

    Shapes: (..., Q, T, D), (..., C, T, D) -> (..., Q, C).
    """
    distances = _frame_distances(queries, prototypes)
    return _soft_path_cost(distances) + _soft_path_cost(distances.mT)


def _soft_path_cost(distances: Tensor) -> Tensor:
    """-lambda logsumexp(-cost / lambda) over all paths through ``distances`` with a zero column at both ends.

    A path goes through every row and may wait in either zero column. From one row down to the next it moves
    one column right, except that it may enter the first column, or reach the last one, straight from above.
    Working on -cost / lambda keeps every sum a logsumexp, which cannot overflow, and a whole row of the
    recurrence x[m] = e[m] + logaddexp(enter[m], x[m-1]) is one cumulative logsumexp.

    Shapes: (..., L, M) -> (...).
    """
    evidence = F.pad(distances, (1, 1)) / -OTAM_SMOOTHING  # (..., L, M+2)
    reach = evidence.cumsum(dim=-1)  # what a path along one row collects up to a column
    row = reach[..., 0, :]
    for step in reach.unbind(dim=-2)[1:]:
        first = torch.logaddexp(row[..., :1], row[..., 1:2])
        last = torch.logaddexp(row[..., -2:-1], row[..., -1:])
        enter = torch.cat([first, row[..., 1:-2], last], dim=-1)  # into columns 1 to M+1, from above
        entered = F.pad(enter - step[..., :-1], (1, 0))  # a path may have waited in column 0 at no cost
        row = step + entered.logcumsumexp(dim=-1)
    return -OTAM_SMOOTHING * row[..., -1]


def _probabilities(distance: Metric, queries: Tensor, prototypes: Tensor) -> Tensor:
    return F.softmax(-distance(queries, prototypes), dim=-1)


def _frame_distances(queries: Tensor, prototypes: Tensor) -> Tensor:
    """1 - cos of every pair of frames. Shapes: -> (..., Q, C, T, T), float32."""
    queries, prototypes = queries.float().unsqueeze(-3), prototypes.float().unsqueeze(-4)
    return 1 - _cosines(queries, prototypes).float()


def _cosines(queries: Tensor, prototypes: Tensor) -> Tensor:
    return F.normalize(queries, dim=-1) @ F.normalize(prototypes, dim=-1).mT


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
        name: as in ``METRICS``, "trx", or a part of the group "metrics" (``fsarctl.config.parts``): a
            function like those here, or a class, made with ``embed``, ``frames`` and ``generator``.
        embed: D, the features' width; for metrics with weights, as are ``frames`` and ``generator``.
        pooled: for TRX, which see.

    Raises:
        ConfigError: there is no such metric, or it does not give one score for each query and class.
    """
    if name == "trx":
        return TRX(embed, frames, pooled=pooled, generator=generator)
    part = find_part("metrics", name, (*METRICS, "trx"))
    if part is None:
        return METRICS[name]
    own = part.load()
    return OwnMetric(part, own(embed, frames, generator=generator) if isinstance(own, type) else own)


class OwnMetric(nn.Module):
    """Somebody else's metric, whose answers are looked at."""

    def __init__(self, part: Part, metric: Any) -> None:
        super().__init__()
        if not callable(metric):
            raise ConfigError(
                f"metric {part.target!r} is a {type(metric).__name__}, which cannot be called",
                next_step="Name a function of queries (..., Q, T, D) and prototypes (..., C, T, D).",
            )
        self._part = part
        self.metric = metric

    def forward(self, queries: Tensor, prototypes: Tensor) -> Tensor:
        """Shapes: (..., Q, T, D), (..., C, T, D) -> (..., Q, C).

        Raises:
            ConfigError: the metric gave something else.
        """
        scores = self.metric(queries, prototypes)
        wanted = (*queries.shape[:-2], prototypes.shape[-3])
        if not isinstance(scores, Tensor) or scores.shape != wanted:
            gave = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
            raise ConfigError(
                f"metric {self._part.target!r} gave {gave}, not scores of shape {wanted}",
                next_step="Queries (..., Q, T, D) and prototypes (..., C, T, D) make scores (..., Q, C).",
            )
        return scores
