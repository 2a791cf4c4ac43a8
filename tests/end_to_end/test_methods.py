"""Every method by its name: trained, evaluated, asked about clips, reported, and compared in one table."""

import json
from pathlib import Path

import pytest
from built import BuiltOnce, copied
from typed import type_in

from fsarctl.config.methods import TASK_ADAPTER, method_names

FILE = """
[datasets.shapes]
kind = "shapes"
clips_per_class = 6
[describe]
missing = "label"
[model]
backbone = "tiny"
weights = "shipped"
[train]
dataset = "shapes"
episodes = 2
[eval]
dataset = "shapes"
episodes = 3
"""
BRIEF = (
    "--set train.epochs=1 --set train.episodes=2 --set train.val_episodes=2 --set train.episodes_per_step=1"
)
BRIEF += " --set train.query=1 --set train.warmup=0 --set train.warmup_from=0"
ALWAYS = ("otam", "clip-fsar")
METHODS = [
    name if name in ALWAYS else pytest.param(name, marks=pytest.mark.slow)
    for name in method_names()
    if name != TASK_ADAPTER
]


@pytest.fixture(scope="module")
def project(shapes: Path, built_once: BuiltOnce) -> Path:
    """A project whose frames are extracted."""

    def build(folder: Path) -> None:
        copied(shapes, folder)
        (folder / "fsarctl.toml").write_text(FILE)
        type_in(folder, "fsarctl describe")
        type_in(folder, "fsarctl extract")

    return built_once("methods", build)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_trained_evaluated_asked_and_reported(name: str, project: Path, tmp_path: Path) -> None:
    copy = copied(project, tmp_path / "copy")
    chosen = f"--set model.method={name} {BRIEF}"
    ran = json.loads(type_in(copy, f"fsarctl run --shots 1 2 --json {chosen}").stdout)
    results = {(each["model"], each["shot"]): each for each in ran["results"]}
    assert {name_of for name_of, _ in results} == {"frozen", name}
    assert all(0 <= each["accuracy"] <= 1 for each in results.values())
    assert results[name, 2]["trainable_parameters"] > 0
    again = type_in(copy, f"fsarctl run --shots 1 2 {chosen}")
    assert "nothing to do" in again.stderr
    videos = next((copy / "cache").glob("artifacts/render/*/test"), None) or next(
        each.parent.parent for each in (copy / "cache").glob("artifacts/render/**/*.mp4")
    )
    support = tmp_path / "support"
    for folder in sorted(each for each in videos.iterdir() if each.is_dir())[:3]:
        (support / folder.name).mkdir(parents=True)
        for clip in sorted(folder.iterdir())[:2]:
            (support / folder.name / clip.name).symlink_to(clip)
    clip = sorted(folder.iterdir())[3]
    said = json.loads(
        type_in(copy, "predict", "--support", str(support), str(clip), "--json", *chosen.split()).stdout
    )
    assert len(said["clips"][0]["top"]) == 3
    assert said["model"]["strategy"] == name
    report = type_in(copy, f"fsarctl report --shots 1 2 --json {chosen}")
    assert name in report.stdout


def test_a_file_s_training_settings_stand_above_a_method_s_own(project: Path) -> None:
    def episodes(*words: str) -> int:
        listed = json.loads(type_in(project, "config", "show", "--json", *words).stdout)["settings"]
        return int(next(each["value"] for each in listed if each["key"] == "train.episodes"))

    assert episodes("--set", "model.method=otam") == 2
    assert episodes("--set", "model.method=otam", "--set", "train.published=true") == 60
    assert episodes("--set", "train.published=true", "--set", "train.episodes=4") == 4


def test_the_table_of_methods_has_them_all_with_settings_of_their_own(project: Path) -> None:
    planned = json.loads(
        type_in(project, "fsarctl ablate methods --shots 1 --seeds 0 --dry-run --json").stdout
    )
    rows = {each["run"].partition(", 1-shot")[0] for each in planned["runs"]}
    assert rows >= {"frozen CLIP", *method_names()}


def test_a_method_is_shown_with_its_options_and_published_settings(tmp_path: Path) -> None:
    shown = type_in(tmp_path, "fsarctl methods clip-fsar").stdout
    assert "arXiv 2303.02982" in shown
    assert "text_weight" in shown
    assert "train.lr = 5e-05" in shown
    document = json.loads(type_in(tmp_path, "fsarctl methods otam --json").stdout)
    assert [each["name"] for each in document["options"]] == ["backbone", "smoothing", "cosine", "shots"]
    assert next(e for e in document["options"] if e["name"] == "cosine")["allowed"] == ["damped", "true"]


def test_a_wrong_option_is_refused_with_those_that_there_are(project: Path) -> None:
    def refused(option: str) -> str:
        words = f"fsarctl eval --shots 1 --set model.method=otam --set model.options.{option} {BRIEF}"
        return type_in(project, words, expect=3).stderr

    assert "no option 'smothing'" in refused("smothing=0.2")
    assert "smoothing" in refused("smothing=0.2")
    assert "smoothing is 0" in refused("smoothing=0.0")
    assert "model.options.smoothing" in refused("smoothing=soft")
