"""Results: what an evaluation came to, on disk, and how two of them are compared. Needs no torch.

An artifact with a result holds result.json (settings, accuracy, classes) and episodes.safetensors (classes,
clips, targets and scores of every episode).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fsarctl.errors import InputError
from fsarctl.results.intervals import Estimate, estimate, two_sided_p
from fsarctl.results.predictions import Predictions

__all__ = [
    "Comparison",
    "Result",
    "compare",
    "compare_over_seeds",
    "load_result",
    "same_episodes",
    "write_result",
]

PREDICTIONS = "episodes.safetensors"
RESULT = "result.json"
# What makes episodes what they are, in the order in which a difference is worth naming.
EPISODE_FIELDS = ("split", "way", "shot", "query", "seed", "episodes", "classes")


@dataclass(frozen=True)
class Result:
    """A finished evaluation: its record, and the predictions of each episode."""

    record: Mapping[str, Any]
    predictions: Predictions

    @property
    def accuracy(self) -> Estimate:
        """Mean over episodes and its interval, 0 to 1."""
        return estimate(self.predictions.episode_accuracies)


@dataclass(frozen=True)
class Comparison:
    """Two results on the same episodes; accuracies from 0 to 1.

    ``difference`` is second - first, paired by episode. ``gained`` counts queries that the second alone
    gets right, ``lost`` those that the first alone does.
    """

    difference: Estimate
    p: float
    episodes: int
    gained: int
    lost: int


def write_result(
    folder: Path, predictions: Predictions, names: Sequence[str], facts: Mapping[str, Any]
) -> None:
    """Write result.json and episodes.safetensors; ``names`` are the clips of the frame store, by row.

    ``facts`` hold way, shot, query, episodes and seed at least; accuracy, chance, classes and the
    episodes' digest are added.
    """
    predictions.save(folder / PREDICTIONS)
    accuracy = estimate(predictions.episode_accuracies)
    record = {
        **facts,
        "accuracy": accuracy.mean,
        # One episode has no interval; JSON has no infinity.
        "half_width": accuracy.half_width if facts["episodes"] > 1 else None,
        "chance": 1 / facts["way"],
        "classes": list(predictions.labels),
        "episodes_digest": _digest(predictions, names),
    }
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / RESULT).write_text(text + "\n", encoding="utf-8")


def load_result(folder: Path) -> Result:
    """Read what ``write_result`` wrote."""
    record = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    return Result(record, Predictions.load(folder / PREDICTIONS, tuple(record["classes"])))


def compare(first: Result, second: Result) -> Comparison:
    """The paired difference of two results on the same episodes.

    Raises:
        InputError: their episodes differ; the message says in what.
    """
    return compare_over_seeds([(first, second)])


def compare_over_seeds(pairs: Sequence[tuple[Result, Result]]) -> Comparison:
    """The paired difference over the episodes of several pairs, each of one seed.

    The interval is over episodes, for the adapters that were trained; how much another training would
    differ is for the seeds' own accuracies to tell.

    Raises:
        InputError: the episodes of a pair differ.
    """
    rights = [_paired(first, second) for first, second in pairs]
    before, after = (np.concatenate([right[side] for right in rights]) for side in (0, 1))
    difference = estimate((after.mean(1) - before.mean(1)).tolist())
    return Comparison(
        difference,
        two_sided_p(difference),
        len(before),
        int((after & ~before).sum()),
        int((before & ~after).sum()),
    )


def same_episodes(first: Result, second: Result) -> bool:
    """Whether the two can be paired."""
    same: bool = first.record["episodes_digest"] == second.record["episodes_digest"]
    return same


def _paired(first: Result, second: Result) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    if not same_episodes(first, second):
        raise InputError(
            f"these results are of different episodes: {_first_difference(first.record, second.record)}",
            next_step="Evaluate both with the same [eval] settings on the same clips.",
        )
    return _by_class(first.predictions), _by_class(second.predictions)


def _digest(predictions: Predictions, names: Sequence[str]) -> str:
    """Of each episode's classes and clips, in whatever order its queries were scored."""
    labels, clips = _words(predictions.labels), _words(names)
    order = _class_order(predictions)
    content = hashlib.sha256()
    for part in (
        labels[predictions.classes],
        clips[predictions.support],
        np.take_along_axis(predictions.targets, order, 1),
        clips[np.take_along_axis(predictions.query, order, 1)],
    ):
        content.update(np.ascontiguousarray(part, dtype="<u8").tobytes())
    return content.hexdigest()


def _words(names: Sequence[str]) -> npt.NDArray[np.uint64]:
    digests = b"".join(hashlib.sha256(name.encode()).digest()[:8] for name in names)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def _class_order(predictions: Predictions) -> npt.NDArray[np.int64]:
    order: npt.NDArray[np.int64] = np.lexsort((predictions.query, predictions.targets), axis=1)
    return order


def _by_class(predictions: Predictions) -> npt.NDArray[np.bool_]:
    """(episodes, queries): whether the prediction is right, queries in the order of class and clip."""
    right: npt.NDArray[np.bool_] = predictions.predictions == predictions.targets
    return np.take_along_axis(right, _class_order(predictions), 1)


def _first_difference(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    for name in EPISODE_FIELDS:
        if first[name] != second[name]:
            if name == "classes":
                return f"{len(set(first[name]) ^ set(second[name]))} classes are in one alone"
            return f"{name} {first[name]} against {second[name]}"
    return "the same settings, but other clips"
