"""`fsarctl predict`, where it goes wrong before anything is decoded."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from typed import type_in

FILE = """
[datasets.shapes]
kind = "shapes"
clips_per_class = 7
[model]
backbone = "tiny"
weights = "shipped"
text_layers = 2
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Beside the file: examples of two classes, of one, loose clips and nothing; no video is read."""
    (tmp_path / "fsarctl.toml").write_text(FILE)
    for name in (
        "two/a/1.mp4",
        "two/b b/1.mp4",
        "one/a/1.mp4",
        "loose/1.mp4",
        "nothing/notes.txt",
        "new.mp4",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    save_file({"weight": torch.zeros(2)}, tmp_path / "adapters.safetensors", {"fsarctl": "{}"})
    return tmp_path


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("new.mp4", 2, "--support"),
        ("--support two", 2, "no clip to classify"),
        ("--support two new.mp4 --top 0", 2, "Invalid value for '--top'"),
        ("--support two new.mp4 --format xml", 2, "xml"),
        ("--support two new.mp4 --frozen --shots 1", 2, "Leave out one of them"),
        ("--support two new.mp4 --save-support mine", 2, "mine.safetensors"),
        ("--support two new.mp4 --save-support no/such.safetensors", 2, "no folder no"),
        ("--support two new.mp4 --save-support adapters.safetensors", 3, "is no saved support"),
        ("--support new.mp4 new.mp4 --save-support it.safetensors", 2, "saved support already"),
        ("--support new.mp4 new.mp4", 3, "new.mp4 is no saved support"),
        ("--support nowhere new.mp4", 3, "the support nowhere is not there"),
        ("--support one new.mp4", 3, "one class alone, 'a'"),
        ("--support loose new.mp4", 3, "no class folder with a video, but 1 video beside it"),
        ("--support nothing new.mp4", 3, "no class folder with a video"),
        ("--support two nowhere.mp4", 3, "no clip nowhere.mp4"),
        ("--support two nothing", 3, "no video in nothing"),
        ("--support two ''", 2, "'' is no video file or folder"),
        ("--support two http://host/new.mp4", 2, "download what is on the network first"),
        ("--support two new.mp4 --json --format csv", 2, "two layouts"),
        (f"--support {'x' * 300} new.mp4", 3, "File name too long"),
        (f"--support two {'x' * 300}", 3, "File name too long"),
        ("--support two new.mp4", 4, "fsarctl describe && fsarctl extract && fsarctl train --shots 1;"),
        # What follows the one value of --shots is a clip.
        ("--support two --shots 3 new.mp4", 4, "fsarctl train --shots 3; or add --frozen"),
        ("--support two --shots 7 new.mp4", 3, "the support has 1 clip of each class, and need not be of as"),
        ("--support two --shots 7 new.mp4", 3, "next:  Add --frozen, for the backbone without adapters"),
        (
            "--support two new.mp4 --set train.query=7",
            3,
            "nothing is trained here, nor can be: shapes/train:",
        ),
    ],
)
def test_what_is_wrong_gives_one_message_and_its_exit_code(
    project: Path, words: str, code: int, says: str
) -> None:
    done = type_in(project, f"fsarctl predict {words}", expect=code)
    assert says in done.stderr
    assert done.stdout == ""
