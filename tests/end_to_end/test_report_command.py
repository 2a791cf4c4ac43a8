"""`fsarctl report`, `show` and the end of `train`, as a user types them, on a project made small."""

import json
import os
import pty
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from built import BuiltOnce, copied
from typed import FSARCTL, type_in

FILE = """
[datasets.shapes]
kind = "shapes"
clips_per_class = 6
[datasets.mine]
kind = "folder"
root = "clips"
[describe]
missing = "label"
[model]
backbone = "tiny"
weights = "shipped"
visual_layers = 1
text_layers = 1
[train]
dataset = "shapes"
epochs = 2
episodes = 3
val_episodes = 2
[eval]
dataset = "shapes"
shots = [1, 2]
episodes = 6
[ablate.ways]
title = "Two ways"
values = { "eval.way" = [3, 4] }
"""
SCRIPT = "<script>alert('label')"


def artifacts(project: Path, stage: str) -> list[Path]:
    return sorted((project / "cache" / "artifacts" / stage).glob("*"))


def numbers(project: Path, flags: str = "") -> dict[str, Any]:
    return dict(json.loads(type_in(project, f"fsarctl report --json {flags}").stdout))


def interval_of(result: dict[str, Any]) -> str:
    """The interval that tables tell: over episodes, or in brackets over what is said."""
    if result["headline"] == "episodes":
        return f"± {100 * result['half_width']:.1f}"
    told = result["intervals"][result["headline"]]
    return f"[{100 * told['low']:.1f}, {100 * told['high']:.1f}]"


@pytest.fixture(scope="module")
def project(shapes: Path, built_once: BuiltOnce, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that is evaluated at one and two shots."""

    def build(folder: Path) -> None:
        copied(shapes, folder)
        (folder / "fsarctl.toml").write_text(FILE)
        type_in(folder, "fsarctl run")

    return copied(built_once("report", build), tmp_path_factory.mktemp("report"))


@pytest.fixture
def copy(project: Path, tmp_path: Path) -> Path:
    """A project of one's own to change."""
    return copied(project, tmp_path / "copy")


def test_nothing_evaluated_names_the_command(tmp_path: Path) -> None:
    (tmp_path / "fsarctl.toml").write_text(FILE)
    done = type_in(tmp_path, "fsarctl report --set eval.episodes=7", expect=4)
    assert "nothing is evaluated yet" in done.stderr
    assert "fsarctl run --shots 1 2 --set eval.episodes=7" in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "report.html").exists()


def test_results_whose_frames_are_gone_are_not_called_undone(copy: Path) -> None:
    for place in artifacts(copy, "extract"):
        if "extract shapes/test" in (place / "manifest.json").read_text():
            shutil.rmtree(place)
    done = type_in(copy, "fsarctl report", expect=4)
    assert "nothing is evaluated" not in done.stderr
    assert "there are results, but" in done.stderr
    assert "extract shapes/test" in done.stderr
    assert "no longer in the store" in done.stderr
    type_in(copy, "fsarctl extract")
    type_in(copy, "fsarctl report --no-pictures")


def test_a_dataset_of_another_name_has_the_same_report(copy: Path) -> None:
    before = numbers(copy, "--no-pictures")
    settings = (copy / "fsarctl.toml").read_text().replace("datasets.shapes", "datasets.forms")
    (copy / "fsarctl.toml").write_text(settings.replace('dataset = "shapes"', 'dataset = "forms"'))
    after = numbers(copy, "--no-pictures")
    assert after["data"]
    assert after.pop("descriptions") == before.pop("descriptions")  # whose sentences are of shapes
    assert json.dumps(after) == json.dumps(before).replace("shapes", "forms")


def test_the_page_has_the_numbers_of_the_results(project: Path) -> None:
    done = type_in(project, "fsarctl report")
    assert done.stdout == "report.html\n"
    page = (project / "report.html").read_text(encoding="utf-8")
    results = [json.loads((each / "result.json").read_text()) for each in artifacts(project, "evaluate")]
    assert len(results) == 4
    for result in results:
        accuracy = f"{100 * result['accuracy']:.1f}"
        assert (
            f'<span class="number">{accuracy}</span> <span class="half">{interval_of(result)}</span>' in page
        )
    told = {(each["shot"], each["model"]): each for each in numbers(project)["results"]}
    for result in results:
        row = told[result["shot"], result["model"]]
        for name in (
            "accuracy",
            "half_width",
            "intervals",
            "headline",
            "chance",
            "episodes",
            "way",
            "trainable_parameters",
        ):
            assert row[name] == result[name]


