"""Episodes of a probe, scored by an oracle that reads what was rendered instead of the video."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from fsarctl.config.dataset_table import Ability, DatasetConfig
from fsarctl.config.training_tables import EvalConfig
from fsarctl.datasets.class_sets import ClassSets
from fsarctl.datasets.probes.classes import Moments, class_of, classes_of
from fsarctl.datasets.probes.oracles import ORACLES, Facts
from fsarctl.datasets.probes.rendering import clip_name, shown
from fsarctl.episodes.sampler import random_words, sample_episode
from fsarctl.episodes.split_loader import numbered_groups
from fsarctl.frames.frame_store import FrameStore
from fsarctl.results.predictions import Predictions

__all__ = ["cheat"]

TIE = 1e-3  # less than any difference of two scores, so that chance alone breaks ties


def cheat(
    ability: Ability, frames: Path, dataset: DatasetConfig, shot: int, config: EvalConfig
) -> tuple[Predictions, list[str]]:
    """The episodes that ``config`` draws of a probe's frames, as the oracle answers them, and the clips."""
    store = FrameStore(frames)
    seen = _seen(dataset, config.split)
    moments = [seen[name] for name in store.names]
    rules = ClassSets.read(frames)
    _, groups = numbered_groups(store, rules.groups if rules else None)
    rows = {label: store.rows_of(label) for label in store.classes}
    labels = tuple(sorted(rows))
    index = {label: number for number, label in enumerate(labels)}
    arrays: dict[str, list[npt.NDArray[np.generic]]] = {
        name: [] for name in ("classes", "support", "query", "targets", "scores")
    }
    for number in range(config.episodes):
        episode = sample_episode(
            rows,
            stream=config.split,
            seed=config.seed,
            number=number,
            way=config.way,
            shot=shot,
            query=config.query,
            groups=groups,
            sets=rules.sets if rules else None,
        )
        support = [[moments[row] for row in shots] for shots in episode.support]
        said = [class_of(label).sub_actions for label in episode.classes]
        scores = [ORACLES[ability](Facts(support, moments[row], said)) for row in episode.query]
        words = random_words(f"{config.split}/tie", config.seed, number, len(scores) * config.way)
        ties = (words.reshape(len(scores), config.way) / 2**64 * TIE).astype(np.float32)
        arrays["classes"].append(np.array([index[label] for label in episode.classes], np.int64))
        arrays["support"].append(episode.support)
        arrays["query"].append(episode.query)
        arrays["targets"].append(episode.targets)
        arrays["scores"].append(np.array(scores, np.float32) + ties)
    stacked = {name: np.stack(values) for name, values in arrays.items()}
    return Predictions(labels, **stacked, groups=groups), list(store.names)


def _seen(dataset: DatasetConfig, split: str) -> dict[str, Moments]:
    """Clip -> what it shows."""
    return {
        clip_name(each.label, split, number): shown(each.label, number, dataset.seed)
        for each in classes_of(dataset.name)
        if each.split == split
        for number in range(dataset.clips_per_class)
    }
