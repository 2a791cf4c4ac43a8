"""Weights that are missing, spoiled or ambiguous: every command says it at once, before it decodes."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import open_clip
import pytest
import torch
from built import BuiltOnce, copied
from open_clip import pretrained
from safetensors.torch import load_file, save_file
from typed import type_in

from fsarctl.models import tiny_clip
from fsarctl.models.weights import activation, hub

FILE = """
[datasets.shapes]
kind = "shapes"
clips_per_class = 2
[extract]
frames = 4
[model]
backbone = "tiny"
weights = "shipped"
strategy = "frozen"
[eval]
way = 2
shots = [1]
episodes = 4
"""
OPENAI = "--set model.backbone=ViT-B-16-quickgelu --set model.weights=openai"
NAMED = "open_clip_model.safetensors of timm/vit_base_patch16_clip_224.openai"
Type = Callable[..., tuple[str, str]]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "fsarctl.toml").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    return tmp_path


@pytest.fixture
def extracted(project: Path, built_once: BuiltOnce) -> Path:
    """The same with its frames."""

    def build(folder: Path) -> None:
        (folder / "fsarctl.toml").write_text(FILE)
        type_in(folder, "fsarctl extract")

    return copied(built_once("weights", build), project)


@pytest.fixture
def typed(project: Path) -> Type:
    """Types a command line; what it prints, and what it says."""

    def run(command: str, expect: int = 0) -> tuple[str, str]:
        done = type_in(project, command, expect=expect)
        return done.stdout, done.stderr

    return run


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """No network, and nothing fetched before; the addresses that were asked for."""
    asked: list[str] = []

    class Session:
        def head(self, url: str, timeout: float) -> None:
            asked.append(url)
            raise OSError("Network is unreachable")

    def never(_: object) -> str:
        raise AssertionError("the hub's client retries for a minute")

    monkeypatch.setattr(hub, "get_session", Session)
    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda repository, file: None)
    monkeypatch.setattr(pretrained, "download_pretrained", never)
    hub._unreachable.cache_clear()
    return asked


def nothing_made(project: Path) -> bool:
    return not list((project / "cache" / "artifacts").rglob("manifest.json"))


@pytest.mark.parametrize(
    "command", ["run", "run --jobs 2", "ablate shots --shots 1", "ablate shots --shots 1 --jobs 2"]
)
def test_missing_weights_end_it_before_anything_is_rendered(
    project: Path, typed: Type, offline: list[str], command: str
) -> None:
    training = "--set model.strategy=task-adapter++ --set train.dataset=shapes"
    _, said = typed(f"fsarctl {command} {OPENAI} {training}", expect=3)
    assert NAMED in said
    assert str(project / "open_clip_model.safetensors") in said, "where to put it"
    assert 'set model.weights = "open_clip_model.safetensors"' in said
    assert nothing_made(project)
    assert len(offline) == 1, "asked once, whatever the number of runs"


def test_what_goes_on_without_them_says_so_and_asks_nobody(
    extracted: Path, typed: Type, offline: list[str]
) -> None:
    for command in ("extract", "data check", "doctor"):
        printed, said = typed(f"fsarctl {command} {OPENAI}")
        assert NAMED in printed + said, command
    document = json.loads(typed(f"fsarctl data check --json {OPENAI}")[0])
    assert NAMED in document["weights"][0]
    assert json.loads(typed("fsarctl data check --json")[0])["weights"] == []
    assert NAMED in json.loads(typed(f"fsarctl doctor --json {OPENAI}")[0])["weights"]
    assert not offline


def test_evaluation_and_prediction_say_it_at_once(
    extracted: Path, typed: Type, offline: list[str], tiny_video: Path
) -> None:
    stored = "--set extract.size=257"  # as much as ViT-B/16 is given
    typed(f"fsarctl run {stored}")
    for label in ("a", "b"):
        folder = extracted / "support" / label
        folder.mkdir(parents=True)
        (folder / "1.mp4").write_bytes(tiny_video.read_bytes())
    started = time.monotonic()
    for command in ("eval", "predict --frozen --support support support/a/1.mp4"):
        assert NAMED in typed(f"fsarctl {command} {OPENAI} {stored}", expect=3)[1], command
    assert time.monotonic() - started < 30
    assert len(offline) == 1


def test_what_was_evaluated_needs_no_weights(extracted: Path, typed: Type) -> None:
    weights = extracted / "w.safetensors"
    weights.write_bytes(Path(tiny_clip.WEIGHTS).read_bytes())
    typed("fsarctl run --set model.weights=w.safetensors")
    content = weights.read_bytes()
    weights.unlink()
    _, said = typed("fsarctl run --set model.weights=w.safetensors", expect=3)
    assert "there is no such file" in said
    weights.write_bytes(content)
    assert "nothing to do" in typed("fsarctl run --set model.weights=w.safetensors")[1]


def test_a_missing_file_is_said_with_where_to_have_it(extracted: Path, typed: Type) -> None:
    clip = "--set model.backbone=ViT-B-16-quickgelu --set model.weights=w/clip.pt"
    for command, code in (("run", 3), ("eval", 3), ("extract", 0), ("data check", 0), ("doctor", 0)):
        printed, said = typed(f"fsarctl {command} {clip}", expect=code)
        assert "there is no such file" in printed + said, command
        assert str(extracted / "w" / "clip.pt") in printed + said, command
        assert f'model.weights = "openai" fetches {NAMED}' in printed + said, command


def test_spoiled_weights_end_it_before_anything_is_rendered(project: Path, typed: Type) -> None:
    state = load_file(tiny_clip.WEIGHTS)
    state["visual.ln_post.bias"] = torch.full_like(state["visual.ln_post.bias"], float("nan"))
    save_file(state, project / "nan.safetensors")
    (project / "cut.pt").write_bytes(b"PK\x05\x06" + bytes(18))
    (project / "empty.bin").touch()
    for file, what in (
        ("nan.safetensors", "NaN or infinite numbers: visual.ln_post.bias"),
        ("cut.pt", "cannot be read as weights"),
        ("empty.bin", "cannot be read as weights: it is empty"),
    ):
        for command in ("run", "run --jobs 2"):
            assert what in typed(f"fsarctl {command} --set model.weights={file}", expect=3)[1]
        assert nothing_made(project)
        assert what in typed(f"fsarctl doctor --set model.weights={file}")[0]


def test_an_ambiguous_file_is_said_before_and_with_the_result(
    project: Path, typed: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "w.safetensors").write_bytes(Path(tiny_clip.WEIGHTS).read_bytes())
    monkeypatch.setattr(activation, "twin", lambda name: "tiny-quickgelu")
    import fsarctl.models.backbone as module

    monkeypatch.setattr(module, "twin", lambda name: "tiny-quickgelu")
    words = "--set model.weights=w.safetensors"
    remark = "warning: w.safetensors does not say whether it was trained with QuickGELU or GELU"
    said = typed(f"fsarctl run {words}")[1]
    assert said.count(remark) == 1
    assert said.index(remark) < said.index("render")
    assert typed(f"fsarctl run {words}")[1].count(remark) == 1, "the second time, of the stored result"
    document = json.loads(typed(f"fsarctl eval --json {words}")[0])
    assert remark.removeprefix("warning: ") in document["warnings"][-1]
    report = json.loads(typed(f"fsarctl report --json {words}")[0])
    assert any(remark.removeprefix("warning: ") in each for each in report["warnings"])
    assert remark.removeprefix("warning: ") in typed(f"fsarctl doctor {words}")[0]


def test_a_tag_that_was_fetched_before_asks_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    held = tmp_path / "open_clip_pytorch_model.bin"
    held.touch()

    def found(repository: str, file: str) -> str | None:
        return str(held) if file == held.name else None

    monkeypatch.setattr(hub, "try_to_load_from_cache", found)
    monkeypatch.setattr(hub, "get_session", lambda: pytest.fail("the hub is not asked"))
    tag = open_clip.get_pretrained_cfg("ViT-B-16", "openai")
    assert hub.fetch("ViT-B-16", "openai", tag, tmp_path) == held


def test_a_silent_network_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given_up = threading.Event()

    class Session:
        def head(self, url: str, timeout: float) -> None:
            given_up.wait(300)
            raise OSError

    monkeypatch.setattr(hub, "get_session", Session)
    monkeypatch.setattr(hub, "PATIENCE_S", 0.05)
    hub._unreachable.cache_clear()
    assert hub._unreachable("a/b", "c") == "it does not answer"
    given_up.set()
    hub._unreachable.cache_clear()
