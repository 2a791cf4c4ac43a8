"""`fsarctl.Project`: what the command line does, as objects."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fsarctl
from fsarctl.datasets.shapes.classes import CLASSES
from fsarctl.datasets.shapes.rendering import render_clip, write_video
from fsarctl.errors import ConfigError, InputError
from fsarctl.execution.bars import Bars
from fsarctl.progress import SILENT

FILE = """
[datasets.mine]
kind = "folder"
root = "clips"
[model]
backbone = "tiny"
weights = "shipped"
visual_layers = 1
text_layers = 1
[train]
way = 2
epochs = 1
episodes = 2
val_episodes = 2
shots = [1]
[eval]
way = 2
episodes = 6
shots = [1]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two rendered clips of two classes a split."""
    folder = tmp_path_factory.mktemp("project")
    for split in ("train", "val", "test"):
        for each in [shape for shape in CLASSES if shape.split == split][:2]:
            (folder / "clips" / split / each.label).mkdir(parents=True)
            for number in range(2):
                path = folder / "clips" / split / each.label / f"{number}.mp4"
                write_video(path, render_clip(each.label, number, 0))
    (folder / "fsarctl.toml").write_text(FILE)
    return folder


def test_stages_results_and_predictions(folder: Path) -> None:
    project = fsarctl.Project(folder, reporter=SILENT)
    assert set(project.status().values()) <= {"missing", "waiting"}
    assert list(project.results()) == []
    assert {len(each) for each in project.describe().values()} == {3}
    assert len(project.extract()) == 3
    assert [each.manifest.stage for each in project.train([1])] == ["train"]
    results = project.run()
    assert [each.record["model"] for each in results] == ["frozen", "task-adapter++"]
    assert set(project.status().values()) == {"done"}
    again = fsarctl.Project(folder, reporter=SILENT).results()
    assert again.rows() == results.rows()
    for row, result in zip(results.rows(), results, strict=True):
        assert row["accuracy"] == pytest.approx(np.mean(result.predictions.episode_accuracies))
        # Two clips of each of two classes are few: what six episodes of them say is not what is told.
        assert row["over"] == "clips"
        assert row["low"] < row["accuracy"] < row["high"]
        assert f"[{100 * row['low']:.1f}, {100 * row['high']:.1f}]" in str(results)
    assert "<td>Task-Adapter++</td>" in results._repr_html_()
    assert "1-shot frozen CLIP: " in str(results)
    assert "for other clips than these 4" in results._repr_html_()
    tests = folder / "clips" / "test"
    predictions = project.predict(tests, [tests])
    assert len(predictions) == 4
    assert all(each.twin for each in predictions)
    assert all(len(each.classes) == 2 for each in predictions)
    one = next(tests.rglob("*.mp4"))
    for given in (one, str(one), [one]):
        (found,) = project.predict(tests, given)
        assert found == next(each for each in predictions if each.clip == found.clip)


def test_overrides_are_settings(folder: Path) -> None:
    project = fsarctl.Project(
        folder, {"train.lr": 0.5, "model.adapters": ["task"], "model.score": "video"}, reporter=SILENT
    )
    assert project.settings.config.train.lr == 0.5
    assert project.settings.config.model.adapters == ("task",)
    assert project.settings.config.model.score == "video"
    with pytest.raises(ConfigError, match="no setting train\\.lrr"):
        fsarctl.Project(folder, {"train.lrr": 0.5})
    with pytest.raises(ConfigError, match="no fsarctl\\.toml"):
        fsarctl.Project(folder.parent)


def test_bars_count_what_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    bars = Bars()
    with bars.task("extract", 10, "clip", done=4) as advance:
        advance(6, "no trouble")
    bars.note("kept")
    said = capsys.readouterr().err
    assert "10/10" in said
    assert "kept" in said


def test_every_public_name_is_there() -> None:
    for module in (fsarctl, fsarctl.methods, fsarctl.episodes, fsarctl.datasets, fsarctl.video):
        assert sorted(module.__all__) == sorted(set(module.__all__))
        for name in module.__all__:
            assert getattr(module, name) is not None


@pytest.mark.parametrize("shots", [[0], [2.5], ["x"], 1, [], "12", [True], [1, None]])
def test_shots_are_whole_numbers(folder: Path, shots: Any) -> None:
    project = fsarctl.Project(folder, reporter=SILENT)
    for asked in (project.evaluate, project.train, project.run, project.results):
        with pytest.raises(ConfigError, match=r"shots? is .*; it must be a (list of )?whole numbers?"):
            asked(shots)


def test_numbers_of_numpy_are_numbers_and_each_shot_is_made_once(folder: Path) -> None:
    project = fsarctl.Project(folder, reporter=SILENT)
    assert project._shots(np.array([2, 1, 2]), "eval") == [2, 1]
    assert all(type(each) is int for each in project._shots(np.array([2, 1]), "eval"))


def test_other_numbers_are_whole_too(folder: Path) -> None:
    with pytest.raises(ConfigError, match="workers is 0; it must be a whole number, 1 or more"):
        fsarctl.Project(folder, workers=0, reporter=SILENT)
    with pytest.raises(ConfigError, match="shot is 0; it must be a whole number, 1 or more"):
        fsarctl.Project(folder, reporter=SILENT).predict(folder, [], shot=0)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([], "names no file"),
        ("", "has an empty path"),
        ([""], "has an empty path"),
        ("/x.mp4", "there is no clip /x.mp4"),
        (Path("x.mp4"), "there is no clip x.mp4"),
    ],
)
def test_clips_are_a_path_or_several(folder: Path, given: Any, says: str) -> None:
    project = fsarctl.Project(folder, reporter=SILENT)
    for asked in (project.predict, project.spot):
        with pytest.raises(InputError, match=says):
            asked(folder / "clips" / "test", given)
