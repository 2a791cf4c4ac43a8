"""Methods on what a backbone makes of single frames: the backbone is trained, or frozen and read once."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

import torch
from torch import Tensor, nn

from fsarctl.config.setting_field import setting
from fsarctl.methods.protocol import FewShotMethod
from fsarctl.models.backbone import Backbone
from fsarctl.models.frame_encoder import FrameEncoder, FrameFeatures
from fsarctl.models.precision import Precision
from fsarctl.models.seeding import seeded

__all__ = ["BackboneUse", "FrameMethod", "FrameOptions"]


BackboneUse: TypeAlias = Literal["trained", "frozen"]


@dataclass(frozen=True)
class FrameOptions:
    """What every method on frame features can be told."""

    backbone: BackboneUse = setting(
        "trained", "the backbone is trained as a whole, or frozen, so that each frame is read but once"
    )


class FrameMethod(FewShotMethod):
    """A method on frame features; a clip is what :meth:`of_clip` makes of its frames'.

    A subclass says in :attr:`reads` or :meth:`of_frames` what it reads of a frame, and defines
    ``score_features``. Scores are logits as they are (``logit_scale`` 1).

    Args:
        backbone: what reads frames; a trained one is copied, so that nobody else sees it move.
        frames: T, frames of every clip.
        options: of the class's ``Options``; None for the defaults.
        precision: of the backbone.
        generator: of what starts at random, see :func:`seeded`.
    """

    Options: ClassVar[type[FrameOptions]] = FrameOptions
    reads: ClassVar[Literal["embedding", "token", "patches"]] = "embedding"
    """Which of :class:`FrameFeatures`."""
    logit_scale = 1.0
    needs_equal_shots = True

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
        self.encoder = FrameEncoder(backbone, trained=self.options.backbone == "trained", precision=precision)
        with seeded(generator):
            self.build()

    @classmethod
    def trains(cls, options: Any) -> bool:
        """Unless the backbone is frozen, and the method has nothing of its own."""
        return options.backbone == "trained" or cls.build is not FrameMethod.build

    def build(self) -> None:
        """Make the method's own modules; :func:`seeded` has seeded PyTorch's own initialisation."""

    def of_frames(self, features: FrameFeatures) -> Tensor:
        """What is read of each frame. Shapes: -> (..., T, whatever)."""
        read: Tensor = getattr(features, self.reads)
        return read

    def of_clip(self, frames: Tensor) -> Tensor:
        """What a clip makes of its frames by itself, with trained weights of the method's own."""
        return frames

    @property
    def feature_width(self) -> int:
        """Width of what is read of a frame."""
        return self.encoder.embed_dim if self.reads == "embedding" else self.encoder.width

    @property
    def prefix_is_constant(self) -> bool:
        """Whether the backbone is frozen."""
        return not self.encoder.trained

    @property
    def prefix_name(self) -> Hashable:
        """What is read, and how precisely."""
        read = self.reads if type(self).of_frames is FrameMethod.of_frames else type(self).__qualname__
        return read, self.encoder.precision

    @property
    def prefix_flop(self) -> int:
        """Of all of the backbone."""
        return self.frames * self.encoder.frame_flop

    @property
    def alone_is_constant(self) -> bool:
        """Whether a clip is its frozen features and nothing else."""
        return self.prefix_is_constant and type(self).of_clip is FrameMethod.of_clip

    def prefix(self, frames: Tensor) -> Tensor:
        """The frames' features where the backbone is frozen, else the frames themselves."""
        return frames if self.encoder.trained else self.of_frames(self.encoder(frames))

    def alone(self, prefix: Tensor) -> Tensor:
        """:meth:`of_clip`, after the backbone where it is trained."""
        return self.of_clip(self.of_frames(self.encoder(prefix)) if self.encoder.trained else prefix)

    @property
    def shares_frames(self) -> bool:
        """The backbone reads one frame at a time, trained or not."""
        return True

    def each_frame(self, frames: Tensor) -> Tensor:
        """:meth:`of_frames`, after the backbone."""
        return self.of_frames(self.encoder(frames))

    def from_frames(self, each: Tensor) -> Tensor:
        """:meth:`of_clip`."""
        return self.of_clip(each)

    def pretrained_parameters(self) -> list[nn.Parameter]:
        """Those of the backbone that is trained here."""
        return list(self.encoder.parameters())
