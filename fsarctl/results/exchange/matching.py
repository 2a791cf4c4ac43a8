"""Which clips, classes and episodes of two results are the same, though two people numbered them."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from fsarctl.datasets.labels.spelling import loosely
from fsarctl.results.exchange.reading import ExportedClip, ExportedResult
from fsarctl.results.predictions import Predictions

__all__ = ["Matched", "aligned", "match"]

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Matched:
    """The second result in the numbers of the first.

    ``rows`` (clips of the second): the same clip of the first, -1 where it has none. ``labels`` (labels of
    the second): likewise. ``by_digest`` and ``by_name`` count the pairs; of the latter ``altered`` have
    other content, and the rest no digest on one side. ``relabelled`` are alike but of other classes, and so
    no pairs. ``episodes`` (2, same): numbers of the episodes that are the same on both sides.
    """

    rows: Numbers
    labels: Numbers
    by_digest: int
    by_name: int
    altered: int
    relabelled: int
    episodes: Numbers

    @property
    def clips(self) -> int:
        """How many clips both have."""
        return self.by_digest + self.by_name


def match(first: ExportedResult, second: ExportedResult) -> Matched:
    """Find what both have: clips by content, else by name; classes by their labels, however spelled."""
    rows = np.full(len(second.clips), -1)
    counts, relabelled, altered = [0, 0], 0, 0
    left, right = dict(enumerate(first.clips)), dict(enumerate(second.clips))
    for kind, alike in ((0, _content_and_name), (0, _content), (1, _name), (1, _name_in_any_container)):
        for one, other in _pairs(left, right, alike):
            here, there = left.pop(one), right.pop(other)
            if loosely(here.label) != loosely(there.label):
                relabelled += 1
                continue
            rows[other] = one
            counts[kind] += 1
            altered += bool(kind and here.sha256 and there.sha256)
    labels = _labels(first.predictions.labels, second.predictions.labels)
    episodes = _same_episodes(first.predictions, _renumbered(second.predictions, rows, labels))
    return Matched(rows, labels, counts[0], counts[1], altered, relabelled, episodes)


def aligned(first: Predictions, second: Predictions, matched: Matched) -> tuple[Predictions, Predictions]:
    """The episodes that are the same, in the numbers of the first: clips, classes and columns."""
    here = first.of(matched.episodes[0])
    there = _renumbered(second, matched.rows, matched.labels).of(matched.episodes[1])
    # (episodes, way): where the second has the class that the first has in this column
    columns = (here.classes[:, :, None] == there.classes[:, None, :]).argmax(2)
    back = columns.argsort(1)
    return here, Predictions(
        labels=first.labels,
        classes=here.classes,
        support=here.support,
        query=there.query,
        targets=np.take_along_axis(back, there.targets, 1),
        scores=np.take_along_axis(there.scores, columns[:, None, :], 2),
        groups=first.groups,
    )


def _content_and_name(clip: ExportedClip) -> Hashable:
    return (clip.sha256, clip.name) if clip.sha256 else None


def _content(clip: ExportedClip) -> Hashable:
    return clip.sha256 or None


def _name(clip: ExportedClip) -> Hashable:
    return clip.name


def _name_in_any_container(clip: ExportedClip) -> Hashable:
    return loosely(clip.label), PurePosixPath(clip.name).stem


def _pairs(
    left: dict[int, ExportedClip], right: dict[int, ExportedClip], alike: Callable[[ExportedClip], Hashable]
) -> list[tuple[int, int]]:
    """Clips with the same key, one for one in their order."""
    known: dict[Hashable, list[int]] = defaultdict(list)
    for number, clip in reversed(left.items()):
        known[alike(clip)].append(number)
    known.pop(None, None)
    pairs = []
    for number, clip in right.items():
        if waiting := known.get(alike(clip)):
            pairs.append((waiting.pop(), number))
    return pairs


def _labels(first: Sequence[str], second: Sequence[str]) -> Numbers:
    numbers = {loosely(label): number for number, label in enumerate(first)}
    return np.array([numbers.get(loosely(label), -1) for label in second], np.int64)


def _renumbered(predictions: Predictions, rows: Numbers, labels: Numbers) -> Predictions:
    return Predictions(
        **{
            **vars(predictions),
            "classes": labels[predictions.classes],
            "support": rows[predictions.support],
            "query": rows[predictions.query],
            "groups": None,
        }
    )


def _same_episodes(first: Predictions, second: Predictions) -> Numbers:
    """(2, same) numbers of the episodes with the same classes, support and queries, in whatever order."""
    if first.support.shape[1:] != second.support.shape[1:] or first.query.shape[1] != second.query.shape[1]:
        return np.zeros((2, 0), np.int64)
    waiting: dict[bytes, list[int]] = defaultdict(list)
    for number, content in reversed([*enumerate(_contents(first))]):
        waiting[content].append(number)
    whole = _whole(second)
    pairs = [
        (waiting[content].pop(), number)
        for number, content in enumerate(_contents(second))
        if whole[number] and waiting.get(content)
    ]
    return np.array(pairs, np.int64).reshape(-1, 2).T


def _whole(predictions: Predictions) -> npt.NDArray[np.bool_]:
    """(episodes,) whether each clip and class of an episode is known."""
    parts = (predictions.classes, predictions.support, predictions.query)
    known = [(part >= 0).reshape(len(part), -1).all(1) for part in parts]
    return np.asarray(np.all(known, axis=0))


def _contents(predictions: Predictions) -> list[bytes]:
    """Of each episode: its classes in order, the clips of each, and its queries with their classes."""
    order = predictions.classes.argsort(1)
    support = np.sort(predictions.support, 2)
    support = np.take_along_axis(support, order[..., None], 1).reshape(len(order), -1)
    asked = np.take_along_axis(predictions.classes, predictions.targets, 1)
    by_class = np.lexsort((predictions.query, asked), axis=1)
    parts = [
        np.take_along_axis(predictions.classes, order, 1),
        support,
        np.take_along_axis(asked, by_class, 1),
        np.take_along_axis(predictions.query, by_class, 1),
    ]
    return [row.tobytes() for row in np.ascontiguousarray(np.concatenate(parts, 1))]
