from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from fsarctl.config.training_tables import TrainConfig
from fsarctl.episodes.blocks import episode_blocks
from fsarctl.episodes.evaluator import evaluate_episodes, score_blocks
from fsarctl.episodes.feature_cache import Kept, Room
from fsarctl.episodes.loader import EpisodeLoader, ahead, score_batch
from fsarctl.episodes.scoring import Scorer
from fsarctl.episodes.training.trainer import READ_AT_ONCE, train_adapters
from fsarctl.errors import ConfigError, InputError
from fsarctl.methods.build import tokens_of
from fsarctl.progress import SILENT

HOW = {"epochs": 3, "episodes": 40, "val_episodes": 10, "lr": 0.05, "momentum": 0.9, "weight_decay": 1e-4}


class StopAt:
    """A reporter that presses Ctrl-C at one advance of the bar."""

    def __init__(self, step: int) -> None:
        self.step = step

    @contextmanager
    def task(self, *_: object, done: int = 0, **__: object) -> Iterator[Any]:
        count = done

        def advance(amount: int = 1, detail: str = "") -> None:
            nonlocal count
            count += amount
            if count >= self.step:
                raise KeyboardInterrupt

        yield advance

    def note(self, message: str) -> None: ...


@pytest.fixture
def loaders(make_store: Callable[..., Any], make_model: Callable[..., Any]) -> tuple[Any, Any, Any]:
    model = make_model()
    made = []
    for split, crop in (("train", "clip"), ("val", "centre")):
        store = make_store(4, 6, name=split)
        tokens = tokens_of(model, dict.fromkeys(store.classes, ("It starts.", "It goes on.", "It ends.")))
        made.append(EpisodeLoader(store, tokens, split, seed=0, way=3, shot=1, query=2, side=16, crop=crop))
    return model, made[0], made[1]


def train(loaders: tuple[Any, Any, Any], scratch: Path, reporter: Any = SILENT, **how: Any) -> Any:
    model, base, validation = loaders
    scratch.mkdir(exist_ok=True)
    config = TrainConfig(**{**HOW, **how})
    return train_adapters(model, base, validation, config, scratch=scratch, reporter=reporter, title="train")


def test_only_adapters_move_and_the_best_epoch_on_validation_is_kept(
    loaders: tuple[Any, Any, Any], tmp_path: Path
) -> None:
    model, _, validation = loaders
    frozen, start = model.frozen_digest(), model.adapter_state()
    training = train(loaders, tmp_path / "scratch", episodes=10)
    assert model.frozen_digest() == frozen
    kept = model.adapter_state()
    assert any(not torch.equal(kept[name], start[name]) for name in start)
    accuracies = [epoch.val_accuracy for epoch in training.epochs]
    assert len(accuracies) == HOW["epochs"]
    assert training.best_epoch == 1 + accuracies.index(max(accuracies))
    # What is in the model is what was measured: scoring validation again gives the kept accuracy.
    (tmp_path / "eval").mkdir()
    again = evaluate_episodes(
        model,
        validation,
        episode_blocks(10, tmp_path / "eval", ""),
        query_mode="joint",
        reporter=SILENT,
        title="",
    )
    assert sum(again.episode_accuracies) / 10 == pytest.approx(max(accuracies))


@pytest.mark.parametrize(("formulation", "steps"), [("paper", (4, 14, 29)), ("released", (25,))])
def test_neither_an_interruption_nor_reading_losses_late_changes_a_bit(
    loaders: tuple[Any, Any, Any],
    make_model: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    formulation: str,
    steps: tuple[int, ...],
) -> None:
    """Losses are read many steps at once on a GPU: 7 divides neither an epoch's 10 nor a checkpoint's 25."""
    monkeypatch.setattr("fsarctl.episodes.training.trainer.CHECKPOINT_EPISODES", 25)
    loaders = (make_model(formulation=formulation), *loaders[1:])
    model, *_ = loaders
    start = model.adapter_state()
    whole = train(loaders, tmp_path / "whole", episodes=10)
    expected = model.adapter_state()
    ways = [(step, 1) for step in steps] + [(None, 7), (14, 7)] * (formulation == "paper")
    for step, at_once in ways:
        monkeypatch.setitem(READ_AT_ONCE, "cpu", at_once)
        scratch = tmp_path / f"{step} {at_once}"
        if step is not None:
            model.load_adapter_state(start)
            with pytest.raises(KeyboardInterrupt):
                train(loaders, scratch, StopAt(step), episodes=10)
        model.load_adapter_state(start)
        again = train(loaders, scratch, episodes=10)
        assert again.epochs == whole.epochs
        assert again.best_epoch == whole.best_epoch
        assert again.log == whole.log
        state = model.adapter_state()
        assert all(torch.equal(state[name], expected[name]) for name in expected)


