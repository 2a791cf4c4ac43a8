"""Hybrid relations, of HyRSM: frames within a video, and videos across a task as each query sees it."""

import math
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsarctl.models.metrics.bi_mhm import hausdorff
from fsarctl.models.metrics.cosines import cosines
from fsarctl.models.positions import ScaledPositions
from fsarctl.models.temporal_transformer import TemporalAttention, by_head, require_heads

__all__ = ["Form", "HybridRelation", "Related", "set_distances"]

Form = Literal["classes", "clips"]
"""What a task is made of: the mean of each class's shots, or each support clip; with one shot the same."""


class Related(NamedTuple):
    """Frames that know their task."""

    support: Tensor
    """(..., Q, C, n, T, D): as each query sees the n members of each class."""
    query: Tensor
    """(..., Q, T, D)."""


class HybridRelation(nn.Module):
    """Attention within a video, then among the videos of a task, once for each query, and their fusion.

    Args:
        frames: T.
        width: D, of frames' features.
        heads: of both attentions.
        divisor, weight: of the positions, see :class:`ScaledPositions`.
    """

    def __init__(
        self, frames: int, width: int, heads: int = 8, *, divisor: float = 10.0, weight: float = 1.0
    ) -> None:
        super().__init__()
        self.positions = ScaledPositions(frames, width, divisor=divisor, weight=weight)
        self.within = TemporalAttention(width, heads, dropout=0.2)
        self.across = TaskAttention(width, heads, dropout=0.05)
        self.fuse = nn.Linear(2 * width, width)

    def within_video(self, frames: Tensor) -> Tensor:
        """h = relu(z + attention within the clip). Shapes: (..., T, D) -> the same."""
        h: Tensor = F.relu(self.within(self.positions(frames)))
        return h

    def across_task(self, shots: Tensor, query: Tensor, form: Form) -> Related:
        """What :meth:`within_video` gave, with what each query's task adds; queries never meet.

        Shapes: shots (..., C, K, T, D), query (..., Q, T, D); ``form`` "classes": n is 1, "clips": n is K.
        """
        if form == "classes":
            shots = shots.mean(dim=-3, keepdim=True)
        way, members = shots.shape[-4:-2]
        clips = shots.flatten(-4, -3)  # (..., C*n, T, D)
        told = clips.mean(dim=-2).unsqueeze(-3)  # (..., 1, C*n, D)
        asked = query.mean(dim=-2).unsqueeze(-2)  # (..., Q, 1, D)
        told = told.expand(*told.shape[:-3], query.shape[-3], *told.shape[-2:])
        task = F.relu(self.across(torch.cat([told, asked], dim=-2)))  # (..., Q, C*n+1, D)
        # W [h; o] + b in two parts: what a frame adds is the same whichever query looks.
        of_frames, of_task = self.fuse.weight.chunk(2, dim=-1)
        added = F.linear(task, of_task).unsqueeze(-2)  # (..., Q, C*n+1, 1, D)
        fused = F.linear(clips, of_frames, self.fuse.bias).unsqueeze(-4) + added[..., :-1, :, :]
        seen = F.linear(query, of_frames, self.fuse.bias) + added[..., -1, :, :]
        return Related(fused.reshape(*fused.shape[:-3], way, members, *fused.shape[-2:]), seen)


class TaskAttention(nn.Module):
    """LN(x + W MHA(x)): nothing before the attention, one norm behind it; no bias but that of W.

    Source: HyRSM's code, whose start of the weights it has.
    """

    def __init__(self, width: int, heads: int, *, dropout: float) -> None:
        super().__init__()
        require_heads(heads, width)
        each = width // heads
        self.heads = heads
        self.to_q = nn.Linear(width, heads * each, bias=False)
        self.to_k = nn.Linear(width, heads * each, bias=False)
        self.to_v = nn.Linear(width, heads * each, bias=False)
        self.to_out = nn.Linear(heads * each, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        for layer in (self.to_q, self.to_k, self.to_v):
            nn.init.normal_(layer.weight, std=math.sqrt(2 / (width + each)))
        nn.init.xavier_normal_(self.to_out.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        """Shapes: (..., tokens, D) -> the same."""
        q, k, v = (by_head(layer(tokens), self.heads) for layer in (self.to_q, self.to_k, self.to_v))
        attended = F.scaled_dot_product_attention(q, k, v).transpose(-3, -2).flatten(-2)
        out: Tensor = self.norm(tokens + self.dropout(self.to_out(attended)))
        return out


def set_distances(related: Related) -> Tensor:
    """Bi-MHM of each query and each class, mean over a class's members. Shape: (..., Q, C)."""
    query = related.query[..., None, None, :, :]  # (..., Q, 1, 1, T, D)
    return hausdorff(1 - cosines(query, related.support)).mean(dim=-1)
