"""A checkpoint or a block that is damaged, or of another build, is made again, and said."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from notes import Notes
from test_training import HOW, StopAt, loaders

from fsarctl.config.training_tables import TrainConfig
from fsarctl.episodes.blocks import episode_blocks
from fsarctl.episodes.evaluator import evaluate_episodes
from fsarctl.episodes.training.trainer import train_adapters
from fsarctl.progress import SILENT

__all__ = ["loaders"]


def flipped(path: Path) -> None:
    """In the middle, which is some weight or score."""
    content = bytearray(path.read_bytes())
    content[len(content) * 2 // 3] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def kept(path: Path) -> None: ...


@pytest.mark.parametrize(
    ("damage", "of", "again"),
    [(flipped, "train/0", True), (cut, "train/0", True), (kept, "train/1", True), (kept, "train/0", False)],
)
def test_a_checkpoint(
    loaders: tuple[Any, Any, Any], tmp_path: Path, damage: Callable[[Path], None], of: str, again: bool
) -> None:
    model, base, validation = loaders
    start = {name: tensor.clone() for name, tensor in model.adapter_state().items()}
    config, said = TrainConfig(**{**HOW, "epochs": 2, "episodes": 5, "val_episodes": 2}), Notes()

    def train(reporter: Any, of: str = "train/0") -> Any:
        model.load_adapter_state(start)
        how = {"scratch": tmp_path, "reporter": reporter, "title": "train", "of": of}
        return train_adapters(model, base, validation, config, **how)

    with pytest.raises(KeyboardInterrupt):
        train(StopAt(9))
    damage(tmp_path / "checkpoint.safetensors")
    resumed = train(said, of)
    assert any("DAMAGED" in line for line in said.said) == again
    assert any("going on" in line for line in said.said) != again
    (tmp_path / "checkpoint.safetensors").unlink()
    whole = train(SILENT)
    for name, tensor in whole.best.items():
        torch.testing.assert_close(resumed.best[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize(("damage", "of"), [(flipped, "eval/0"), (cut, "eval/0"), (kept, "eval/1")])
def test_a_block_of_episodes(
    loaders: tuple[Any, Any, Any], tmp_path: Path, damage: Callable[[Path], None], of: str
) -> None:
    model, _, validation = loaders
    how: dict[str, Any] = {"query_mode": "joint", "title": "eval"}
    whole = evaluate_episodes(
        model, validation, episode_blocks(3, tmp_path, "eval/0"), reporter=SILENT, **how
    )
    damage(tmp_path / "block-00000000.safetensors")
    said = Notes()
    again = evaluate_episodes(model, validation, episode_blocks(3, tmp_path, of), reporter=said, **how)
    assert said.said[0].startswith("DAMAGED: block-00000000.safetensors")
    assert (again.scores == whole.scores).all()
