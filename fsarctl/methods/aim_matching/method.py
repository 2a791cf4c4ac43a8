"""AIM: a frozen ViT whose attention is used over time too, with adapters around it."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from fsarctl.config.setting_field import require_bounds, setting
from fsarctl.methods.adapted_method import AdaptedMethod, AdaptedOptions
from fsarctl.models.bottleneck_adapter import Adapter
from fsarctl.models.strategies import STRATEGIES, VISUAL_STEPS
from fsarctl.models.vit_with_task_adapters import BlockAdapters

__all__ = ["AIM", "Options", "aim_block"]

VERSION = 1
START = 0.02
"""Deviation of the truncated normal distribution that an adapter's first layer starts from."""


@dataclass(frozen=True)
class Options(AdaptedOptions):
    """What there is to choose."""

    two_temporal: bool = setting(
        False, "another adapter before the attention over time, as published for SSv2 and Diving48"
    )
    joint_scale: float = setting(0.5, "the adapter beside the MLP is multiplied by this; 1 for SSv2")
    ratio: int = setting(4, "the adapters are this many times as narrow as the backbone")

    def __post_init__(self) -> None:
        require_bounds(self, "ratio", least=1)


def aim_block(width: int, *, hidden: int, two_temporal: bool, joint_scale: float) -> BlockAdapters:
    """The block of strategy "aim", in any of AIM's own forms."""
    return BlockAdapters(
        width,
        STRATEGIES["aim"],
        VISUAL_STEPS["after"],
        hidden=hidden,
        two_temporal=two_temporal,
        joint_scale=joint_scale,
    )


class AIM(AdaptedMethod):
    """AIM (arXiv 2302.03024), whose adapters are published for supervised training alone.

    In every block, with the offset of each frame and the last norm of the released code. Matching frames by
    Bi-MHM, and training on episodes, are fsarctl's. Strategy "aim" of Task-Adapter++ is the same block in
    the topmost blocks, under Task-Adapter++'s text and scores.
    """

    Options: ClassVar[type[AdaptedOptions]] = Options
    temporal_position = True
    trained_norm = True
    undecayed = ("temporal_position", "ln_post")

    def adapted(self, width: int) -> nn.Module:
        """A block with its adapters."""
        options = self.options
        block = aim_block(
            width,
            hidden=max(1, width // options.ratio),
            two_temporal=options.two_temporal,
            joint_scale=options.joint_scale,
        )
        for each in block.modules():
            if isinstance(each, Adapter):
                nn.init.trunc_normal_(each.down.weight, std=START)
                nn.init.zeros_(each.down.bias)
        return block
