"""What the released code does and fsarctl does not: here to be measured, and used by nothing else.

The released code multiplies video scores [query, class] by text scores [class, query],
which with one query per class in class order gives each query the text of its true class.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from fsarctl.episodes.loader import EpisodeLoader
from fsarctl.episodes.sampler import Episode
from fsarctl.methods.protocol import Scores
from fsarctl.methods.task_adapter_plus_plus.method import TaskAdapterPlusPlus

__all__ = ["InClassOrder", "TransposedProduct"]


class TransposedProduct(TaskAdapterPlusPlus):
    """Eq. 18 with the text scores transposed. Queries must stand in class order, one of each class."""

    def score_features(
        self, support: Tensor | None, query: Tensor, text: Tensor | None, **how: Any
    ) -> Scores:
        """As in the base class, but for the product."""
        scores = super().score_features(support, query, text, **how)
        if scores.video is None or scores.text is None:
            raise ValueError("there is no product to transpose without both scores")
        return replace(scores, score=scores.video * scores.text.transpose(-1, -2))


@dataclass
class InClassOrder(EpisodeLoader):
    """The same episodes with their queries in class order, as the released code has them."""

    def episode(self, number: int) -> Episode:
        """As in the base class, but for the order."""
        episode = super().episode(number)
        order = np.argsort(episode.targets, kind="stable")
        return replace(episode, query=episode.query[order], targets=episode.targets[order])
