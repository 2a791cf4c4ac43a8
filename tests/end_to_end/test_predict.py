"""Prediction on the embedded default made small, with rendered clips: the command and what it calls."""

import csv
import io
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from built import BuiltOnce, copied
from typed import type_in

from fsarctl.artifacts import Store
from fsarctl.config.settings import load_settings
from fsarctl.datasets.clip_files import ClipFile
from fsarctl.errors import InputError, UpstreamError
from fsarctl.predict.predictor import Prediction
from fsarctl.progress import Advance
from fsarctl.results.predictions import Predictions
from fsarctl.stages.plan import Pipeline, RunOptions
from fsarctl.stages.predict import Ready, Setup

FILE = """
[datasets.shapes]
kind = "shapes"
clips_per_class = 6
[model]
backbone = "tiny"
weights = "shipped"
visual_layers = 1
text_layers = 1
[train]
dataset = "shapes"
shots = [1, 3]
way = 4
epochs = 1
episodes = 3
val_episodes = 2
lr = 0.1
[eval]
dataset = "shapes"
shots = [1, 3]
way = 4
episodes = 3
query_mode = "independent"
"""


@dataclass
class Listener:
    """A reporter that remembers."""

    tasks: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @contextmanager
    def task(self, description: str, total: int, unit: str, done: int = 0) -> Iterator[Advance]:
        self.tasks.append(description)
        yield lambda amount=1, detail="": None

    def note(self, message: str) -> None:
        self.notes.append(message)


@dataclass
class Opened:
    """A project as the command opens it."""

    folder: Path
    listener: Listener = field(default_factory=Listener)

    def ready(self, place: Path, *overrides: str, **how: Any) -> Ready:
        settings = load_settings(self.folder, overrides, environment={})
        store = Store(self.folder / "cache")
        pipeline = Pipeline(settings, store.records, RunOptions(workers=1))
        self.listener = Listener()
        return Setup(settings, pipeline, store, reporter=self.listener).ready(place, **how)

    @property
    def said(self) -> str:
        return "\n".join(self.listener.notes)


def answers(ready: Ready, *clips: str) -> list[Prediction]:
    return list(ready.predictor.predict(ready.support, [ClipFile(each, Path(each)) for each in clips]))


