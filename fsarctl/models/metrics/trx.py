"""TRX: a query rebuilt from a class's ordered pairs and triples of frames; a metric with weights."""

import math
from collections.abc import Sequence
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsarctl.models.bottleneck_adapter import start

__all__ = ["CARDINALITIES", "POSITION_SCALE", "TRX", "WIDTH", "ordered_tuples", "sinusoids"]

CARDINALITIES = (2, 3)
"""Frames in a tuple; those that a clip is too short for are left out."""
WIDTH = 1152
"""Of the keys and values that a tuple is projected to."""
POSITION_SCALE = 0.1
"""The sinusoidal positions are multiplied by this before they are added to the features."""


class TRX(nn.Module):
    """Temporal-relational cross-transformer (Eq. 11's metric module).

    For each cardinality a query's tuples attend to all tuples of a class, and d is the squared distance
    between a query tuple's value and what the class gives for it, mean over tuples, then over
    cardinalities. Scores are the softmax over classes of -d. Weights and arithmetic are float32.

    Args:
        embed: D, the features' width.
        frames: T, of every clip.
        pooled: for whoever calls: :meth:`of_shots` is meant, as in TRX itself, rather than :meth:`forward`
            on prototypes, as in Eq. 11.
        sizes: the cardinalities; those above ``frames`` are left out.
        width: of keys and values.
        dropout: of features with their positions, drawn apart for each cardinality, queries and shots.
        generator: of the random start; the global one by default.
    """

    def __init__(
        self,
        embed: int,
        frames: int,
        *,
        pooled: bool = False,
        sizes: Sequence[int] = CARDINALITIES,
        width: int | None = None,
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.pooled = pooled
        self.tuples = nn.ModuleList(
            TupleAttention(embed, frames, size, width or WIDTH, generator=generator)
            for size in sizes
            if size <= frames
        )
        self.dropout = nn.Dropout(dropout)
        self._positions: Tensor
        self.register_buffer("_positions", POSITION_SCALE * sinusoids(frames, embed), persistent=False)

    def forward(self, queries: Tensor, prototypes: Tensor) -> Tensor:
        """Shapes: queries (..., Q, T, D), prototypes (..., C, T, D) -> (..., Q, C)."""
        return self.of_shots(queries, prototypes.unsqueeze(-3))

    def of_shots(self, queries: Tensor, shots: Tensor) -> Tensor:
        """The tuples of all shots of a class in one pool, without prototypes.

        Shapes: queries (..., Q, T, D), shots (..., C, K, T, D) -> (..., Q, C).
        """
        return F.softmax(-self.distances(queries, shots), dim=-1)

    def distances(self, queries: Tensor, shots: Tensor) -> Tensor:
        """d of every query and class. Shapes: as :meth:`of_shots`."""
        positions = self._positions
        queries, shots = queries.to(positions.dtype) + positions, shots.to(positions.dtype) + positions
        return torch.stack([part(self.dropout(queries), self.dropout(shots)) for part in self.tuples]).mean(
            dim=0
        )


class TupleAttention(nn.Module):
    """d for the ordered tuples of one cardinality."""

    def __init__(
        self, embed: int, frames: int, size: int, width: int, *, generator: torch.Generator | None
    ) -> None:
        super().__init__()
        self.key = nn.Linear(size * embed, width, dtype=torch.float32)
        self.value = nn.Linear(size * embed, width, dtype=torch.float32)
        self.norm = nn.LayerNorm(width, dtype=torch.float32)
        start(self.key, generator)
        start(self.value, generator)
        self._places: Tensor
        self.register_buffer("_places", ordered_tuples(frames, size), persistent=False)

    def forward(self, queries: Tensor, shots: Tensor) -> Tensor:
        """Shapes: (..., Q, T, D), (..., C, K, T, D) -> (..., Q, C)."""
        asked, wanted = self._project(queries)  # (..., Q, n, WIDTH)
        keys, values = (part.flatten(-3, -2) for part in self._project(shots))  # (..., C, K*n, width)
        # Four axes, (B, C, length, width), are what fused attention takes: it never holds all tuple pairs.
        rebuilt = F.scaled_dot_product_attention(
            asked.reshape(-1, 1, asked.shape[-3] * asked.shape[-2], asked.shape[-1]).expand(
                -1, keys.shape[-3], -1, -1
            ),
            keys.reshape(-1, *keys.shape[-3:]),
            values.reshape(-1, *values.shape[-3:]),
        )  # (B, C, Q*n, width)
        rebuilt = rebuilt.reshape(*keys.shape[:-2], *asked.shape[-3:])  # (..., C, Q, n, width)
        distance: Tensor = (wanted.unsqueeze(-4) - rebuilt).square().sum(dim=-1).mean(dim=-1)
        return distance.mT

    def _project(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        tuples = frames[..., self._places, :].flatten(-2)  # (..., n, size*D)
        return self.norm(self.key(tuples)), self.value(tuples)


def ordered_tuples(frames: int, size: int) -> Tensor:
    """Every choice of ``size`` frames in their order: 28 pairs and 56 triples at T = 8. Shape: (n, size)."""
    chosen: Sequence[tuple[int, ...]] = list(combinations(range(frames), size))
    return torch.tensor(chosen, dtype=torch.int64)


def sinusoids(frames: int, width: int) -> Tensor:
    """Sines in the even columns and cosines in the odd ones, of slowing frequencies. Shape: (T, width)."""
    columns = torch.arange(width, dtype=torch.float32)
    frequencies = torch.exp(-math.log(10000.0) * (columns // 2 * 2) / width)
    angles = torch.arange(frames, dtype=torch.float32)[:, None] * frequencies
    return torch.where(columns % 2 == 0, angles.sin(), angles.cos())
