"""MoLo: a clip's frames and its motion, contrasted with what stands for all of it, then matched as sets."""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsarctl.config.setting_field import require_bounds, setting
from fsarctl.errors import ConfigError
from fsarctl.methods.frame_method import FrameMethod, FrameOptions
from fsarctl.methods.molo.motion import AppearanceAndMotion, ClipTokens, PixelDecoder
from fsarctl.methods.protocol import BaseClasses, Lesson, QueryMode, Scores, by_class
from fsarctl.models.metrics.bi_mhm import hausdorff
from fsarctl.models.metrics.cosines import damped_cosines

__all__ = ["LongShort", "MoLo", "Options", "set_logits"]

VERSION = 1


@dataclass(frozen=True)
class Options(FrameOptions):
    """What there is to choose."""

    heads: int = setting(8, "of the transformers of appearance and of motion")
    hidden: int = setting(2048, "width of their feed-forward layers")
    divisor: float = setting(10.0, "A: features are multiplied by sqrt(width / A) before positions are added")
    position_weight: float = setting(1.0, "B: of the positions")
    motion_weight: float = setting(0.3, "of the distance by motion in the logits")
    base_weight: float = setting(0.4, "beta: of the loss that classifies clips among the base classes")
    contrast_weight: float = setting(0.05, "of the four losses that contrast frames with whole clips")
    pixel_weight: float = setting(
        0.2, "of the loss of pixels made from motion; four times the rho of the released files, as it acts"
    )

    def __post_init__(self) -> None:
        require_bounds(self, "heads", "hidden", least=1)
        require_bounds(self, "divisor", above=0)
        require_bounds(self, "motion_weight", "base_weight", "contrast_weight", "pixel_weight", least=0)


def set_logits(query: Tensor, classes: Tensor) -> Tensor:
    """Minus the Bi-MHM distance of frames; the token of the whole clip, which is first, has no part in it.

    Shapes: (..., Q, n+1, D), (..., C, n+1, D) -> (..., Q, C).
    """
    frames, others = query[..., 1:, :].unsqueeze(-3), classes[..., 1:, :].unsqueeze(-4)
    return -hausdorff(1 - damped_cosines(frames, others))


class LongShort(nn.Module):
    """Each frame of one side against the token of the whole clip of the other, at a learned scale."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, query: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of a class's frames against a query as a whole, and of a query's against a class.

        Shapes: (Q, n+1, D), (C, n+1, D) -> (Q, C) twice.
        """
        return self._logits(query, classes), self._logits(classes, query).mT

    def _logits(self, wholes: Tensor, parts: Tensor) -> Tensor:
        apart = 1 - damped_cosines(wholes[:, None, :1], parts[None, :, 1:])  # (wholes, parts, 1, n)
        return -self.scale * apart.sum(dim=(-2, -1))


