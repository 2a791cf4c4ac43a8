"""Temporal coherence: frames that are near in time should be alike, and others not too much."""

import torch
from torch import Tensor

from fsarctl.models.metrics.cosines import cosines

__all__ = ["coherence_weights", "temporal_incoherence"]


def coherence_weights(frames: int, window: int, sigma: float) -> Tensor:
    """Of each pair of frames: how hard near ones are pulled, and how far others are to be.

    1 / ((i - j)^2 + 1) where |i - j| <= window, else 1 - exp(-(|i - j| - window)^2 / sigma), which is the
    distance to be kept. Shape: (T, T).
    """
    place = torch.arange(frames, dtype=torch.float64)
    gap = (place[:, None] - place).abs()
    return torch.where(gap <= window, 1 / (gap**2 + 1), 1 - torch.exp(-((gap - window) ** 2) / sigma))


def temporal_incoherence(sequences: Tensor, *, window: int, sigma: float, balance: float = 1.0) -> Tensor:
    """R: mean over all pairs of frames and all sequences, larger where neighbours differ or others do not.

    A near pair costs weight * d, another ``balance`` * max(0, margin - d), with d = 1 - cosine. Source:
    HyRSM++ (arXiv 2301.03330).

    Shapes: (..., T, D) -> ().
    """
    frames = sequences.shape[-2]
    weights = coherence_weights(frames, window, sigma).to(sequences)
    place = torch.arange(frames, device=sequences.device)
    near = (place[:, None] - place).abs() <= window
    distances = 1 - cosines(sequences, sequences)
    costs = torch.where(near, weights * distances, balance * (weights - distances).clamp(min=0))
    return costs.mean()
