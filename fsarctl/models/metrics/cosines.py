"""How alike the frames of two videos are, which every alignment starts from."""

import torch.nn.functional as F
from torch import Tensor

__all__ = ["cosines", "damped_cosines", "frame_distances"]


def cosines(queries: Tensor, prototypes: Tensor) -> Tensor:
    """Shapes: (..., L, D), (..., M, D) -> (..., L, M)."""
    return F.normalize(queries, dim=-1) @ F.normalize(prototypes, dim=-1).mT


def damped_cosines(queries: Tensor, prototypes: Tensor, added: float = 0.01) -> Tensor:
    """x.y / (|x| |y| + ``added``), the cosine of much released code. Shapes: as :func:`cosines`."""
    lengths: Tensor = queries.norm(dim=-1).unsqueeze(-1) * prototypes.norm(dim=-1).unsqueeze(-2)
    return queries @ prototypes.mT / (lengths + added)


def frame_distances(queries: Tensor, prototypes: Tensor) -> Tensor:
    """1 - cos of every pair of frames. Shapes: -> (..., Q, C, T, T), float32."""
    queries, prototypes = queries.float().unsqueeze(-3), prototypes.float().unsqueeze(-4)
    return 1 - cosines(queries, prototypes).float()
