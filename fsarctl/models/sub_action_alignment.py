"""Order-aware alignment of query videos with sub-actions: Eq. 15-17 (section 3.6)."""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsarctl.config.model_table import AlignmentKind, Residual, SegmentReading
from fsarctl.models.bottleneck_adapter import start
from fsarctl.models.segments import SUB_ACTIONS, segments
from fsarctl.models.strategies import chosen

__all__ = [
    "SUB_ACTIONS",
    "Alignment",
    "ConvAlignment",
    "alignment_of",
    "segment_weights",
    "stage_scores",
    "text_scores",
]


class Alignment(nn.Module):
    """Each frame attends to the next one, across the query videos of a set (Eq. 15).

    The attention has no learned weights: softmax(q k^T / sqrt(d)) v with q the frames i-1 and k, v the
    frames i of all the videos. A set of one video gets its frame i itself.

    Args:
        embed: d, the features' width.
        residual: adds frame i-1 ("query", the equation) or frame i ("key", the released code).
        norm: a LayerNorm on the attention's output, before the residual.
    """

    def __init__(self, embed: int, *, residual: Residual = "query", norm: bool = False) -> None:
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
    residual: Residual = "query",
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
    """How much of a clip's aligned frames is in each stage's mean (Eq. 16); which, says ``segments``.

    Of ``frames`` frames there are ``frames`` - 1 after the alignment attention. Any T of 2 or more gives each
    stage a frame.

    Shapes: (stages, T-1); each row sums to one.
    """
    weights = torch.zeros(stages, frames - 1)
    for row, segment in zip(weights, segments(frames - 1, stages), strict=True):
        row[segment.start : segment.stop] = 1 / len(segment)
    return weights


def stage_scores(aligned: Tensor, text: Tensor, *, reading: SegmentReading = "cosine_of_mean") -> Tensor:
    """Every segment of a query against every sub-action of a class: what Figure 11 draws.

    Segments stand in the rows. The video-text score is the mean of the diagonal (:func:`text_scores`).

    Shapes: aligned (..., queries, T-1, embed), text (..., classes, stages, embed) ->
    (..., queries, classes, stages, stages).
    """
    means = _segment_means(aligned, text.shape[-2], reading).unsqueeze(-3)  # (..., queries, 1, stages, embed)
    return means @ F.normalize(text, dim=-1).unsqueeze(-4).mT


def text_scores(aligned: Tensor, text: Tensor, *, reading: SegmentReading = "cosine_of_mean") -> Tensor:
    """The video-text score: mean over sub-actions of their cosine with their segment (Eq. 17).

    A segment's cosine is that of the mean of its frames ("cosine_of_mean", the equation) or the mean
    of the cosines of its frames ("mean_of_cosines", the released code).

    With one text feature a class, its one segment is the whole video: global matching.

    Shapes: aligned (..., queries, T-1, embed), text (..., classes, 3 or 1, embed) -> (..., queries, classes).
    """
    stages = text.shape[-2]
    means = _segment_means(aligned, stages, reading)
    text = F.normalize(text, dim=-1)
    # A sum of dot products is the dot product of what is laid end to end.
    return means.flatten(-2) @ text.flatten(-2).transpose(-2, -1) / stages


def _segment_means(aligned: Tensor, stages: int, reading: SegmentReading) -> Tensor:
    """What a segment is matched with. Shapes: (..., queries, T-1, embed) -> (..., queries, stages, embed)."""
    weights = segment_weights(aligned.shape[-2] + 1, stages).to(aligned, non_blocking=True)
    if reading == "mean_of_cosines":
        return weights @ F.normalize(aligned, dim=-1)
    return F.normalize(weights @ aligned, dim=-1)
