"""Episodic evaluation: predictions of every episode, stored, so that any two results can be paired.

A block of episodes depends on no other, so that others may have scored it: what is in ``scratch`` is used.
"""

from collections.abc import Callable
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
from fsarctl.progress import SILENT, Advance, Reporter
from fsarctl.results.predictions import Predictions, save_arrays

__all__ = ["blocks_left", "evaluate_episodes", "score_blocks"]

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
    block_of = score_blocks(model, loader, episodes, query_mode, scratch, room, shared, of)
    labels = tuple(sorted(loader.rows))
    blocks = []
    with reporter.task(title, episodes, "episode") as advance:
        for number in range(-(-episodes // BLOCK_EPISODES)):
            if _is_done(number, scratch, of, reporter):
                advance(len(_episodes(number, episodes)))
            else:
                block_of(number, advance)
            blocks.append(load_file(_path(number, scratch)))
    arrays = {name: np.concatenate([b[name] for b in blocks]) for name in blocks[0]}
    return Predictions(labels, **arrays, groups=loader.groups)


def blocks_left(episodes: int, scratch: Path, reporter: Reporter, of: str = "") -> list[int]:
    """Which blocks of so many episodes are not in ``scratch``, by number; a damaged one is removed there."""
    blocks = range(-(-episodes // BLOCK_EPISODES))
    return [number for number in blocks if not _is_done(number, scratch, of, reporter)]


def score_blocks(
    model: FewShotMethod,
    loader: EpisodeLoader,
    episodes: int,
    query_mode: QueryMode,
    scratch: Path,
    room: Room | None = None,
    shared: Shared | None = None,
    of: str = "",
) -> Callable[[int, Advance], None]:
    """What scores a block, by number, if it is not in ``scratch``, and leaves it there."""
    scorer = Scorer(model, loader, query_mode, room, shared)
    labels = tuple(sorted(loader.rows))

    def score(number: int, advance: Advance) -> None:
        if _is_done(number, scratch, of, SILENT):
            return
        block = _block(model, scorer, _episodes(number, episodes), labels, advance)
        path = _path(number, scratch)
        with replacing(path, alone=False) as partial:
            save_arrays(partial, block, {SEAL: EMPTY_SEAL})
            seal_file(partial, _seal(path, of))

    return score


def _episodes(block: int, episodes: int) -> range:
    return range(block * BLOCK_EPISODES, min((block + 1) * BLOCK_EPISODES, episodes))


def _path(block: int, scratch: Path) -> Path:
    return scratch / f"block-{block * BLOCK_EPISODES:08d}.safetensors"


def _seal(path: Path, of: str) -> str:
    return f"{of} {path.name}"


def _is_done(block: int, scratch: Path, of: str, reporter: Reporter) -> bool:
    path = _path(block, scratch)
    return is_there(path, _seal(path, of), reporter, "Its episodes are scored again.")


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