def test_a_loss_that_is_read_late_names_its_own_episode(
    loaders: tuple[Any, Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []
    for number, at_once in enumerate((1, 7)):
        monkeypatch.setitem(READ_AT_ONCE, "cpu", at_once)
        start = loaders[0].adapter_state()
        with pytest.raises(ConfigError) as caught:
            train(loaders, tmp_path / str(number), lr=1e30)
        said.append(str(caught.value))
        loaders[0].load_adapter_state(start)
    assert said[0] == said[1]


def test_loading_goes_one_ahead_and_no_further() -> None:
    loaded: list[int] = []

    def load(number: int) -> int:
        if number == 4:
            raise InputError("four", next_step="")
        loaded.append(number)
        return 10 * number

    taken = ahead(load, range(6))
    assert next(taken) == 0
    assert [next(taken), next(taken)] == [10, 20]
    assert max(loaded) <= 3
    assert next(taken) == 30
    with pytest.raises(InputError, match="four"):
        next(taken)
    taken.close()


def test_a_run_killed_while_validating_keeps_its_steps(loaders: tuple[Any, Any, Any], tmp_path: Path) -> None:
    # 10 training steps and a group of validation episodes.
    class StopWhileValidating(StopAt):
        @contextmanager
        def task(self, *_: object, done: int = 0, **__: object) -> Iterator[Any]:
            validated = 0

            def advance(amount: int = 1, detail: str = "") -> None:
                nonlocal validated
                validated += detail.startswith("validating")
                if validated == self.step:
                    raise KeyboardInterrupt

            yield advance

    with pytest.raises(KeyboardInterrupt):
        train(loaders, tmp_path / "scratch", StopWhileValidating(1), episodes=10)
    steps: list[int] = []

    class Count(StopAt):
        @contextmanager
        def task(self, *_: object, done: int = 0, **__: object) -> Iterator[Any]:
            steps.append(done)
            yield lambda amount=1, detail="": None

    train(loaders, tmp_path / "scratch", Count(0), episodes=10)
    assert steps == [10]


def test_the_first_of_equally_good_epochs_is_kept(loaders: tuple[Any, Any, Any], tmp_path: Path) -> None:
    training = train(loaders, tmp_path / "scratch", lr=1e-12, episodes=5)
    assert len({epoch.val_accuracy for epoch in training.epochs}) == 1
    assert training.best_epoch == 1


def test_the_best_epoch_is_in_the_model_and_not_the_last(
    loaders: tuple[Any, Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accuracies = iter([0.5, 0.9, 0.7])
    seen: list[dict[str, torch.Tensor]] = []

    def validate(*_: object) -> float:
        seen.append(loaders[0].adapter_state())
        return next(accuracies)

    monkeypatch.setattr("fsarctl.episodes.training.trainer._validate", validate)
    training = train(loaders, tmp_path / "scratch", episodes=5)
    assert training.best_epoch == 2
    state = loaders[0].adapter_state()
    assert all(torch.equal(state[name], seen[1][name]) for name in state)
    assert any(not torch.equal(state[name], seen[2][name]) for name in state)


def test_crops_are_drawn_as_asked(make_store: Callable[..., Any]) -> None:
    store = make_store(3, 4, size=40)
    tokens = {label: torch.zeros(3, 4) for label in store.classes}
    batches = {}
    for crop in ("clip", "frame", "centre"):
        loader = EpisodeLoader(store, tokens, "train", 0, 3, 1, 1, side=16, crop=crop)
        batches[crop] = loader.load(0)
        whole = store.read(loader.episode(0).support.reshape(-1).tolist())
        offsets = [
            _offset_of(clip[frame], batches[crop].support[video, frame].numpy())
            for video, clip in enumerate(whole)
            for frame in range(4)
        ]
        per_clip = [set(offsets[4 * video : 4 * video + 4]) for video in range(3)]
        if crop == "centre":
            assert set(offsets) == {(12, 12)}
        elif crop == "clip":
            assert all(len(each) == 1 for each in per_clip)
            assert len(set(offsets)) > 1
        else:
            assert all(len(each) > 1 for each in per_clip)


def _offset_of(frame: Any, cut: Any) -> tuple[int, int]:
    """Where the noisy ``cut`` stands in ``frame``."""
    side = cut.shape[0]
    for top in range(frame.shape[0] - side + 1):
        for left in range(frame.shape[1] - side + 1):
            if (frame[top : top + side, left : left + side] == cut).all():
                return top, left
    raise AssertionError("the crop is not a part of the frame")


def held_bytes(scorer: Scorer) -> int:
    """Of all tensors that a scorer holds on to."""
    kept = (each for each in vars(scorer).values() if isinstance(each, Kept))
    return sum(tensor.numel() * tensor.element_size() for each in kept for tensor in each._held.values())


@pytest.mark.parametrize("mode", ["joint", "independent"])
def test_all_that_is_kept_is_within_one_room(
    loaders: tuple[Any, Any, Any], tmp_path: Path, mode: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Videos, lone queries, texts, prefixes and the frames of a split."""
    model, base, validation = loaders
    scorer = Scorer(model, validation, mode, Room(2**30))
    everything = torch.cat([scores.score for _, scores in scorer.score(range(10))])
    needed = held_bytes(scorer)
    for memory in (needed // 3, needed * 2 // 3):
        room = Room(memory)
        scorer = Scorer(model, validation, mode, room)
        for _ in range(2):
            scores = torch.cat([scores.score for _, scores in scorer.score(range(10))])
            torch.testing.assert_close(scores, everything, rtol=0, atol=1e-6)
            assert 0 < held_bytes(scorer) <= memory
            assert held_bytes(scorer) == room.held
            scorer.forget_adapters()
    frames = len(base.store) * base.store.frames * base.store.size**2 * 3
    for memory, held in ((2 * frames, frames), (2 * frames - 1, 0)):
        other = replace(base, room=Room(memory))
        assert torch.equal(other.load(3).support, base.load(3).support)
        assert other.room.held == held
    rooms = []
    monkeypatch.setattr(
        "fsarctl.episodes.training.trainer.Scorer", lambda *given: rooms.append(given[-1]) or Scorer(*given)
    )
    train(loaders, tmp_path / "scratch", epochs=1, episodes=2, val_episodes=2)
    assert rooms == [base.room]


def test_training_learns_what_the_frozen_model_does_not_know(
    loaders: tuple[Any, Any, Any], tmp_path: Path
) -> None:
    training = train(loaders, tmp_path / "scratch", lr=0.02, epochs=3, episodes=20)
    assert training.epochs[-1].loss < training.epochs[0].loss


def test_pretrained_weights_have_a_learning_rate_of_their_own(
    loaders: tuple[Any, Any, Any], make_model: Callable[..., Any], tmp_path: Path
) -> None:
    moved = []
    for number, rate in enumerate((0.0, 0.025, 0.1)):
        model = make_model(strategy="full", alignment="conv1d")
        before = model.adapter_state()
        how = {"epochs": 1, "episodes": 1, "momentum": 0.0, "weight_decay": 0.0, "backbone_lr": rate}
        train((model, *loaders[1:]), tmp_path / str(number), **how)
        moved.append({name: after - before[name] for name, after in model.adapter_state().items()})
    alike, half, twice = moved
    ours = {name for name in alike if name.startswith("alignment.")}
    assert ours
    assert ours < alike.keys()
    for name, step in alike.items():
        factors = (1, 1) if name in ours else (0.5, 2)
        for scaled, factor in zip((half, twice), factors, strict=True):
            torch.testing.assert_close(scaled[name], factor * step, rtol=1e-3, atol=1e-7)


def test_a_loss_that_is_not_finite_stops_and_names_the_episode(
    loaders: tuple[Any, Any, Any], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"training episode [0-9]+ .*class ") as caught:
        train(loaders, tmp_path / "scratch", lr=1e30)
    assert "train.lr" in caught.value.next_step


def test_evaluation_resumes_by_blocks(loaders: tuple[Any, Any, Any], tmp_path: Path) -> None:
    model, _, validation = loaders
    how: dict[str, Any] = {"query_mode": "joint", "title": "eval"}
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
    blocks, broken = episode_blocks(250, tmp_path / "whole", ""), episode_blocks(250, tmp_path / "broken", "")
    whole = evaluate_episodes(model, validation, blocks, reporter=SILENT, **how)
    with pytest.raises(KeyboardInterrupt):
        evaluate_episodes(model, validation, broken, reporter=StopAt(150), **how)
    assert [path.name for path in broken.folder.iterdir()] == ["block-00000000.safetensors"]
    resumed = evaluate_episodes(model, validation, broken, reporter=SILENT, **how)
    assert (resumed.scores == whole.scores).all()
    assert resumed.scores.shape == (250, 6, 3)
    assert (resumed.query == whole.query).all()


def test_blocks_that_others_scored_are_those_of_one_process(
    loaders: tuple[Any, Any, Any], tmp_path: Path
) -> None:
    model, _, validation = loaders
    for name in ("alone", "shared"):
        (tmp_path / name).mkdir()
    told: dict[str, Any] = {"query_mode": "joint", "reporter": SILENT, "title": "eval"}
    evaluate_episodes(model, validation, episode_blocks(250, tmp_path / "alone", "evaluate/0"), **told)
    blocks = episode_blocks(250, tmp_path / "shared", "evaluate/0")
    assert blocks.left(SILENT) == [0, 1, 2]
    for mine in ([2], [0, 2]):
        score = score_blocks(model, validation, blocks, "joint")
        for block in mine:
            score(block, lambda amount=1, detail="": None)
    assert blocks.left(SILENT) == [1]
    assert replace(blocks, of="evaluate/1").left(SILENT) == [0, 1, 2], "not its own"
    for block in (0, 2):
        score(block, lambda amount=1, detail="": None)
    evaluate_episodes(model, validation, blocks, **told)
    alone, together = (
        {path.name: path.read_bytes() for path in folder.iterdir()}
        for folder in (tmp_path / "alone", blocks.folder)
    )
    assert alone == together


class Lasting:
    """What is kept for others, in a dictionary."""

    def __init__(self) -> None:
        self.kept: dict[int, torch.Tensor] = {}

    def bound(self, most: int) -> None:
        assert most == 2**20, "room for all videos is left in memory"

    def read(self, name: int) -> torch.Tensor | None:
        return self.kept.get(name)

    def write(self, name: int, tensor: torch.Tensor) -> bool:
        self.kept[name] = tensor.clone()
        return True


@pytest.mark.parametrize("strategy", ["task-adapter++", "aim", "frozen"])
@pytest.mark.parametrize("lasts", [True, False])
def test_no_video_is_computed_again_at_another_shot(
    make_store: Callable[..., Any],
    make_model: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    strategy: str,
    lasts: bool,
) -> None:
    store = make_store(4, 6)
    computed: list[int] = []
    shared: Any = {}
    lasting = Lasting() if lasts else None

    def moved(amount: float) -> Any:
        """Other adapters on the same backbone, as another shot has them."""
        model = make_model(strategy=strategy)
        with torch.no_grad():
            for parameter in model.trainable_parameters():
                parameter.add_(
                    torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * amount
                )
        prefix = model.visual.prefix

        def counted(frames: torch.Tensor) -> Any:
            computed.append(len(frames))
            return prefix(frames)

        monkeypatch.setattr(model.visual, "prefix", counted)
        return model

    texts = dict.fromkeys(store.classes, ("It starts.", "It goes on.", "It ends."))
    for shot in (1, 3):
        model = moved(0.1 * shot)
        computed.clear()
        loader = EpisodeLoader(
            store, tokens_of(model, texts), "test", seed=0, way=3, shot=shot, query=2, side=16, crop="centre"
        )
        loader.lasting = lasting
        scorer = Scorer(model, loader, room=Room(2**30, 2**20, tmp_path), shared=shared)
        scores = torch.cat([each.score for _, each in scorer.score(range(40))])
        assert sum(computed) == (0 if shot == 3 and (lasts or strategy == "frozen") else 24), "4 x 6 clips"
        for number in (0, 39):
            with torch.inference_mode():
                plain = score_batch(model, loader.load(number)).score
            torch.testing.assert_close(scores[number], plain, rtol=0, atol=1e-5)


@pytest.mark.parametrize("formulation", ["paper", "released"])
@pytest.mark.parametrize("score", ["both", "video", "text"])
@pytest.mark.parametrize(("mode", "kept"), [("joint", 2**30), ("joint", 0), ("independent", 2**30)])
def test_what_is_kept_changes_no_score(
    loaders: tuple[Any, Any, Any],
    make_model: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    mode: Any,
    kept: int,
    score: str,
    formulation: str,
) -> None:
    _, _, validation = loaders
    model = make_model(score=score, formulation=formulation)
    with torch.no_grad():
        for parameter in model.trainable_parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.1)
    monkeypatch.setattr("fsarctl.episodes.scoring.MOST_EPISODES", 2)
    scorer = Scorer(model, validation, mode, Room(memory=kept, disk=kept, folder=tmp_path))
    numbers = [0, 1, 2, 0]
    scored = [
        (episode, scores[i]) for group, scores in scorer.score(numbers) for i, episode in enumerate(group)
    ]
    assert [episode.number for episode, _ in scored] == numbers
    for episode, scores in scored:
        number = episode.number
        batch = validation.load(number)
        with torch.inference_mode():
            plain = score_batch(model, batch, mode)
        assert (episode.query == batch.episode.query).all()
        torch.testing.assert_close(scores.score, plain.score, rtol=0, atol=1e-5)
    with torch.no_grad():
        for parameter in model.trainable_parameters():
            parameter.mul_(-2)
    scorer.forget_adapters()
    with torch.inference_mode():
        plain = score_batch(model, validation.load(1), mode)
    torch.testing.assert_close(next(scorer.score([1]))[1][0].score, plain.score, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"score": "text"},
        {"score": "video", "video_metric": "trx"},
        {"temporal_embedding": True},
        {"strategy": "full"},
        {"visual_position": "bottom"},
    ],
)
def test_what_is_kept_changes_no_score_of_other_models(
    make_store: Callable[..., Any], make_model: Callable[..., Any], options: dict[str, Any]
) -> None:
    model, store = make_model(**options), make_store(4, 6, name="val")
    tokens = tokens_of(model, dict.fromkeys(store.classes, ("It starts.", "It goes on.", "It ends.")))
    loader = EpisodeLoader(store, tokens, "val", seed=0, way=3, shot=1, query=2, side=16, crop="centre")
    scorer = Scorer(model, loader)
    for _ in range(2):
        with torch.inference_mode():
            plain = score_batch(model, loader.load(1))
        torch.testing.assert_close(next(scorer.score([1]))[1][0].score, plain.score, rtol=0, atol=1e-5)
        with torch.no_grad():
            for parameter in model.trainable_parameters():
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.1)
        scorer.forget_adapters()


def test_a_scorer_needs_central_crops(loaders: tuple[Any, Any, Any]) -> None:
    model, base, _ = loaders
    with pytest.raises(ValueError, match="crops must be central"):
        Scorer(model, base)


def test_frames_smaller_than_the_backbone_reads_are_refused(
    make_store: Callable[..., Any],
) -> None:
    store = make_store(3, 3, size=12)
    with pytest.raises(InputError, match="12 pixels wide and the backbone reads 16"):
        EpisodeLoader(store, dict.fromkeys(store.classes), "val", 0, 3, 1, 1, side=16, crop="centre")


def test_classes_without_description_are_refused(make_store: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="3 classes have no description") as caught:
        EpisodeLoader(make_store(3, 3), {}, "val", 0, 3, 1, 1, side=16, crop="centre")
    assert "fsarctl describe" in caught.value.next_step
