"""TRX: ordered tuples of a query's frames attend to those of all shots of a class."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor

from fsarctl.config.setting_field import require, require_bounds, setting
from fsarctl.errors import ConfigError
from fsarctl.methods.frame_method import FrameMethod, FrameOptions
from fsarctl.methods.protocol import Lesson, QueryMode, Scores, by_class
from fsarctl.models.metrics.trx import CARDINALITIES, TRX, WIDTH

__all__ = ["Options", "TRXMethod", "tuple_attention"]

VERSION = 1


@dataclass(frozen=True)
class Options(FrameOptions):
    """What there is to choose, here and in what builds upon it."""

    sizes: tuple[int, ...] = setting(
        CARDINALITIES, "frames in a tuple; logits are a mean over these, without those above T"
    )
    width: int = setting(WIDTH, "E: of the keys and values that a tuple is projected to")
    dropout: float = setting(0.1, "of frames with their positions")
    loss: Literal["sum", "mean"] = setting(
        "sum", "over queries: the released code's, or the mean, which takes steps that many times smaller"
    )

    def __post_init__(self) -> None:
        distinct = len(set(self.sizes)) == len(self.sizes) > 0 and min(self.sizes) >= 1
        require(distinct, f"sizes is {list(self.sizes)}; it must be different numbers of 1 or more")
        require_bounds(self, "width", least=1)
        require(0 <= self.dropout < 1, f"dropout is {self.dropout}; it must be 0 or more and below 1")


def tuple_attention(embed: int, frames: int, options: Options) -> TRX:
    """TRX's head for clips of ``frames`` features (T, ``embed``).

    Raises:
        ConfigError: clips are shorter than any tuple.
    """
    if min(options.sizes) > frames:
        raise ConfigError(
            f"sizes is {list(options.sizes)}, and clips have {frames} frames",
            next_step=f"Let model.options.sizes hold a number of {frames} or less.",
        )
    return TRX(embed, frames, sizes=options.sizes, width=options.width, dropout=options.dropout)


class TRXMethod(FrameMethod):
    """Temporal-relational cross-transformers (arXiv 2101.06184) on a trained backbone.

    A logit is minus the squared distance of a query's tuples from what the class gives for them, mean over
    tuples. Queries see nothing but the support.
    """

    Options: ClassVar[type[FrameOptions]] = Options

    def build(self) -> None:
        """The projections of each cardinality."""
        self.tuples = tuple_attention(self.feature_width, self.frames, self.options)

    def score_features(
        self,
        support: Tensor | None,
        query: Tensor,
        text: Tensor | None,  # noqa: ARG002
        *,
        way: int | None = None,
        query_mode: QueryMode = "joint",  # noqa: ARG002
    ) -> Scores:
        """Minus TRX's distances.

        Shapes: (..., way*shot, T, D), (..., queries, T, D) -> (..., queries, way).
        """
        assert support is not None
        logits = -self.tuples.distances(query, by_class(support, way))
        return Scores(logits, video=logits, query_features=query, support_features=support)

    def training_loss(self, lesson: Lesson) -> Tensor:
        """Cross-entropy, summed over queries unless the options say otherwise."""
        return F.cross_entropy(lesson.scores.score, lesson.targets, reduction=self.options.loss)
