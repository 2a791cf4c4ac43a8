"""A training step against the plain path, whose gradient goes through all blocks: time, work and memory."""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from made import VIT, flops_of, noise_loader, random_model
from plain_path import plain_scores
from timing import Options, Row, in_a_process, peak_mib, print_rows, side_by_side
from torch import Tensor, nn

from fsarctl.config.training_tables import TrainConfig
from fsarctl.episodes.feature_cache import Room
from fsarctl.episodes.loader import EpisodeLoader, score_batch
from fsarctl.episodes.training.trainer import _prefixes, _prepare, _Teacher
from fsarctl.methods import TaskAdapterPlusPlus

VARIANTS = ("plain", "ours", "kept")
LAYERS = 2


def steps(model: TaskAdapterPlusPlus, loader: EpisodeLoader) -> dict[str, Callable[[], None]]:
    """Forward and backward of the same episode in each way."""
    batch = loader.load(0)
    embedding = nn.Parameter(torch.zeros(1, model.frames, 1, model.visual.vit.conv1.out_channels))
    prefixes = _prefixes(model, loader, Room(memory=2**32))
    classes, _ = _prepare(model, loader, TrainConfig())
    teacher = _Teacher(model, loader, classes, prefixes, 0)

    def touch(tokens: Tensor) -> Tensor:
        return tokens + embedding

    def plain() -> Tensor:
        support, query = model.normalise(batch.support), model.normalise(batch.query)
        scores = plain_scores(model, support, query, batch.tokens, touch=touch)
        return model.loss(scores, batch.targets)

    def ours() -> Tensor:
        return model.loss(score_batch(model, batch), batch.targets)

    def kept() -> Tensor:
        return model.training_loss(next(teacher.lessons([0])))

    def backward(loss: Callable[[], Tensor]) -> Callable[[], None]:
        def step() -> None:
            model.zero_grad(set_to_none=True)
            loss().backward()

        return step

    return {"plain": backward(plain), "ours": backward(ours), "kept": backward(kept)}


def prepared(folder: str, backbone: str = VIT) -> tuple[TaskAdapterPlusPlus, EpisodeLoader]:
    """A model and a loader of clips with two fixed crops each."""
    model = random_model(backbone, LAYERS)
    how = {"stream": "train", "crop": "clip", "crops": 2}
    return model, noise_loader(model, Path(folder), classes=5, clips=2, way=5, shot=1, **how)


def memory(variant: str, backbone: str) -> None:
    """Peak memory of one step above what was there before it; run in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        model, loader = prepared(folder, backbone)
        step = steps(model, loader)[variant]
        before = peak_mib()
        step()
        print(json.dumps({"mib": peak_mib() - before}))


def main(options: Options) -> None:
    """Print the table."""
    backbone = "tiny" if options.quick else VIT
    with tempfile.TemporaryDirectory() as folder:
        calls = steps(*prepared(folder, backbone))
        seconds, flops = {}, {}
        for name in VARIANTS:
            calls[name]()
            flops[name] = flops_of(calls[name])
        seconds = dict(zip(VARIANTS, side_by_side([calls[name] for name in VARIANTS], 3), strict=True))
    peaks = {name: in_a_process("training.py", name, backbone)["mib"] for name in ("plain", "ours")}
    rows = []
    for name, what, asked, least in (
        ("ours", "no cache", "1.6", "1.85"),
        ("kept", "kept prefixes", "4.5", "5.6"),
    ):
        rows += [
            Row(f"{what}: seconds a step", f"{seconds[name]:.3f}", f"{seconds['plain']:.3f}",
                seconds["plain"] / seconds[name], asked),
            Row(f"{what}: GFLOP a step", f"{flops[name] / 1e9:.0f}", f"{flops['plain'] / 1e9:.0f}",
                flops["plain"] / flops[name], least),
        ]  # fmt: skip
    rows.append(
        Row("no cache: MiB at the peak", f"{peaks['ours']:.0f}", f"{peaks['plain']:.0f}",
            peaks["plain"] / max(peaks["ours"], 1), "3")
    )  # fmt: skip
    print_rows(f"Training: {backbone}, L = {LAYERS}, 5-way 1-shot, float32, medians", rows)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        memory(*sys.argv[1:])
    else:
        main(Options())
