"""Chamfer++: a learned projection of ordered tuples of frames, and their Chamfer similarity to a class."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from fsarctl.config.setting_field import require_bounds, setting
from fsarctl.errors import ConfigError
from fsarctl.methods.chamfer_plus_plus.chamfer import Side, chamfer
from fsarctl.methods.frame_method import BackboneUse, FrameMethod, FrameOptions
from fsarctl.methods.protocol import QueryMode, Scores, by_class
from fsarctl.models.metrics.cosines import damped_cosines
from fsarctl.models.metrics.trx import ordered_tuples

__all__ = ["ChamferPlusPlus", "Options", "TupleHead", "of_classes"]

VERSION = 1


@dataclass(frozen=True)
class Options(FrameOptions):
    """What there is to choose."""

    backbone: BackboneUse = setting(
        "frozen", "frozen, as published, so that each frame is read but once, or trained as a whole"
    )
    tuple_length: int = setting(3, "n: frames in a tuple, all ordered choices of n; 1: the frames themselves")
    projection: int = setting(1152, "width of the learned projection of tuples")
    shots: Literal["joint", "separate"] = setting(
        "joint", "the tuples of all shots of a class in one set (Chamfer++), or a mean over shots"
    )
    side: Side = setting("both", "whose best matches count: the query's, the support's, or both")
    temperature: float = setting(
        100.0, "logits are multiplied by this, which is fixed, and by a learned weight"
    )
    temperature_weight: float = setting(0.1, "what the learned weight starts from")

    def __post_init__(self) -> None:
        require_bounds(self, "tuple_length", "projection", least=1)
        require_bounds(self, "temperature", above=0)


class TupleHead(nn.Module):
    """All that Chamfer++ learns on frozen features: LN(W x + b) of each ordered tuple, and a weight.

    Args:
        width: D, of a frame's features.
        length: n, frames in a tuple.
        projection: of the result.
        temperature: of the logits, fixed.
        weight: of the logits, learned from here.
    """

    def __init__(
        self, width: int, length: int, projection: int, *, temperature: float = 100.0, weight: float = 0.1
    ) -> None:
        super().__init__()
        self.length = length
        self.project = nn.Linear(length * width, projection)
        self.norm = nn.LayerNorm(projection)
        self.temperature = temperature
        self.weight = nn.Parameter(torch.tensor(float(weight)))

    def forward(self, frames: Tensor) -> Tensor:
        """Shapes: (..., T, D) -> (..., tuples, projection); tuples in the order of their frames."""
        places = ordered_tuples(frames.shape[-2], self.length).to(frames.device)
        tuples: Tensor = self.norm(self.project(frames[..., places, :].flatten(-2)))
        return tuples

    def logits(self, similarities: Tensor) -> Tensor:
        """Similarities of queries to classes at the temperature. Shapes: any -> the same."""
        return self.temperature * self.weight * similarities


def of_classes(query: Tensor, shots: Tensor, options: Options) -> Tensor:
    """The Chamfer similarity of each query to each class.

    Shapes: (..., Q, tuples, D), (..., C, K, tuples, D) -> (..., Q, C).
    """
    if options.shots == "joint":
        shots = shots.flatten(-3, -2).unsqueeze(-3)  # (..., C, 1, K*tuples, D)
    # The same for every pair: (..., Q, C, K or 1, query tuples, support tuples)
    pairs = damped_cosines(query[..., None, None, :, :], shots.unsqueeze(-5))
    return chamfer(pairs, options.side).mean(dim=-1)


class ChamferPlusPlus(FrameMethod):
    """Chamfer++ (arXiv 2303.16084): joint matching of ordered clip triples, here of frames.

    The backbone is frozen; the projection and one weight are trained. Queries see nothing but the support.
    """

    Options: ClassVar[type[FrameOptions]] = Options

    def build(self) -> None:
        """The projection and the weight of the logits.

        Raises:
            ConfigError: clips have fewer frames than a tuple.
        """
        options = self.options
        if options.tuple_length > self.frames:
            raise ConfigError(
                f"tuple_length is {options.tuple_length}, and clips have {self.frames} frames",
                next_step=f"Set model.options.tuple_length to {self.frames} or less.",
            )
        self.head = TupleHead(
            self.encoder.embed_dim,
            options.tuple_length,
            options.projection,
            temperature=options.temperature,
            weight=options.temperature_weight,
        )

    @property
    def feature_width(self) -> int:
        """Of the projected tuples."""
        return int(self.options.projection)

    def of_clip(self, frames: Tensor) -> Tensor:
        """The projected tuples. Shapes: (..., T, D) -> (..., tuples, projection)."""
        tuples: Tensor = self.head(frames)
        return tuples

    def score_features(
        self,
        support: Tensor | None,
        query: Tensor,
        text: Tensor | None,  # noqa: ARG002
        *,
        way: int | None = None,
        query_mode: QueryMode = "joint",  # noqa: ARG002
    ) -> Scores:
        """:func:`of_classes` at the temperature.

        Shapes: (..., way*shot, tuples, D), (..., queries, tuples, D) -> (..., queries, way).
        """
        assert support is not None
        logits = self.head.logits(of_classes(query, by_class(support, way), self.options))
        return Scores(logits, video=logits, query_features=query, support_features=support)
