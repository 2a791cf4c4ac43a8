"""The training log, the line that training ends with, and what TensorBoard is given."""

import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fsarctl.cli.train import sparkline
from fsarctl.config.training_tables import TrainConfig
from fsarctl.episodes.loader import EpisodeLoader
from fsarctl.episodes.training.tensorboard import require_board, run_name, watching
from fsarctl.episodes.training.trainer import train_adapters
from fsarctl.episodes.training.training_log import TrainingLog, read_log, write_log
from fsarctl.errors import ConfigError
from fsarctl.methods.build import tokens_of
from fsarctl.progress import SILENT


def logged(losses: list[float], right: list[int], *, episodes: int, queries: int) -> list[dict[str, Any]]:
    """The interval lines of steps with these losses and right answers."""
    log = TrainingLog()
    loss_sum, correct = 0.0, 0
    for step, (loss, hits) in enumerate(zip(losses, right, strict=True), start=1):
        loss_sum, correct = loss_sum + loss, correct + hits
        log.interval(step, loss_sum, correct, episodes=episodes, queries=queries)
        if step % episodes == 0:
            loss_sum, correct = 0.0, 0
    return [dict(line) for line in log.lines]


def test_a_line_is_about_the_steps_since_the_line_before() -> None:
    # 20 episodes an epoch: a line every 2. Losses 1, 2, 3, ...; the number of right answers is 0, 1, 0, 1.
    lines = logged([float(n) for n in range(1, 41)], [0, 1] * 20, episodes=20, queries=5)
    assert [line["step"] for line in lines] == list(range(2, 41, 2))
    assert [line["epoch"] for line in lines] == [1] * 10 + [2] * 10
    assert [line["loss"] for line in lines] == [(2 * n - 1 + 2 * n) / 2 for n in range(1, 21)]
    assert {line["accuracy"] for line in lines} == {1 / 10}


def test_an_epoch_that_is_no_multiple_of_the_interval_ends_with_a_shorter_one() -> None:
    lines = logged([1.0] * 46, [1] * 46, episodes=23, queries=1)
    assert [line["step"] for line in lines] == [*range(2, 23, 2), 23, *range(25, 46, 2), 46]
    assert {line["loss"] for line in lines} == {1.0}


@pytest.mark.parametrize(("episodes", "lines"), [(1, 1), (5, 5), (60, 10), (1000, 10), (5000, 50)])
def test_how_many_lines_an_epoch_has(episodes: int, lines: int) -> None:
    assert len(logged([0.5] * episodes, [1] * episodes, episodes=episodes, queries=1)) == lines


def test_the_log_says_what_the_epochs_came_to_and_is_watched(
    make_store: Callable[..., Any], make_model: Callable[..., Any], tmp_path: Path
) -> None:
    model, made, watched = make_model(), [], []
    for split, crop in (("train", "clip"), ("val", "centre")):
        store = make_store(4, 6, name=split)
        tokens = tokens_of(model, dict.fromkeys(store.classes, ("It starts.", "It goes on.", "It ends.")))
        made.append(EpisodeLoader(store, tokens, split, seed=0, way=3, shot=1, query=2, side=16, crop=crop))
    config = TrainConfig(epochs=2, episodes=20, val_episodes=5, lr=0.05)
    (tmp_path / "scratch").mkdir()

    def train() -> Any:
        return train_adapters(
            model,
            *made,
            config,
            scratch=tmp_path / "scratch",
            reporter=SILENT,
            title="train",
            watch=watched.append,
        )

    training = train()
    write_log(tmp_path, training.log.lines)
    lines = read_log(tmp_path)
    assert lines == watched
    epochs = [line for line in lines if line["kind"] == "epoch"]
    assert [line["step"] for line in epochs] == [20, 40]
    for line, epoch in zip(epochs, training.epochs, strict=True):
        assert {name: line[name] for name in ("epoch", "loss", "accuracy", "val_accuracy")} == vars(epoch)
        within = [each for each in lines if each["kind"] == "interval" and each["epoch"] == epoch.epoch]
        assert sum(each["loss"] for each in within) / 10 == pytest.approx(epoch.loss)
        assert sum(each["accuracy"] for each in within) / 10 == pytest.approx(epoch.accuracy)
    assert [line["epoch"] for line in epochs if line["kept"]][-1] == training.best_epoch
    assert "time" not in json.dumps(lines)
    # Who comes to watch a run that was interrupted sees it from its start.
    watched.clear()
    train()
    assert watched == lines


def test_the_sparkline_goes_from_the_lowest_to_the_highest() -> None:
    assert sparkline([0.0, 0.5, 1.0, 0.25]) == "▁▅█▃"
    assert sparkline([75.0, 93.3, 93.3]) == "▁██"
    assert sparkline([0.4, 0.4]) == "▄▄"


class Writer:
    """Stands in for TensorBoard's."""

    made: list["Writer"]

    def __init__(self, log_dir: str, purge_step: int) -> None:
        self.log_dir, self.purge_step, self.scalars, self.closed = log_dir, purge_step, [], False
        Writer.made.append(self)

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        self.scalars.append((tag, value, step))

    def close(self) -> None:
        self.closed = True


def test_tensorboard_gets_every_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    Writer.made = []
    with watching(tmp_path, "one") as watch:
        watch({"kind": "interval", "step": 6, "epoch": 1, "loss": 1.5, "accuracy": 0.25})
        watch({"kind": "epoch", "step": 9, "epoch": 1, "loss": 1.0, "accuracy": 0.5, "val_accuracy": 0.75})
    (writer,) = Writer.made
    assert writer.log_dir == str(tmp_path / "one")
    assert writer.purge_step == 0
    assert writer.scalars == [
        ("train/loss", 1.5, 6),
        ("train/accuracy", 0.25, 6),
        ("validation/accuracy", 0.75, 9),
    ]
    assert writer.closed


def test_without_a_folder_nothing_of_tensorboard_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with watching(None, "one") as watch:
        watch({"kind": "interval"})


def test_tensorboard_that_is_not_installed_is_said_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="not installed") as caught:
        require_board()
    assert "fsarctl[tensorboard]" in caught.value.next_step


def test_runs_have_names_that_are_plain_and_their_own() -> None:
    first = run_name("../my data 1-shot", {"lr": 0.1})
    assert first.startswith("my-data-1-shot-")
    assert first != run_name("../my data 1-shot", {"lr": 0.2})
    assert first == run_name("../my data 1-shot", {"lr": 0.1})


def test_tensorboard_itself_reads_them_back(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra fsarctl[tensorboard] is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with watching(tmp_path, "one") as watch:
        watch({"kind": "epoch", "step": 9, "epoch": 1, "loss": 1.0, "accuracy": 0.5, "val_accuracy": 0.75})
    events = EventAccumulator(str(tmp_path / "one"))
    events.Reload()
    assert [(each.step, each.value) for each in events.Scalars("validation/accuracy")] == [(9, 0.75)]
