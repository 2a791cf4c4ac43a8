"""Methods that train adapters in a frozen ViT and match what it makes of frames: no text, no sets."""

from abc import abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from fsarctl.config.setting_field import setting
from fsarctl.methods.adapted_vit import AdaptedViT
from fsarctl.methods.frame_matching import MatchingOptions, matching_costs
from fsarctl.methods.protocol import FewShotMethod, QueryMode, Scores, by_class
from fsarctl.models.backbone import Backbone
from fsarctl.models.metrics.bi_mhm import hausdorff
from fsarctl.models.metrics.otam import both_ways
from fsarctl.models.precision import Precision
from fsarctl.models.seeding import seeded

__all__ = ["AdaptedMethod", "AdaptedOptions"]

MATCHING = MatchingOptions(cosine="true", shots="class_mean")
"""How D2ST-Adapter's code compares frames."""


@dataclass(frozen=True)
class AdaptedOptions:
    """What every method of adapters in a frozen ViT can be told."""

    metric: Literal["bi_mhm", "otam"] = setting(
        "bi_mhm", "of a query's frames and a class's mean frames: as sets, or aligned in their order"
    )


class AdaptedMethod(FewShotMethod):
    """Adapters in a frozen ViT, prototypes of frames, and minus a distance as the logit.

    A subclass defines :meth:`adapted`. A frame's feature is the class token after ``ln_post``, not projected.
    Queries see nothing but the support.

    Args:
        backbone: whose ViT is adapted; it stays as it is.
        frames: T, frames of every clip.
        options: of the class's ``Options``; None for the defaults.
        precision: of the ViT.
        generator: of what starts at random.

    Raises:
        ConfigError: the backbone has no ViT.
    """

    Options: ClassVar[type[AdaptedOptions]] = AdaptedOptions
    temporal_position: ClassVar[bool] = False
    """Whether an offset of each frame is learned."""
    trained_class_token: ClassVar[bool] = False
    """Whether the class token is trained."""
    trained_norm: ClassVar[bool] = False
    """Whether ``ln_post`` is trained."""
    logit_scale = 1.0
    needs_equal_shots = True
    needs_vit = True

    def __init__(
        self,
        backbone: Backbone,
        *,
        frames: int,
        options: Any = None,
        precision: Precision = "float32",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(backbone, frames)
        self.options: Any = options or self.Options()
        vit = backbone.visual
        with seeded(generator):
            self.encoder = AdaptedViT(
                vit,
                [self.adapted(vit.conv1.out_channels) for _ in vit.transformer.resblocks],
                frames=frames,
                temporal_position=self.temporal_position,
                trained_class_token=self.trained_class_token,
                trained_norm=self.trained_norm,
                precision=precision,
            )

    @abstractmethod
    def adapted(self, width: int) -> nn.Module:
        """What is done instead of one block of that width, see :class:`AdaptedViT`."""

    @property
    def rows(self) -> int:
        """h: rows of patches in a frame, which has as many columns."""
        return int(self.backbone.image_size // self.backbone.visual.conv1.stride[0])

    @property
    def feature_width(self) -> int:
        """Width of the ViT."""
        return self.encoder.width

    @property
    def prefix_is_constant(self) -> bool:
        """Whether nothing below the blocks is trained."""
        return self.encoder.prefix_is_constant

    @property
    def prefix_name(self) -> Hashable:
        """What goes into the blocks, and how precisely."""
        return "embedded", self.encoder.precision

    def prefix(self, frames: Tensor) -> Tensor:
        """What goes into the blocks, or the frames where that is trained."""
        return self.encoder.prefix(frames) if self.prefix_is_constant else frames

    def alone(self, prefix: Tensor) -> Tensor:
        """Features of a clip's frames. Shapes: as :meth:`prefix` -> (..., T, width)."""
        return self.encoder.alone(prefix if self.prefix_is_constant else self.encoder.prefix(prefix))

    def pretrained_parameters(self) -> list[nn.Parameter]:
        """What is trained of the ViT's own."""
        return self.encoder.pretrained_parameters()

    def score_features(
        self,
        support: Tensor | None,
        query: Tensor,
        text: Tensor | None,  # noqa: ARG002
        *,
        way: int | None = None,
        query_mode: QueryMode = "joint",  # noqa: ARG002
    ) -> Scores:
        """Minus the distance to the mean of each class's shots, frame by frame.

        Shapes: (..., way*shot, T, D), (..., queries, T, D) -> (..., queries, way).
        """
        assert support is not None
        cost = hausdorff if self.options.metric == "bi_mhm" else both_ways
        logits = -matching_costs(query, by_class(support, way), MATCHING, cost)
        return Scores(logits, video=logits, query_features=query, support_features=support)
