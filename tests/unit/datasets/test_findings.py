"""What is found out about datasets and clips travels whole."""

from pathlib import Path

import pytest

from fsarctl.artifacts.file_stat import Look
from fsarctl.artifacts.unit import Files
from fsarctl.datasets.clips import Clip
from fsarctl.datasets.dataset import Dataset
from fsarctl.datasets.findings import Findings, Known
from fsarctl.datasets.video_tree import LeftOut, PassedOver
from fsarctl.errors import InputError


def test_all_of_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    odd = Clip("走る/\u202e.mp4", "走る", "/data/\udcff\udcfe.mp4", "person 1")
    dataset = Dataset.of_clips(
        {"train": [odd], "val": [], "test": [Clip("b/1.mp4", "b", "b/1.mp4")]},
        {"test": [Clip("b/2.mp4", "b", "b/2.mp4")]},
        [PassedOver("x.mp4", "not a file")],
        ["something"],
        [LeftOut(".jpg", 3, "a.jpg")],
    )
    drawn = Dataset({"test": {"b": 1}}, {"test": {"b": 1}}, sets={"test": {"b": "left and right"}})
    (tmp_path / "c.mp4").touch()
    findings = Findings({"mine": dataset, "drawn": drawn})
    clips = findings.clip_files([tmp_path], pytest.fail)
    look = Look(3, 2**55, 2**60)
    files = Files({odd.name: odd.file, "gone": Path("gone.mp4")}, {odd.file: look, "gone.mp4": look})
    again = Findings.parse(findings.render([(files, {odd.name: "ab", "gone": "cd"})]))
    assert again.datasets == {"mine": dataset, "drawn": drawn}
    assert again.files == {odd.file: Known(look, "ab"), "gone.mp4": Known(look, "cd")}
    (tmp_path / "c.mp4").unlink()
    assert again.clip_files([tmp_path], pytest.fail) == clips
    with pytest.raises(InputError, match="there is no clip"):
        again.clip_files([tmp_path / "c.mp4"], pytest.fail)
