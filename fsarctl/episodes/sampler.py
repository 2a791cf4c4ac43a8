"""Episodes: C-way K-shot tasks, each a pure function of (stream, seed, number).

Nothing here holds state, so an episode is the same whichever worker, device or rerun asks for it, and
in whatever order. The draws are raw words of Philox, a counter-based generator whose output is fixed by
its definition, and do not depend on the sampling methods of a NumPy release.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Episode", "random_words", "sample_episode"]


@dataclass(frozen=True)
class Episode:
    """One task. Rows are positions in a frame store.

    ``classes`` (way,) are labels in the order of the score's columns. ``support`` (way, shot) is
    class-major; ``query`` (way * query,) is shuffled, so that a query's place says nothing about its
    class; ``targets`` (way * query,) are the columns of the queries' true classes.
    """

    number: int
    classes: tuple[str, ...]
    support: npt.NDArray[np.int64]
    query: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]


def random_words(stream: str, seed: int, number: int, count: int) -> npt.NDArray[np.uint64]:
    """``count`` uniform 64-bit words that depend on the three arguments and on nothing else."""
    key = hashlib.sha256(f"{stream}/{seed}/{number}".encode()).digest()
    return np.random.Philox(key=np.frombuffer(key[:16], dtype="<u8").copy()).random_raw(count)


def sample_episode(
    rows: Mapping[str, Sequence[int]], *, stream: str, seed: int, number: int, way: int, shot: int, query: int
) -> Episode:
    """Episode ``number`` over the classes of ``rows`` (label -> rows of its clips).

    ``stream`` ("train", "val", "test") keeps the episodes of different purposes apart. Classes that
    ``EpisodeSize.check`` would refuse are the caller's mistake.
    """
    labels = sorted(rows)
    longest = max(len(rows[label]) for label in labels)
    words = random_words(stream, seed, number, len(labels) + way * longest + way * query)
    chosen = np.argsort(words[: len(labels)], kind="stable")[:way]
    support = np.empty((way, shot), np.int64)
    queries = np.empty((way, query), np.int64)
    for column, index in enumerate(chosen):
        start = len(labels) + column * longest
        pool = np.asarray(rows[labels[index]], np.int64)
        order = np.argsort(words[start : start + len(pool)], kind="stable")[: shot + query]
        support[column] = pool[order[:shot]]
        queries[column] = pool[order[shot:]]
    shuffle = np.argsort(words[len(labels) + way * longest :], kind="stable")
    return Episode(
        number=number,
        classes=tuple(labels[index] for index in chosen),
        support=support,
        query=queries.reshape(-1)[shuffle],
        targets=np.repeat(np.arange(way), query)[shuffle],
    )
