"""What patches know of their frame, and frames of their clip, before they are matched: STRM's two modules."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsarctl.models.metrics.trx import POSITION_SCALE, sinusoids

__all__ = ["FrameEnrichment", "PatchEnrichment"]


class PatchEnrichment(nn.Module):
    """Unscaled attention of one head among the patches of a frame, at a learned share, then an MLP.

    x = dropout(p + positions), y = gamma softmax(Q x (K x)^T) V x + x, and F3 relu(F2 relu(F1 y)) + y.

    Args:
        patches: of a frame.
        width: D.
        dropout: of patches with their positions.
    """

    def __init__(self, patches: int, width: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.gamma = nn.Parameter(torch.zeros(1))
        narrow = max(1, width // 2)
        self.mlp = nn.Sequential(
            nn.Linear(width, narrow),
            nn.ReLU(),
            nn.Linear(narrow, narrow),
            nn.ReLU(),
            nn.Linear(narrow, width),
        )
        self.dropout = nn.Dropout(dropout)
        self._positions: Tensor
        self.register_buffer("_positions", POSITION_SCALE * sinusoids(patches, width), persistent=False)

    def forward(self, patches: Tensor) -> Tensor:
        """Shapes: (..., patches, D) -> the same."""
        x = self.dropout(patches + self._positions)
        flat = x.flatten(0, -3)  # (frames, patches, D)
        attended = F.scaled_dot_product_attention(
            self.query(flat), self.key(flat), self.value(flat), scale=1.0
        )
        y = self.gamma * attended.reshape(x.shape) + x
        enriched: Tensor = self.mlp(y) + y
        return enriched


class FrameEnrichment(nn.Module):
    """Two MLPs, over time in each channel and over channels in each frame, each beside what goes into it.

    Args:
        frames: T.
        width: D.
        dropout: of frames with their positions.
    """

    def __init__(self, frames: int, width: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.over_time = nn.Sequential(nn.Linear(frames, frames), nn.ReLU(), nn.Linear(frames, frames))
        self.over_channels = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.dropout = nn.Dropout(dropout)
        self._positions: Tensor
        self.register_buffer("_positions", POSITION_SCALE * sinusoids(frames, width), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """Shapes: (..., T, D) -> the same."""
        x = self.dropout(frames + self._positions)
        y = self.over_time(x.mT).mT + x
        enriched: Tensor = self.over_channels(y) + y
        return enriched
