"""Steps of several episodes, optimisers, schedules, mirrored clips: on a model that can be redone by hand."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from notes import Notes
from torch import Tensor

from fsarctl.config.setting_field import keyed
from fsarctl.config.training_tables import TrainConfig
from fsarctl.episodes.crops import random_flips
from fsarctl.episodes.loader import EpisodeLoader
from fsarctl.episodes.training.optimisation import rate_factor
from fsarctl.episodes.training.trainer import train_adapters
from fsarctl.errors import ConfigError
from fsarctl.methods import FewShotMethod, Scores
from fsarctl.progress import SILENT, Reporter

T, SIDE, STORED = 2, 4, 6
CONFIG = TrainConfig(way=2, epochs=2, episodes=6, val_episodes=2, lr=0.05, shots=(1,))


class Linear(FewShotMethod):
    """A projection of the mean pixel colour."""

    logit_scale = 5.0

    def __init__(self) -> None:
        clip = torch.nn.Linear(1, 1).requires_grad_(False)
        super().__init__(SimpleNamespace(mean=(0.5,) * 3, std=(0.25,) * 3, image_size=SIDE, clip=clip), T)  # type: ignore[arg-type]
        self.project = torch.nn.Linear(3, 5, bias=False)
        torch.nn.init.eye_(self.project.weight)

    def prefix(self, frames: Tensor) -> Tensor:
        return frames.mean(dim=(-4, -2, -1))

    def alone(self, prefix: Tensor) -> Tensor:
        return F.normalize(self.project(prefix), dim=-1)

    def score_features(
        self, support: Tensor | None, query: Tensor, text: Tensor | None, **how: Any
    ) -> Scores:
        assert support is not None
        return Scores(query @ support.unflatten(-2, (how["way"], -1)).mean(-2).mT)


class Memory:
    """Random frames in place of a frame store."""

    frames, size, candidates, path = T, STORED, 1, Path("memory")

    def __init__(self, classes: int, clips: int) -> None:
        self.classes = [f"class {number}" for number in range(classes)]
        self._clips = clips
        rng = np.random.default_rng(0)
        shape = (classes * clips, T, STORED, STORED, 3)
        self._frames = rng.integers(0, 256, shape, np.uint8)
        # A class has a colour, so that there is something to learn.
        self._frames //= 2
        self._frames += (np.arange(classes * clips) // clips * 20).astype(np.uint8)[:, None, None, None, None]

    def __len__(self) -> int:
        return len(self._frames)

    def rows_of(self, label: str) -> list[int]:
        first = self.classes.index(label) * self._clips
        return list(range(first, first + self._clips))

    def read(self, rows: Sequence[int], candidates: object = None) -> np.ndarray[Any, Any]:
        return self._frames[np.asarray(rows)].copy()

    def read_all_candidates(self, rows: Sequence[int]) -> np.ndarray[Any, Any]:
        return self.read(rows)

    def places(self, rows: int, candidates: object) -> np.ndarray[Any, Any]:
        return np.tile(np.arange(T), (rows, 1))


def loader(crop: str = "clip", **options: Any) -> EpisodeLoader:
    store = Memory(4, 3)
    tokens = dict.fromkeys(store.classes, torch.zeros(1, 3, dtype=torch.int64))
    return EpisodeLoader(
        store=store,  # type: ignore[arg-type]
        tokens=tokens,
        stream="train" if crop != "centre" else "val",
        seed=3,
        way=2,
        shot=1,
        query=1,
        side=SIDE,
        crop=crop,  # type: ignore[arg-type]
        **options,
    )


def trained(
    config: TrainConfig, scratch: Path, stop: int | None = None, reporter: Reporter = SILENT
) -> Tensor:
    """The weights of the last epoch; ``stop`` interrupts once so many episodes are learnt from."""
    model, base = Linear(), loader()
    if stop is not None:
        load = base.load

        def until(number: int) -> Any:
            if number == stop:
                raise KeyboardInterrupt
            return load(number)

        base.load = until  # type: ignore[method-assign]
    state = train_adapters(
        model, base, loader("centre"), config, scratch=scratch, reporter=reporter, title="train"
    )
    assert state.step == config.epochs * config.episodes
    return model.project.weight.detach()


def by_hand(config: TrainConfig, make: Any) -> list[Tensor]:
    """The weights after each epoch, by torch alone."""
    model, base = Linear(), loader()
    optimiser = make([model.project.weight])
    kept = []
    for first in range(0, config.epochs * config.episodes, config.episodes_per_step):
        gradient = torch.zeros_like(model.project.weight)
        for number in range(first, first + config.episodes_per_step):
            batch = base.load(number)
            scores = model(model.normalise(batch.support), model.normalise(batch.query), way=2)
            loss = F.cross_entropy(5.0 * scores.score, batch.targets)
            gradient = gradient + torch.autograd.grad(loss, model.project.weight)[0]
        gradient = gradient / config.episodes_per_step
        if config.clip_norm:
            gradient = gradient * min(1.0, config.clip_norm / (float(gradient.norm()) + 1e-6))
        model.project.weight.grad = gradient
        gone = first / config.episodes
        for group in optimiser.param_groups:
            group["lr"] = config.lr
            if config.schedule == "cosine":
                group["lr"] *= (1 + math.cos(math.pi * gone / config.epochs)) / 2
        optimiser.step()
        if (first + config.episodes_per_step) % config.episodes == 0:
            kept.append(model.project.weight.detach().clone())
    return kept


@pytest.mark.parametrize(
    ("changes", "make"),
    [
        ({}, lambda weights: torch.optim.SGD(weights, lr=0.05)),
        ({"episodes_per_step": 3}, lambda weights: torch.optim.SGD(weights, lr=0.05)),
        (
            {"episodes_per_step": 2, "optimiser": "adamw", "weight_decay": 0.1, "schedule": "cosine"},
            lambda weights: torch.optim.AdamW(weights, lr=0.05, weight_decay=0.1),
        ),
        (
            {"optimiser": "adam", "weight_decay": 0.1, "clip_norm": 0.01},
            lambda weights: torch.optim.Adam(weights, lr=0.05, weight_decay=0.1),
        ),
    ],
)
def test_steps_are_those_by_hand(tmp_path: Path, changes: dict[str, Any], make: Any) -> None:
    config = replace(CONFIG, **changes)
    epochs = by_hand(config, make)
    found = trained(config, tmp_path)
    assert any(torch.allclose(found, each, rtol=1e-6, atol=1e-7) for each in epochs)
    assert not torch.allclose(epochs[0], Linear().project.weight)


@pytest.mark.parametrize("stop", [1, 4, 8])
def test_an_interrupted_training_ends_with_the_same_bits(
    tmp_path: Path, stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsarctl.episodes.training.trainer.CHECKPOINT_EPISODES", 1)
    config = replace(
        CONFIG, episodes_per_step=3, optimiser="adam", schedule="cosine", warmup=0.5, clip_norm=0.5, flip=True
    )
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    whole = trained(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        trained(config, tmp_path / "cut", stop)
    assert torch.equal(trained(config, tmp_path / "cut"), whole)


def test_a_checkpoint_is_written_every_so_many_episodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only after an epoch: of an hour's epoch an interruption costs a hundred episodes."""
    monkeypatch.setattr("fsarctl.episodes.training.trainer.CHECKPOINT_EPISODES", 5)
    long = replace(CONFIG, epochs=1, episodes=20, episodes_per_step=2)
    with pytest.raises(KeyboardInterrupt):
        trained(long, tmp_path, stop=15)
    notes = Notes()
    trained(long, tmp_path, reporter=notes)
    # Whole steps of at most 5 episodes are 4, of which three are before the episode that was not loaded.
    assert notes.said == ["train: going on from episode 12 of 20"]


