"""Every method by its name: trained, evaluated, asked about clips, reported, and compared in one table."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from built import BuiltOnce, copied
from typed import type_in

from fsarctl.config import methods as known
from fsarctl.config.methods import TASK_ADAPTER, method_names
from fsarctl.results.sweeps import _shipped as shipped_sweeps

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
ALWAYS = ("clip-fsar",)
METHODS = [
    pytest.param(name, (1, 2), id=name)
    if name in ALWAYS
    else pytest.param(name, (1,), id=name, marks=pytest.mark.slow)
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


@pytest.mark.parametrize(("name", "shots"), METHODS)
def test_a_method_is_trained_evaluated_asked_and_reported(
    name: str, shots: tuple[int, ...], project: Path, tmp_path: Path
) -> None:
    copy = copied(project, tmp_path / "copy")
    asked = " ".join(map(str, shots))
    chosen = f"--set model.method={name} {BRIEF}"
    ran = json.loads(type_in(copy, f"fsarctl run --shots {asked} --json {chosen}").stdout)
    results = {(each["model"], each["shot"]): each for each in ran["results"]}
    assert {name_of for name_of, _ in results} == {"frozen", name}
    assert all(0 <= each["accuracy"] <= 1 for each in results.values())
    assert results[name, shots[-1]]["trainable_parameters"] > 0
    again = type_in(copy, f"fsarctl run --shots {asked} {chosen}")
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
    trained = next(each for each in (copy / "cache").glob("artifacts/train/*/adapters.safetensors"))
    elsewhere = json.loads(
        type_in(copy, f"fsarctl eval --shots {shots[-1]} --adapters {trained} --json {chosen}").stdout
    )
    assert any(each["adapters"]["layout"] == "fsarctl" for each in elsewhere["results"] if "adapters" in each)
    report = type_in(copy, f"fsarctl report --shots {asked} --json {chosen}")
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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["clip-mei", "clip-spm"])
def test_what_true_texts_would_add_is_measured_on_the_same_trained_model(
    name: str, project: Path, tmp_path: Path
) -> None:
    copy = copied(project, tmp_path / "copy")
    row = "queries told by their true class"
    words = [*["ablate", "protocol", "--shots", "2", "--json", "--set", "eval.query=2", "--rows"], row]
    words += ["--set", f"model.method={name}", *BRIEF.split()]
    done = type_in(copy, *words)
    (table,) = json.loads(done.stdout)["tables"]
    honest, told = table["rows"]
    assert (honest["name"], told["name"]) == ("the honest protocol", row)
    assert told["results"][0]["accuracy"] is not None
    # Paired over the same episodes, by the very weights that are evaluated honestly.
    assert told["results"][0]["difference"] is not None
    assert len([*(copy / "cache").glob("artifacts/train/*/adapters.safetensors")]) == 1
    assert "nothing to do" in type_in(copy, *words).stderr
    refused = type_in(copy, *words, "--set", "model.method=otam", expect=3).stderr
    assert "the shortcut 'true-texts' is that of clip-mei and clip-spm" in refused


def test_a_method_is_shown_with_its_options_and_published_settings(tmp_path: Path) -> None:
    shown = type_in(tmp_path, "fsarctl methods clip-fsar").stdout
    assert "arXiv 2303.02982" in shown
    assert "text_weight" in shown
    assert "train.lr = 5e-05" in shown
    document = json.loads(type_in(tmp_path, "fsarctl methods otam --json").stdout)
    assert [each["name"] for each in document["options"]] == ["backbone", "cosine", "shots", "smoothing"]
    assert next(e for e in document["options"] if e["name"] == "cosine")["allowed"] == ["damped", "true"]


def test_a_wrong_option_is_refused_with_those_that_there_are(project: Path) -> None:
    def refused(option: str) -> str:
        words = f"fsarctl eval --shots 1 --set model.method=otam --set model.options.{option} {BRIEF}"
        return type_in(project, words, expect=3).stderr

    assert "no option 'smothing'" in refused("smothing=0.2")
    assert "smoothing" in refused("smothing=0.2")
    assert "smoothing is 0" in refused("smoothing=0.0")
    assert "model.options.smoothing" in refused("smoothing=soft")


def test_fixed_crops_are_refused_where_a_loss_reads_frames(project: Path) -> None:
    words = "fsarctl train --shots 1 --set model.method=molo --set model.options.backbone=frozen"
    said = type_in(project, f"{words} --set train.prefix_crops=2 {BRIEF}", expect=3).stderr
    assert "train.prefix_crops keeps no frames" in said
    assert "Set train.prefix_crops = 0" in said


ADDED = '''
"""Nearest mean colour, to be added by its own files alone."""

from dataclasses import dataclass

import torch

from fsarctl.config.setting_field import setting
from fsarctl.methods.frame_method import FrameMethod, FrameOptions
from fsarctl.methods.protocol import Scores, by_class

VERSION = 3


@dataclass(frozen=True)
class Options(FrameOptions):
    backbone: str = setting("frozen", "frozen alone")
    scale: float = setting(4.0, "of the scores")


class Nearest(FrameMethod):
    """The nearest class mean under a learned scale."""

    Options = Options

    def build(self):
        self.scale = torch.nn.Parameter(torch.ones(()) * self.options.scale)

    def score_features(self, support, query, text, *, way=None, query_mode="joint"):
        means = by_class(support, way).mean(dim=(-3, -2))
        return Scores(-self.scale * torch.cdist(query.mean(dim=-2), means))
'''
ITS_FILE = """
title = "Nearest Mean, Added"
target = "fsarctl_added.method:Nearest"
paper = "nobody, nowhere"
[presets.any]
source = "here"
train = { lr = 0.01, episodes = 2, val_episodes = 2, epochs = 1 }
"""


def test_a_method_is_added_by_its_own_files_alone(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CONTRIBUTING, Add a method: nothing else is told of it, and every command knows it."""
    package = tmp_path / "site" / "fsarctl_added"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "method.py").write_text(ADDED)
    monkeypatch.syspath_prepend(str(package.parent))
    folder = tmp_path / "methods"
    folder.mkdir()
    for each in known.FOLDER.glob("*/method.toml"):
        (folder / each.parent.name).symlink_to(each.parent)
    (folder / "added_method_plus").mkdir()
    (folder / "added_method_plus" / "method.toml").write_text(ITS_FILE)
    monkeypatch.setattr(known, "FOLDER", folder)
    with cleared():
        copy = copied(project, tmp_path / "copy")
        assert "added-method+" in type_in(copy, "fsarctl methods").stdout
        assert "of the scores" in type_in(copy, "fsarctl methods added-method+").stdout
        chosen = "--set model.method=added-method+ --set train.published=true"
        assert "Nearest Mean, Added" in type_in(copy, f"fsarctl run --shots 1 {chosen}").stdout
        planned = type_in(copy, "fsarctl ablate methods --shots 1 --seeds 0 --dry-run").stdout
        assert "added-method+" in planned
        wrong = type_in(copy, f"fsarctl eval --shots 1 {chosen} --set model.options.skale=1", expect=3).stderr
        assert "scale" in wrong


@contextmanager
def cleared() -> Iterator[None]:
    """What is remembered of the methods that there are is forgotten, before and after."""
    remembered = (known.method_names, known.method_file, shipped_sweeps)
    for each in remembered:
        each.cache_clear()
    try:
        yield
    finally:
        for each in remembered:
            each.cache_clear()
