"""Scoring with fixed weights, where what does not depend on the episode is computed once.

The frozen prefix depends on one video alone and the text features on the class alone (DESIGN section
9), and evaluation crops are always central, so both are kept. Each video goes through the prefix by
itself, so that its features do not depend on which episode asked first.
"""

import torch
from torch import Tensor

from fsarctl.data.episodes import Episode
from fsarctl.loading import EpisodeLoader
from fsarctl.models.task_adapter import QueryMode, Scores, TaskAdapterPlusPlus

__all__ = ["Scorer"]

# What the kept prefixes may take; beyond it they are computed again for every episode.
PREFIX_BYTES = 2**30


class Scorer:
    """Scores the episodes of a loader whose crops are central.

    ``query_mode``: "joint", queries of an episode see each other as in the paper, or "independent".

    Raises:
        ValueError: the loader's crops are random.
    """

    def __init__(
        self, model: TaskAdapterPlusPlus, loader: EpisodeLoader, query_mode: QueryMode = "joint"
    ) -> None:
        if loader.crop != "centre":
            raise ValueError(f"a scorer keeps what it computes, so crops must be central, not {loader.crop}")
        self._model = model
        self._loader = loader
        self._query_mode = query_mode
        self._device = next(model.parameters()).device
        self._prefixes: dict[int, Tensor] = {}
        self._texts: dict[str, Tensor | None] = {}
        self._kept_bytes = 0

    def forget_adapters(self) -> None:
        """Drop what depends on trained weights; call it when they have moved."""
        self._texts.clear()
        if not self._model.visual.prefix_is_constant:
            self._prefixes.clear()
            self._kept_bytes = 0

    @torch.inference_mode()
    def score(self, number: int) -> tuple[Episode, Scores]:
        """Episode ``number`` and its scores, (queries, way), on the model's device."""
        episode = self._loader.episode(number)
        model = self._model
        texts = [self._text(label) for label in episode.classes]
        features = [text for text in texts if text is not None]
        support = self._prefix(episode.support.reshape(-1).tolist()) if model.needs_support else None
        scores = model.score_features(
            None if support is None else model.support_features(support),
            model.query_features(self._prefix(episode.query.tolist()), query_mode=self._query_mode),
            torch.stack(features) if features else None,
            way=len(episode.classes),
            query_mode=self._query_mode,
        )
        return episode, scores

    def _prefix(self, rows: list[int]) -> Tensor:
        return torch.stack([self._prefix_of(row) for row in rows])  # (videos, T, N+1, width)

    def _prefix_of(self, row: int) -> Tensor:
        if row not in self._prefixes:
            frames = self._loader.central_frames([row]).to(self._device)
            prefix = self._model.visual.prefix(self._model.normalise(frames))[0]
            size = prefix.numel() * prefix.element_size()
            if self._kept_bytes + size > PREFIX_BYTES:
                return prefix
            self._kept_bytes += size
            self._prefixes[row] = prefix
        return self._prefixes[row]

    def _text(self, label: str) -> Tensor | None:
        if label not in self._texts:
            text = self._model.text_features(self._loader.tokens[label].unsqueeze(0).to(self._device))
            self._texts[label] = None if text is None else text[0]  # (3, embed)
        return self._texts[label]
