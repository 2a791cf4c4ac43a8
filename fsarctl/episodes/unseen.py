"""Episodes in which some queries are of classes that are not among the answers, each query by itself.

Classes are drawn as for an episode of more ways; the first of them are the answers, and the others give
queries alone. What is scored is what a prediction scores: queries against prototypes, with and without text.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load_file
from torch import Tensor

from fsarctl.artifacts.atomic_write import replacing
from fsarctl.artifacts.unfinished.sealed import EMPTY_SEAL, SEAL, is_there, seal_file
from fsarctl.episodes.feature_cache import Room
from fsarctl.episodes.left_out import left_out_logits
from fsarctl.episodes.loader import EpisodeLoader
from fsarctl.episodes.scoring import Scorer, require_finite_scores, told
from fsarctl.errors import InputError
from fsarctl.methods.protocol import FewShotMethod
from fsarctl.progress import Reporter
from fsarctl.results.predictions import save_arrays

__all__ = ["score_unseen", "ways_of"]

BLOCK_EPISODES = 50
Arrays: TypeAlias = dict[str, npt.NDArray[np.generic]]


def ways_of(classes: int, way: int, dataset: str) -> tuple[int, int]:
    """How many classes of an episode are answers, and how many are not: ``way`` of each, or half of all.

    Raises:
        InputError: there are fewer than three classes.
    """
    if classes < 3:
        raise InputError(
            f"{dataset} has {classes} classes, and episodes with unseen ones need 3: two answers and another",
            next_step="Add classes to the split, or predict without calibration.",
        )
    known = max(2, min(way, classes // 2))
    return known, min(known, classes - known)


def score_unseen(
    model: FewShotMethod,
    loader: EpisodeLoader,
    *,
    way: int,
    episodes: int,
    scratch: Path,
    reporter: Reporter,
    title: str,
    room: Room | None = None,
    of: str = "",
) -> Arrays:
    """Score episodes 0 to ``episodes`` - 1 of a loader whose way is that of all classes; blocks that are
    finished in ``scratch`` are not done again.

    Gives ``targets`` (episodes, queries), -1 for queries of classes beyond the first ``way``; and, for "text"
    and "video" as far as the model has them, ``KIND.scores`` (episodes, queries, way) and the best logits of
    support clips without themselves ``KIND.there`` and without their classes ``KIND.gone``, (episodes,
    way*shot), the former empty with one shot.

    Raises:
        ConfigError: a score is not finite.
    """
    scorer = Scorer(model, loader, "independent", room)
    blocks = []
    with reporter.task(title, episodes, "episode") as advance:
        for start in range(0, episodes, BLOCK_EPISODES):
            numbers = range(start, min(start + BLOCK_EPISODES, episodes))
            path = scratch / f"block-{start:08d}.safetensors"
            seal = f"{of} {path.name}"
            if is_there(path, seal, reporter, "Its episodes are scored again."):
                advance(len(numbers))
            else:
                scored = []
                for number in numbers:
                    scored.append(_episode(model, scorer, loader, number, way))
                    advance(1)
                block = {name: np.stack([each[name] for each in scored]) for name in scored[0]}
                with replacing(path) as partial:
                    save_arrays(partial, block, {SEAL: EMPTY_SEAL})
                    seal_file(partial, seal)
            blocks.append(load_file(path))
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


@torch.inference_mode()
def _episode(model: FewShotMethod, scorer: Scorer, loader: EpisodeLoader, number: int, way: int) -> Arrays:
    episode = loader.episode(number)
    support = episode.support[:way].reshape(-1).tolist()
    classes: Sequence[int] = np.repeat(np.arange(way), episode.support.shape[1]).tolist()
    features = model.support_features(scorer.videos(support))  # (way*shot, T, embed)
    query = scorer.queries_of(episode.query.tolist())
    alone = scorer.queries_of(support)
    text = scorer.texts(list(episode.classes[:way])) if model.reads_text else None
    shots = features
    if not model.needs_equal_shots:
        shots = features.view(way, -1, *features.shape[1:]).mean(1)
    found: Arrays = {"targets": np.where(episode.targets < way, episode.targets, -1)}
    kinds: dict[str, Tensor | None] = {"text": text} if text is not None else {}
    if model.needs_support:
        kinds["video"] = None
    for kind, read in kinds.items():
        scores = model.score_features(
            shots if model.needs_support else None, query, read, way=way, query_mode="independent"
        ).score
        require_finite_scores(model, scores[None].cpu(), lambda _: told(episode))
        there, gone = left_out_logits(
            model, features, classes, read, [each[None] for each in alone], range(len(support))
        )
        found[f"{kind}.scores"] = scores.float().cpu().numpy()
        found[f"{kind}.there"] = np.array(there, np.float32)
        found[f"{kind}.gone"] = np.array(gone, np.float32)
    return found
