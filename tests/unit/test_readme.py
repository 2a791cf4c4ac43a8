"""What the README shows works: its configurations load, its notebook runs, its commands exist."""

import re
from pathlib import Path

import pytest
from typed import type_in
from video_kinds import KINDS

from fsarctl.config.sources import load_settings

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("block", blocks("toml"))
def test_configurations_load(block: str, tmp_path: Path) -> None:
    (tmp_path / "fsarctl.toml").write_text(block)
    load_settings(tmp_path, environment={})


def test_the_embedded_default_loads() -> None:
    settings = load_settings(Path(__file__).parents[2], environment={})
    assert settings.config.model.backbone == "tiny"


def test_the_notebook_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = blocks("python")
    exec(block, {})
    assert "[4, 3]" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command", sorted(set(re.findall(r"`?fsarctl ((?:cache |config |data )?[a-z]+)", README)))
)
def test_commands_exist(command: str, tmp_path: Path) -> None:
    type_in(tmp_path, f"fsarctl {command} --help")


def test_sorts_of_video_are_counted() -> None:
    wrong = sum(kind.decord == "wrong" for kind in KINDS.values())
    assert f"the {len(KINDS)} sorts of video" in README
    assert f"On {wrong} of these sorts decord" in README
