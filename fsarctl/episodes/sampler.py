"""Episodes: C-way K-shot tasks, each a pure function of (stream, seed, number).

Nothing here holds state, so an episode is the same whichever worker, device or rerun asks for it, and
in whatever order. The draws are raw words of Philox, a counter-based generator whose output is fixed by
its definition, and do not depend on the sampling methods of a NumPy release.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fsarctl.datasets.group_sizes import can_part
from fsarctl.errors import InputError

__all__ = ["Episode", "random_words", "sample_episode"]

ATTEMPTS = 1000
SAME_CLASSES = 100
"""After so many draws of clips in vain, other classes are drawn: these share too many of their groups."""


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
    rows: Mapping[str, Sequence[int]],
    *,
    stream: str,
    seed: int,
    number: int,
    way: int,
    shot: int,
    query: int,
    groups: npt.NDArray[np.int64] | None = None,
    sets: Mapping[str, str] | None = None,
) -> Episode:
    """Episode ``number`` over the classes of ``rows`` (label -> rows of its clips).

    ``stream`` ("train", "val", "test") keeps the episodes of different purposes apart. ``groups`` (rows,)
    are of persons or recordings, of which none has clips in both support and query, of whatever class; where
    no two clips share one, episodes are as without. ``sets``: label -> its set; all classes of an episode are
    of one, drawn evenly of those that have ``way``. Classes that ``EpisodeSize.check`` would refuse are the
    caller's mistake.

    Raises:
        InputError: no classes were found whose groups could be kept apart.
    """
    labels = sorted(rows)
    longest = max(len(rows[label]) for label in labels)
    count = len(labels) + way * longest + way * query + (sets is not None)
    classes: npt.NDArray[np.int64] | None = None
    for attempt in range(1 if groups is None else ATTEMPTS):
        again = f"{stream}/again {attempt}" if attempt else stream
        words = random_words(again, seed, number, count)
        if classes is None or attempt % SAME_CLASSES == 0:
            classes = np.argsort(words[: len(labels)], kind="stable")
            if sets is not None:
                classes = _of_one_set(classes, [sets[label] for label in labels], way, int(words[-1]))
            classes = classes[:way]
        drawn = _draw(rows, [labels[index] for index in classes], words[len(labels) :], shot, query, groups)
        if drawn is not None:
            return Episode(number, *drawn)
    raise InputError(
        f"episode {number} of {stream}: no {way} classes were found that share so few groups that support and"
        " query can be kept apart",
        next_step="Use fewer shots or queries, finer groups, or leave classes out that share all of theirs.",
    )


def _of_one_set(
    classes: npt.NDArray[np.int64], sets: Sequence[str], way: int, word: int
) -> npt.NDArray[np.int64]:
    """Those of ``classes`` that are of the set that ``word`` draws."""
    large = sorted(each for each, classes_of_it in Counter(sets).items() if classes_of_it >= way)
    drawn = large[word % len(large)]
    return classes[[sets[index] == drawn for index in classes]]


def _draw(
    rows: Mapping[str, Sequence[int]],
    labels: Sequence[str],
    words: npt.NDArray[np.uint64],
    shot: int,
    query: int,
    groups: npt.NDArray[np.int64] | None,
) -> tuple[tuple[str, ...], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
    """Classes, support, query and targets; None where these draws cannot keep groups apart."""
    way, longest = len(labels), max(map(len, rows.values()))
    support = np.empty((way, shot), np.int64)
    queries = np.empty((way, query), np.int64)
    sides: dict[int, bool] = {}
    for column, label in enumerate(labels):
        start = column * longest
        pool = np.asarray(rows[label], np.int64)
        ordered = pool[np.argsort(words[start : start + len(pool)], kind="stable")]
        if groups is None:
            support[column], queries[column] = ordered[:shot], ordered[shot : shot + query]
            continue
        parted = _part(ordered.tolist(), groups[ordered].tolist(), sides, shot, query)
        if parted is None:
            return None
        support[column], queries[column] = parted
    start = way * longest
    shuffle = np.argsort(words[start : start + way * query], kind="stable")
    targets = np.repeat(np.arange(way), query)[shuffle]
    return tuple(labels), support, queries.reshape(-1)[shuffle], targets


def _part(
    clips: Sequence[int], groups: Sequence[int], sides: dict[int, bool], shot: int, query: int
) -> tuple[list[int], list[int]] | None:
    """The first clips that can be support, and the first of the others that can be query; None: none can.

    ``sides``: group -> whether it is on the side of the support; groups that are taken are added.
    """
    sizes = Counter(groups)

    def fits() -> bool:
        taken = {side: sum(sizes[g] for g in sizes if sides.get(g) is side) for side in (True, False)}
        undecided = [size for group, size in sizes.items() if group not in sides]
        return can_part(undecided, shot - taken[True], query - taken[False])

    if not fits():
        return None
    chosen: dict[bool, list[int]] = {True: [], False: []}
    for side, wanted in ((True, shot), (False, query)):
        for clip, group in zip(clips, groups, strict=True):
            if len(chosen[side]) == wanted:
                break
            if group not in sides:
                sides[group] = side
                if not fits():
                    sides[group] = not side
            if sides[group] is side:
                chosen[side].append(clip)
    return chosen[True], chosen[False]
