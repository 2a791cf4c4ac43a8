"""Which directories name the classes: asked where names return, set by ``depth``."""

import shutil
from itertools import product
from pathlib import Path

import pytest
from typed import type_in

from fsarctl.config.dataset_table import DatasetConfig
from fsarctl.datasets.class_levels import levels_of
from fsarctl.datasets.kinds import open_dataset
from fsarctl.errors import ConfigError

PEOPLE, ACTIONS = ("anna", "ben", "eve"), ("bow", "wave", "long jump")


def found(*directories: str) -> dict[int, list[str]]:
    return {each.depth: sorted(each.names) for each in levels_of([each.split("/") for each in directories])}


def test_a_level_is_the_classes_where_its_names_return() -> None:
    people = [f"{person}/{action}" for person, action in product(PEOPLE, ACTIONS)]
    assert found(*people) == {1: [*PEOPLE], 2: sorted(ACTIONS)}
    # one spelling or another, not everybody does everything, and a place more
    assert found("anna/Long_Jump", "ben/long jump", "ben/bow", "eve/bow")[2][-1] == "long jump"
    assert found(*[f"lab/{each}" for each in people]) == {1: ["lab"], 3: sorted(ACTIONS)}
    assert found("bow/cam1", "bow/cam2", "wave/cam1", "wave/cam2") == {1: ["bow", "wave"]}
    assert found("bow/Session 01", "wave/session_1") == {1: ["bow", "wave"]}
    assert found("bow/rgb", "wave/rgb") == {1: ["bow", "wave"]}
    assert found("bow/anna", "bow/ben", "wave/eve", "wave/joe") == {1: ["bow", "wave"]}
    assert found("bow", "wave") == {1: ["bow", "wave"]}
    assert found() == {}


def plant(root: Path, video: Path, *under: str) -> None:
    for top, person, action in product(under or ("",), PEOPLE, ACTIONS):
        (root / top / person / action).mkdir(parents=True)
        for number in range(2):
            shutil.copy(video, root / top / person / action / f"{number}.mp4")


def test_depth_says_it(tmp_path: Path, tiny_video: Path) -> None:
    plant(tmp_path / "r", tiny_video)
    shutil.copy(tiny_video, tmp_path / "r" / "anna" / "loose.mp4")
    unsaid = open_dataset("x", DatasetConfig(root="r"), tmp_path)
    assert unsaid.labels("test") == [*PEOPLE]
    assert any("bow, long jump, wave (depth = 2), say so in [datasets.x]" in each for each in unsaid.remarks)
    said = open_dataset("x", DatasetConfig(root="r", depth=2, group="([^/]+)/"), tmp_path)
    assert dict(said.found["test"]) == dict.fromkeys(sorted(ACTIONS), 6)
    assert {clip.group for clip in said.clips["test"]} == {f"{person}" for person in PEOPLE}
    assert said.remarks == ("videos less than 2 directories deep, and so in no class: 1",)
    assert not open_dataset("x", DatasetConfig(root="r", depth=1), tmp_path).remarks
    plant(tmp_path / "s", tiny_video, "train", "test")
    split = open_dataset("x", DatasetConfig(root="s", depth=2, split_ratio=(0, 0, 1)), tmp_path)
    assert dict(split.found["test"]) == dict.fromkeys(sorted(ACTIONS), 12)
    with pytest.raises(ConfigError, match="depth is -1"):
        DatasetConfig(root="r", depth=-1)


def test_init_asks_and_each_answer_that_it_names_works(tmp_path: Path, tiny_video: Path) -> None:
    plant(tmp_path / "my clips", tiny_video)
    said = " ".join(type_in(tmp_path, "fsarctl init 'my clips'", expect=3).stderr.split())
    assert "may be its directories (anna, ben, eve), or those 2 deep (bow, long jump, wave)" in said
    commands = said.partition("Say which: ")[2].split(", or ")
    assert len(commands) == 2
    for command, classes in zip(commands, (ACTIONS, PEOPLE), strict=True):
        type_in(tmp_path, f"{command} --force")
        (tmp_path / "fsarctl.toml").write_text(
            (tmp_path / "fsarctl.toml").read_text().replace("# group = ", "group = ")
        )
        shown = type_in(tmp_path, "fsarctl describe --show").stdout
        assert all(f"{each}  (" in shown for each in classes)
        assert "same names again" not in type_in(tmp_path, "fsarctl data check", expect=None).stdout
    type_in(tmp_path, "fsarctl init 'my clips' --depth 9 --force", expect=3)
    (tmp_path / "loose").mkdir()
    shutil.move(tmp_path / "my clips" / "anna" / "bow" / "0.mp4", tmp_path / "loose" / "0.mp4")
    assert "in no class directories" in type_in(tmp_path, "fsarctl init loose --force", expect=3).stderr
    (tmp_path / "list.csv").write_text("path,label\n")
    assert (
        "--depth is of a folder"
        in type_in(tmp_path, "fsarctl init list.csv --depth 2 --force", expect=2).stderr
    )
