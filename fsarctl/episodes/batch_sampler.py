"""Episodes for a torch DataLoader: one batch is one episode's clips, support first."""

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

from fsarctl.config.setting_field import SPLITS, whole_number
from fsarctl.datasets.episode_size import EpisodeSize
from fsarctl.datasets.group_sizes import group_sizes
from fsarctl.episodes.sampler import Episode, sample_episode
from fsarctl.errors import ConfigError

__all__ = ["EpisodeSampler"]


class EpisodeSampler(Sampler[list[int]]):
    """A ``batch_sampler`` over a dataset whose items have ``labels``, in their order.

    Batch i holds the places of episode i's way * shot support items, class-major, and then those of its
    way * query queries, shuffled; :meth:`episode` says which class each is of. Episode i is the one that
    fsarctl evaluates with the same seed and split: a function of (stream, seed, i) alone, whatever the
    DataLoader's workers do.

    Args:
        labels: of every item.
        way: C, classes in an episode.
        shot: K, support items of each.
        query: query items of each.
        episodes: how many there are.
        seed: of all of them.
        stream: keeps the episodes of different purposes apart: "train", "val" or "test".
        groups: the person, camera or recording of every item; support and query of an episode share none.

    Raises:
        ConfigError: a number is none that it may be, there is no such stream, or ``groups`` are not as many
            as ``labels``.
        InputError: the classes are too few, or have too few items.
    """

    def __init__(
        self,
        labels: Sequence[str],
        *,
        way: int = 5,
        shot: int = 1,
        query: int = 1,
        episodes: int = 1000,
        seed: int = 0,
        stream: str = "test",
        groups: Sequence[str] | None = None,
    ) -> None:
        way, shot, query, episodes, seed = (
            whole_number(name, value, least)
            for name, value, least in (
                ("way", way, 2),
                ("shot", shot, 1),
                ("query", query, 1),
                ("episodes", episodes, 1),
                ("seed", seed, 0),
            )
        )
        if stream not in SPLITS:
            raise ConfigError(
                f"stream is {stream!r}; it must be one of {', '.join(SPLITS)}", next_step="Correct stream."
            )
        if groups is not None and len(groups) != len(labels):
            raise ConfigError(
                f"groups are {len(groups)} and labels {len(labels)}; each item has one of both",
                next_step="Give the group of every item, in the order of labels.",
            )
        self._rows: dict[str, list[int]] = {}
        for place, label in enumerate(labels):
            self._rows.setdefault(label, []).append(place)
        size = EpisodeSize("train" if stream == "train" else "eval", way, shot, query)
        sizes = None if groups is None else group_sizes(zip(labels, groups, strict=True))
        size.check({label: len(rows) for label, rows in self._rows.items()}, stream, sizes)
        self._groups = None if groups is None else np.unique(groups, return_inverse=True)[1].astype(np.int64)
        self._size = size
        self._seed = seed
        self._stream = stream
        self._episodes = episodes

    def __len__(self) -> int:
        return self._episodes

    def __iter__(self) -> Iterator[list[int]]:
        for number in range(self._episodes):
            episode = self.episode(number)
            yield [*episode.support.reshape(-1).tolist(), *episode.query.tolist()]

    def episode(self, number: int) -> Episode:
        """Classes, places and targets of an episode."""
        return sample_episode(
            self._rows,
            stream=self._stream,
            seed=self._seed,
            number=number,
            groups=self._groups,
            way=self._size.way,
            shot=self._size.shot,
            query=self._size.query,
        )
