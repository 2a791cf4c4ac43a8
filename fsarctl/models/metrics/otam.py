"""OTAM: ordered temporal alignment, a recurrence over the frames of two videos."""

import torch
import torch.nn.functional as F
from torch import Tensor

from fsarctl.models.metrics.cosines import frame_distances

__all__ = ["OTAM_SMOOTHING", "both_ways", "otam", "soft_path_cost"]

OTAM_SMOOTHING = 0.1
"""Lambda: how soft OTAM's minimum is."""


def otam(queries: Tensor, prototypes: Tensor) -> Tensor:
    """Ordered temporal alignment: the soft cost of the cheapest monotone path, from either side.

    Shapes: (..., Q, T, D), (..., C, T, D) -> (..., Q, C).
    """
    return both_ways(frame_distances(queries, prototypes))


def both_ways(distances: Tensor, smoothing: float = OTAM_SMOOTHING) -> Tensor:
    """:func:`soft_path_cost` from either side. Shapes: (..., L, M) -> (...)."""
    return soft_path_cost(distances, smoothing) + soft_path_cost(distances.mT, smoothing)


def soft_path_cost(distances: Tensor, smoothing: float = OTAM_SMOOTHING) -> Tensor:
    """-lambda logsumexp(-cost / lambda) over all paths through ``distances`` with a zero column at both ends.

    A path goes through every row and may wait in either zero column. From one row down to the next it moves
    one column right, except that it may enter the first column, or reach the last one, straight from above.
    Working on -cost / lambda keeps every sum a logsumexp, which cannot overflow, and a whole row of the
    recurrence x[m] = e[m] + logaddexp(enter[m], x[m-1]) is one cumulative logsumexp.

    Shapes: (..., L, M) -> (...).
    """
    evidence = F.pad(distances, (1, 1)) / -smoothing  # (..., L, M+2)
    reach = evidence.cumsum(dim=-1)  # what a path along one row collects up to a column
    row = reach[..., 0, :]
    for step in reach.unbind(dim=-2)[1:]:
        first = torch.logaddexp(row[..., :1], row[..., 1:2])
        last = torch.logaddexp(row[..., -2:-1], row[..., -1:])
        enter = torch.cat([first, row[..., 1:-2], last], dim=-1)  # into columns 1 to M+1, from above
        entered = F.pad(enter - step[..., :-1], (1, 0))  # a path may have waited in column 0 at no cost
        row = step + entered.logcumsumexp(dim=-1)
    return -smoothing * row[..., -1]
