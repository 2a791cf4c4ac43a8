"""What methods bring to training beside scores: heads, draws, running statistics, clips in parts."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from notes import Notes
from test_optimisation import CONFIG, SIDE, Linear, T, loader
from torch import Tensor, nn

from fsarctl.config.training_tables import TrainConfig
from fsarctl.episodes.training.base_loss import BaseLoss
from fsarctl.episodes.training.checkpoint import Training
from fsarctl.episodes.training.optimisation import Optimisation
from fsarctl.episodes.training.trainer import train_adapters
from fsarctl.episodes.training.training_memory import Need, measure, saved_bytes, videos_in_parts
from fsarctl.errors import ConfigError, InputError
from fsarctl.methods.protocol import BaseClasses, Lesson, Scores


class Rich(Linear):
    """With dropout, running statistics and a head of its own."""

    normalised = True

    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.3)
        self.norm = nn.BatchNorm1d(5) if self.normalised else nn.Identity()

    def prepare(self, base: BaseClasses) -> None:
        head = nn.Linear(5, len(base))
        nn.init.normal_(head.weight)
        self.add_head("own", head)

    def alone(self, prefix: Tensor) -> Tensor:
        return F.normalize(self.drop(self.norm(self.project(prefix))), dim=-1)

    @property
    def feature_width(self) -> int:
        return 5

    def score_features(
        self, support: Tensor | None, query: Tensor, text: Tensor | None, **how: Any
    ) -> Scores:
        assert support is not None
        found = super().score_features(support, query, text, **how)
        return replace(found, query_features=query.unsqueeze(-2), support_features=support.unsqueeze(-2))

    def training_loss(self, lesson: Lesson) -> Tensor:
        assert lesson.support_frames is not None
        assert lesson.support_frames.shape[1:3] == (T, SIDE)
        logits = self.heads["own"](lesson.query)
        return super().training_loss(lesson) + F.cross_entropy(logits, lesson.query_classes)


class Plain(Rich):
    normalised = False


def trained(
    model: Linear, scratch: Path, config: TrainConfig = CONFIG, stop: int | None = None
) -> tuple[dict[str, Tensor], Training, list[str]]:
    """What the artifact would hold; ``stop`` interrupts once so many episodes are learnt from."""
    base, said = loader(), Notes()
    load = base.load

    def until(number: int) -> Any:
        if number == stop:
            raise KeyboardInterrupt
        return load(number)

    base.load = until  # type: ignore[method-assign]
    state = train_adapters(
        model, base, loader("centre"), config, scratch=scratch, reporter=said, title="train"
    )
    return model.adapter_state(), state, said.said


@pytest.mark.parametrize("stop", [4, 8])
def test_draws_statistics_and_heads_survive_an_interruption(
    tmp_path: Path, stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsarctl.episodes.training.trainer.CHECKPOINT_EPISODES", 1)
    config = replace(CONFIG, base_head=0.5, optimiser="adam")
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    torch.manual_seed(1)
    whole, _, _ = trained(Rich(), tmp_path / "whole", config)
    torch.manual_seed(2)  # of nothing that counts, but where the model starts
    first = Rich()
    torch.manual_seed(1)
    first.load_adapter_state(Rich().adapter_state())
    with pytest.raises(KeyboardInterrupt):
        trained(first, tmp_path / "cut", config, stop)
    torch.manual_seed(3)
    torch.rand(7)
    again, _, _ = trained(Rich(), tmp_path / "cut", config)
    assert (
        again.keys()
        == whole.keys()
        == {
            *("project.weight", "norm.weight", "norm.bias"),
            *("norm.running_mean", "norm.running_var", "norm.num_batches_tracked"),
        }
    )
    assert all(torch.equal(again[name], whole[name]) for name in whole)
    assert whole["norm.num_batches_tracked"] > 0


def test_what_is_drawn_moves_nobody_else_s_draws(tmp_path: Path) -> None:
    torch.manual_seed(5)
    model = Rich()
    before = torch.get_rng_state()
    trained(model, tmp_path)
    assert torch.equal(torch.get_rng_state(), before)
    assert not model.training


def test_validation_drops_nothing(tmp_path: Path) -> None:
    model = Rich()
    seen: list[bool] = []
    score = model.score_features

    def watched(*parts: Any, **how: Any) -> Scores:
        seen.append(model.training)
        return score(*parts, **how)

    model.score_features = watched  # type: ignore[method-assign]
    trained(model, tmp_path, replace(CONFIG, epochs=1))
    assert seen[: CONFIG.episodes] == [True] * CONFIG.episodes
    assert not any(seen[CONFIG.episodes :])
    assert len(seen) > CONFIG.episodes


def lesson(query: Tensor, support: Tensor) -> Lesson:
    scores = Scores(torch.zeros(2, 2), query_features=query, support_features=support)
    return Lesson(scores, torch.tensor([1, 0]), torch.tensor([3, 1]), support, query)


def test_the_base_head_is_a_classifier_of_all_clips() -> None:
    model = Rich()
    base = BaseClasses(tuple("abcd"), torch.zeros(4, 0, 3, dtype=torch.int64))
    loss = BaseLoss(model, base, replace(CONFIG, base_head=0.25))
    query, support = torch.randn(2, T, 5), torch.randn(4, T, 5)  # 2 ways of 2 shots
    head: Any = model.heads["base_classes"]
    clips = torch.cat([query.mean(1), support.mean(1)])
    classes = torch.tensor([1, 3, 3, 3, 1, 1])
    by_hand = -(head(clips).log_softmax(-1)[torch.arange(6), classes]).mean()
    torch.testing.assert_close(loss(lesson(query, support)), 0.25 * by_hand)
    assert not any("base_classes" in name for name in model.adapter_state())
    assert any("base_classes" in name for name in model.training_state())


@pytest.mark.parametrize(
    ("query", "said"),
    [(torch.zeros(2, T, 7), r"some \[7\] wide"), (None, "none")],
)
def test_features_that_are_not_as_a_method_says_are_its_fault(query: Tensor | None, said: str) -> None:
    base = BaseClasses(tuple("abcd"), torch.zeros(4, 0, 3, dtype=torch.int64))
    loss = BaseLoss(Rich(), base, replace(CONFIG, base_head=0.25))
    scores = Scores(torch.zeros(2, 2), query_features=query)
    given = Lesson(scores, torch.tensor([1, 0]), torch.tensor([3, 1]), None, torch.zeros(2, T, 5))
    with pytest.raises(InputError, match=f"Rich gives {said}"):
        loss(given)


def test_base_texts_are_compared_by_their_cosine_with_each_clip() -> None:
    class Reading(Linear):
        reads_text = True

        def text_features(self, tokens: Tensor | None) -> Tensor | None:
            assert tokens is not None
            return tokens.float()

    base = BaseClasses(tuple("abcd"), torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(1)))
    model = Reading()
    loss = BaseLoss(model, base, replace(CONFIG, base_text=2.0))
    query, support = torch.randn(2, T, 5), torch.randn(2, T, 5)
    total = 0.0
    for clip, own in zip([*query, *support], (1, 3, 3, 1), strict=True):
        mean = clip.mean(0)
        cosines = [F.cosine_similarity(mean, text.mean(0), dim=0) for text in base.tokens]
        total += float(-torch.stack(cosines).mul(5.0).log_softmax(0)[own])
    assert float(loss(lesson(query, support))) == pytest.approx(2.0 * total / 4, rel=1e-5)
    with pytest.raises(ConfigError, match="reads no text"):
        BaseLoss(Linear(), base, replace(CONFIG, base_text=1.0))


def test_clips_in_parts_have_the_same_gradient_and_keep_less() -> None:
    class Deep(Linear):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(*(nn.Sequential(nn.Linear(48, 48), nn.Tanh()) for _ in range(6)))

        def prefix(self, frames: Tensor) -> Tensor:
            return frames

        def alone(self, prefix: Tensor) -> Tensor:
            return self.layers(prefix.flatten(-3)).mean(-2)

    torch.manual_seed(0)
    model, frames = Deep(), torch.randn(7, T, 3, SIDE, SIDE)
    gradients = []
    for at_once in (0, 1, 3):
        model.zero_grad()
        videos_in_parts(model, frames, at_once).square().sum().backward()  # type: ignore[no-untyped-call]
        gradients.append([each.grad.clone() for each in model.layers.parameters() if each.grad is not None])
    for parts in gradients[1:]:
        for one, other in zip(gradients[0], parts, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    whole = saved_bytes(lambda: model.video(frames))
    assert saved_bytes(lambda: videos_in_parts(model, frames, 1)) < whole / 2
    # What autograd keeps of a tanh is its result, the next layer's input: 48 numbers of T frames, 6 times.
    whole = saved_bytes(lambda: model.video(frames), [*model.parameters(), frames])
    assert whole == 7 * T * 48 * 4 * 6
    need = measure(model, frames[0], 7, moments=2)
    assert need.clip == whole / 7
    assert need.state == 3 * 4 * (15 + 6 * (48 * 48 + 48))


def test_as_many_clips_go_at_once_as_fit() -> None:
    need = Need(clips=10, clip=100, state=50)
    assert need.clips_at_once(free=2000) == 0
    assert need.clips_at_once(free=1000) == 7  # 800 to count on, less 50
    assert need.clips_at_once(free=10) == 1


class DrawnLate(Plain):
    """Dropout of all videos of an episode, after what each gives by itself."""

    def alone(self, prefix: Tensor) -> Tensor:
        return F.normalize(self.project(prefix), dim=-1)

    def query_features(self, videos: Tensor, **how: Any) -> Tensor:
        return self.drop(videos)


@pytest.mark.parametrize(
    ("kind", "dropout", "says"),
    [
        (Plain, 0.0, "at a time"),
        (Rich, 0.0, "batch normalisation"),
        (Plain, 0.3, "its dropout draws for all of them together"),
        (DrawnLate, 0.3, "at a time"),
    ],
)
def test_little_memory_changes_no_result(
    kind: type[Rich], dropout: float, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "much").mkdir()
    (tmp_path / "little").mkdir()
    torch.manual_seed(0)
    start = kind().adapter_state()

    def run(folder: str) -> tuple[dict[str, Tensor], list[str]]:
        model = kind()
        model.drop.p = dropout
        model.load_adapter_state(start)
        state, _, notes = trained(model, tmp_path / folder)
        return state, notes

    much, none = run("much")
    monkeypatch.setattr("fsarctl.episodes.training.trainer.free_memory", lambda device: 1)
    little, notes = run("little")
    assert none == []
    assert len(notes) == 1
    assert says in notes[0]
    for name, each in much.items():
        torch.testing.assert_close(little[name], each, rtol=1e-4, atol=1e-5)


class ByText(Linear):
    """Compares queries with their classes' tokens, and looks at no support clip."""

    needs_support = False

    def score_features(
        self, support: Tensor | None, query: Tensor, text: Tensor | None, **how: Any
    ) -> Scores:
        assert support is None
        return Scores(query[..., : how["way"]])


@pytest.mark.parametrize(("kind", "clips"), [(Linear, 4), (ByText, 2)])
def test_clips_that_are_not_looked_at_need_no_memory(
    kind: type[Linear], clips: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2-way 1-shot episodes with a query of each class."""
    monkeypatch.setattr("fsarctl.episodes.training.trainer.free_memory", lambda device: 1)
    _, _, notes = trained(kind(), tmp_path)
    assert f"for {clips} clips at once" in notes[0]


def test_what_a_method_leaves_undecayed_is_not_decayed() -> None:
    class Mixed(Linear):
        undecayed = ("norm",)

        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.LayerNorm(5)

    model = Mixed()
    optimisation = Optimisation(
        model, replace(CONFIG, optimiser="adam", weight_decay=0.5, betas=(0.5, 0.9), epsilon=1e-3)
    )
    of = {id(each): group for group in optimisation.optimiser.param_groups for each in group["params"]}
    assert of[id(model.project.weight)]["weight_decay"] == 0.5
    assert of[id(model.norm.weight)]["weight_decay"] == 0
    assert {group["betas"] for group in of.values()} == {(0.5, 0.9)}
    assert {group["eps"] for group in of.values()} == {1e-3}
