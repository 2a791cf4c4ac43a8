"""Positions of frames that are added to features which were made longer or shorter before."""

import torch
from torch import Tensor, nn

__all__ = ["ScaledPositions", "channel_sinusoids"]


class ScaledPositions(nn.Module):
    """z sqrt(D / A) + B position, then dropout. Source: HyRSM's and MoLo's code.

    Args:
        length: most tokens.
        width: D.
        divisor: A.
        weight: B.
        dropout: of the sum.
    """

    def __init__(
        self, length: int, width: int, *, divisor: float, weight: float, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.factor = (width / divisor) ** 0.5
        self.dropout = nn.Dropout(dropout)
        self._positions: Tensor
        self.register_buffer("_positions", weight * channel_sinusoids(length, width), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Shapes: (..., tokens, D) -> the same."""
        told: Tensor = self.dropout(self.factor * tokens + self._positions[: tokens.shape[-2]])
        return told


def channel_sinusoids(length: int, width: int) -> Tensor:
    """sin(n / 10000^(2 c / D)) in even channels c and the cosine of it in odd ones. Shape: (length, D).

    A channel has a frequency of its own, and they fall twice as fast as those of Vaswani et al., where two
    channels share one.
    """
    channel = torch.arange(width, dtype=torch.float64)
    angles = torch.arange(length, dtype=torch.float64)[:, None] / 10000.0 ** (2 * channel / width)
    return torch.where(channel % 2 == 0, angles.sin(), angles.cos()).float()
