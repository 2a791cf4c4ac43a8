"""`fsarctl calibrate`, and what predictions make of it."""

import json
from pathlib import Path

import pytest
from built import copied
from typed import type_in

SMALL = ("--set", "model.strategy=frozen", "--set", "train.val_episodes=8", "--set", "eval.episodes=8")


@pytest.mark.slow
def test_predictions_are_calibrated_from_then_on(shapes: Path, tmp_path: Path) -> None:
    project = copied(shapes, tmp_path / "project")
    videos = sorted(project.glob("cache/artifacts/render/*/**/*.mp4"))
    support = project / "support"
    for folder in sorted({each.parent for each in videos})[:3]:
        (support / folder.name).mkdir(parents=True)
        (support / folder.name / "0.mp4").write_bytes(sorted(folder.glob("*.mp4"))[0].read_bytes())
    predict = ("predict", "--support", str(support), str(videos[-1]), "--workers", "1", "--json", *SMALL)
    before = json.loads(type_in(project, *predict).stdout)
    assert before["confidence"] == {"logit_scale": 64.0, "temperature": None, "none": None}
    assert before["clips"][0]["none"] is None  # one clip a class tells nothing

    planned = type_in(project, "calibrate", "--shots", "2", "--dry-run", *SMALL).stdout
    assert planned.count("calibrate shapes/") == 2
    done = type_in(project, "calibrate", "--shots", "2", "--seeds", "0", "1", "--json", *SMALL)
    document = json.loads(done.stdout)
    assert document["schema"] == "fsarctl.calibrate/1"
    for row in document["rows"]:
        assert [run["seed"] for run in row["runs"]] == [0, 1]
        assert set(row["runs"][0]["rules"]) == {"softmax", "score", "support"}
        assert row["runs"][0]["known"] == row["runs"][0]["unseen"] == 8 * 5
    assert {row["score"] for row in document["rows"]} == {"text", "video"}
    table = type_in(project, "calibrate", "--shots", "2", *SMALL).stdout
    assert "5 classes are answers and 5 are not, 8 episodes" in table
    row = next(each for each in document["rows"] if each["score"] == "video")
    assert f"{row['runs'][0]['temperature']:.2f}" in table

    after = json.loads(type_in(project, *predict, "--set", "eval.shots=[2]").stdout)
    told = after["confidence"]
    kind = "text" if after["score"] == "both" else "video"
    row = next(each for each in document["rows"] if each["score"] == kind)
    assert told["temperature"] == pytest.approx(row["runs"][0]["temperature"])
    assert told["none"]["from"] == "validation"
    (clip,) = after["clips"]
    assert clip["none"] is not None
    assert (clip["answer"] is None) == (clip["none"] > 0.5)
