"""STRM: TRX on enriched patches and frames, and beside it a similarity of tuples of plainer frames."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from fsarctl.config.setting_field import require_bounds, setting
from fsarctl.methods.frame_method import FrameMethod, FrameOptions
from fsarctl.methods.protocol import Lesson, QueryMode, Scores, by_class
from fsarctl.methods.strm.enrichment import FrameEnrichment, PatchEnrichment
from fsarctl.methods.strm.tuple_similarity import TupleSimilarity
from fsarctl.methods.trx.method import Options as TupleOptions
from fsarctl.methods.trx.method import tuple_attention
from fsarctl.models.frame_encoder import FrameFeatures

__all__ = ["STRM", "BranchScores", "Options"]

VERSION = 1


@dataclass(frozen=True)
class Options(TupleOptions):
    """What there is to choose."""

    sizes: tuple[int, ...] = setting(
        (2,), "frames in a tuple; logits are a mean over these, without those above T"
    )
    grid: int = setting(4, "rows and columns that a frame's map is pooled to, by the largest of a place")
    similarity_weight: float = setting(0.1, "of the second branch, in the logits and in the loss")
    formulation: Literal["paper", "released"] = setting(
        "paper", "the second branch's projection is trained, or stays at its random start as in the code"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require_bounds(self, "grid", least=1)
        require_bounds(self, "similarity_weight", least=0)


@dataclass(frozen=True)
class BranchScores(Scores):
    """With both branches apart; ``video`` is the first."""

    similarity: Tensor | None = None
    """(..., queries, way): logits of the second branch."""


class STRM(FrameMethod):
    """Spatio-temporal relation modelling (arXiv 2112.05132) on the maps of a trained backbone.

    Logits are TRX's on enriched frames, and a share of how near a query's tuples are to a class's before
    frames are enriched. Queries see nothing but the support.
    """

    Options: ClassVar[type[FrameOptions]] = Options
    reads = "patches"

    def build(self) -> None:
        """Both enrichments and both branches."""
        own, width = self.options, self.feature_width
        self.patches = PatchEnrichment(own.grid**2, width, own.dropout)
        self.enriched = FrameEnrichment(self.frames, width, own.dropout)
        self.tuples = tuple_attention(width, self.frames, own)
        self.similarity = TupleSimilarity(width, self.frames, own.sizes, own.dropout)
        self.similarity.requires_grad_(own.formulation == "paper")

    def of_frames(self, features: FrameFeatures) -> Tensor:
        """The map, pooled. Shapes: -> (..., T, grid^2, width)."""
        maps = features.patches.movedim(-1, -3)  # (..., T, width, rows, columns)
        pooled = F.adaptive_max_pool2d(maps.flatten(0, -4), self.options.grid)
        return pooled.flatten(-2).mT.reshape(*maps.shape[:-3], -1, maps.shape[-3])

    @property
    def prefix_name(self) -> Hashable:
        """What is read, how it is pooled, and how precisely it is computed."""
        return super().prefix_name, self.options.grid

    def of_clip(self, frames: Tensor) -> Tensor:
        """Frames before and after they are enriched, side by side.

        Shapes: (..., T, grid^2, D) -> (..., T, 2 D).
        """
        before = self.patches(frames).mean(dim=-2)
        return torch.cat([before, self.enriched(before)], dim=-1)

    def score_features(
        self,
        support: Tensor | None,
        query: Tensor,
        text: Tensor | None,  # noqa: ARG002
        *,
        way: int | None = None,
        query_mode: QueryMode = "joint",  # noqa: ARG002
    ) -> Scores:
        """Both branches.

        Shapes: as :meth:`of_clip` gives clips -> (..., queries, way).
        """
        assert support is not None
        (before, after), (shown_before, shown) = query.chunk(2, dim=-1), support.chunk(2, dim=-1)
        attended = -self.tuples.distances(after, by_class(shown, way))
        similar = -self.similarity.distances(before, by_class(shown_before, way))
        return BranchScores(
            attended + self.options.similarity_weight * similar,
            video=attended,
            query_features=after,
            support_features=shown,
            similarity=similar,
        )

    def training_loss(self, lesson: Lesson) -> Tensor:
        """L = CE(first branch) + share * CE(second), summed over queries unless the options say otherwise."""
        scores, own = lesson.scores, self.options
        assert isinstance(scores, BranchScores)
        assert scores.video is not None
        assert scores.similarity is not None
        first, second = (
            F.cross_entropy(logits, lesson.targets, reduction=own.loss)
            for logits in (scores.video, scores.similarity)
        )
        loss: Tensor = first + own.similarity_weight * second
        return loss

    def _moving(self) -> dict[str, Tensor]:
        """With the second branch where it stays as it started, which an evaluation could not know."""
        start = {f"similarity.{name}": each for name, each in self.similarity.named_parameters()}
        return {**super()._moving(), **start}
