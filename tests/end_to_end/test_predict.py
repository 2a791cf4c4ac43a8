"""`fsarctl predict` as a user types it, on the embedded default made small, with rendered clips."""

import csv
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fsarctl.predictions import Predictions

FSARCTL = Path(sys.executable).with_name("fsarctl")
FILE = """
[datasets.shapes]
kind = "shapes"
clips_per_class = 4
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


def type_in(project: Path, line: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command line in ``project`` and check its exit code."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("FSARCTL_", "OPENAI_"))}
    done = subprocess.run(
        [str(FSARCTL), *shlex.split(line)[1:]],
        cwd=project,
        env=plain,
        capture_output=True,
        text=True,
        timeout=300,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == expect, done.stderr
    assert "Traceback" not in done.stderr
    return done


def predict(project: Path, words: str, expect: int = 0) -> Any:
    """The JSON document, with what was said to the user as ``said``."""
    done = type_in(project, f"fsarctl predict {words} --json", expect)
    return {**json.loads(done.stdout), "said": done.stderr}


def numbers(document: Any) -> list[Any]:
    return [each["top"] for each in document["clips"]]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with adapters for 1 and 3 shots, evaluated with each query alone."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "fsarctl.toml").write_text(FILE)
    type_in(folder, "fsarctl run --shots 1 3")
    return folder


def rendered(project: Path) -> list[dict[str, str]]:
    """Name, label and file of every test clip, in the order of the frame store's rows."""
    for listing in (project / "cache/artifacts/render").glob("*/clips.json"):
        rows = json.loads(listing.read_text())
        manifest = json.loads((listing.parent / "manifest.json").read_text())
        if manifest["slot"].endswith("shapes/test"):
            return [{**row, "file": str(listing.parent / row["file"])} for row in rows]
    raise AssertionError("no test clips")


def plant(folder: Path, rows: list[dict[str, str]]) -> Path:
    """A support folder of links to these clips."""
    for number, row in enumerate(rows):
        (folder / row["label"]).mkdir(parents=True, exist_ok=True)
        (folder / row["label"] / f"{number:03}.mp4").symlink_to(row["file"])
    return folder


@pytest.fixture
def support(project: Path, tmp_path: Path) -> Path:
    """Two classes: three clips of one, one of the other."""
    rows = rendered(project)
    labels = sorted({row["label"] for row in rows})[:2]
    three = [row for row in rows if row["label"] == labels[0]][:3]
    return plant(tmp_path / "examples", [*three, next(row for row in rows if row["label"] == labels[1])])


@pytest.fixture
def clip(project: Path) -> str:
    """A clip that is in no support."""
    rows = rendered(project)
    return next(row["file"] for row in reversed(rows) if row["label"] == rows[0]["label"])


@pytest.mark.parametrize("model", ["task-adapter++", "frozen"])
@pytest.mark.parametrize("shot", [1, 3])
def test_the_scores_are_those_of_the_evaluation(project: Path, tmp_path: Path, shot: int, model: str) -> None:
    record = next(
        row
        for row in json.loads(type_in(project, f"fsarctl eval --shots {shot} --json").stdout)["results"]
        if row["model"] == model
    )
    (place,) = (project / "cache/artifacts/evaluate").glob(f"{record['key'][:20]}*")
    stored = Predictions.load(place / "episodes.safetensors", tuple(record["classes"]))
    rows = rendered(project)
    classes = [stored.labels[number] for number in stored.classes[0]]
    examples = plant(tmp_path / "examples", [rows[row] for row in stored.support[0].reshape(-1)])
    asked = [rows[row]["file"] for row in stored.query[0]]
    words = f"--support {examples} {' '.join(map(shlex.quote, asked))} --top 9"
    document = predict(project, f"{words}{' --frozen' if model == 'frozen' else ''}")
    assert document["query_mode"] == "independent"
    assert document["model"]["shot"] == (None if model == "frozen" else shot)
    assert document["score"] == "both"
    assert [each["clip"] for each in document["clips"]] == asked
    for top, expected in zip(numbers(document), stored.scores[0], strict=True):
        assert [each["score"] for each in top] == sorted((each["score"] for each in top), reverse=True)
        scores = {each["class"]: each["score"] for each in top}
        np.testing.assert_allclose([scores[label] for label in classes], expected, rtol=1e-4, atol=1e-6)
        assert sum(each["confidence"] for each in top) == pytest.approx(1)


