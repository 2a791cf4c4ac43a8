"""`fsarctl eval --adapters FILE`: what others trained, evaluated as what it is."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from built import copied
from safetensors.torch import load_file, save_file
from typed import type_in

from fsarctl.models.tiny_clip import WEIGHTS
from fsarctl.models.weights.released import ReleasedState, to_released

FILE = """
[datasets.shapes]
kind = "shapes"
clips_per_class = 6
[model]
backbone = "tiny"
weights = "shipped"
formulation = "released"
visual_layers = 1
text_layers = 1
[train]
way = 2
epochs = 1
episodes = 3
val_episodes = 2
lr = 0.1
shots = [1]
[eval]
way = 2
shots = [1]
episodes = 6
"""
Type = Callable[..., tuple[Any, str]]


@pytest.fixture(scope="module")
def trained(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that is trained and evaluated; adapters.safetensors, and as a released checkpoint."""
    project = copied(shapes, tmp_path_factory.mktemp("project"))
    (project / "fsarctl.toml").write_text(FILE)
    type_in(project, "fsarctl run")
    (file,) = project.glob("cache/**/adapters.safetensors")
    adapters = load_file(file)
    save_file(adapters, project / "theirs.safetensors")
    clip = {name: tensor.float() for name, tensor in load_file(WEIGHTS).items()}
    released = to_released(ReleasedState(clip, adapters))
    wrapped = {f"module.{name}": tensor for name, tensor in released.items()}
    wrapped["module.text.attn_mask"] = torch.full((3, 3), float("-inf")).triu(1)
    torch.save({"model_state_dict": wrapped, "epoch": 7}, project / "released.pt")
    return project


@pytest.fixture
def typed(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Type:
    monkeypatch.chdir(trained)
    monkeypatch.setenv("COLUMNS", "300")

    def run(command: str, expect: int = 0) -> tuple[Any, str]:
        done = type_in(trained, command, expect=expect)
        return (json.loads(done.stdout) if "--json" in command and not expect else done.stdout), done.stderr

    return run


def result(document: dict[str, Any], model: str) -> dict[str, Any]:
    (found,) = (each for each in document["results"] if each["model"] == model)
    return found


@pytest.mark.parametrize("file", ["theirs.safetensors", "released.pt"])
def test_the_same_adapters_give_the_same_predictions(trained: Path, typed: Type, file: str) -> None:
    own = result(typed("fsarctl eval --json")[0], "task-adapter++")
    document, said = typed(f"fsarctl eval --adapters {file} --json")
    found = result(document, f"adapters from {file}")
    assert {each["model"] for each in document["results"]} == {"frozen", f"adapters from {file}"}
    assert found["accuracy"] == own["accuracy"]
    assert found["episodes_digest"] == own["episodes_digest"]
    scores = [
        load_file(next(trained.glob(f"cache/**/{each['key'][:12]}*/episodes.safetensors")))
        for each in (own, found, result(document, "frozen"))
    ]
    for name, tensor in scores[0].items():
        torch.testing.assert_close(tensor, scores[1][name], msg=name)
    assert not torch.equal(scores[0]["scores"], scores[2]["scores"]), "what was trained shows"
    assert found["key"] != own["key"]
    assert found["classes_seen_in_training"] is None
    assert found["adapters"]["file"] == file
    assert len(found["adapters"]["sha256"]) == 64
    assert "trained and chosen on is not known" in said
    assert f"adapters from {file}" in typed(f"fsarctl eval --adapters {file}")[0]
    (gain,) = document["gains"]
    assert gain["shot"] == 1


def test_its_content_is_in_the_key_and_its_name_is_not(trained: Path, typed: Type) -> None:
    first, _ = typed("fsarctl eval --adapters theirs.safetensors --json")
    (trained / "other.safetensors").write_bytes((trained / "theirs.safetensors").read_bytes())
    second, said = typed("fsarctl eval --adapters other.safetensors --json")
    assert "nothing to do" in said
    key = result(first, "adapters from theirs.safetensors")["key"]
    assert result(second, "adapters from other.safetensors")["key"] == key
    changed = {name: tensor + 0.01 for name, tensor in load_file(trained / "theirs.safetensors").items()}
    save_file(changed, trained / "other.safetensors")
    third, _ = typed("fsarctl eval --adapters other.safetensors --json")
    assert result(third, "adapters from other.safetensors")["key"] != key


def test_the_report_names_it_and_gc_keeps_it(trained: Path, typed: Type) -> None:
    typed("fsarctl eval --adapters released.pt")
    document, _ = typed("fsarctl report --json")
    titles = [each["title"] for each in document["results"]]
    assert "adapters from released.pt" in titles
    assert "Task-Adapter++" in titles
    typed("fsarctl report --no-pictures")
    assert "adapters from released.pt" in (trained / "report.html").read_text()
    doomed, _ = typed("fsarctl cache gc --dry-run --json")
    assert not [each for each in doomed["found"] if "released.pt" in each["what"]]


def test_another_backbone_in_the_file_is_evaluated_and_said(trained: Path, typed: Type) -> None:
    held = torch.load(trained / "released.pt", weights_only=True)["model_state_dict"]
    half = {name: tensor.half() for name, tensor in held.items()}
    torch.save(half, trained / "half.pt")
    remarks = result(typed("fsarctl eval --adapters half.pt --json")[0], "adapters from half.pt")
    assert "remarks" not in remarks, "rounding to half precision is no other backbone"
    held["module.visual.proj"] = held["module.visual.proj"].flip(0)
    torch.save(held, trained / "flipped.pt")
    found = result(typed("fsarctl eval --adapters flipped.pt --json")[0], "adapters from flipped.pt")
    assert "1 of" in found["remarks"][0]
    assert "visual.proj" in found["remarks"][0]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("--set model.strategy=frozen", 'model.strategy is "frozen", which has none'),
        ("--set model.visual_layers=2", "is missing"),
        ("--set model.strategy=aim --set model.sub_actions=none --set model.alignment=none", "is unknown"),
        ("--set model.formulation=paper", "visual.temporal_embedding is unknown"),
    ],
)
@pytest.mark.parametrize("file", ["theirs.safetensors", "released.pt"])
def test_other_settings_are_refused_with_what_is_in_the_file(
    typed: Type, file: str, settings: str, said: str
) -> None:
    _, error = typed(f"fsarctl eval --adapters {file} {settings}", expect=3)
    assert said in error
    assert "holds temporal, spatial, task, joint adapters in visual blocks" in error
    assert "order adapters in text blocks" in error
    assert "a temporal embedding" in error


def test_files_that_hold_no_adapters(trained: Path, typed: Type) -> None:
    assert "there is no file" in typed("fsarctl eval --adapters none.pt", expect=3)[1]
    for content, said in (
        (b"garbage", "cannot be read as weights"),
        (Path(WEIGHTS).read_bytes(), "holds no adapters"),
    ):
        (trained / "x.safetensors").write_bytes(content)
        assert said in typed("fsarctl eval --adapters x.safetensors", expect=3)[1]
    spoiled = load_file(trained / "theirs.safetensors")
    next(iter(spoiled.values())).fill_(float("nan"))
    save_file(spoiled, trained / "x.safetensors")
    assert "NaN or infinite" in typed("fsarctl eval --adapters x.safetensors", expect=3)[1]
