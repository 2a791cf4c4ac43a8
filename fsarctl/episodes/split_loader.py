"""The episodes of one split, from the artifacts that hold its frames and descriptions."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fsarctl.config.training_tables import EvalConfig, TrainConfig
from fsarctl.datasets.class_sets import ClassSets
from fsarctl.datasets.episode_size import EpisodeSize
from fsarctl.datasets.group_sizes import group_sizes
from fsarctl.episodes.crops import Crop
from fsarctl.episodes.loader import EpisodeLoader
from fsarctl.frames.frame_store import FrameStore
from fsarctl.methods.build import tokens_of
from fsarctl.methods.protocol import FewShotMethod
from fsarctl.text.corpus import alone_texts, load_descriptions, load_names

__all__ = ["load_episodes", "numbered_groups"]


def load_episodes(
    model: FewShotMethod,
    frames: Path,
    text: Path | None,
    table: TrainConfig | EvalConfig,
    *,
    dataset: str,
    split: str,
    shot: int,
    crop: Crop,
    groups: Mapping[str, str] | None = None,
    kind: type[EpisodeLoader] | None = None,
) -> EpisodeLoader:
    """The episodes of one split, from the folders of its extract and describe artifacts.

    ``text``: None where of each class its label is read, or nothing.
    ``groups``: clip -> the person or recording that support and query of an episode may not share; sets of
    classes that lie beside the frames say it themselves. ``kind`` is as in ``build_model``.

    Raises:
        InputError: the clips that could be decoded do not make such episodes.
    """
    store = FrameStore(frames)
    size = EpisodeSize("train" if isinstance(table, TrainConfig) else "eval", table.way, shot, table.query)
    rules = ClassSets.read(frames)
    sizes, numbers = numbered_groups(store, rules.groups if rules else groups)
    sets = rules.sets if rules else None
    counts = {label: len(store.rows_of(label)) for label in store.classes}
    size.check(counts, f"{dataset}/{split}", sizes, sets)
    return (kind or EpisodeLoader)(
        store=store,
        tokens=tokens_of(
            model,
            load_descriptions(text) if text else alone_texts(store.classes),
            load_names(text) if text else None,
        ),
        stream=split,
        seed=table.seed,
        way=table.way,
        shot=shot,
        query=table.query,
        side=model.backbone.image_size,
        crop=crop,
        flip=isinstance(table, TrainConfig) and table.flip,
        crops=table.prefix_crops if isinstance(table, TrainConfig) and crop != "centre" else 0,
        groups=numbers,
        sets=sets,
    )


def numbered_groups(
    store: FrameStore, groups: Mapping[str, str] | None
) -> tuple[dict[str, list[int]] | None, npt.NDArray[np.int64] | None]:
    """How many clips with frames each group of a class has, and the group's number of each row."""
    if groups is None:
        return None, None
    rows = zip(store.labels, store.names, store.valid, strict=True)
    there = [(label, groups[name]) for label, name, valid in rows if valid]
    names = {name: number for number, name in enumerate(sorted(set(groups.values())))}
    return group_sizes(there), np.array([names[groups[name]] for name in store.names], np.int64)