class MoLo(FrameMethod):
    """Motion-augmented long-short contrastive learning (arXiv 2304.00946) on the maps of a trained backbone.

    Tokens of a class are the mean of those of its shots. Queries see nothing but the support. Training adds
    contrast, a classifier of the base classes, and pixels that are made from motion.
    """

    Options: ClassVar[type[FrameOptions]] = Options
    reads = "patches"
    reads_pixels = True
    undecayed = ("norm", "bn")

    def build(self) -> None:
        """Both encoders, and what finds motion.

        Raises:
            ConfigError: clips are single frames.
        """
        if self.frames < 2:
            raise ConfigError(
                f"clips have {self.frames} frame, and motion is between two",
                next_step="Set extract.frames to 2 or more.",
            )
        own = self.options
        self.clips = AppearanceAndMotion(
            self.frames,
            self.feature_width,
            own.heads,
            own.hidden,
            divisor=own.divisor,
            weight=own.position_weight,
        )

    def of_clip(self, frames: Tensor) -> Tensor:
        """Its tokens laid end to end, and while training its motion behind them.

        Shapes: (..., T, rows, columns, D) -> (..., numbers).
        """
        tokens, motion = self.clips(frames.movedim(-1, -3))
        laid = tokens.together.flatten(-2)
        return torch.cat([laid, motion.flatten(-4)], dim=-1) if self.training else laid

    def prepare(self, base: BaseClasses) -> None:
        """Make the scales of contrast, the classifier and the decoder of pixels."""
        self.add_head("contrast", LongShort())
        self.add_head("contrast_motion", LongShort())
        self.add_head("classes", nn.Linear(self.feature_width, len(base)))
        decoder = PixelDecoder(self.clips.reduced, self.encoder.rows, self.backbone.image_size)
        self.add_head("pixels", decoder)

    def score_features(
        self,
        support: Tensor | None,
        query: Tensor,
        text: Tensor | None,  # noqa: ARG002
        *,
        way: int | None = None,
        query_mode: QueryMode = "joint",  # noqa: ARG002
    ) -> Scores:
        """Minus the distance by appearance, and a share of that by motion.

        Shapes: as :meth:`of_clip` gives clips -> (..., queries, way).
        """
        assert support is not None
        shown, asked = self._tokens(support), self._tokens(query)
        classes = by_class(shown, way).mean(dim=-3)
        of_appearance, of_motion = map(set_logits, ClipTokens.apart(asked), ClipTokens.apart(classes))
        logits = of_appearance + self.options.motion_weight * of_motion
        return Scores(logits, video=logits, query_features=asked, support_features=shown, prototypes=classes)

    def training_loss(self, lesson: Lesson) -> Tensor:
        """L = CE + beta CE of base classes + contrast + pixels; no pixels where clips came without motion."""
        assert lesson.support is not None
        scores, own = lesson.scores, self.options
        assert scores.query_features is not None
        assert scores.support_features is not None
        assert scores.prototypes is not None
        asked, classes = ClipTokens.apart(scores.query_features), ClipTokens.apart(scores.prototypes)
        clips = ClipTokens.apart(torch.cat([scores.support_features, scores.query_features]))
        labels = torch.cat([lesson.support_classes, lesson.query_classes])
        means = clips.appearance.mean(dim=-2) + clips.motion.mean(dim=-2)
        loss: Tensor = self.loss(scores, lesson.targets)
        loss = loss + own.base_weight * F.cross_entropy(self.heads["classes"](means), labels)
        for name, query, each in zip(("contrast", "contrast_motion"), asked, classes, strict=True):
            for logits in self.heads[name](query, each):
                loss = loss + own.contrast_weight * F.cross_entropy(logits, lesson.targets)
        videos = torch.cat([lesson.support, lesson.query])
        if own.pixel_weight and videos.shape[-1] > scores.query_features[0].numel():
            loss = loss + own.pixel_weight * self._pixel_loss(videos, lesson)
        return loss

    def _pixel_loss(self, videos: Tensor, lesson: Lesson) -> Tensor:
        """Mean square of how the made differences of frames miss the true ones."""
        assert lesson.support_frames is not None
        assert lesson.query_frames is not None
        rows = self.encoder.rows
        motion = videos[:, self._laid :].reshape(-1, self.clips.reduced, rows, rows)
        made = self.heads["pixels"](motion)  # (clips*(T-1), 3, H, W)
        pixels = self.normalise(torch.cat([lesson.support_frames, lesson.query_frames])).to(made.dtype)
        return F.mse_loss(made, pixels.diff(dim=1).flatten(0, 1))

    @property
    def _laid(self) -> int:
        """How many numbers the tokens of a clip are."""
        return (2 * self.frames + 1) * self.feature_width

    def _tokens(self, videos: Tensor) -> Tensor:
        """Shapes: (..., numbers) -> (..., 2T+1, D)."""
        laid = videos[..., : self._laid]
        return laid.reshape(*laid.shape[:-1], -1, self.feature_width)
