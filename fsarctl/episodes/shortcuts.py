"""What the released code does and fsarctl does not: here to be measured, and used by nothing else.

The released code multiplies video scores [query, class] by text scores [class, query],
which with one query per class in class order gives each query the text of its true class.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fsarctl.episodes.crops import centre_offsets, crop_frames, random_candidates
from fsarctl.episodes.loader import EpisodeLoader
from fsarctl.episodes.sampler import Episode, random_words
from fsarctl.methods.protocol import Scores
from fsarctl.methods.task_adapter_plus_plus.method import TaskAdapterPlusPlus

__all__ = ["EpisodeLoader", "InClassOrder", "RandomFrames", "SharedClips", "TransposedProduct"]


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


@dataclass
class RandomFrames(EpisodeLoader):
    """The same episodes, but a frame of each segment is drawn at random in testing, too.

    Each clip's frames are drawn once an evaluation, from its seed, and not anew for each episode.
    """

    def central_frames(self, rows: Sequence[int]) -> Tensor:
        """As in the base class, but for which frames."""
        store = self.store
        drawn = [
            random_candidates(
                1, store.frames, store.candidates, stream=f"{self.stream}/frames", seed=self.seed, number=row
            )
            for row in rows
        ]
        offsets = centre_offsets(len(rows), store.frames, store.size - self.side)
        return torch.from_numpy(crop_frames(store.read(rows, np.concatenate(drawn)), offsets, self.side))


@dataclass
class SharedClips(EpisodeLoader):
    """The same support sets, but queries are drawn of all clips of a class: they may be support clips."""

    def episode(self, number: int) -> Episode:
        """As in the base class, but for the queries."""
        episode = super().episode(number)
        words = random_words(f"{self.stream}/shared", self.seed, number, len(episode.query))
        pools = [self.rows[episode.classes[target]] for target in episode.targets]
        drawn = [pool[int(word % np.uint64(len(pool)))] for pool, word in zip(pools, words, strict=True)]
        return replace(episode, query=np.array(drawn, np.int64))
