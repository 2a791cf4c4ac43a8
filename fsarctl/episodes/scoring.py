"""Scoring with fixed weights, where what does not depend on the episode is computed once.

What a video gives by itself (the frozen prefix, and the first adapted block up to Task-MSA), what a query
gives when it is alone, and the text features of a class are kept, since evaluation crops are always central.
Several episodes are scored at once.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from fsarctl.episodes.feature_cache import Kept, Room
from fsarctl.episodes.loader import EpisodeLoader, upload
from fsarctl.episodes.ranks import ALONE, Ranks
from fsarctl.episodes.sampler import Episode
from fsarctl.errors import ConfigError
from fsarctl.methods.protocol import FewShotMethod, QueryMode, Scores

__all__ = ["Scorer", "Shared", "require_finite_scores", "told"]

# The videos of the episodes that are scored at once hold about this much.
GROUP_BYTES = {"cpu": 2**26, "cuda": 2**31}
MOST_EPISODES = 32
# Videos that go through the prefix at once: a GPU needs several to be busy.
VIDEOS_AT_ONCE = {"cpu": 1, "cuda": 16}
# One in so many bytes of the room is for what is kept beside videos: lone queries, and classes' texts.
OTHERS = 4

Shared: TypeAlias = dict[Hashable, Kept[int]]
"""What one evaluation of a process leaves to the next: what it is of -> features of every video."""


class Scorer:
    """Scores the episodes of a loader whose crops are central.

    ``query_mode``: "joint", queries of an episode see each other as in the paper, or "independent".
    ``room`` bounds all that is kept. ``shared`` is another scorer's too: a frozen model's features are the
    same at any shot. What is below adapters is, too; it is shared through the loader's ``lasting``.

    Raises:
        ValueError: the loader's crops are random.
    """

    def __init__(
        self,
        model: FewShotMethod,
        loader: EpisodeLoader,
        query_mode: QueryMode = "joint",
        room: Room | None = None,
        shared: Shared | None = None,
    ) -> None:
        if loader.crop != "centre":
            raise ValueError(f"a scorer keeps what it computes, so crops must be central, not {loader.crop}")
        self._model = model
        self._loader = loader
        self._query_mode = query_mode
        self._device = model.device
        self._room = room or Room()
        at_once = VIDEOS_AT_ONCE.get(self._device.type, 1)
        lasting = loader.lasting
        whole = model.alone_is_constant
        self._prefixes = Kept(self._compute_prefixes, Room(memory=0), at_once, None if whole else lasting)
        # Without a part for the others, videos would leave them nothing.
        most = self._room.memory - self._room.memory // OTHERS
        videos = Room(most, self._room.disk, self._room.folder, within=self._room)
        self._videos = Kept(self._compute_videos, videos, at_once, lasting if whole else None)
        self._queries = Kept(self._compute_queries, self._room)
        self._texts = Kept(self._compute_texts, self._room)
        if shared is not None and model.prefix_is_constant and whole:
            self._videos = self._inherit(shared, self._videos)

    @property
    def queries(self) -> int:
        """Of an episode."""
        return self._loader.way * self._loader.query

    def _inherit(self, shared: Shared, own: Kept[int]) -> Kept[int]:
        of = (self._loader.store.path, self._model.frozen_digest(), self._model.prefix_name)
        if of not in shared:
            shared.clear()
            shared[of] = own
        kept = shared[of]
        # The last one's model is not needed any more.
        kept.compute, kept.room, kept.lasting = own.compute, own.room, own.lasting
        return kept

    def forget_adapters(self) -> None:
        """Drop what depends on trained weights; call it when they have moved.

        From the first call on prefixes are kept too, if they are constant: the weights will move again.
        """
        for kept in (self._videos, self._queries, self._texts):
            kept.clear()
        if self._model.prefix_is_constant:
            self._prefixes.room = self._room

    @torch.inference_mode()
    def score(self, numbers: Sequence[int], ranks: Ranks = ALONE) -> Iterator[tuple[list[Episode], Scores]]:
        """These episodes in groups, each with its scores, (episodes, queries, way), on the model's device.

        The groups depend on ``numbers``, the model and the shape of an episode alone; several ``ranks`` take
        them in turn.
        """
        size = self._group_size(self._loader.episode(numbers[0]))
        for start in range(ranks.rank * size, len(numbers), ranks.world * size):
            group = [self._loader.episode(number) for number in numbers[start : start + size]]
            yield group, self._score(group)

    def videos(self, rows: Sequence[int]) -> Tensor:
        """What clips give by themselves, as :meth:`FewShotMethod.alone`."""
        return self._videos.of(rows)

    def queries_of(self, rows: Sequence[int]) -> Tensor:
        """Clips as queries that are alone, as :meth:`FewShotMethod.query_features`."""
        return self._queries.of(rows)

    def texts(self, labels: Sequence[str]) -> Tensor:
        """What is read of classes, as :meth:`FewShotMethod.text_features`."""
        return self._texts.of(labels)

    def _group_size(self, episode: Episode) -> int:
        video = self._videos.of(episode.query[:1].tolist())
        size = (episode.support.size + episode.query.size) * video.numel() * video.element_size()
        if self._loader.lasting is not None:
            # Videos are read over and over, and prefixes once a shot: these get what room is left.
            clips = sum(map(len, self._loader.rows.values()))
            left = self._room.memory + self._room.disk - clips * video.numel() * video.element_size()
            self._loader.lasting.bound(max(0, min(left, self._room.disk)))
        return max(1, min(MOST_EPISODES, GROUP_BYTES.get(self._device.type, 2**26) // size))

    def _score(self, episodes: Sequence[Episode]) -> Scores:
        model, way = self._model, len(episodes[0].classes)
        supports = [row for each in episodes for row in each.support.reshape(-1).tolist()]
        queries = [row for each in episodes for row in each.query.tolist()]
        labels = [label for each in episodes for label in each.classes]

        def by_episode(features: Tensor) -> Tensor:
            return features.view(len(episodes), -1, *features.shape[1:])

        support = None
        if model.needs_support:
            support = model.support_features(by_episode(self._videos.of(supports)))
        if self._query_mode == "independent":
            query = by_episode(self._queries.of(queries))
        else:
            query = model.query_features(by_episode(self._videos.of(queries)))
        text = by_episode(self._texts.of(labels)) if model.reads_text else None
        return model.score_features(support, query, text, way=way, query_mode=self._query_mode)

    def _compute_prefixes(self, rows: list[int]) -> Tensor:
        # A GPU is still at the last ones while these are read: nothing here waits for it.
        frames = upload(self._loader.central_frames(rows), self._device)
        return self._model.prefix(self._model.normalise(frames))

    def _compute_videos(self, rows: list[int]) -> Tensor:
        return self._model.alone(self._prefixes.of(rows))

    def _compute_queries(self, rows: list[int]) -> Tensor:
        return self._model.query_features(self._videos.of(rows), query_mode="independent")

    def _compute_texts(self, labels: list[str]) -> Tensor:
        features = self._model.text_features(torch.stack([self._loader.tokens[label] for label in labels]))
        assert features is not None
        return features


def require_finite_scores(model: FewShotMethod, scores: Tensor, named: Callable[[int], str]) -> None:
    """Refuse scores that are no numbers, since they would be ranked all the same.

    Shapes: (n, queries, way); ``named`` says what the nth are of.

    Raises:
        ConfigError: one is not finite.
    """
    spoiled = (~scores.isfinite()).flatten(1).any(1)
    if bool(spoiled.any()):
        first = int(spoiled.nonzero()[0])
        found = scores[first]
        raise ConfigError(
            f"{model.scored_by} gave scores that are not finite ({found[~found.isfinite()][0].item()}) in"
            f" {named(first)}",
            next_step=f"Look into {model.scored_by}, for a division by zero for example; nothing is kept.",
        )


def told(episode: Episode, kind: str = "") -> str:
    """An episode in a message; ``kind``: what it is for."""
    return f"{kind} episode {episode.number} (classes {', '.join(episode.classes)})".lstrip()
