"""Bi-MHM: each frame with the nearest one of the other video, whatever their order."""

from torch import Tensor

from fsarctl.methods.frame_matching import FrameMatching
from fsarctl.models.metrics.bi_mhm import hausdorff

__all__ = ["BiMHM"]

VERSION = 1


class BiMHM(FrameMatching):
    """Bidirectional mean Hausdorff metric (arXiv 2204.13423), whose only weights are the backbone's.

    It is HyRSM's matching without its relation modules. A logit is minus the distance, a sum over frames;
    queries see nothing but the support.
    """

    def cost(self, distances: Tensor) -> Tensor:
        """Of sets of frames."""
        return hausdorff(distances)
