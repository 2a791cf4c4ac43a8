"""Each ordered tuple of a query's frames with the nearest one of a class: STRM's second branch."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsarctl.models.metrics.trx import ordered_tuples

__all__ = ["TupleSimilarity"]


class TupleSimilarity(nn.Module):
    """Mean over a query's tuples of the distance to the nearest tuple of any shot of a class.

    Tuples are compared as u = relu(W tuple + b), D / 2 wide; the result is a mean over cardinalities.

    Args:
        width: D.
        frames: T.
        sizes: the cardinalities; those above ``frames`` are left out.
        dropout: of frames, drawn apart for each cardinality, queries and shots.
    """

    def __init__(self, width: int, frames: int, sizes: Sequence[int], dropout: float = 0.1) -> None:
        super().__init__()
        self.places = [ordered_tuples(frames, size) for size in sizes if size <= frames]
        self.projections = nn.ModuleList(
            nn.Linear(places.shape[1] * width, max(1, width // 2)) for places in self.places
        )
        self.dropout = nn.Dropout(dropout)

    def distances(self, queries: Tensor, shots: Tensor) -> Tensor:
        """Shapes: (..., Q, T, D), (..., C, K, T, D) -> (..., Q, C)."""
        found = []
        for project, places in zip(self.projections, self.places, strict=True):
            asked = _projected(project, self.dropout(queries), places)  # (..., Q, n, D/2)
            told = _projected(project, self.dropout(shots), places).flatten(-3, -2)  # (..., C, K*n, D/2)
            apart = torch.cdist(
                asked.flatten(-3, -2),
                told.flatten(-3, -2),
                compute_mode="donot_use_mm_for_euclid_dist",  # which loses what is near
            )  # (..., Q*n, C*K*n)
            apart = apart.reshape(*asked.shape[:-1], *told.shape[-3:-1])  # (..., Q, n, C, K*n)
            found.append(apart.amin(dim=-1).mean(dim=-2))
        return torch.stack(found).mean(dim=0)


def _projected(project: nn.Module, frames: Tensor, places: Tensor) -> Tensor:
    tuples = frames[..., places.to(frames.device), :].flatten(-2)
    return F.relu(project(tuples))
