"""Order-aware alignment of query videos with sub-actions: Eq. 15-17 (section 3.6)."""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsarctl.config import AlignmentKind
from fsarctl.models.adapters import start
from fsarctl.models.strategies import chosen

__all__ = [
    "SUB_ACTIONS",
    "Alignment",
    "ConvAlignment",
    "SegmentReading",
    "alignment_of",
    "segment_weights",
    "text_scores",
]

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


class ConvAlignment(nn.Module):
    """A convolution over a video's frames instead (Table 7): kernel 3, stride 1, as wide as the features.

    The paper's one residual, Eq. 15's, is the attention's: there is none here. Both ends are padded with a
    frame of zeros, so that a video of any length keeps its length.

    Args:
        embed: the features' width.
        generator: of the random start.
    """

    def __init__(self, embed: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.conv = nn.Conv1d(embed, embed, kernel_size=3, stride=1, padding=1, dtype=torch.float32)
        start(self.conv, generator)

    def forward(self, features: Tensor) -> Tensor:
        """Shapes: (..., videos, T, embed) -> the same."""
        mixed: Tensor = self.conv(features.flatten(0, -3).mT)
        return mixed.mT.reshape(features.shape)


def alignment_of(
    kind: str,
    embed: int,
    *,
    layers: int = 1,
    residual: Literal["query", "key"] = "query",
    norm: bool = False,
    generator: torch.Generator | None = None,
) -> nn.Module:
    """What aligns query frames with sub-actions (Table 7).

    Shapes: (..., videos, T, embed) -> (..., videos, T', embed), where T' is T - ``layers`` for "attention"
    and T for the others.

    Raises:
        ConfigError: no such kind.
    """

    def attention() -> nn.Module:
        stacked = [Alignment(embed, residual=residual, norm=norm) for _ in range(layers)]
        return stacked[0] if layers == 1 else nn.Sequential(*stacked)

    makers: Mapping[AlignmentKind, Callable[[], nn.Module]] = {
        "none": nn.Identity,
        "attention": attention,
        "conv1d": lambda: ConvAlignment(embed, generator=generator),
    }
    return chosen("alignment", kind, makers)()


def segment_weights(frames: int, stages: int = SUB_ACTIONS) -> Tensor:
    """Which of a clip's aligned frames each stage averages (Eq. 16): the one place that says it.

    Of ``frames`` frames there are ``frames`` - 1 after the alignment attention. They are cut at equal
    parts of their span, rounded, and neighbours share the frame at the cut: 1-3, 3-5 and 5-7 at T = 8, as in
    the paper. Any T of 2 or more gives each stage a frame. One stage is the mean over all: global matching.

    Shapes: (stages, T-1); each row sums to one.
    """
    last = frames - 2
    cuts = [round(s * last / stages) for s in range(stages + 1)]
    weights = torch.zeros(stages, frames - 1)
    for s in range(stages):
        weights[s, cuts[s] : cuts[s + 1] + 1] = 1 / (cuts[s + 1] - cuts[s] + 1)
    return weights


def text_scores(aligned: Tensor, text: Tensor, *, reading: SegmentReading = "cosine_of_mean") -> Tensor:
    """The video-text score: mean over sub-actions of their cosine with their segment (Eq. 17).

    A segment's cosine is that of the mean of its frames ("cosine_of_mean", the equation) or the mean
    of the cosines of its frames ("mean_of_cosines", the released code).

    With one text feature a class, its one segment is the whole video: global matching.

    Shapes: aligned (..., queries, T-1, embed), text (..., classes, 3 or 1, embed) -> (..., queries, classes).
    """
    stages = text.shape[-2]
    weights = segment_weights(aligned.shape[-2] + 1, stages).to(aligned)
    if reading == "mean_of_cosines":
        aligned = F.normalize(aligned, dim=-1)
    segments = weights @ aligned  # (..., queries, stages, embed)
    if reading == "cosine_of_mean":
        segments = F.normalize(segments, dim=-1)
    text = F.normalize(text, dim=-1)
    # A sum of dot products is the dot product of what is laid end to end.
    return segments.flatten(-2) @ text.flatten(-2).transpose(-2, -1) / stages
