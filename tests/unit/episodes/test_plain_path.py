"""What is left out or kept for speed changes no score, no gradient and no prediction."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from plain_path import plain_scores
from small_model import episode, small_model
from torch import Tensor

from fsarctl.config.model_table import ModelConfig
from fsarctl.config.training_tables import TrainConfig
from fsarctl.episodes.loader import EpisodeLoader
from fsarctl.episodes.scoring import Scorer
from fsarctl.episodes.training.trainer import train_adapters
from fsarctl.errors import ConfigError
from fsarctl.methods import TaskAdapterPlusPlus
from fsarctl.methods.build import build_model, tokens_of
from fsarctl.progress import SILENT

SENTENCES = ("It starts.", "It goes on.", "It ends.")


def moved(model: TaskAdapterPlusPlus, scale: float = 0.05) -> TaskAdapterPlusPlus:
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.trainable_parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
    return model


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("mode", ["joint", "independent"])
def test_scores_are_those_of_the_plain_path(layers: int, mode: Any) -> None:
    model = small_model(visual_layers=layers)
    support, query, tokens = episode()
    with torch.inference_mode():
        ours = model(support, query, tokens, query_mode=mode)
        plain = plain_scores(model, support, query, tokens, independent=mode == "independent")
    for name in ("video", "text", "score"):
        torch.testing.assert_close(getattr(ours, name), getattr(plain, name), rtol=0, atol=1e-5)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_gradients_are_those_of_the_plain_path(layers: int) -> None:
    """Though below the first adapted block no activation is kept."""
    model = small_model(visual_layers=layers)
    support, query, tokens = episode()
    labels = torch.arange(4) % 3
    gradients: list[dict[str, Tensor]] = []
    for forward in (model, lambda *inputs: plain_scores(model, *inputs)):
        model.zero_grad()
        model.loss(forward(support, query, tokens), labels).backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    assert len(gradients[0]) == len(model.trainable_parameters())
    for name, gradient in gradients[0].items():
        largest = gradients[1][name].abs().max()
        assert (gradient - gradients[1][name]).abs().max() <= 1e-5 * largest, name


@pytest.fixture
def loader(make_store: Callable[..., Any]) -> Callable[..., EpisodeLoader]:
    stores: dict[str, Any] = {}

    def make(model: Any, split: str, **how: Any) -> EpisodeLoader:
        if split not in stores:
            stores[split] = make_store(4, 6, name=split)
        store = stores[split]
        tokens = tokens_of(model, dict.fromkeys(store.classes, SENTENCES))
        shape: Any = {"seed": 0, "way": 3, "shot": 2, "query": 1, "side": 16}
        return EpisodeLoader(store, tokens, split, **shape, **how)

    return make


def test_a_clip_has_as_many_crops_as_asked(
    make_model: Callable[..., Any], loader: Callable[..., EpisodeLoader]
) -> None:
    base = loader(make_model(), "train", crop="clip", crops=3)
    seen: dict[int, set[bytes]] = {}
    which = []
    for number in range(200):
        one = base.episode(number)
        names = base.crop_names(one)
        assert [name // 3 for name in names] == [*one.support.reshape(-1), *one.query]
        which += [name % 3 for name in names]
        batch = base.load(number)
        for name, frames in zip(names, torch.cat([batch.support, batch.query]), strict=True):
            seen.setdefault(name // 3, set()).add(frames.numpy().tobytes())
            assert torch.equal(frames, base.fixed_crops([name])[0])
    assert max(map(len, seen.values())) == 3
    assert all(abs(which.count(k) / len(which) - 1 / 3) < 0.05 for k in range(3))


def test_training_on_kept_prefixes_is_training_on_those_crops(
    make_model: Callable[..., Any],
    loader: Callable[..., EpisodeLoader],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = TrainConfig(epochs=2, episodes=15, val_episodes=5, lr=0.1, prefix_crops=2)
    states = []
    for name in ("kept", "plain"):
        model = make_model()
        base, validation = (
            loader(model, "train", crop="clip", crops=2),
            loader(model, "val", crop="centre"),
        )
        if name == "plain":
            monkeypatch.setattr("fsarctl.episodes.training.trainer._prefixes", lambda *_: None)
        (tmp_path / name).mkdir()
        how: Any = {"scratch": tmp_path / name, "reporter": SILENT, "title": "train"}
        train_adapters(model, base, validation, config, **how)
        states.append(model.adapter_state())
    for name, tensor in states[0].items():
        torch.testing.assert_close(tensor, states[1][name], rtol=1e-4, atol=1e-6)


def test_fixed_crops_need_a_prefix_that_stays(
    make_model: Callable[..., Any], loader: Callable[..., EpisodeLoader], tmp_path: Path
) -> None:
    model = make_model(temporal_embedding=True)
    base, validation = loader(model, "train", crop="clip", crops=2), loader(model, "val", crop="centre")
    how: Any = {"scratch": tmp_path, "reporter": SILENT, "title": "train"}
    with pytest.raises(ConfigError, match="prefix_crops"):
        train_adapters(model, base, validation, TrainConfig(prefix_crops=2), **how)


@pytest.mark.slow
@pytest.mark.long
def test_predictions_are_identical_over_a_hundred_episodes(tmp_path: Path) -> None:
    """Of the embedded default: its clips, its model, adapters that were moved.

    As many as let each of the 72 clips stand in over ten of them, and in several of the groups that are
    scored at once.
    """
    from fsarctl.datasets.clips import Clip
    from fsarctl.datasets.shapes.rendering import render_split
    from fsarctl.frames.extraction import Extractor
    from fsarctl.frames.frame_store import FrameStore

    videos = tmp_path / "videos"
    videos.mkdir()
    render_split(videos, "test", 6, 0, 2, SILENT)
    rows = json.loads((videos / "clips.json").read_text())
    clips = [Clip(row["name"], row["label"], str(videos / row["file"])) for row in rows]
    how: Any = {"frames": 8, "size": 74, "workers": 2, "reporter": SILENT, "time_limit_s": 60.0}
    (tmp_path / "frames").mkdir()
    Extractor(clips, tmp_path / "frames", tmp_path / "scratch", **how).extract()
    config = ModelConfig(backbone="tiny", weights="shipped", visual_layers=2, text_layers=2)
    device = torch.device("cpu")
    model = moved(build_model(config, Path(), frames=8, adapters=True, seed=0, device=device))
    store = FrameStore(tmp_path / "frames")
    tokens = tokens_of(
        model, {label: tuple(f"{label}, {word}." for word in "abc") for label in store.classes}
    )
    shape: Any = {"seed": 0, "way": 5, "shot": 1, "query": 1, "side": 64, "crop": "centre"}
    episodes = EpisodeLoader(store, tokens, "test", **shape)
    number, groups = 0, 0
    for group, scores in Scorer(model, episodes).score(range(110)):
        for ours in scores.score:
            batch = episodes.load(number)
            with torch.inference_mode():
                plain = plain_scores(
                    model, model.normalise(batch.support), model.normalise(batch.query), batch.tokens
                )
            torch.testing.assert_close(ours, plain.score, rtol=0, atol=1e-5)
            assert torch.equal(ours.argmax(-1), plain.score.argmax(-1))
            number += 1
        groups += bool(group)
    assert (number, groups > 2) == (110, True)
