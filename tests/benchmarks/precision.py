"""What bf16 does to accuracy: the embedded default, the same adapters over the same episodes."""

import tempfile
from pathlib import Path
from typing import Any

import torch
from made import VIT, random_model
from shapes_loader import shapes_loader
from timing import Options, Row, print_rows, side_by_side
from torch import Tensor

from fsarctl.config.training_tables import TrainConfig
from fsarctl.episodes.loader import EpisodeLoader
from fsarctl.episodes.scoring import Scorer
from fsarctl.episodes.training.trainer import train_adapters
from fsarctl.execution.device import Machine, bf16_of_cpu
from fsarctl.methods import TaskAdapterPlusPlus
from fsarctl.models import attention
from fsarctl.models import precision as rounding
from fsarctl.models.backbone import load_backbone
from fsarctl.progress import SILENT

TRAINING = TrainConfig(epochs=3, episodes=60, val_episodes=60, lr=0.1)
QUICK = TrainConfig(epochs=1, episodes=1, val_episodes=1, lr=0.1)
EPISODES = 2000


def measure(options: Options, device: torch.device) -> list[Row]:
    """Adapters trained in float32, scored in both."""
    backbone = load_backbone("tiny", "shipped")
    exact, half = (
        TaskAdapterPlusPlus(
            backbone,
            visual_layers=2,
            text_layers=2,
            precision=name,
            generator=torch.Generator().manual_seed(0),
        ).to(device)
        for name in ("float32", "bf16")
    )
    episodes, clips = (2, 2) if options.quick else (EPISODES, 20)
    with tempfile.TemporaryDirectory() as folder:
        place, loaders = Path(folder), {}
        for split in ("train", "val", "test"):
            (place / split).mkdir()
            crop = "clip" if split == "train" else "centre"
            loaders[split] = shapes_loader(exact, place / split, split, clips, crop=crop)
        training = QUICK if options.quick else TRAINING
        how: Any = {"scratch": place, "reporter": SILENT, "title": ""}
        train_adapters(exact, loaders["train"], loaders["val"], training, **how)
        half.load_adapter_state(exact.adapter_state())
        ours, other = (answers(model, loaders["test"], episodes) for model in (half, exact))
    right = [100 * float((chosen == targets).double().mean()) for chosen, targets in (ours, other)]
    same = 100 * float((ours[0] == other[0]).double().mean())
    return [
        Row(f"shapes, accuracy in bf16; in float32, {episodes} episodes", f"{right[0]:.2f} %",
            f"{right[1]:.2f} %", None, "within 0.3"),
        Row("shapes, predictions that are the same", f"{same:.2f} %", "", None, ""),
    ]  # fmt: skip


def rates(options: Options) -> list[Row]:
    """The frozen prefix of one clip on one core: in float32, in bf16, and in bf16 rounded at every call."""
    backbone = "tiny" if options.quick else VIT
    exact, half = (random_model(backbone, 2, precision=name) for name in ("float32", "bf16"))
    half.load_adapter_state(exact.adapter_state())
    side = exact.backbone.image_size
    frames = torch.randn(1, exact.frames, 3, side, side, generator=torch.Generator().manual_seed(0))
    kept = attention.rounded
    threads = torch.get_num_threads()

    def at_every_call() -> Tensor:
        attention.rounded = rounding.rounded = lambda weight: weight
        try:
            return half.prefix(frames)
        finally:
            attention.rounded = rounding.rounded = kept

    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            assert torch.equal(half.prefix(frames), at_every_call())
            calls = (lambda: exact.prefix(frames), lambda: half.prefix(frames), at_every_call)
            whole, ours, each = side_by_side(calls, 1 if options.quick else 7)
    finally:
        torch.set_num_threads(threads)
    return [
        Row(
            f"{backbone}, prefix of a clip, bf16; float32",
            f"{ours:.3f} s",
            f"{whole:.3f} s",
            whole / ours,
            "3.5",
        ),
        Row("rounded at every call; float32", f"{each:.3f} s", f"{whole:.3f} s", whole / each, ""),
    ]


def answers(model: TaskAdapterPlusPlus, loader: EpisodeLoader, episodes: int) -> tuple[Tensor, Tensor]:
    """Columns that were chosen, and those that are right, (episodes, queries) each."""
    chosen, targets = [], []
    for group, scores in Scorer(model, loader).score(range(episodes)):
        chosen.append(scores.score.argmax(-1).cpu())
        targets += [torch.from_numpy(episode.targets) for episode in group]
    return torch.cat(chosen), torch.stack(targets)


def main(options: Options) -> None:
    """Print the table."""
    device = Machine().choose_device()
    print_rows(f"bf16 on {device.type}: what it does to accuracy", measure(options, device))
    if bf16_of_cpu() not in ("none", "unknown"):
        print_rows(f"bf16 on one core ({bf16_of_cpu()}): what it does to time", rates(options))


if __name__ == "__main__":
    main(Options())
