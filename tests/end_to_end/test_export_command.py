"""`fsarctl export` on the embedded default, and the script that it writes, without fsarctl and torch."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from built import copied
from documents import blocks, lines_of
from typed import plain_environment, type_in

from fsarctl.cli.export import _lines
from fsarctl.predict.export.comparison import Difference
from fsarctl.predict.export.write import Exported

ALONE = """
import runpy, sys
sys.modules["torch"] = sys.modules["fsarctl"] = None  # as if they were not installed
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.slow
def test_the_script_says_what_predict_says(shapes: Path, tmp_path: Path) -> None:
    project = copied(shapes, tmp_path / "project")
    videos = sorted(project.glob("cache/artifacts/render/*/**/*.mp4"))
    clips = []
    for folder in sorted({each.parent for each in videos})[:3]:
        (project / "examples" / folder.name).mkdir(parents=True)
        first, second, third = sorted(folder.glob("*.mp4"))[:3]
        for each in (first, second):
            shutil.copy(each, project / "examples" / folder.name)
        clips.append(str(third))
    done = type_in(
        project,
        "export",
        "--support",
        "examples",
        "-o",
        "model",
        "--frozen",
        "--int8",
        "--workers",
        "1",
        "--json",
    )
    document = json.loads(done.stdout)
    assert document["schema"] == "fsarctl.export/1"
    assert document["compared"]["clips"] == 6
    assert document["compared"]["onnx"]["score"] < 1e-4
    assert set(document["files"]) == {each.name for each in (project / "model").iterdir()}
    # What the documents show of this command is what is printed without --json.
    (block,) = (each for each in blocks("console") if each.document == "docs/export.md")
    differences = {kind: Difference(**each) for kind, each in document["compared"].items() if kind != "clips"}
    printed = _lines(Path("model"), Exported(document["files"], document["compared"]["clips"], differences))
    (shown,) = (shown for command, shown in block.sessions if "fsarctl export" in command)
    assert lines_of("\n".join(printed)) == lines_of(shown)
    predict = ("predict", *clips, "--support", "examples", "--frozen", "--workers", "1", "--json")
    expected = json.loads(type_in(project, *predict).stdout)["clips"]
    moved = project / "model"
    moved = moved.rename(tmp_path / "elsewhere")
    for kind, close in (((), 1e-4), (("--int8",), 0.05)):
        said = subprocess.run(
            [sys.executable, "-c", ALONE, str(moved / "classify.py"), *kind, *clips],
            capture_output=True,
            text=True,
            check=True,
            env=plain_environment(),
        )
        rows = [line.split("\t") for line in said.stdout.splitlines()]
        assert [row[0] for row in rows] == clips
        for row, clip in zip(rows, expected, strict=True):
            if not kind:
                assert row[1] == (clip["answer"] or "none of these")
                sure = clip["top"][0]["confidence"] if clip["answer"] else clip["none"]
                assert float(row[3]) == pytest.approx(sure, abs=1e-3)
            assert float(row[2]) == pytest.approx(clip["top"][0]["score"], abs=close)
