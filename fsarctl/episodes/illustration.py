"""One episode looked at closely: scores, where the model looks, and each segment against each sub-action."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from fsarctl.episodes.loader import EpisodeLoader
from fsarctl.methods.protocol import FewShotMethod, QueryMode

__all__ = ["Glance", "glance"]


@dataclass(frozen=True)
class Glance:
    """What one model makes of one episode.

    ``scores`` (queries, way); ``maps`` (queries, T, rows, columns) say where the method looks, None if it
    cannot tell; ``stages`` (queries, way, segments, sub-actions) cosines, None where the score has no text.
    """

    scores: npt.NDArray[np.float32]
    maps: npt.NDArray[np.float32] | None
    stages: npt.NDArray[np.float32] | None


@torch.inference_mode()
def glance(model: FewShotMethod, loader: EpisodeLoader, number: int, query_mode: QueryMode) -> Glance:
    """Look at episode ``number`` of ``loader``, with central crops; the scores are those of evaluation."""
    device = model.device
    episode = loader.episode(number)

    def frames(rows: npt.NDArray[np.int64]) -> torch.Tensor:
        return model.normalise(loader.central_frames(rows.tolist()).to(device))

    query, maps = model.look(frames(episode.query), query_mode)
    support = text = None
    if model.needs_support:
        support = model.support_features(model.video(frames(episode.support.reshape(-1))))
    if model.reads_text:
        tokens = torch.stack([loader.tokens[label] for label in episode.classes])
        text = model.text_features(tokens.to(device))
    scores = model.score_features(support, query, text, way=len(episode.classes), query_mode=query_mode)
    stages = model.stage_cosines(scores)
    return Glance(
        _array(scores.score),
        None if maps is None else _array(maps),
        None if stages is None else _array(stages),
    )


def _array(tensor: torch.Tensor) -> npt.NDArray[np.float32]:
    array: npt.NDArray[np.float32] = tensor.float().cpu().numpy()
    return array
