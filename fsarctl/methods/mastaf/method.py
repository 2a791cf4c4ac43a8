"""MASTAF: a class's and a query's map, weighted by what they share, and classified place by place."""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsarctl.config.setting_field import require_bounds, setting
from fsarctl.methods.frame_method import FrameMethod, FrameOptions
from fsarctl.methods.mastaf.map_attention import MapAttention, match_maps
from fsarctl.methods.protocol import BaseClasses, Lesson, QueryMode, Scores, by_class
from fsarctl.models.frame_encoder import FrameFeatures
from fsarctl.models.pooled_map import pooled_map

__all__ = ["MASTAF", "MapScores", "Options", "base_logits"]

VERSION = 1


@dataclass(frozen=True)
class Options(FrameOptions):
    """What there is to choose."""

    side: int = setting(7, "most places of a side: larger maps are pooled to it")
    hidden: int = setting(6, "width within the attention over places")
    alpha: float = setting(1.0, "of what maps are by themselves, beside what they are to each other")
    place_weight: float = setting(0.5, "lambda: of the loss at each place of a query")

    def __post_init__(self) -> None:
        require_bounds(self, "side", "hidden", least=1)
        require_bounds(self, "alpha", "place_weight", least=0)


@dataclass(frozen=True)
class MapScores(Scores):
    """With what the losses look at."""

    places: Tensor | None = None
    """(..., Q, C, L): of :class:`~fsarctl.methods.mastaf.map_attention.MapMatch`."""
    query_cross: Tensor | None = None
    """(..., Q, C, L)."""


def base_logits(classifier: nn.Module, query: Tensor, weights: Tensor) -> Tensor:
    """Base classes at each place of weighted maps. Shapes: (Q, L, D), (Q, L) -> (Q, L, base)."""
    logits: Tensor = classifier(weights.unsqueeze(-1) * query)
    return logits


class MASTAF(FrameMethod):
    """MASTAF (arXiv 2112.04585), its head on the patch tokens of our backbones.

    The published backbone is a ResNet3D; here a clip's map is the mean of its frames' maps, so that the order
    of frames is not seen. The batch normalisation is never in a query's weights for itself, as in training
    there: each query stands alone (:func:`~fsarctl.methods.mastaf.map_attention.match_maps`).
    """

    Options: ClassVar[type[FrameOptions]] = Options
    reads = "patches"

    def build(self) -> None:
        """The attention over places."""
        places = min(self.options.side, self.encoder.rows) ** 2
        self.attention = MapAttention(places, self.options.hidden)

    @property
    def clips_meet(self) -> bool:
        """In the backbone's batch normalisation, if it has one: that of the head is no part of features."""
        return any(isinstance(each, nn.BatchNorm2d) and each.training for each in self.encoder.modules())

    def of_frames(self, features: FrameFeatures) -> Tensor:
        """Pooled maps. Shapes: -> (..., T, L, width)."""
        return pooled_map(features.patches, self.options.side)

    def of_clip(self, frames: Tensor) -> Tensor:
        """The mean over frames. Shapes: (..., T, L, width) -> (..., L, width)."""
        return frames.mean(dim=-3)

    def prepare(self, base: BaseClasses) -> None:
        """Make the classifier of places."""
        self.add_head("places", nn.Linear(self.feature_width, len(base)))

    def score_features(
        self,
        support: Tensor | None,
        query: Tensor,
        text: Tensor | None,  # noqa: ARG002
        *,
        way: int | None = None,
        query_mode: QueryMode = "joint",  # noqa: ARG002
    ) -> Scores:
        """Shapes: (..., way*shot, L, width), (..., queries, L, width) -> (..., queries, way)."""
        assert support is not None
        classes = by_class(support, way).mean(dim=-3)  # (..., way, L, width)
        match = match_maps(self.attention, classes, query, alpha=self.options.alpha)
        return MapScores(
            match.scores,
            video=match.scores,
            query_features=query,
            support_features=support,
            prototypes=classes,
            places=match.places,
            query_cross=match.query_cross,
        )

    def training_loss(self, lesson: Lesson) -> Tensor:
        """Cross-entropies at each place: the base class, and lambda times the episode's class."""
        scores = lesson.scores
        assert isinstance(scores, MapScores)
        assert scores.places is not None
        assert scores.query_cross is not None
        own = scores.query_cross[
            torch.arange(len(lesson.targets), device=lesson.targets.device), lesson.targets
        ]
        base = base_logits(self.heads["places"], lesson.query, own)  # (Q, L, base)
        places = base.shape[1]
        of_base = F.cross_entropy(base.flatten(0, 1), lesson.query_classes.repeat_interleave(places))
        episodic = F.cross_entropy(scores.places.mT.flatten(0, 1), lesson.targets.repeat_interleave(places))
        loss: Tensor = of_base + self.options.place_weight * episodic
        return loss
