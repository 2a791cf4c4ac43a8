"""Episodic evaluation: predictions of every episode, stored, so that any two results can be paired."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load_file

from fsarctl.loading import EpisodeLoader, score_batch
from fsarctl.models.task_adapter import QueryMode, TaskAdapterPlusPlus
from fsarctl.predictions import Predictions, save_arrays
from fsarctl.reporting import Advance, Reporter

__all__ = ["evaluate_episodes"]

BLOCK_EPISODES = 100


def evaluate_episodes(
    model: TaskAdapterPlusPlus,
    loader: EpisodeLoader,
    *,
    episodes: int,
    query_mode: QueryMode,
    scratch: Path,
    reporter: Reporter,
    title: str,
) -> Predictions:
    """Score episodes 0 to ``episodes`` - 1; blocks that are finished in ``scratch`` are not done again."""
    device = next(model.parameters()).device
    labels = tuple(sorted(loader.rows))
    blocks = []
    with reporter.task(title, episodes, "episodes") as advance:
        for start in range(0, episodes, BLOCK_EPISODES):
            numbers = range(start, min(start + BLOCK_EPISODES, episodes))
            path = scratch / f"block-{start:08d}.safetensors"
            if not path.exists():
                partial = path.with_suffix(".partial")
                save_arrays(partial, _block(model, loader, numbers, labels, query_mode, device, advance))
                partial.replace(path)
            else:
                advance(len(numbers))
            blocks.append(load_file(path))
    return Predictions(labels, **{name: np.concatenate([b[name] for b in blocks]) for name in blocks[0]})


def _block(
    model: TaskAdapterPlusPlus,
    loader: EpisodeLoader,
    numbers: range,
    labels: tuple[str, ...],
    query_mode: QueryMode,
    device: torch.device,
    advance: Advance,
) -> dict[str, npt.NDArray[np.generic]]:
    rows: dict[str, list[npt.NDArray[np.generic]]] = {"classes": [], "query": [], "targets": [], "scores": []}
    index = {label: number for number, label in enumerate(labels)}
    with torch.inference_mode():
        for number in numbers:
            batch = loader.load(number).to(device)
            scores = score_batch(model, batch, query_mode)
            episode = batch.episode
            rows["classes"].append(np.array([index[label] for label in episode.classes], np.int64))
            rows["query"].append(episode.query)
            rows["targets"].append(episode.targets)
            rows["scores"].append(scores.score.float().cpu().numpy())
            advance(1)
    return {name: np.stack(values) for name, values in rows.items()}