def test_the_numbers_are_those_of_the_artifacts(project: Path) -> None:
    told = numbers(project)
    assert told["schema"] == "fsarctl.report/1"
    compared = json.loads(
        type_in(
            project, 'fsarctl compare "eval shapes 1-shot frozen" "eval shapes 1-shot task-adapter++" --json'
        ).stdout
    )
    gain = next(
        each["gain"] for each in told["results"] if (each["shot"], each["model"]) == (1, "task-adapter++")
    )
    assert gain.keys() >= {"difference", "half_width", "p", "intervals", "headline"}
    assert gain == {name: compared[name] for name in gain}
    for training in told["training"]:
        folder = next(each for each in artifacts(project, "train") if each.name == training["key"][:20])
        lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        assert training["log"] == lines
        assert [line["step"] for line in lines if line["kind"] == "epoch"] == [3, 6]
        assert training["best_epoch"] == json.loads((folder / "training.json").read_text())["best_epoch"]
    classes = next(each for each in told["classes"] if each["shot"] == 1)
    # Six 5-way episodes, one query per class.
    assert sum(row["queries"] for row in classes["rows"]) == 30
    right = sum(classes["confusion"]["given"][n][n] for n in range(12))
    accuracy = next(
        e["accuracy"] for e in told["results"] if (e["shot"], e["model"]) == (1, "task-adapter++")
    )
    assert right / 30 == pytest.approx(accuracy)
    assert {each["split"]: each["clips"] for each in told["data"]} == {
        "shapes/train": 144,
        "shapes/val": 48,
        "shapes/test": 72,
    }
    made = {each["slot"]: each for each in told["provenance"]["artifacts"]}
    assert made["train shapes 1-shot"]["command"] == "fsarctl train --shots 1"
    assert all(each["seconds"] >= 0 and each["packages"]["torch"] for each in made.values())
    assert told["paper"] == []


def test_pictures_are_of_stored_episodes_and_their_scores(project: Path) -> None:
    from fsarctl.results.result import load_result

    told = numbers(project)["pictures"]
    assert told["shot"] == 1
    assert told["models"] == ["frozen", "task-adapter++"]
    stored = {
        (r.record["shot"], r.record["model"]): r.predictions
        for r in map(load_result, artifacts(project, "evaluate"))
    }
    for episode in told["episodes"]:
        for model in told["models"]:
            predictions = stored[1, model]
            scores = [query["scores"][model] for query in episode["queries"]]
            assert np.allclose(scores, predictions.scores[episode["number"]], rtol=0, atol=1e-5)
            targets = [query["target"] for query in episode["queries"]]
            assert targets == predictions.targets[episode["number"]].tolist()
        labels = [predictions.labels[c] for c in predictions.classes[episode["number"]]]
        assert episode["classes"] == labels
    assert [each["kind"] for each in told["episodes"]] == ["best", "worst", "most confused"]
    assert told["episodes"][0]["accuracy"] == max(stored[1, "task-adapter++"].episode_accuracies)
    assert told["episodes"][1]["accuracy"] == min(stored[1, "task-adapter++"].episode_accuracies)


def test_the_second_report_draws_nothing_and_is_the_same_file(project: Path) -> None:
    type_in(project, "fsarctl report --output first.html")
    drawn = [(each, each.stat().st_mtime_ns) for each in artifacts(project, "illustrate")]
    assert drawn
    done = type_in(project, "fsarctl report --output second.html")
    assert "illustrate" not in done.stderr
    assert [(each, each.stat().st_mtime_ns) for each in artifacts(project, "illustrate")] == drawn
    assert (project / "first.html").read_bytes() == (project / "second.html").read_bytes()
    assert not list(project.glob(".*.partial"))
    assert (project / "first.html").stat().st_size < 3e6


