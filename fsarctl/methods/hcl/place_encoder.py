"""A transformer layer over all places of all frames of a clip, told when and where each is, of HCL."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["PlaceEncoder", "PlacePositions"]

ENTRIES = 10
"""Frames, rows and columns that the published tables of positions have."""


class PlacePositions(nn.Module):
    """[time | column | row], each learned and looked up by its number.

    Args:
        width: D; a third of it for columns and rows each, rounded down, and the rest for time.
        frames, side: most frames, and most rows or columns.
    """

    def __init__(self, width: int, frames: int, side: int) -> None:
        super().__init__()
        third = width // 3
        self.row_embed = nn.Embedding(max(ENTRIES, side), third)
        self.col_embed = nn.Embedding(max(ENTRIES, side), third)
        self.temp_embed = nn.Embedding(max(ENTRIES, frames), width - 2 * third)
        for table in (self.row_embed, self.col_embed, self.temp_embed):
            nn.init.uniform_(table.weight)

    def forward(self, frames: int, rows: int, columns: int) -> Tensor:
        """Shape: (frames, rows, columns, D)."""
        sizes = (frames, rows, columns)
        time = self.temp_embed.weight[:frames, None, None]
        column = self.col_embed.weight[None, None, :columns]
        row = self.row_embed.weight[None, :rows, None]
        return torch.cat([each.expand(*sizes, -1) for each in (time, column, row)], dim=-1)


class PlaceEncoder(nn.Module):
    """One layer with its norms behind it: x = LN(x + MHA(x)), x = LN(x + W2 gelu(W1 x)).

    Positions are added to queries and keys, not to values.

    Args:
        channels: of the maps.
        width: D.
        frames, side: most frames, and most rows or columns.
        heads: of the attention.
        hidden: of the feed-forward layer.
        dropout: of attention, within the feed-forward, and before each sum.
    """

    def __init__(
        self,
        channels: int,
        width: int = 1152,
        *,
        frames: int,
        side: int,
        heads: int = 8,
        hidden: int = 2048,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.input_proj = nn.Linear(channels, width)
        self.pos_encoder = PlacePositions(width, frames, side)
        self.self_attn = nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)
        self.linear1 = nn.Linear(width, hidden)
        self.linear2 = nn.Linear(hidden, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, maps: Tensor) -> Tensor:
        """Shapes: (..., T, rows, columns, channels) -> (..., T*rows*columns, D), by time, row, column."""
        positions = self.pos_encoder(*maps.shape[-4:-1]).flatten(0, 2)
        x = self.input_proj(maps).flatten(-4, -2)
        tokens = x.reshape(-1, *x.shape[-2:])  # (clips, T*rows*columns, D)
        told = tokens + positions
        attended, _ = self.self_attn(told, told, tokens, need_weights=False)
        tokens = self.norm1(tokens + self.dropout(attended))
        fed = self.linear2(self.dropout(F.gelu(self.linear1(tokens))))
        encoded: Tensor = self.norm2(tokens + self.dropout(fed))
        return encoded.reshape(x.shape)
