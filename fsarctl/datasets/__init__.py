"""Datasets: which clips there are, of which class and split, and whether they are enough."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from fsarctl.datasets.clips import Clip
    from fsarctl.datasets.dataset import Dataset
    from fsarctl.datasets.kinds import open_dataset

__all__ = ["Clip", "Dataset", "open_dataset"]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__, submod_attrs={"clips": ["Clip"], "dataset": ["Dataset"], "kinds": ["open_dataset"]}
)