def test_table_csv_and_json_say_the_same(project: Path, support: Path, clip: str) -> None:
    document = predict(project, f"--support {support} {clip}")
    (top,) = numbers(document)
    assert len(top) == 2
    assert sorted(document["support"]["classes"].values()) == [1, 3]
    rows = list(
        csv.DictReader(
            io.StringIO(type_in(project, f"fsarctl predict --support {support} {clip} --format csv").stdout)
        )
    )
    assert [(row["clip"], int(row["rank"]), row["class"], float(row["score"])) for row in rows] == [
        (clip, rank, each["class"], pytest.approx(each["score"])) for rank, each in enumerate(top, start=1)
    ]
    table = type_in(project, f"fsarctl predict --support {support} {clip} --top 1").stdout
    assert top[0]["class"] in table.replace("\n", "")
    assert f"{top[0]['confidence']:.2f}" in table
    assert top[1]["class"] not in table
    for word in (
        "2 classes, 1 to 3 clips each",
        "3 shots" if "3 shots" in table else "1 shot",
        "not calibrated",
    ):
        assert word in table


def test_adapters_are_the_nearest_that_are_trained(project: Path, support: Path, clip: str) -> None:
    words = f"--support {support} {clip}"
    # Two clips a class are as near to 1 as to 3: the larger.
    assert predict(project, words)["model"]["shot"] == 3
    assert predict(project, f"{words} --shots 1")["model"]["shot"] == 1
    for each in [*support.rglob("*.mp4")][1:]:
        if each.parent == next(p for p in support.iterdir() if len([*p.iterdir()]) > 1):
            each.unlink()
    assert predict(project, words)["model"]["shot"] == 1
    # 2 would fit, but is not trained; it is only spoken of.
    said = predict(project, f"{words} --set 'train.shots=[2, 3]' --set 'eval.shots=[2, 3]'")
    refused = type_in(project, f"fsarctl predict {words} --shots 2", expect=4).stderr
    assert "fsarctl train --shots 2" in refused
    assert "--frozen" in refused
    assert said["model"]["shot"] == 1
    stale = type_in(project, f"fsarctl predict {words} --set train.lr=0.5", expect=4).stderr
    assert "config.lr: 0.1 -> 0.5" in stale
    assert "fsarctl train --shots 1 --set train.lr=0.5" in stale
    assert predict(project, f"{words} --set train.lr=0.5 --frozen")["model"]["strategy"] == "frozen"


def test_the_command_that_it_names_makes_the_adapters(
    project: Path, support: Path, clip: str, tmp_path: Path
) -> None:
    words = f"--support {support} {clip} --cache {tmp_path / 'cache'} --set train.episodes=2"
    refused = type_in(project, f"fsarctl predict {words}", expect=4).stderr
    commands = refused.split("Run: ")[1].split(";")[0].split(" && ")
    assert len(commands) == 3
    for command in commands:
        type_in(project, command)
    assert predict(project, words)["model"]["adapters"]


def test_a_saved_support_costs_one_clip_and_says_the_same(
    project: Path, support: Path, clip: str, tmp_path: Path
) -> None:
    saved = tmp_path / "two.safetensors"
    before = predict(project, f"--support {support} {clip} --save-support {saved}")
    shutil.rmtree(support)
    after = predict(project, f"--support {saved} {clip}")
    assert numbers(after) == numbers(before)
    assert after["model"] == before["model"]
    assert "support: " not in after["said"]  # nothing of it is read again
    for words, says in (
        ("--frozen", "shot was 3 and is not set"),
        ("--shots 1", "shot was 3 and is 1"),
        ("--set extract.size=80 --frozen", "was made with other settings"),
    ):
        refused = type_in(project, f"fsarctl predict --support {saved} {clip} {words}", expect=3).stderr
        assert says in refused
    assert (
        "is a saved support already"
        in type_in(
            project, f"fsarctl predict --support {saved} {clip} --save-support {saved}", expect=2
        ).stderr
    )


def test_a_frozen_support_is_reused_without_saying_so_again(
    project: Path, support: Path, clip: str, tmp_path: Path
) -> None:
    saved = tmp_path / "frozen.safetensors"
    said = type_in(
        project, f"fsarctl predict --support {support} --save-support {saved} --frozen --cache {tmp_path}"
    )
    assert said.stdout == ""
    assert "saved 4 clips of 2 classes" in said.stderr
    document = predict(project, f"--support {saved} {clip} --cache {tmp_path}")
    assert document["model"]["strategy"] == "frozen"


