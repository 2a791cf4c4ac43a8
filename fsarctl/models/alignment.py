"""Order-aware alignment of query videos with sub-actions: Eq. 15-17 (section 3.6)."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["SUB_ACTIONS", "Alignment", "SegmentReading", "segment_weights", "text_scores"]

SUB_ACTIONS = 3
"""Beginning, process, end."""

SegmentReading = Literal["cosine_of_mean", "mean_of_cosines"]


class Alignment(nn.Module):
    """Each frame attends to the next one, across the query videos of a set (Eq. 15).

    The attention has no learned weights: softmax(q k^T / sqrt(d)) v with q the frames i-1 and k, v the
    frames i of all the videos. A set of one video gets its frame i itself.

    Args:
        embed: d, the features' width.
        residual: adds frame i-1 ("query", the equation) or frame i ("key", the released code).
        norm: a LayerNorm on the attention's output, before the residual.
    """

    def __init__(
        self, embed: int, *, residual: Literal["query", "key"] = "query", norm: bool = False
    ) -> None:
        super().__init__()
        self.residual = residual
        self.norm = nn.LayerNorm(embed) if norm else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Shapes: (..., videos, T, embed) -> (..., videos, T-1, embed)."""
        frames = features.transpose(-3, -2)  # (..., T, videos, embed)
        earlier, later = frames[..., :-1, :, :], frames[..., 1:, :, :]
        attended = self.norm(F.scaled_dot_product_attention(earlier, later, later))
        aligned: Tensor = attended + (earlier if self.residual == "query" else later)
        return aligned.transpose(-3, -2)


def segment_weights(frames: int) -> Tensor:
    """Which of the T-1 aligned frames each sub-action averages (Eq. 16): the one place that says it.

    The T-1 frames are cut at thirds of their span, rounded, and neighbours share the frame at the cut:
    1-3, 3-5 and 5-7 at T = 8, as in the paper. Any T of 2 or more gives each segment a frame.

    Shapes: (3, T-1); each row sums to one.
    """
    last = frames - 2
    cuts = [round(s * last / SUB_ACTIONS) for s in range(SUB_ACTIONS + 1)]
    weights = torch.zeros(SUB_ACTIONS, frames - 1)
    for s in range(SUB_ACTIONS):
        weights[s, cuts[s] : cuts[s + 1] + 1] = 1 / (cuts[s + 1] - cuts[s] + 1)
    return weights


def text_scores(aligned: Tensor, text: Tensor, *, reading: SegmentReading = "cosine_of_mean") -> Tensor:
    """The video-text score: mean over sub-actions of their cosine with their segment (Eq. 17).

    A segment's cosine is that of the mean of its frames ("cosine_of_mean", the equation) or the mean
    of the cosines of its frames ("mean_of_cosines", the released code).

    Shapes: aligned (..., queries, T-1, embed), text (..., classes, 3, embed) -> (..., queries, classes).
    """
    weights = segment_weights(aligned.shape[-2] + 1).to(aligned)
    if reading == "mean_of_cosines":
        aligned = F.normalize(aligned, dim=-1)
    segments = weights @ aligned  # (..., queries, 3, embed)
    if reading == "cosine_of_mean":
        segments = F.normalize(segments, dim=-1)
    text = F.normalize(text, dim=-1)
    # A sum of dot products is the dot product of what is laid end to end.
    return segments.flatten(-2) @ text.flatten(-2).transpose(-2, -1) / SUB_ACTIONS
