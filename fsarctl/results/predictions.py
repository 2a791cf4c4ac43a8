"""Predictions of every episode, stored, so that any two results can be paired. Needs no torch to read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from fsarctl.artifacts.atomic_write import sync_file

__all__ = ["Predictions", "save_arrays"]

OF_EPISODES = ("classes", "support", "query", "targets", "scores")


@dataclass(frozen=True)
class Predictions:
    """What a model said of every query of every episode.

    ``classes`` (episodes, way) index ``labels``; ``support`` (episodes, way, shot) and ``query``
    (episodes, queries) are rows of the frame store; ``targets`` and the argmax of ``scores``
    (episodes, queries, way) are columns. ``groups`` (rows,): of each row of the frame store, where clips
    have groups.
    """

    labels: tuple[str, ...]
    classes: npt.NDArray[np.int64]
    support: npt.NDArray[np.int64]
    query: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]
    groups: npt.NDArray[np.int64] | None = None

    @property
    def predictions(self) -> npt.NDArray[np.int64]:
        """(episodes, queries) columns with the highest score."""
        columns: npt.NDArray[np.int64] = self.scores.argmax(-1)
        return columns

    @property
    def episode_accuracies(self) -> list[float]:
        """One accuracy per episode, 0 to 1."""
        means: list[float] = (self.predictions == self.targets).mean(1).tolist()
        return means

    def of(self, episodes: npt.NDArray[np.generic]) -> "Predictions":
        """Those of some episodes, by number or by mask."""
        return self._with({name: getattr(self, name)[episodes] for name in OF_EPISODES})

    @classmethod
    def joined(cls, parts: Sequence["Predictions"]) -> "Predictions":
        """The episodes of all parts, which are of the same labels and rows."""
        return parts[0]._with(
            {name: np.concatenate([getattr(part, name) for part in parts]) for name in OF_EPISODES}
        )

    def _with(self, arrays: Mapping[str, npt.NDArray[Any]]) -> "Predictions":
        return Predictions(**{**vars(self), **arrays})

    def save(self, path: Path) -> None:
        """Write everything but ``labels`` to a safetensors file."""
        arrays = {name: array for name, array in vars(self).items() if name != "labels"}
        save_arrays(path, {name: array for name, array in arrays.items() if array is not None})

    @classmethod
    def load(cls, path: Path, labels: tuple[str, ...]) -> "Predictions":
        """Read what ``save`` wrote.

        Raises:
            ValueError: it is no such file, or its arrays do not fit each other or the labels.
            OSError: it cannot be read.
        """
        try:
            found = cls(labels=labels, **load_file(path))
        except (SafetensorError, TypeError) as error:
            raise ValueError(str(error)) from None
        found._require_fitting()
        return found

    def _require_fitting(self) -> None:
        episodes, way = self.classes.shape
        queries = self.query.shape[1]
        shapes = (self.support.shape[:2], self.query.shape, self.targets.shape, self.scores.shape)
        if shapes != ((episodes, way), (episodes, queries), (episodes, queries), (episodes, queries, way)):
            raise ValueError(f"its arrays are of {shapes}")
        rows = 2**63 if self.groups is None else len(self.groups)
        bounds = (
            (self.classes, len(self.labels)),
            (self.support, rows),
            (self.query, rows),
            (self.targets, way),
        )
        for array, below in bounds:
            if array.dtype.kind != "i" or (array.size and not 0 <= array.min() <= array.max() < below):
                raise ValueError("it numbers what is not there")
        if self.scores.dtype.kind != "f" or not self.scores.size:
            raise ValueError("it has no scores")


def save_arrays(
    path: Path, arrays: Mapping[str, npt.NDArray[Any]], words: dict[str, str] | None = None
) -> None:
    """Write ``arrays``, and ``words`` about them, to a safetensors file and wait until the disk has it."""
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path, words)
    sync_file(path)
