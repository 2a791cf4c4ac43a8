"""Episodic evaluation: predictions of every episode, stored, so that any two results can be paired."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load_file

from fsarctl.artifacts.unfinished.blocks import Blocks
from fsarctl.artifacts.unfinished.sealed import EMPTY_SEAL, SEAL, seal_file
from fsarctl.episodes.feature_cache import Room
from fsarctl.episodes.loader import EpisodeLoader
from fsarctl.episodes.sampler import Episode
from fsarctl.episodes.scoring import Scorer, Shared, require_finite_scores, told
from fsarctl.methods.protocol import FewShotMethod, QueryMode
from fsarctl.progress import Advance, Reporter
from fsarctl.results.predictions import Predictions, save_arrays

__all__ = ["evaluate_episodes", "score_blocks"]

Arrays: TypeAlias = dict[str, npt.NDArray[np.generic]]


def evaluate_episodes(
    model: FewShotMethod,
    loader: EpisodeLoader,
    blocks: Blocks,
    *,
    query_mode: QueryMode,
    reporter: Reporter,
    title: str,
    room: Room | None = None,
    shared: Shared | None = None,
) -> Predictions:
    """Score the episodes of these blocks; those that are there are not scored again.

    ``room`` and ``shared``: see ``Scorer``.

    Raises:
        ConfigError: a score is not finite.
    """
    score_block = score_blocks(model, loader, blocks, query_mode, room, shared)
    labels = tuple(sorted(loader.rows))
    scored = []
    with reporter.task(title, blocks.items, "episode") as advance:
        for number in range(len(blocks)):
            if blocks.is_done(number, reporter):
                advance(len(blocks.within(number)))
            else:
                score_block(number, advance)
            scored.append(load_file(blocks.path(number)))
    arrays = {name: np.concatenate([each[name] for each in scored]) for name in scored[0]}
    return Predictions(labels, **arrays, groups=loader.groups)


def score_blocks(
    model: FewShotMethod,
    loader: EpisodeLoader,
    blocks: Blocks,
    query_mode: QueryMode,
    room: Room | None = None,
    shared: Shared | None = None,
) -> Callable[[int, Advance], None]:
    """What scores a block, by number, if it is not there yet."""
    scorer = Scorer(model, loader, query_mode, room, shared)
    labels = tuple(sorted(loader.rows))

    def score(number: int, advance: Advance) -> None:
        if blocks.is_done(number):
            return
        arrays = _block(model, scorer, blocks.within(number), labels, advance)

        def write(path: Path, seal: str) -> None:
            save_arrays(path, arrays, {SEAL: EMPTY_SEAL})
            seal_file(path, seal)

        blocks.keep(number, write)

    return score


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
