"""D2ST-Adapter: a frozen ViT with an adapter of deformable spatio-temporal attention behind every block."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from fsarctl.config.setting_field import require, require_bounds, setting
from fsarctl.errors import ConfigError
from fsarctl.methods.adapted_method import AdaptedMethod, AdaptedOptions
from fsarctl.methods.d2st_adapter.adapter import D2STAdapter, Kernel
from fsarctl.models.attention import frozen_block

__all__ = ["AdaptedBlock", "D2STAdapterMethod", "Options"]

VERSION = 1
PUBLISHED: Mapping[str, Kernel] = {"spatial_kernel": (4, 5, 5), "temporal_kernel": (1, 7, 7)}


@dataclass(frozen=True)
class Options(AdaptedOptions):
    """What there is to choose."""

    ratio: int = setting(4, "the adapters are this many times as narrow as the backbone")
    groups: int = setting(4, "of channels; each has its own points, and is a head")
    spatial_kernel: Kernel | None = setting(
        None,
        "of the spatial path's offsets: frames, rows, columns; there are as many points as it fits. Unless "
        "set 4, 5, 5 as published, or all that a clip has where that is less",
    )
    spatial_stride: Kernel = setting((4, 3, 3), "its steps")
    temporal_kernel: Kernel | None = setting(
        None, "of the temporal path's offsets; unless set 1, 7, 7 as published, or as above"
    )
    temporal_stride: Kernel = setting((1, 7, 7), "its steps")

    def __post_init__(self) -> None:
        require_bounds(self, "ratio", "groups", least=1)
        for name in ("spatial_kernel", "spatial_stride", "temporal_kernel", "temporal_stride"):
            value = getattr(self, name)
            require(
                value is None or (len(value) == 3 and min(value) >= 1),
                f"{name} is {list(value or ())}; it must be three of 1 or more: frames, rows, columns",
            )


class AdaptedBlock(nn.Module):
    """A frozen block, then its adapter."""

    def __init__(self, adapter: D2STAdapter) -> None:
        super().__init__()
        self.adapter = adapter

    def forward(self, block: Any, tokens: Tensor) -> Tensor:
        """Shapes: (..., T, N+1, width) -> the same."""
        adapted: Tensor = self.adapter(frozen_block(block, tokens))
        return adapted


class D2STAdapterMethod(AdaptedMethod):
    """D2ST-Adapter (arXiv 2312.01431).

    Trained are the adapters, the class token, an offset of each frame and the last norm. The classifier over
    base classes that the authors train beside it is ``train.base_head``.
    """

    Options: ClassVar[type[AdaptedOptions]] = Options
    temporal_position = True
    trained_class_token = True
    trained_norm = True
    undecayed = ("spatial.norm", "temporal.norm")

    def adapted(self, width: int) -> nn.Module:
        """A block and its adapter.

        Raises:
            ConfigError: a kernel is larger than a clip, or channels cannot be divided among the groups.
        """
        options = self.options
        hidden = width // options.ratio
        if hidden % options.groups or not hidden:
            raise ConfigError(
                f"the adapters are {hidden} channels wide, which {options.groups} groups cannot divide",
                next_step="Set model.options.groups or model.options.ratio.",
            )
        clip = (self.frames, self.rows, self.rows)
        kernels: dict[str, Kernel] = {}
        for name, published in PUBLISHED.items():
            kernel = getattr(options, name)
            frames, rows, columns = map(min, kernel or published, clip)
            kernels[name] = (frames, rows, columns)
            if kernel and kernels[name] != kernel:
                raise ConfigError(
                    f"{name} is {list(kernel)} (frames, rows, columns), and a clip is {list(clip)} patches",
                    next_step=f"Set model.options.{name} to {list(kernels[name])} or less, or use more "
                    "frames or a backbone with smaller patches.",
                )
        return AdaptedBlock(
            D2STAdapter(
                width,
                hidden,
                options.groups,
                spatial=(kernels["spatial_kernel"], options.spatial_stride),
                temporal=(kernels["temporal_kernel"], options.temporal_stride),
            )
        )
