"""How the channels of a frame's patches vary together: their distances to a power, centred both ways."""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["distance_correlation", "patch_weights"]

ADDED = 1e-5
"""To a distance, before the power."""


def patch_weights(tokens: Tensor) -> Tensor:
    """w_p = cos(class token, patch p). Shapes: (..., 1+P, d), the class token first -> (..., P, 1)."""
    return F.cosine_similarity(tokens[..., :1, :], tokens[..., 1:, :], dim=-1).unsqueeze(-1)


def distance_correlation(tokens: Tensor, alpha: float) -> Tensor:
    """A frame's representation: the upper triangle of its channels' centred distances to the power alpha.

    With Y = [w_p patch_p], m_ij = |Y_i - Y_j|^2 / (2P) between channels and b = (m + 1e-5)^alpha, it is
    b - row mean - column mean + mean, row by row with the diagonal.

    Shapes: (..., 1+P, d), the class token first -> (..., d(d+1)/2).
    """
    y = patch_weights(tokens) * tokens[..., 1:, :]  # (..., P, d)
    products = y.mT @ y  # (..., d, d)
    squares = products.diagonal(dim1=-2, dim2=-1)  # (..., d)
    apart = (squares.unsqueeze(-1) + squares.unsqueeze(-2) - 2 * products) / (2 * y.shape[-2])
    b = (apart.clamp(min=0) + ADDED) ** alpha
    centred = b - b.mean(-1, keepdim=True) - b.mean(-2, keepdim=True) + b.mean((-2, -1), keepdim=True)
    rows, columns = torch.triu_indices(*b.shape[-2:], device=b.device)
    return centred[..., rows, columns]
