"""CLIP-FSAR: a temporal transformer in which a class's text is one more frame, then OTAM."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsarctl.config.setting_field import require, require_bounds, setting
from fsarctl.methods.frame_method import FrameMethod, FrameOptions
from fsarctl.methods.frozen_text import FrozenText
from fsarctl.methods.protocol import BaseClasses, Lesson, QueryMode, Scores, by_class
from fsarctl.models.metrics.cosines import damped_cosines
from fsarctl.models.metrics.otam import both_ways
from fsarctl.models.temporal_transformer import TemporalTransformer

__all__ = ["CLIPFSAR", "Matching", "Options"]

VERSION = 1


@dataclass(frozen=True)
class Options(FrameOptions):
    """What there is to choose."""

    heads: int = setting(8, "heads of the temporal transformer")
    hidden: int = setting(2048, "width of its feed-forward layer")
    smoothing: float = setting(0.5, "lambda of OTAM")
    merge: Literal["before", "after"] = setting(
        "before", "several shots: their frames are averaged before the temporal transformer, or after it"
    )
    text_weight: float = setting(1.5, "alpha: weight of the video-text loss over all base classes")
    text_share: float = setting(
        0.0, "of the blend with the text's answer: its exponent; 0: OTAM alone, 0.9 is the paper's blend"
    )

    def __post_init__(self) -> None:
        require_bounds(self, "heads", "hidden", least=1)
        require_bounds(self, "smoothing", above=0)
        require_bounds(self, "text_weight", least=0)
        share = self.text_share
        require(0 <= share < 1, f"text_share is {share}; it must be 0 or more and below 1")


class Matching(nn.Module):
    """What CLIP-FSAR adds to its encoders.

    Args:
        width: D, of the joint embedding.
        heads, hidden: of the temporal transformer.
    """

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.temporal = TemporalTransformer(width, heads, hidden)
        self.scale = nn.Parameter(torch.ones(()))
        """sigma of the video-text loss, learned from 1."""

    def distances(self, query: Tensor, shots: Tensor, text: Tensor, merge: str) -> Tensor:
        """1 - cosine of each query frame and each frame of a class.

        Shapes: query (..., Q, T, D), shots (..., C, K, T, D), text (..., C, D) -> (..., Q, C, T, T).
        """
        if merge == "before":
            shots = shots.mean(dim=-3, keepdim=True)
        label = text[..., None, None, :].expand(*shots.shape[:-2], 1, -1)
        told = self.temporal(torch.cat([shots, label], dim=-2))[..., :-1, :].mean(dim=-3)  # (..., C, T, D)
        asked = self.temporal(query)
        return 1 - damped_cosines(asked.unsqueeze(-3), told.unsqueeze(-4))

    def text_logits(self, frames: Tensor, texts: Tensor) -> Tensor:
        """Each clip against each class by text: sigma times the cosine of its mean frame.

        Shapes: (..., T, D), (classes, D) -> (..., classes).
        """
        logits: Tensor = self.scale * damped_cosines(frames.mean(dim=-2), texts)
        return logits


class CLIPFSAR(FrameMethod):
    """CLIP-FSAR (arXiv 2303.02982).

    The image encoder is trained with the temporal transformer; texts come from the frozen text encoder.
    Queries see nothing but the support. Training adds the video-text loss over all base classes.
    """

    Options: ClassVar[type[FrameOptions]] = Options
    sub_actions = ("a photo of {}",)
    reads_text = True

    def build(self) -> None:
        """The temporal transformer and sigma."""
        self.matching = Matching(self.backbone.embed_dim, self.options.heads, self.options.hidden)
        self.text = FrozenText(self.backbone, self.encoder.precision)

    def text_features(self, tokens: Tensor | None) -> Tensor:
        """Text embeddings, as they are. Shapes: (..., way, 1, context) -> (..., way, 1, D)."""
        features: Tensor = self.text(tokens)
        return features

    def prepare(self, base: BaseClasses) -> None:
        """Read the texts of all base classes, once."""
        self.base_texts: Tensor = self.text_features(base.tokens).squeeze(-2)

    def score_features(
        self,
        support: Tensor | None,
        query: Tensor,
        text: Tensor | None,
        *,
        way: int | None = None,
        query_mode: QueryMode = "joint",  # noqa: ARG002
    ) -> Scores:
        """Minus OTAM's costs, or their blend with the text's answer.

        Shapes: (..., way*shot, T, D), (..., queries, T, D), (..., way, 1, D) -> (..., queries, way).
        """
        assert support is not None
        assert text is not None
        texts = text.squeeze(-2)
        distances = self.matching.distances(query, by_class(support, way), texts, self.options.merge)
        costs = both_ways(distances, self.options.smoothing)
        share = self.options.text_share
        score, spoken = -costs, None
        if share and not self.training:
            spoken = F.softmax(self.matching.text_logits(query, texts), dim=-1)
            seen = F.softmax((self.frames - costs) / self.frames, dim=-1)
            score = spoken**share * seen ** (1 - share)
        return Scores(
            score,
            video=-costs,
            text=spoken,
            query_features=query,
            support_features=support,
            text_features=text,
        )

    def training_loss(self, lesson: Lesson) -> Tensor:
        """L = CE(OTAM) + alpha CE(video-text), the second over support and query clips."""
        assert lesson.support is not None
        clips = torch.cat([lesson.support, lesson.query])
        classes = torch.cat([lesson.support_classes, lesson.query_classes])
        spoken = F.cross_entropy(self.matching.text_logits(clips, self.base_texts), classes)
        loss: Tensor = self.loss(lesson.scores, lesson.targets) + self.options.text_weight * spoken
        return loss
