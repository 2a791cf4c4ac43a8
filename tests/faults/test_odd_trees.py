"""A folder with everything that is no good video in it: the command line ends, and says what was what."""

import json
import os
import shutil
from pathlib import Path

import pytest
from typed import type_in

FILE = """
[datasets.mine]
root = "clips"
[describe]
missing = "label"
[model]
backbone = "tiny"
weights = "shipped"
strategy = "frozen"
[eval]
way = 2
shots = [1]
episodes = 2
"""


@pytest.fixture
def project(tmp_path: Path, tiny_video: Path) -> Path:
    """Two classes of three good clips each, one of them a linked directory, among all sorts of things."""
    (tmp_path / "fsarctl.toml").write_text(FILE)
    for place in ("clips/wave", "elsewhere/bow"):
        (tmp_path / place).mkdir(parents=True)
        for number in range(3):
            shutil.copy(tiny_video, tmp_path / place / f"{number}.mp4")
    clips = tmp_path / "clips"
    (clips / "bow").symlink_to(tmp_path / "elsewhere/bow")
    os.mkfifo(clips / "wave/pipe.mp4")
    (clips / "wave/gone.mp4").symlink_to(tmp_path / "gone.mp4")
    (clips / "wave/itself.mp4").symlink_to(clips / "wave/itself.mp4")
    (clips / "wave/up").symlink_to(clips)
    (clips / "gone").symlink_to(tmp_path / "unmounted")
    (clips / "wave/empty.mp4").touch()
    (clips / "wave/text.mp4").write_text("not a video")
    (clips / "wave/directory.mp4").mkdir()
    return tmp_path


def test_the_good_clips_are_used_and_the_others_are_said(project: Path) -> None:
    check = json.loads(type_in(project, "data", "check", "--open", "--workers", "1", "--json").stdout)
    (dataset,) = check["datasets"]
    assert {each["path"] for each in dataset["passed_over"]} == {
        "gone",
        "wave/gone.mp4",
        "wave/itself.mp4",
        "wave/pipe.mp4",
        "wave/up",
    }
    (split,) = dataset["splits"]
    assert split["found"] == 8
    assert {each["name"]: each["reason"] for each in split["unreadable"]}.keys() == {
        "wave/empty.mp4",
        "wave/text.mp4",
    }
    assert split["smallest"]["clips"] == 3
    done = type_in(project, "run")
    assert "2 of 8 clips could not be decoded" in done.stderr
    assert "passed over: gone, wave/gone.mp4 (a link that leads nowhere), wave/itself.mp4 (" in done.stderr
    assert "(6 of 8 clips)" in done.stdout


def test_a_pipe_in_a_list_is_missing_and_nobody_waits_for_it(project: Path) -> None:
    names = ["wave/0.mp4", "wave/1.mp4", "wave/pipe.mp4", "bow/0.mp4", "bow/1.mp4", "bow/none.mp4"]
    (project / "clips.txt").write_text("".join(f"clips/{name} {name.split('/')[0]}\n" for name in names))
    (project / "fsarctl.toml").write_text(FILE.replace('root = "clips"', 'kind = "list"\nfile = "clips.txt"'))
    table = type_in(project, "data", "check").stdout
    assert "mine/test: missing: bow/clips/bow/none.mp4, wave/clips/wave/pipe.mp4" in table
    assert "(4 of 6 clips)" in type_in(project, "run").stdout
