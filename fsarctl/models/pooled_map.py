"""A frame's map with fewer places, as the heads read it that were published on 7 x 7."""

import torch.nn.functional as F
from torch import Tensor

__all__ = ["pooled_map"]


def pooled_map(patches: Tensor, side: int) -> Tensor:
    """Means over squares of a map; a map that has no more than ``side`` rows stays as it is.

    Shapes: (..., rows, columns, D) -> (..., places, D), row by row.
    """
    rows, columns, width = patches.shape[-3:]
    if rows <= side:
        return patches.flatten(-3, -2)
    each = patches.reshape(-1, rows, columns, width).movedim(-1, 1)
    pooled = F.adaptive_avg_pool2d(each, side).flatten(-2).mT  # (maps, places, D)
    return pooled.reshape(*patches.shape[:-3], -1, width)
