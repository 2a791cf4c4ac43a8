"""What the released code does and fsarctl does not: here to be measured, and used by nothing else.

The released code multiplies video scores [query, class] by text scores [class, query],
which with one query per class in class order gives each query the text of its true class.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fsarctl.episodes.crops import centre_offsets, crop_frames, random_candidates
from fsarctl.episodes.loader import EpisodeLoader
from fsarctl.episodes.sampler import Episode, random_words
from fsarctl.methods.clip_mei.method import CLIPMEI
from fsarctl.methods.clip_spm.method import CLIPSPM
from fsarctl.methods.protocol import FewShotMethod, Scores
from fsarctl.methods.task_adapter_plus_plus.method import TaskAdapterPlusPlus

__all__ = [
    "TRUE_TEXTS",
    "EpisodeLoader",
    "InClassOrder",
    "RandomFrames",
    "SharedClips",
    "TransposedProduct",
    "TrueTexts",
    "TrueTextsOfAll",
]


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


class TrueTexts(CLIPMEI):
    """CLIP-MEI where a query that is alone is told by the text of its true class, as the released code does.

    Queries must stand in class order, as many of each class.
    """

    def known_alone(self, texts: Tensor, queries: int, shots: int) -> Tensor:  # noqa: ARG002
        """The text of each query's class. Shapes: (..., way, D) -> (..., queries, D)."""
        return texts.repeat_interleave(queries // texts.shape[-2], dim=-2)


class TrueTextsOfAll(CLIPSPM):
    """CLIP-SPM likewise: told by the mean text of the true classes of the query and of all support clips."""

    def known_alone(self, texts: Tensor, queries: int, shots: int) -> Tensor:
        """The mean of 1 + way*shot texts for each query. Shapes: (..., way, D) -> (..., queries, D)."""
        way = texts.shape[-2]
        own = texts.repeat_interleave(queries // way, dim=-2)
        return (own + shots * texts.sum(dim=-2, keepdim=True)) / (1 + way * shots)


TRUE_TEXTS: Mapping[str, type[FewShotMethod]] = {"clip-mei": TrueTexts, "clip-spm": TrueTextsOfAll}
"""Method -> itself, where queries are told by true labels."""


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