def test_bad_clips_are_rows_and_the_rest_goes_on(
    project: Path, support: Path, clip: str, tmp_path: Path
) -> None:
    (tmp_path / "text [b].mp4").write_text("no video")
    (tmp_path / "empty.mp4").touch()
    (next(iter(sorted(support.iterdir()))) / "broken.mp4").write_text("no video")
    words = f"--support {support} '{tmp_path}/text [b].mp4' {clip} {tmp_path}/empty.mp4"
    document = predict(project, words, expect=7)
    first, second, third = document["clips"]
    assert "not a video" in first["failure"]
    assert second["failure"] is None
    assert len(second["top"]) == 2
    assert (third["failure"], third["top"]) == ("the file is empty", [])
    assert [*document["support"]["left_out"]] == [
        f"{sorted(p.name for p in support.iterdir())[0]}/broken.mp4"
    ]
    assert "2 of 3 clips could not be read" in document["said"]
    assert "broken.mp4' is left out" in document["said"]
    assert numbers(predict(project, f"--support {support} {clip}")) == [second["top"]]
    table = type_in(project, f"fsarctl predict {words}", expect=7).stdout
    assert "text [b].mp4" in table.replace("\n", "").replace(" ", " ")
    for each in support.glob("*"):
        if len([*each.iterdir()]) == 1:
            shutil.rmtree(each)
            each.mkdir()
            (each / "broken.mp4").write_text("no video")
            assert (
                f"no clip of class '{each.name}' can be read"
                in type_in(project, f"fsarctl predict {words}", expect=3).stderr
            )


def test_text_counts_only_if_every_class_is_described(
    project: Path, support: Path, clip: str, tmp_path: Path
) -> None:
    words = f"--support {support} {clip}"
    both = predict(project, words)
    assert both["score"] == "both"
    first = sorted(support.iterdir())[0]
    first.rename(support / "an undescribed action")
    video = predict(project, words)
    assert video["score"] == "video"
    assert video["support"]["undescribed"] == ["an undescribed action"]
    assert "'an undescribed action'" in video["said"]
    assert "describe.files" in video["said"]
    # The same model: its video part.
    names = {first.name: "an undescribed action"}
    expected = {names.get(each["class"], each["class"]): each["video"] for each in numbers(both)[0]}
    assert {each["class"]: each["score"] for each in numbers(video)[0]} == pytest.approx(expected)
    mine = tmp_path / "mine.json"
    mine.write_text(json.dumps({"an undescribed action": ["It begins.", "It goes on.", "It ends."]}))
    for setting in (f"'describe.files=[\"{mine}\"]'", "describe.missing=label"):
        assert predict(project, f"{words} --set {setting}")["score"] == "both"
    saved = tmp_path / "it.safetensors"
    type_in(project, f"fsarctl predict {words} --save-support {saved} --set 'describe.files=[\"{mine}\"]'")
    mine.write_text(json.dumps({"an undescribed action": ["It begins.", "It goes on.", "It is over."]}))
    changed = predict(project, f"--support {saved} {clip} --set 'describe.files=[\"{mine}\"]'")
    assert changed["score"] == "both"
    assert "1 class ('an undescribed action') is described differently" in changed["said"]


def test_a_clip_of_the_support_is_warned_of(project: Path, support: Path, tmp_path: Path) -> None:
    example = next(support.rglob("*.mp4"))
    copy = tmp_path / "copy.mov"
    shutil.copy(example, copy)
    document = predict(project, f"--support {support} {copy}")
    assert document["clips"][0]["same_frames_as"] == example.relative_to(support).as_posix()
    assert "warning" in document["said"]
    assert "copy.mov has the same frames" in document["said"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("--support nowhere {clip}", 3, "the support nowhere is not there"),
        ("--support {support}", 2, "no clip to classify"),
        ("--support {support} nowhere.mp4", 3, "no clip nowhere.mp4"),
        ("--support {support} nothing", 3, "no video in nothing"),
        ("--support nothing {clip}", 3, "no class folder with a video"),
        ("--support {clip} {clip}", 3, "is no saved support"),
        ("--support {support} {clip} --frozen --shots 1", 2, "leave out one"),
        ("--support {support} {clip} --top 0", 2, "greater than or equal to 1"),
        ("--support {support} {clip} --save-support support", 2, "support.safetensors"),
        ("--support {support} {clip} --save-support no/such.safetensors", 2, "no folder no"),
        ("--support {support} {clip} --format xml", 2, "xml"),
        ("{clip}", 2, "--support"),
    ],
)
def test_what_is_wrong_gives_one_message_and_its_exit_code(
    project: Path, support: Path, clip: str, words: str, code: int, says: str
) -> None:
    (project / "nothing").mkdir(exist_ok=True)
    done = type_in(project, f"fsarctl predict {words.format(support=support, clip=clip)}", expect=code)
    assert says in " ".join(done.stderr.lower().split()) or says in done.stderr
    assert done.stdout == ""
