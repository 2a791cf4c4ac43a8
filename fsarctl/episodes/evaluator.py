"""Episodic evaluation: predictions of every episode, stored, so that any two results can be paired."""

from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load_file

from fsarctl.artifacts.atomic_write import replacing
from fsarctl.artifacts.sealed import EMPTY_SEAL, SEAL, is_there, seal_file
from fsarctl.episodes.feature_cache import Room
from fsarctl.episodes.loader import EpisodeLoader
from fsarctl.episodes.sampler import Episode
from fsarctl.episodes.scoring import Scorer, Shared, require_finite_scores, told
from fsarctl.methods.protocol import FewShotMethod, QueryMode
from fsarctl.progress import Advance, Reporter
from fsarctl.results.predictions import Predictions, save_arrays

__all__ = ["evaluate_episodes"]

BLOCK_EPISODES = 100
Arrays: TypeAlias = dict[str, npt.NDArray[np.generic]]


def evaluate_episodes(
    model: FewShotMethod,
    loader: EpisodeLoader,
    *,
    episodes: int,
    query_mode: QueryMode,
    scratch: Path,
    reporter: Reporter,
    title: str,
    room: Room | None = None,
    shared: Shared | None = None,
    of: str = "",
) -> Predictions:
    """Score episodes 0 to ``episodes`` - 1; blocks that are finished in ``scratch`` are not done again.

    ``room`` and ``shared``: see ``Scorer``. ``of``: the build that ``scratch`` belongs to.

    Raises:
        ConfigError: a score is not finite.
    """
    scorer = Scorer(model, loader, query_mode, room, shared)
    labels = tuple(sorted(loader.rows))
    blocks = []
    with reporter.task(title, episodes, "episode") as advance:
        for start in range(0, episodes, BLOCK_EPISODES):
            numbers = range(start, min(start + BLOCK_EPISODES, episodes))
            path = scratch / f"block-{start:08d}.safetensors"
            seal = f"{of} {path.name}"
            if is_there(path, seal, reporter, "Its episodes are scored again."):
                advance(len(numbers))
            else:
                block = _block(model, scorer, numbers, labels, advance)
                with replacing(path) as partial:
                    save_arrays(partial, block, {SEAL: EMPTY_SEAL})
                    seal_file(partial, seal)
            blocks.append(load_file(path))
    arrays = {name: np.concatenate([b[name] for b in blocks]) for name in blocks[0]}
    return Predictions(labels, **arrays, groups=loader.groups)


def _block(
    model: FewShotMethod, scorer: Scorer, numbers: range, labels: tuple[str, ...], advance: Advance
) -> Arrays:
    names = ("classes", "support", "query", "targets")
    rows: dict[str, list[npt.NDArray[np.generic]]] = {name: [] for name in names}
    scored = []
    seen: list[Episode] = []
    index = {label: number for number, label in enumerate(labels)}
    for episodes, scores in scorer.score(numbers):
        for episode in episodes:
            rows["classes"].append(np.array([index[label] for label in episode.classes], np.int64))
            rows["support"].append(episode.support)
            rows["query"].append(episode.query)
            rows["targets"].append(episode.targets)
        seen += episodes
        scored.append(scores.score.float())
        advance(len(episodes))
    # Read once a block: reading makes a GPU run dry.
    arrays: Arrays = {name: np.stack(values) for name, values in rows.items()}
    found = torch.cat(scored).cpu()
    require_finite_scores(model, found, lambda number: told(seen[number]))
    return {**arrays, "scores": found.numpy()}
