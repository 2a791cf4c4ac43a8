"""Episodes of the embedded default without videos: its clips rendered straight into a frame store."""

from pathlib import Path
from typing import Any

import av
import numpy as np

from fsarctl.datasets.shapes.rendering import CLASSES, render_clip
from fsarctl.episodes.loader import EpisodeLoader
from fsarctl.frames.frame_store import ClipRow, FrameStore, FrameWriter, write_rows
from fsarctl.methods import TaskAdapterPlusPlus
from fsarctl.methods.build import tokens_of
from fsarctl.text.corpus import load_corpus
from fsarctl.video.sampling import segment_centres

__all__ = ["shapes_loader"]

SIZE = 74


def shapes_loader(
    model: TaskAdapterPlusPlus, folder: Path, split: str, clips: int, *, side: int = SIZE, **how: Any
) -> EpisodeLoader:
    """5-way 1-shot episodes, unless ``how`` says otherwise, of ``clips`` clips of each class of a split.

    ``side``: of the stored square, pixels.
    """
    labels = [each.label for each in CLASSES if each.split == split]
    rows = [(label, number) for label in labels for number in range(clips)]
    writer = FrameWriter(folder, len(rows), model.frames, side)
    for shard in range(writer.shards):
        taken = [_frames(*rows[row], model.frames, side) for row in writer.rows(shard)]
        writer.write(shard, np.stack(taken))
    indices = tuple(range(model.frames))
    facts = [
        ClipRow(f"{label}/{number}", label, True, "made", len(indices), indices, ()) for label, number in rows
    ]
    write_rows(folder, facts)
    tokens = tokens_of(model, load_corpus([]).find(labels))
    shape: dict[str, Any] = {"seed": 0, "way": 5, "shot": 1, "query": 1, "side": model.backbone.image_size}
    return EpisodeLoader(FrameStore(folder), tokens, split, **{"crop": "centre", **shape, **how})


def _frames(label: str, number: int, frames: int, side: int) -> np.ndarray:
    """(frames, side, side, 3) uint8."""
    rendered = render_clip(label, number, 0)
    chosen = rendered[list(segment_centres(len(rendered), frames))]
    scaled = [
        av.VideoFrame.from_ndarray(each, format="rgb24").to_ndarray(format="rgb24", width=side, height=side)
        for each in chosen
    ]
    return np.stack(scaled)