@pytest.mark.slow
@pytest.mark.long
def test_more_in_the_store_is_more_in_the_report(copy: Path) -> None:
    before = numbers(copy)
    assert before["query_modes"]["commands"] == ["fsarctl run --shots 1 2 --set eval.query_mode=independent"]
    assert before["ways"]["command"] == "fsarctl ablate fig9"
    aim = "--set model.strategy=aim --set model.sub_actions=none --set model.alignment=none"
    assert before["aim"] == f"fsarctl train --shots 1 {aim}"
    type_in(copy, before["query_modes"]["commands"][0])
    type_in(copy, before["aim"])
    type_in(copy, "fsarctl ablate ways --seeds 0 1")
    after = numbers(copy)
    rows = {(each["shot"], each["title"]): each for each in after["query_modes"]["rows"]}
    assert len(rows) == 4
    for each in after["results"]:
        row = rows[each["shot"], each["title"]]
        assert row["joint"]["accuracy"] == each["accuracy"]
        difference = row["joint"]["accuracy"] - row["independent"]["accuracy"]
        assert row["difference"]["difference"] == pytest.approx(difference)
    assert after["pictures"]["models"] == ["frozen", "aim", "task-adapter++"]
    assert after["aim"] is None
    (table,) = after["ablations"]
    assert table["command"] == "fsarctl ablate ways --seeds 0 1"
    assert table["runs"]["way 3, 1-shot, seed 1"] == (
        "fsarctl eval --shots 1 --set eval.way=3 --set train.seed=1 --set eval.seed=1"
    )
    type_in(copy, "fsarctl report")
    page = (copy / "report.html").read_text(encoding="utf-8")
    found = table["rows"][1]["results"][0]
    assert f"{100 * found['accuracy']:.1f} {interval_of(found)}" in page
    assert "Two ways" in page
    # The pictures and the adapters that they were drawn with are in use, and gc leaves them.
    (copy / "fsarctl.toml").write_text(re.sub(r"\[datasets.mine\].*?(?=\n\[)", "", FILE, flags=re.DOTALL))
    told = type_in(copy, "fsarctl cache gc --yes").stdout
    assert "eval shapes 1-shot" in told, "results with other query modes are not"
    assert "illustrate" in told, "nor are pictures without AIM"
    (drawn,) = artifacts(copy, "illustrate")
    assert numbers(copy)["pictures"] == after["pictures"]
    assert artifacts(copy, "illustrate") == [drawn]


def test_without_pictures_there_is_still_a_report(copy: Path) -> None:
    shutil.rmtree(copy / "cache" / "artifacts" / "illustrate", ignore_errors=True)
    type_in(copy, "fsarctl report --no-pictures --output plain.html")
    assert "<img" not in (copy / "plain.html").read_text(encoding="utf-8")
    done = type_in(copy, "fsarctl report --device cuda:99")
    assert "no pictures: device 'cuda:99' cannot be used here" in done.stderr
    assert "There are no pictures: device" in (copy / "report.html").read_text(encoding="utf-8")
    assert artifacts(copy, "illustrate") == []


def test_a_frozen_strategy_is_reported_like_any_other(project: Path) -> None:
    told = numbers(project, "--set model.strategy=frozen")
    assert {each["model"] for each in told["results"]} == {"frozen"}
    assert (told["training"], told["aim"], told["trained_on"]) == ([], None, None)
    assert told["pictures"]["models"] == ["frozen"]


def test_a_report_that_cannot_be_written_says_so(project: Path) -> None:
    done = type_in(project, "fsarctl report --no-pictures --output nowhere/report.html", expect=3)
    assert "there is no folder nowhere\n" in done.stderr
    assert "--output" in done.stderr


