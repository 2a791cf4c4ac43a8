"""Results: what an evaluation came to, on disk, and how two of them are compared. Needs no torch.

An artifact with a result holds result.json (settings, accuracy, classes) and episodes.safetensors (classes,
clips, targets and scores of every episode).
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fsarctl.artifacts.refusals import reading
from fsarctl.errors import InputError
from fsarctl.results.clip_intervals import intervals_of
from fsarctl.results.intervals import Estimate, Interval, drawn, estimate, headline, two_sided_p
from fsarctl.results.predictions import Predictions

__all__ = [
    "Comparison",
    "Result",
    "compare",
    "compare_over_seeds",
    "compare_predictions",
    "intervals_as_json",
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
    def remarks(self) -> Sequence[str]:
        """What a user should know of the weights that it was made with."""
        return tuple(self.record.get("remarks", ()))

    @property
    def accuracy(self) -> Estimate:
        """Mean over episodes and its interval, 0 to 1."""
        return estimate(self.predictions.episode_accuracies)


@dataclass(frozen=True)
class Comparison:
    """Two results on the same episodes; accuracies from 0 to 1.

    ``difference`` is second - first, paired by episode. ``gained`` counts queries that the second alone
    gets right, ``lost`` those that the first alone does. ``difference`` and ``p`` are over episodes;
    ``intervals`` are these and those over clips (or groups) and classes, each with its own p.
    """

    difference: Estimate
    p: float
    intervals: Mapping[str, Interval]
    episodes: int
    gained: int
    lost: int

    @property
    def over_clips(self) -> Interval:
        """The interval of the difference over clips, or over groups of them."""
        return self.intervals[drawn(self.intervals)]

    def as_json(self) -> dict[str, Any]:
        """As documents have it; ``half_width`` and ``p`` are over episodes."""
        finite = math.isfinite(self.difference.half_width)
        return {
            "difference": self.difference.mean,
            "half_width": self.difference.half_width if finite else None,
            "p": self.p,
            **intervals_as_json(self.intervals),
            "episodes": self.episodes,
            "gained": self.gained,
            "lost": self.lost,
        }


def write_result(
    folder: Path, predictions: Predictions, names: Sequence[str], facts: Mapping[str, Any]
) -> None:
    """Write result.json and episodes.safetensors; ``names`` are the clips of the frame store, by row.

    ``facts`` hold way, shot, query, episodes and seed at least; accuracy, its intervals, chance, classes and
    the episodes' digest are added. ``half_width`` is of the interval over episodes.
    """
    predictions.save(folder / PREDICTIONS)
    accuracy = estimate(predictions.episode_accuracies)
    record = {
        **facts,
        "accuracy": accuracy.mean,
        # One episode has no interval; JSON has no infinity.
        "half_width": accuracy.half_width if facts["episodes"] > 1 else None,
        **intervals_as_json(intervals_of(predictions)),
        "chance": 1 / facts["way"],
        "classes": list(predictions.labels),
        "episodes_digest": _digest(predictions, names),
    }
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / RESULT).write_text(text + "\n", encoding="utf-8")


def intervals_as_json(intervals: Mapping[str, Interval]) -> dict[str, Any]:
    """As records and documents have them: all by name, and ``headline``, the name of the one to tell."""
    return {
        "intervals": {name: each.as_json() for name, each in intervals.items()},
        "headline": headline(intervals),
    }


def load_result(folder: Path, *, called: str = "") -> Result:
    """Read what ``write_result`` wrote; ``called`` is what the model is called now, if not as then.

    Raises:
        IntegrityError: it is something else.
    """
    with reading(folder / RESULT):
        record = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        record |= {"model": called} if called else {}
        words = [*record["classes"], *record.get("remarks", ()), record["episodes_digest"]]
        numbers = [record[name] for name in ("way", "shot", "episodes", "seed")]
        if not (all(isinstance(e, str) for e in words) and all(isinstance(e, int) for e in numbers)):
            raise ValueError("it says something else than a result")
    with reading(folder / PREDICTIONS):
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
    for first, second in pairs:
        _require_same_episodes(first, second)
    both = [Predictions.joined([each[side].predictions for each in pairs]) for side in (0, 1)]
    return compare_predictions(*both)


def compare_predictions(first: Predictions, second: Predictions) -> Comparison:
    """The paired difference of two models on the same episodes, in whatever order their queries are."""
    both = [_by_class(first), _by_class(second)]
    before, after = (each.predictions == each.targets for each in both)
    difference = estimate((after.mean(1) - before.mean(1)).tolist())
    return Comparison(
        difference,
        two_sided_p(difference),
        intervals_of(both[0], after.astype(np.float64) - before, paired=True),
        len(before),
        int((after & ~before).sum()),
        int((before & ~after).sum()),
    )


def same_episodes(first: Result, second: Result) -> bool:
    """Whether the two can be paired."""
    same: bool = first.record["episodes_digest"] == second.record["episodes_digest"]
    return same


def _require_same_episodes(first: Result, second: Result) -> None:
    if not same_episodes(first, second):
        raise InputError(
            f"these results are of different episodes: {_first_difference(first.record, second.record)}",
            next_step="Evaluate both with the same [eval] settings on the same clips.",
        )


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


def _by_class(predictions: Predictions) -> Predictions:
    """The same, queries in the order of class and clip."""
    order = _class_order(predictions)
    return replace(
        predictions,
        query=np.take_along_axis(predictions.query, order, 1),
        targets=np.take_along_axis(predictions.targets, order, 1),
        scores=np.take_along_axis(predictions.scores, order[..., None], 1),
    )


def _first_difference(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    for name in EPISODE_FIELDS:
        if first[name] != second[name]:
            if name == "classes":
                return f"{len(set(first[name]) ^ set(second[name]))} classes are in one alone"
            return f"{name} {first[name]} against {second[name]}"
    return "the same settings, but other clips"