def test_the_rate_follows_its_schedule() -> None:
    constant = replace(CONFIG, epochs=4, episodes=10)
    assert [rate_factor(constant, each) for each in (0, 39)] == [1, 1]
    steps = replace(constant, schedule="steps", steps=((1.0, 0.5), (2.5, 0.1)))
    assert [rate_factor(steps, each) for each in (0, 9, 10, 24, 25, 39)] == [1, 1, 0.5, 0.5, 0.1, 0.1]
    cosine = replace(constant, schedule="cosine")
    assert [rate_factor(cosine, each) for each in (0, 20)] == pytest.approx([1, 0.5])
    warm = replace(constant, warmup=2.0, warmup_from=0.2)
    assert [rate_factor(warm, each) for each in (0, 5, 10, 20)] == pytest.approx([0.2, 0.4, 0.6, 1])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"episodes_per_step": 4}, "it must divide the 6 episodes"),
        ({"optimiser": "adam", "momentum": 0.9}, "momentum is for optimiser = sgd"),
        ({"schedule": "steps"}, "go together"),
        ({"steps": ((1.0, 0.1),)}, "go together"),
        ({"schedule": "steps", "steps": ((2.0, 0.1), (1.0, 0.2))}, "must rise"),
        ({"schedule": "steps", "steps": ((-1.0, 0.1),)}, "all be 0 or more"),
        ({"warmup": 3.0}, "within 0 and epochs"),
        ({"warmup_from": 0.5}, "warmup is 0"),
        ({"clip_norm": -1.0}, "0 or more"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        replace(CONFIG, **changes)


def test_settings_that_came_later_leave_keys_as_they_were() -> None:
    later = {
        "episodes_per_step",
        "optimiser",
        "schedule",
        "steps",
        "warmup",
        "warmup_from",
        "clip_norm",
        "flip",
    }
    assert not keyed(CONFIG).keys() & later
    assert keyed(replace(CONFIG, flip=True)).keys() & later == {"flip"}


@pytest.mark.parametrize("crops", [0, 2])
def test_half_of_the_clips_are_mirrored(crops: int) -> None:
    plain, flipped = loader(crops=crops), loader(crops=crops, flip=True)
    mirrored = []
    for number in range(30):
        one, other = plain.load(number), flipped.load(number)
        for a, b in zip([*one.support, *one.query], [*other.support, *other.query], strict=True):
            assert torch.equal(a, b) or torch.equal(a.flip(2), b)
            mirrored.append(not torch.equal(a, b))
    assert 0.3 < np.mean(mirrored) < 0.7
    assert torch.equal(flipped.load(5).query, loader(crops=crops, flip=True).load(5).query)
    assert torch.equal(loader("centre", flip=True).load(5).query, loader("centre").load(5).query)
    draws = random_flips(1000, stream="train", seed=0, number=0)
    assert 430 < draws.sum() < 570
