"""ARN: attention over places, an autocorrelation of channels, and a network that compares two of them."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from fsarctl.config.setting_field import require, require_bounds, setting
from fsarctl.methods.arn.autocorrelation import (
    HALVINGS,
    PlaceAttention,
    RelationComparator,
    autocorrelation,
    start_relation,
)
from fsarctl.methods.frame_method import FrameMethod, FrameOptions
from fsarctl.methods.protocol import QueryMode, Scores, by_class

__all__ = ["ARN", "Options"]

VERSION = 1


@dataclass(frozen=True)
class Options(FrameOptions):
    """What there is to choose."""

    channels: int = setting(64, "of the maps, and the side of a descriptor: a multiple of 16")
    attention_channels: int = setting(16, "within the attention over places")
    comparator_channels: int = setting(64, "of the network that compares descriptors")
    hidden: int = setting(8, "before its last layer")
    sigma: float = setting(100.0, "slope of the sigmoid over a descriptor's entries")

    def __post_init__(self) -> None:
        fits = self.channels >= 1 and self.channels % 2**HALVINGS == 0
        require(fits, f"channels is {self.channels}; it must be a multiple of {2**HALVINGS}")
        require_bounds(self, "attention_channels", "comparator_channels", "hidden", least=1)
        require_bounds(self, "sigma", above=0)


class ARN(FrameMethod):
    """ARN (ECCV 2020, arXiv 2001.03905), its scoring on the patch tokens of our backbones.

    The published encoder is a small 3-D network trained from scratch on 20 random frames; here patch tokens
    are projected to as many channels as it has. The training losses (of relation, jigsaw and attention
    alignment) were not released: training is by the episode's cross-entropy alone, and numbers are not those
    of the paper. Batch normalisation keeps running means here, not the last batch's.
    A score is a logit; the released one is its sigmoid. Queries never see each other.
    """

    Options: ClassVar[type[FrameOptions]] = Options
    reads = "patches"

    def build(self) -> None:
        """The projection, the attention over places and the comparator."""
        own = self.options
        self.project = nn.Linear(self.encoder.width, own.channels)
        self.spatial = PlaceAttention(own.channels, own.attention_channels)
        self.similarity = RelationComparator(own.channels, own.comparator_channels, own.hidden)
        start_relation(self.spatial)
        start_relation(self.similarity)

    @property
    def feature_width(self) -> int:
        """The side of a descriptor."""
        side: int = self.options.channels
        return side

    def of_clip(self, frames: Tensor) -> Tensor:
        """A clip's descriptor. Shapes: (..., T, rows, columns, width) -> (..., channels, channels)."""
        maps = self.project(frames).flatten(0, -5).movedim(-1, 1)  # (clips, channels, T, rows, columns)
        told = (maps * self.spatial(maps)).flatten(2)
        descriptors = autocorrelation(told, self.options.sigma)
        return descriptors.reshape(*frames.shape[:-4], *descriptors.shape[-2:])

    def score_features(
        self,
        support: Tensor | None,
        query: Tensor,
        text: Tensor | None,  # noqa: ARG002
        *,
        way: int | None = None,
        query_mode: QueryMode = "joint",  # noqa: ARG002
    ) -> Scores:
        """Shapes: (..., way*shot, side, side), (..., queries, side, side) -> (..., queries, way)."""
        assert support is not None
        classes = by_class(support, way).mean(dim=-3)
        logits = self.similarity(classes, query)
        return Scores(
            logits, video=logits, query_features=query, support_features=support, prototypes=classes
        )
