"""The adapter: the only thing that is trained, a bottleneck behind a frozen attention or MLP."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Adapter", "start"]


class Adapter(nn.Module):
    """A(x) = W2·GELU(W1·x), biases on (Fig. 4c).

    Shapes: (..., width) -> (..., width), float32.

    Args:
        width: of the transformer block that it adapts.
        hidden: of the bottleneck; a quarter of ``width`` by default.
        skip: A(x) = x + W2·GELU(W1·x) instead. Only the S-MSA adapter has it: it sits in the path of the
            frozen attention itself, which a zero output would delete.
        zero: W2 and its bias start at zero, so that the adapter starts as nothing; else as any linear layer.
        generator: of the random start; the global one by default.
    """

    def __init__(
        self,
        width: int,
        *,
        hidden: int | None = None,
        skip: bool = False,
        zero: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.skip = skip
        hidden = hidden or width // 4
        self.down = nn.Linear(width, hidden, dtype=torch.float32)
        self.up = nn.Linear(hidden, width, dtype=torch.float32)
        start(self.down, generator)
        if zero:
            nn.init.zeros_(self.up.weight)
            nn.init.zeros_(self.up.bias)
        else:
            start(self.up, generator)

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.up(F.gelu(self.down(x)))
        return x + change if self.skip else change


def start(layer: nn.Linear | nn.Conv1d, generator: torch.Generator | None) -> None:
    """Fill ``layer`` from the distribution of torch's own default start, which takes no generator."""
    bound = 1 / math.sqrt(layer.weight[0].numel())
    for parameter in (layer.weight, layer.bias):
        if parameter is not None:
            nn.init.uniform_(parameter, -bound, bound, generator=generator)
