"""Which classes a model tells apart, and which it takes for each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fsarctl.results.clip_intervals import intervals_of_classes
from fsarctl.results.predictions import Predictions

__all__ = ["Confusion", "class_rows", "confusion"]


@dataclass(frozen=True)
class Confusion:
    """Queries by class, of all episodes.

    ``given`` (classes, classes): queries of the row's class that were taken for the column's. ``met``:
    queries of the row's class in whose episode the column's class was a choice. ``right``: for each class a
    list of 0 and 1, one for each of its queries. ``predictions`` are what was counted.
    """

    labels: tuple[str, ...]
    given: npt.NDArray[np.int64]
    met: npt.NDArray[np.int64]
    right: tuple[tuple[int, ...], ...]
    predictions: Predictions

    @property
    def rates(self) -> npt.NDArray[np.float64]:
        """``given`` / ``met``, 0 where two classes never met. Rows do not sum to one."""
        rates: npt.NDArray[np.float64] = self.given / np.maximum(self.met, 1)
        return rates


def confusion(predictions: Predictions) -> Confusion:
    """Count the queries of every episode by true and predicted class."""
    count = len(predictions.labels)
    given, met = np.zeros((count, count), np.int64), np.zeros((count, count), np.int64)
    right: list[list[int]] = [[] for _ in range(count)]
    chosen = predictions.predictions
    for episode, classes in enumerate(predictions.classes):
        true, taken = classes[predictions.targets[episode]], classes[chosen[episode]]
        np.add.at(given, (true, taken), 1)
        np.add.at(met, (true[:, None], classes[None, :]), 1)
        for label, hit in zip(true, true == taken, strict=True):
            right[label].append(int(hit))
    return Confusion(predictions.labels, given, met, tuple(map(tuple, right)), predictions)


def class_rows(found: Confusion, baseline: Confusion | None) -> list[dict[str, Any]]:
    """For each class with queries its accuracy, and what it is most often taken for.

    ``low`` and ``high`` are the 95 % interval for other clips of the class; ``clips`` (or groups) it has.
    """
    rows = []
    intervals, rates = intervals_of_classes(found.predictions), found.rates
    of_baseline = dict(zip(baseline.labels, baseline.right, strict=True)) if baseline else {}
    for number, label in enumerate(found.labels):
        if not found.right[number]:
            continue
        hits, queries = sum(found.right[number]), len(found.right[number])
        others = rates[number].copy()
        others[number] = -1.0
        worst = int(others.argmax())
        taken = bool(found.given[number, worst]) and worst != number
        rows.append(
            {
                "label": label,
                "queries": queries,
                "accuracy": hits / queries,
                "low": intervals[label].low,
                "high": intervals[label].high,
                "clips": intervals[label].count,
                "baseline": _mean(of_baseline.get(label, ())),
                "taken_for": found.labels[worst] if taken else None,
                "taken_for_rate": float(others[worst]) if taken else None,
            }
        )
    return rows


def as_document(found: Confusion) -> Mapping[str, Any]:
    """The counts as JSON has them."""
    return {"labels": list(found.labels), "given": found.given.tolist(), "met": found.met.tolist()}


def _mean(right: Sequence[int]) -> float | None:
    return sum(right) / len(right) if right else None
