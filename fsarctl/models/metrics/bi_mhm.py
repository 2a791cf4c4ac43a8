"""Bi-MHM: a video as a set of frames."""

from torch import Tensor

from fsarctl.models.metrics.cosines import frame_distances

__all__ = ["bi_mhm", "hausdorff"]


def bi_mhm(queries: Tensor, prototypes: Tensor) -> Tensor:
    """Bidirectional mean Hausdorff metric, the distance of two sets of frames: blind to order.

    d = sum_l min_m D[l,m] + sum_m min_l D[l,m] with D = 1 - cos.

    Shapes: (..., Q, T, D), (..., C, T, D) -> (..., Q, C).
    """
    return hausdorff(frame_distances(queries, prototypes))


def hausdorff(distances: Tensor) -> Tensor:
    """Each frame's distance to the nearest of the other video, summed from both sides.

    Shapes: (..., L, M) -> (...).
    """
    return distances.amin(dim=-1).sum(dim=-1) + distances.amin(dim=-2).sum(dim=-1)
