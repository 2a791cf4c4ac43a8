"""One episode looked at closely: scores, where the model looks, and each segment against each sub-action."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from fsarctl.episodes.loader import EpisodeLoader
from fsarctl.methods.attention_maps import query_features_and_attention
from fsarctl.methods.task_adapter import QueryMode, TaskAdapterPlusPlus
from fsarctl.models.alignment import stage_scores

__all__ = ["Glance", "glance"]


@dataclass(frozen=True)
class Glance:
    """What one model makes of one episode.

    ``scores`` (queries, way); ``maps`` (queries, T, rows, columns), see ``models.attention_maps``;
    ``stages`` (queries, way, segments, sub-actions) cosines, None where text has no part in the score.
    """

    scores: npt.NDArray[np.float32]
    maps: npt.NDArray[np.float32]
    stages: npt.NDArray[np.float32] | None


@torch.inference_mode()
def glance(model: TaskAdapterPlusPlus, loader: EpisodeLoader, number: int, query_mode: QueryMode) -> Glance:
    """Look at episode ``number`` of ``loader``, with central crops; the scores are those of evaluation."""
    device = next(model.parameters()).device
    episode = loader.episode(number)

    def frames(rows: npt.NDArray[np.int64]) -> torch.Tensor:
        return model.normalise(loader.central_frames(rows.tolist()).to(device))

    query, maps = query_features_and_attention(model, frames(episode.query), query_mode=query_mode)
    support = text = None
    if model.needs_support:
        support = model.support_features(model.visual.video(frames(episode.support.reshape(-1))))
    if model.semantic is not None:
        tokens = torch.stack([loader.tokens[label] for label in episode.classes])
        text = model.text_features(tokens.to(device))
    scores = model.score_features(support, query, text, way=len(episode.classes), query_mode=query_mode)
    stages = None
    if scores.aligned_query_features is not None and text is not None:
        stages = stage_scores(scores.aligned_query_features, text, reading=model.formulation.segments)
    return Glance(_array(scores.score), _array(maps), None if stages is None else _array(stages))


def _array(tensor: torch.Tensor) -> npt.NDArray[np.float32]:
    array: npt.NDArray[np.float32] = tensor.float().cpu().numpy()
    return array
