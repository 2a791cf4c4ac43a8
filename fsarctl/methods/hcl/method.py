"""HCL: hierarchical matching, learned by contrast among clips rather than from an episode's scores."""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsarctl.config.setting_field import require, require_bounds, setting
from fsarctl.methods.frame_method import FrameMethod, FrameOptions
from fsarctl.methods.hcl.contrast import TEMPERATURE, contrast, cycle, partners_of
from fsarctl.methods.hcl.matching import Cues, HierarchicalMatching, Similarities
from fsarctl.methods.hcl.place_encoder import PlaceEncoder
from fsarctl.methods.protocol import BaseClasses, Lesson, QueryMode, Scores
from fsarctl.models.frame_encoder import FrameFeatures
from fsarctl.models.pooled_map import pooled_map

__all__ = ["HCL", "ContrastLosses", "Options", "contrast_losses", "of_classes"]

VERSION = 1


@dataclass(frozen=True)
class Options(FrameOptions):
    """What there is to choose."""

    side: int = setting(7, "most places of a side: larger maps are pooled to it")
    width: int = setting(1152, "D: of tokens")
    heads: int = setting(8, "of the encoder's attention")
    hidden: int = setting(2048, "of the encoder's feed-forward layer")
    pairs: int = setting(10, "pairs of frames that are kept of a query for each support clip")
    places: int = setting(40, "tokens that are kept of two frames")
    global_weight: float = setting(1.0, "of whole clips, in the score and in the loss")
    temporal_weight: float = setting(0.5, "of pairs of frames, in the score and in the loss")
    spatial_weight: float = setting(0.5, "of places, in the score and in the loss")
    temporal_cycle: float = setting(0.25, "of the loss that leads each pair of frames to a partner and back")
    spatial_cycle: float = setting(0.0, "of the same loss of places (there in the released code, and off)")

    def __post_init__(self) -> None:
        require_bounds(self, "side", "heads", "hidden", "pairs", "places", least=1)
        require(
            self.width >= 3 and self.width % self.heads == 0,
            f"width is {self.width}; it must be 3 or more, and a multiple of heads, {self.heads}",
        )
        require_bounds(self, "global_weight", "temporal_weight", "spatial_weight", least=0)
        require_bounds(self, "temporal_cycle", "spatial_cycle", least=0)


@dataclass(frozen=True)
class ContrastLosses:
    """Of the clips of an episode, none of them weighted."""

    whole: Tensor
    temporal: Tensor
    spatial: Tensor
    temporal_cycle: Tensor
    spatial_cycle: Tensor


def contrast_losses(
    matching: HierarchicalMatching, tokens: Tensor, classes: Tensor, *, temperature: float = TEMPERATURE
) -> ContrastLosses:
    """Every clip against every clip. Shapes: (clips, T*P, D), (clips,)."""
    cues = matching.cues(tokens, projected=True)
    similar = matching(cues, cues, spatial_pairs=1)
    clip, partner = partners_of(classes)
    kept, match = matching.best_pairs(cues.pairs, cues.pairs)
    places = tokens.shape[-2] // matching.frames
    here = matching.places_of(kept[clip, partner, 0], places)  # (n, 2*P)
    there = matching.places_of(match[clip, partner, 0], places)
    return ContrastLosses(
        whole=contrast(similar.whole, classes, temperature),
        temporal=contrast(similar.temporal, classes, temperature),
        spatial=contrast(similar.spatial, classes, temperature),
        temporal_cycle=cycle(cues.pairs[clip], cues.pairs[partner], temperature),
        spatial_cycle=cycle(
            cues.tokens[clip.unsqueeze(-1), here], cues.tokens[partner.unsqueeze(-1), there], temperature
        ),
    )


def of_classes(similarities: Similarities, way: int) -> Similarities:
    """Means over shots. Shapes: (..., Q, way*shot), class-major -> (..., Q, way)."""
    return Similarities(*(each.reshape(*each.shape[:-1], way, -1).mean(dim=-1) for each in similarities))


class HCL(FrameMethod):
    """HCL (ECCV 2022) on the patch tokens of our backbones. Queries never see each other.

    Training is not episodic in the released code: 24 base classes with 2 clips each are a batch, each the
    other's partner. Here the batch is an episode, support and queries alike, and the partners of a clip are
    the other clips of its class; with one shot and one query it is the released loss to the letter, among as
    many classes as an episode has. Support and queries share no clip; that a query could be one of its own
    support clips, as in the released sampler, is what ``fsarctl ablate protocol`` measures. The episode's
    scores have no part in the loss. Crops and flips are those of a clip, not drawn for each of its frames.
    """

    Options: ClassVar[type[FrameOptions]] = Options
    reads = "patches"

    def build(self) -> None:
        """The encoder of places, and what matches them."""
        own = self.options
        self.places = PlaceEncoder(
            self.encoder.width,
            own.width,
            frames=self.frames,
            side=min(own.side, self.encoder.rows),
            heads=own.heads,
            hidden=own.hidden,
        )
        self.matching = HierarchicalMatching(own.width, self.frames, pairs=own.pairs, places=own.places)

    @property
    def feature_width(self) -> int:
        """D of tokens."""
        width: int = self.options.width
        return width

    def of_frames(self, features: FrameFeatures) -> Tensor:
        """Pooled maps. Shapes: -> (..., T, places, width)."""
        return pooled_map(features.patches, self.options.side)

    def of_clip(self, frames: Tensor) -> Tensor:
        """Tokens of all places of all frames. Shapes: (..., T, places, width) -> (..., T*places, D)."""
        side = min(self.options.side, self.encoder.rows)
        tokens: Tensor = self.places(frames.reshape(*frames.shape[:-2], side, side, -1))
        return tokens

    def prepare(self, base: BaseClasses) -> None:
        """Make the classifier of clips."""
        self.add_head("clips", nn.Linear(self.feature_width, len(base)))

    def score_features(
        self,
        support: Tensor | None,
        query: Tensor,
        text: Tensor | None,  # noqa: ARG002
        *,
        way: int | None = None,
        query_mode: QueryMode = "joint",  # noqa: ARG002
    ) -> Scores:
        """Shapes: (..., way*shot, T*places, D), (..., queries, T*places, D) -> (..., queries, way)."""
        assert support is not None
        assert way is not None
        own = self.options
        # Training learns from other losses, and reads of the scores whether they were right.
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.training):
            asked: Cues = self.matching.cues(query)
            similar: Similarities = of_classes(self.matching(asked, self.matching.cues(support)), way)
            score = (
                own.global_weight * similar.whole
                + own.temporal_weight * similar.temporal
                + own.spatial_weight * similar.spatial
            )
        return Scores(score, video=score, query_features=query, support_features=support)

    def training_loss(self, lesson: Lesson) -> Tensor:
        """CE of the base class, and the weighted losses of :func:`contrast_losses`."""
        assert lesson.support is not None
        own = self.options
        tokens = torch.cat([lesson.support, lesson.query])
        classes = torch.cat([lesson.support_classes, lesson.query_classes])
        losses = contrast_losses(self.matching, tokens, classes)
        loss: Tensor = (
            F.cross_entropy(self.heads["clips"](tokens.mean(dim=-2)), classes)
            + own.global_weight * losses.whole
            + own.temporal_weight * losses.temporal
            + own.spatial_weight * losses.spatial
            + own.temporal_cycle * losses.temporal_cycle
        )
        return loss + own.spatial_cycle * losses.spatial_cycle if own.spatial_cycle else loss