@pytest.fixture(scope="module")
def project(shapes: Path, built_once: BuiltOnce, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with adapters for 1 and 3 shots, evaluated with each query alone."""

    def build(folder: Path) -> None:
        copied(shapes, folder)
        (folder / "fsarctl.toml").write_text(FILE)
        type_in(folder, "fsarctl run --shots 1 3")

    return copied(built_once("predict", build), tmp_path_factory.mktemp("predict"))


@pytest.fixture
def opened(project: Path) -> Opened:
    return Opened(project)


def rendered(project: Path) -> list[dict[str, str]]:
    """Name, label and file of every test clip, in the order of the frame store's rows."""
    for listing in (project / "cache/artifacts/render").glob("*/clips.json"):
        if json.loads((listing.parent / "manifest.json").read_text())["slot"].endswith("shapes/test"):
            rows = json.loads(listing.read_text())
            return [{**row, "file": str(listing.parent / row["file"])} for row in rows]
    raise AssertionError("no test clips")


def plant(folder: Path, rows: list[dict[str, str]]) -> Path:
    """A support folder of links to these clips."""
    for number, row in enumerate(rows):
        (folder / row["label"]).mkdir(parents=True, exist_ok=True)
        (folder / row["label"] / f"{number:03}.mp4").symlink_to(row["file"])
    return folder


@pytest.fixture
def labels(project: Path) -> list[str]:
    return sorted({row["label"] for row in rendered(project)})[:2]


@pytest.fixture
def support(project: Path, labels: list[str], tmp_path: Path) -> Path:
    """Two classes: three clips of the first, one of the second."""
    first, second = ([row for row in rendered(project) if row["label"] == label] for label in labels)
    return plant(tmp_path / "examples", [*first[:3], second[0]])


@pytest.fixture
def clip(project: Path, labels: list[str]) -> str:
    """A clip of the first class that is not in the support."""
    return [row["file"] for row in rendered(project) if row["label"] == labels[0]][-1]


@pytest.mark.parametrize("model", ["task-adapter++", "frozen"])
@pytest.mark.parametrize("shot", [1, 3])
def test_the_scores_are_those_of_the_evaluation(
    project: Path, opened: Opened, tmp_path: Path, shot: int, model: str
) -> None:
    places = (project / "cache" / "artifacts" / "evaluate").iterdir()
    results = {place: json.loads((place / "result.json").read_text()) for place in places}
    ((place, record),) = (
        (place, each) for place, each in results.items() if (each["shot"], each["model"]) == (shot, model)
    )
    assert record["query_mode"] == "independent"
    stored = Predictions.load(place / "episodes.safetensors", tuple(record["classes"]))
    rows = rendered(project)
    for episode in range(2):
        classes = [stored.labels[number] for number in stored.classes[episode]]
        examples = plant(
            tmp_path / f"examples {episode}", [rows[row] for row in stored.support[episode].reshape(-1)]
        )
        ready = opened.ready(examples, frozen=model == "frozen")
        assert (ready.adapters.shot if ready.adapters else None) == (shot if model != "frozen" else None)
        found = answers(ready, *(rows[row]["file"] for row in stored.query[episode]))
        for each, expected in zip(found, stored.scores[episode], strict=True):
            scores = {scored.label: scored.score for scored in each.classes}
            np.testing.assert_allclose([scores[label] for label in classes], expected, rtol=1e-4)


def test_table_csv_and_json_say_the_same_and_bad_clips_are_rows(
    project: Path, support: Path, labels: list[str], clip: str, tmp_path: Path
) -> None:
    (tmp_path / "no [red]video.mp4").write_text("words")
    (tmp_path / "empty.mp4").touch()
    (support / labels[1] / "broken.mp4").write_text("words")
    line = f"fsarctl predict --support {support} '{tmp_path}/no [red]video.mp4' {clip} {tmp_path}/empty.mp4"

    done = type_in(project, f"{line} --json", expect=7)
    document = json.loads(done.stdout)
    assert document["schema"] == "fsarctl.predict/1"
    assert document["query_mode"] == "independent"
    assert (document["model"]["strategy"], document["model"]["shot"]) == ("task-adapter++", 3)
    assert document["score"] == "both"
    assert document["support"]["classes"] == {labels[0]: 3, labels[1]: 1}
    assert [*document["support"]["left_out"]] == [f"{labels[1]}/broken.mp4"]
    first, second, third = document["clips"]
    assert "not a video" in first["failure"]
    assert (first["top"], third["top"], third["failure"]) == ([], [], "the file is empty")
    assert (second["clip"], second["failure"], len(second["top"])) == (clip, None, 2)
    assert sum(each["confidence"] for each in second["top"]) + second["none"] == pytest.approx(1)
    assert "2 of 3 clips could not be read" in done.stderr
    assert "broken.mp4' is left out" in done.stderr

    rows = list(csv.DictReader(io.StringIO(type_in(project, f"{line} --format csv", expect=7).stdout)))
    assert [row["rank"] for row in rows] == ["", "1", "2", ""]
    assert [row["failure"] for row in rows] == [first["failure"], "", "", "the file is empty"]
    for row, each in zip(rows[1:3], second["top"], strict=True):
        assert row["class"] == each["class"]
        for name in ("score", "confidence", "video", "text"):
            assert float(row[name]) == pytest.approx(each[name])

    # Wide enough for a clip's path on one line, however long the temporary folder's name is.
    table = type_in(project, f"{line} --top 1", expect=7, COLUMNS="400").stdout
    words = ["2 classes, 1 to 3 clips each", "train shapes 3-shot", "video x text", "not calibrated"]
    for word in [
        *words,
        second["top"][0]["class"],
        f"{second['top'][0]['confidence']:.2f}",
        "no [red]video.mp4",
    ]:
        assert word in table
    assert second["top"][1]["class"] not in table


@pytest.mark.slow
def test_several_processes_say_what_one_says(project: Path, support: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    for number, row in enumerate(rendered(project)[:20]):
        shutil.copy(row["file"], clips / f"{number:02}.mp4")
    (clips / "bad.mp4").write_text("no video")
    words = f"fsarctl predict --frozen --support {support} {clips} --json"
    alone = type_in(project, words, expect=7)
    shared = type_in(project, f"{words} --jobs 2", expect=7)
    assert shared.stdout == alone.stdout
    assert "2 parts" in shared.stderr, "of at most 16 clips"


def test_one_is_one(project: Path, support: Path, clip: str, tmp_path: Path) -> None:
    for spare in sorted(support.rglob("*.mp4"))[:2]:
        spare.unlink()
    (tmp_path / "empty.mp4").touch()
    line = f"fsarctl predict --support {support} {tmp_path}/empty.mp4 --frozen"
    done = type_in(project, line, expect=7)
    assert "2 classes, 1 clip each;" in done.stdout
    assert "predict: 1 clip in " in done.stderr
    assert "1 of 1 clip could not be read" in done.stderr
    assert "classified" not in done.stderr
    done = type_in(project, f"{line} {clip}", expect=7)
    assert "1 of 2 clips could not be read" in done.stderr
    assert "a player can show it. 1 other was classified." in done.stderr


def test_a_class_without_a_readable_clip_is_an_error(
    support: Path, labels: list[str], opened: Opened
) -> None:
    shutil.rmtree(support / labels[1])
    (support / labels[1]).mkdir()
    (support / labels[1] / "broken.mp4").write_text("words")
    with pytest.raises(InputError, match=f"no clip of class '{labels[1]}' can be read"):
        opened.ready(support)


def test_adapters_are_the_nearest_that_are_trained(support: Path, labels: list[str], opened: Opened) -> None:
    def shot(*overrides: str, **how: Any) -> int:
        adapters = opened.ready(support, *overrides, **how).adapters
        assert adapters is not None
        return adapters.shot

    # Two clips a class are as near to 1 as to 3: the larger.
    assert shot() == 3
    assert shot(shot=1) == 1
    # 2 would be nearer, but is not trained.
    assert shot("train.shots=[2]", "eval.shots=[2]") == 3
    assert (
        "the 3-shot adapters are used; 2-shot ones would be nearer to these classes: fsarctl train --shots 2"
        in opened.said
    )
    with pytest.raises(UpstreamError, match="train shapes 2-shot is not done") as refused:
        shot(shot=2)
    assert refused.value.next_step.startswith("Run: fsarctl train --shots 2;")
    asks = (
        "--shots 9 asks for adapters that were trained for 9 shots, which cannot be .*2 clips of each class"
    )
    with pytest.raises(InputError, match=asks) as told:
        shot(shot=9)
    assert told.value.next_step.startswith("Leave out --shots, and those for 3 are used; or add --frozen")
    with pytest.raises(UpstreamError, match=r"out of date \(config.lr: 0.1 -> 0.5\)"):
        shot("train.lr=0.5")
    assert opened.ready(support, "train.lr=0.5", frozen=True).adapters is None
    assert opened.ready(support, "train.lr=0.5", "model.strategy=frozen").adapters is None
    for each in sorted((support / labels[0]).iterdir())[1:]:
        each.unlink()
    assert shot() == 1


def test_a_saved_support_is_not_read_again_and_says_the_same(
    project: Path, opened: Opened, support: Path, labels: list[str], clip: str, tmp_path: Path
) -> None:
    saved = tmp_path / "two.safetensors"
    before = type_in(
        project, f"fsarctl predict --support {support} {clip} --shots 1 --save-support {saved} --json"
    )
    shutil.rmtree(support)
    after = type_in(project, f"fsarctl predict --support {saved} {clip} --json")
    assert json.loads(after.stdout) == json.loads(before.stdout)
    assert "saved 4 clips of 2 classes" in before.stderr
    opened.ready(saved)
    assert opened.listener.tasks == []
    for overrides, how, says in (
        ((), {"frozen": True}, "shot was 1 and is not set"),
        ((), {"shot": 3}, "shot was 1 and is 3"),
        (("model.metric=otam",), {"frozen": True}, "shot was 1 and is not set"),
    ):
        with pytest.raises(InputError, match=f"two.safetensors was made with other settings: {says}"):
            opened.ready(saved, *overrides, **how)


def test_a_frozen_support_need_not_be_called_so_again(
    project: Path, opened: Opened, support: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "frozen.safetensors"
    # Another cache: nothing is trained there, and nothing needs to be.
    words = f"--support {support} --save-support {saved} --frozen --cache {tmp_path}/cache"
    assert type_in(project, f"fsarctl predict {words}").stdout == ""
    assert opened.ready(saved).adapters is None
    for override, says in (
        ("model.metric=otam", "model.metric was protonet and is otam"),
        ("extract.size=80", "frame size was .* and is 80"),
        ("extract.frames=6", "frames was 8 and is 6"),
        ("extract.resize=aspect", "resize was squash and is aspect"),
        ("model.weights=random", "model.weights was file and is random"),
    ):
        with pytest.raises(InputError, match=says):
            opened.ready(saved, override)


def test_text_counts_only_if_every_class_is_described(
    opened: Opened, support: Path, labels: list[str], clip: str, tmp_path: Path
) -> None:
    ready = opened.ready(support)
    assert (ready.support.text is not None, ready.undescribed) == (True, [])
    (both,) = answers(ready, clip)
    (support / labels[0]).rename(support / "an odd action")
    ready = opened.ready(support)
    assert (ready.support.text, ready.undescribed) == (None, ["an odd action"])
    assert "1 class ('an odd action') is not described" in opened.said
    assert "Describe it: fsarctl describe --edit 'an odd action'; or describe it in a file" in opened.said
    opened.ready(support, "describe.source=openai", "describe.base_url=http://127.0.0.1:1", frozen=True)
    assert "or have them described: fsarctl describe --labels FILE" in opened.said
    (video,) = answers(ready, clip)
    # It is the video part of the same model.
    expected = {labels[0]: "an odd action", labels[1]: labels[1]}
    assert {each.label: each.score for each in video.classes} == pytest.approx(
        {expected[each.label]: each.video for each in both.classes}
    )
    mine = tmp_path / "mine.json"
    mine.write_text(json.dumps({"an odd action": ["It begins.", "It goes on.", "It ends."]}))
    ready = opened.ready(support, "describe.missing=label")
    assert (ready.support.text is not None, ready.undescribed) == (True, ["an odd action"])
    assert ready.support.descriptions == {label: (label,) * 3 for label in expected.values()}
    assert "1 of the 2 classes of the support is not described ('an odd action'), so all are" in opened.said
    # Where the label itself is the text nothing is to be described.
    ready = opened.ready(support, "model.sub_actions=none", frozen=True)
    ready.support.save(bare := tmp_path / "bare.safetensors")
    for each in (ready, opened.ready(bare, "model.sub_actions=none", frozen=True)):
        assert each.support.text is not None
        assert not each.undescribed
        assert opened.said == ""
    ready = opened.ready(support, f"describe.files=['{mine}']")
    assert ready.support.descriptions["an odd action"] == ("It begins.", "It goes on.", "It ends.")
    ready.support.save(saved := tmp_path / "it.safetensors")
    mine.write_text(json.dumps({"an odd action": ["It begins.", "It goes on.", "It is over."]}))
    again = opened.ready(saved, f"describe.files=['{mine}']")
    assert again.support.descriptions == ready.support.descriptions
    assert "1 class ('an odd action') is described differently" in opened.said
    # A model of the video score alone has no use for any.
    assert opened.ready(support, "model.score=video", frozen=True).undescribed == []
    assert opened.said == ""
    with pytest.raises(InputError, match="every class needs a description"):
        opened.ready(support, "model.score=text", frozen=True)
    opened.ready(support).support.save(saved)
    assert opened.ready(saved).undescribed == ["an odd action"]
    assert f"is not described in {saved}" in opened.said


def test_an_empty_class_folder_is_spoken_of(opened: Opened, support: Path) -> None:
    (support / "forgotten").mkdir()
    assert "forgotten" not in opened.ready(support, frozen=True).support.labels
    assert "'forgotten' holds no video" in opened.said


def test_a_support_clip_by_another_name_is_warned_of(project: Path, support: Path, tmp_path: Path) -> None:
    example = next(support.rglob("*.mp4"))
    copy = tmp_path / "copy.mov"
    shutil.copy(example, copy)
    done = type_in(project, f"fsarctl predict --support {support} {copy} {copy.parent} --frozen --json")
    found = json.loads(done.stdout)["clips"]
    assert found[0]["same_frames_as"] == example.relative_to(support).as_posix()
    assert (
        f"copy.mov has the same frames as {example.parent.name}/{example.name} of the support" in done.stderr
    )
    assert sum("the same frames" in line for line in done.stderr.splitlines()) == 1
