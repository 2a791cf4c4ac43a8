"""ST-Adapter: a frozen ViT with depthwise convolutions over time in every block, matched frame by frame."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import nn

from fsarctl.config.setting_field import require, require_bounds, setting
from fsarctl.methods.adapted_method import AdaptedMethod, AdaptedOptions
from fsarctl.methods.st_adapter.adapter import STBlock

__all__ = ["Options", "STAdapterMethod"]

VERSION = 1


@dataclass(frozen=True)
class Options(AdaptedOptions):
    """What there is to choose."""

    places: Literal["attention", "both"] = setting(
        "both", "an adapter before each block's attention (12x384), and before its MLP too (24x384)"
    )
    ratio: int = setting(2, "the adapters are this many times as narrow as the backbone")
    kernel: tuple[int, int, int] = setting((3, 1, 1), "of the convolution, odd: frames, rows, columns")

    def __post_init__(self) -> None:
        require_bounds(self, "ratio", least=1)
        odd = len(self.kernel) == 3 and all(size >= 1 and size % 2 for size in self.kernel)
        require(odd, f"kernel is {list(self.kernel)}; it must be three odd numbers: frames, rows, columns")


class STAdapterMethod(AdaptedMethod):
    """ST-Adapter (arXiv 2206.13559), whose adapters are published for supervised training alone.

    Matching frames by Bi-MHM, and training on episodes, are fsarctl's.
    """

    Options: ClassVar[type[AdaptedOptions]] = Options

    def adapted(self, width: int) -> nn.Module:
        """A block with its adapters."""
        options = self.options
        hidden = max(1, width // options.ratio)
        return STBlock(width, hidden, options.kernel, before_mlp=options.places == "both")
