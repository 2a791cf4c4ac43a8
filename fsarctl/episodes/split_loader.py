"""The episodes of one split, from the artifacts that hold its frames and descriptions."""

from pathlib import Path
from typing import Literal

from fsarctl.config.tables import EvalConfig, TrainConfig
from fsarctl.datasets.episode_size import EpisodeSize
from fsarctl.episodes.loader import EpisodeLoader
from fsarctl.frames.frame_store import FrameStore
from fsarctl.methods.build import tokens_of
from fsarctl.methods.protocol import FewShotMethod
from fsarctl.text.corpus import load_descriptions

__all__ = ["load_episodes"]


def load_episodes(
    model: FewShotMethod,
    frames: Path,
    text: Path,
    table: TrainConfig | EvalConfig,
    *,
    dataset: str,
    split: str,
    shot: int,
    crop: Literal["clip", "frame", "centre"],
    kind: type[EpisodeLoader] | None = None,
) -> EpisodeLoader:
    """The episodes of one split, from the folders of its extract and describe artifacts.

    ``kind`` is as in ``build_model``.

    Raises:
        InputError: the clips that could be decoded do not make such episodes.
    """
    store = FrameStore(frames)
    size = EpisodeSize("train" if isinstance(table, TrainConfig) else "eval", table.way, shot, table.query)
    size.check({label: len(store.rows_of(label)) for label in store.classes}, f"{dataset}/{split}")
    return (kind or EpisodeLoader)(
        store=store,
        tokens=tokens_of(model, load_descriptions(text)),
        stream=split,
        seed=table.seed,
        way=table.way,
        shot=shot,
        query=table.query,
        side=model.backbone.image_size,
        crop=crop,
        flip=isinstance(table, TrainConfig) and table.flip,
        crops=table.prefix_crops if isinstance(table, TrainConfig) and crop != "centre" else 0,
    )
