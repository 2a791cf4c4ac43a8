"""Models with random weights and stores with noise: what benchmarks of speed run on."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from fsarctl.episodes.loader import EpisodeLoader
from fsarctl.frames.frame_store import ClipRow, FrameStore, FrameWriter, write_rows
from fsarctl.frames.shards import shard_path
from fsarctl.methods import TaskAdapterPlusPlus
from fsarctl.models.backbone import load_backbone
from fsarctl.models.precision import Precision

__all__ = ["VIT", "flops_of", "noise_loader", "random_model"]

VIT = "ViT-B-16-quickgelu"


def random_model(
    backbone: str, layers: int, text_layers: int = 2, precision: Precision = "float32", frames: int = 8
) -> TaskAdapterPlusPlus:
    """Task-Adapter++ on random weights (or the shipped tiny ones), its adapters moved off zero."""
    weights = "shipped" if backbone == "tiny" else "random"
    loaded = load_backbone(backbone, weights)
    model = TaskAdapterPlusPlus(
        loaded, visual_layers=layers, text_layers=text_layers, precision=precision, frames=frames
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.trainable_parameters():
            parameter.add_(0.01 * torch.randn(parameter.shape, generator=generator))
    return model


def flops_of(call: Callable[[], object]) -> int:
    """Floating-point operations of one call, a multiplication and its addition being two."""
    # The shortcut through torch's own attention module is one operation that nobody counts.
    shortcut = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with FlopCounterMode(display=False) as counted:
            call()
    finally:
        torch.backends.mha.set_fastpath_enabled(shortcut)
    return counted.get_total_flops()


def noise_loader(
    model: TaskAdapterPlusPlus, folder: Path, *, classes: int, clips: int, way: int, shot: int, **how: Any
) -> EpisodeLoader:
    """Episodes of ``classes`` x ``clips`` clips, stored like any other; all shards are one file of noise."""
    side = model.backbone.image_size
    size = round(1.15 * side)
    random = np.random.default_rng(0)
    writer = FrameWriter(folder, classes * clips, model.frames, size)
    shape = (len(writer.rows(0)), model.frames, size, size, 3)
    writer.write(0, random.integers(0, 256, shape, np.uint8))
    first, *others = (shard_path(folder / "frames.zarr", shard) for shard in range(writer.shards))
    for other in others:
        other.unlink(missing_ok=True)
        os.link(first, other)
    labels = [f"action {number:04}" for number in range(classes) for _ in range(clips)]
    indices = tuple(range(model.frames))
    rows = [
        ClipRow(f"{label}/{i}", label, True, "made", len(indices), indices, ())
        for i, label in enumerate(labels)
    ]
    write_rows(folder, rows)
    store = FrameStore(folder)
    prompts = {
        label: [f"A video of action about {label}: stage {s}." for s in "abc"] for label in store.classes
    }
    tokens = {label: model.backbone.tokenize(each) for label, each in prompts.items()}
    shape_of: dict[str, Any] = {"seed": 0, "way": way, "shot": shot, "query": 1, "side": side}
    return EpisodeLoader(store, tokens, **{"stream": "test", "crop": "centre", **shape_of, **how})