def test_open_hands_the_file_to_the_browser(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webbrowser._tryorder", None)  # as in a new process, which reads $BROWSER
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\necho "$1" >> {opened}\n')
    browser.chmod(0o755)
    for line in ("report --no-pictures --open", "show bottom-to-the-top/03 --open --output sheet.png"):
        type_in(project, *line.split(), BROWSER=str(browser))
    assert opened.read_text().split() == [(project / n).as_uri() for n in ("report.html", "sheet.png")]


def test_a_class_that_is_markup_stays_text(copy: Path) -> None:
    (render,) = (
        each for each in artifacts(copy, "render") if (each / "clips.json").read_text().count('"test/') > 0
    )
    clips = json.loads((render / "clips.json").read_text())
    labels = sorted({clip["label"] for clip in clips})[:3]
    for label, name in zip(labels, (SCRIPT, "waving", "jumping"), strict=True):
        (copy / "clips" / name).mkdir(parents=True)
        for number, clip in enumerate([each for each in clips if each["label"] == label][:3]):
            shutil.copy(render / clip["file"], copy / "clips" / name / f"{number}.mp4")
    flags = "--dataset mine --shots 1 --set eval.way=3 --set model.strategy=frozen"
    type_in(copy, f"fsarctl run {flags}")
    type_in(copy, f"fsarctl report {flags}")
    page = (copy / "report.html").read_text(encoding="utf-8")
    assert SCRIPT not in page
    assert "&lt;script&gt;alert(&#39;label&#39;)" in page
    assert page.count("<script") == 1
    assert SCRIPT in json.dumps(numbers(copy, flags), ensure_ascii=False)
    shown = type_in(copy, f'fsarctl show "{SCRIPT}/1.mp4" --dataset mine').stdout.strip()
    assert shown == "script-alert-label-1.mp4.png"
    assert (copy / shown).is_file()


def test_a_missing_video_is_counted_and_named(copy: Path) -> None:
    render = next(each for each in artifacts(copy, "render") if '"test/' in (each / "clips.json").read_text())
    clips = json.loads((render / "clips.json").read_text())
    labels = sorted({clip["label"] for clip in clips})[:3]
    lines = [f'{render / c["file"]},"{c["label"]}",test' for c in clips if c["label"] in labels]
    gone = [f"clips/gone-{number:02}.mp4" for number in range(22)]
    lines += [f'{name},"{labels[0]}",test' for name in gone]
    (copy / "fsarctl.toml").write_text(f'{FILE}[datasets.listed]\nkind = "list"\nfile = "list.csv"\n')
    (copy / "list.csv").write_text("\n".join(["path,label,split", *lines]) + "\n")
    flags = "--dataset listed --shots 1 --set eval.way=3 --set model.strategy=frozen"
    type_in(copy, f"fsarctl run {flags}")
    (told,) = numbers(copy, flags)["data"]
    assert (told["split"], told["expected"], told["clips"]) == ("listed/test", 40, 18)
    assert told["missing"] == [f"{labels[0]}/{name}" for name in gone[:20]]
    assert told["missing_more"] == 2
    type_in(copy, f"fsarctl report {flags}")
    page = (copy / "report.html").read_text(encoding="utf-8")
    assert "18 of 40 clips" in page
    assert "gone-19.mp4" in page
    assert "gone-20.mp4" not in page


def test_show_draws_a_clip_by_name_by_part_and_by_file(project: Path, tmp_path: Path) -> None:
    from PIL import Image

    name = "test/a-shape-moves-from-the-bottom-to-the-top/03.mp4"
    sheet = tmp_path / "sheet.png"
    shown = json.loads(type_in(project, f"fsarctl show {name} --json --output {sheet}").stdout)
    assert (shown["schema"], shown["clip"], shown["source"]) == ("fsarctl.show/1", name, "shapes/test")
    assert shown["label"] == "a shape moves from the bottom to the top"
    assert len(shown["indices"]) == 8
    assert [each["first"] for each in shown["stages"]] == [0, 2, 4]
    assert [each["last"] for each in shown["stages"]] == [3, 5, 7]
    with Image.open(sheet) as picture:
        assert picture.size[0] > 8 * 150
    whole = sheet.read_bytes()
    assert type_in(project, f"fsarctl show bottom-to-the-top/03 --output {sheet}").stdout == f"{sheet}\n"
    assert sheet.read_bytes() == whole
    (render,) = (
        each for each in artifacts(project, "render") if '"test/' in (each / "clips.json").read_text()
    )
    file = next(c["file"] for c in json.loads((render / "clips.json").read_text()) if c["name"] == name)
    told = json.loads(type_in(project, f"fsarctl show {render / file} --json --output {sheet}").stdout)
    assert (told["indices"], told["frame_count"]) == (shown["indices"], shown["frame_count"])
    assert told["label"] is None


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("fsarctl show", 2, "CLIP"),
        ("fsarctl show bottom-to-the-top/03 --output sheets/a.jpg", 2, "--output sheets/a.png"),
        ("fsarctl show nothing-like-it", 3, "no clip 'nothing-like-it' in shapes"),
        ("fsarctl show mp4", 3, "264 clips of shapes have 'mp4' in their name"),
        ("fsarctl show x --dataset nowhere", 3, "no dataset 'nowhere'"),
        ("fsarctl show fsarctl.toml", 3, "cannot be decoded"),
        ("fsarctl show x --set datasets.shapes.clips_per_class=2", 4, "fsarctl extract --dataset shapes"),
        ("fsarctl train --tensorboard boards", 3, "fsarctl[tensorboard]"),
    ],
)
def test_what_cannot_be_shown_says_why(project: Path, line: str, code: int, says: str) -> None:
    if "tensorboard" in line:
        try:
            import tensorboard  # noqa: F401
        except ImportError:
            pass
        else:
            pytest.skip("TensorBoard is installed")
    done = type_in(project, line, expect=code)
    assert says in done.stderr
    assert done.stdout == ""


def test_on_a_terminal_train_ends_with_its_curve(project: Path) -> None:
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [str(FSARCTL), "train", "--shots", "1"],
        cwd=project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "80"},
        timeout=120,
        check=True,
    )
    os.close(theirs)
    told = os.read(ours, 2**16).decode()
    os.close(ours)
    training = next(each for each in numbers(project, "--shots 1")["training"])
    first, second = (epoch["val_accuracy"] for epoch in training["epochs"])
    curve = "▁█" if second > first else "█▁" if second < first else "▄▄"
    last = re.sub(r"\x1b\[[0-9;]*m", "", told.strip().splitlines()[-1])
    assert last == (
        f"train shapes 1-shot  validation {curve}  {100 * first:.1f} -> "
        f"{100 * training['best_val_accuracy']:.1f} %, kept epoch {training['best_epoch']} of 2"
    )
    assert "▁" not in done.stdout.decode()
    assert "validation" not in type_in(project, "fsarctl train --shots 1").stderr
