"""`fsarctl ablate` where nothing can be trained: no row bears the name of what was not evaluated."""

import csv
import io
import json
import shutil
from pathlib import Path

import pytest
from typed import type_in

FILE = """
[datasets.{name}]
kind = "folder"
root = "clips"
[describe]
missing = "label"
[model]
backbone = "tiny"
weights = "shipped"
strategy = "frozen"
[eval]
way = {way}
shots = [1]
episodes = 20
"""
OWN = """
[ablate.mine]
title = "Task-Adapter++ on my clips"
columns = ["order", "alignment", "remark"]
[[ablate.mine.rows]]
name = "Task-Adapter++"
cells = ["✓", "✓", "Task-Adapter++ as I like it"]
[[ablate.mine.rows]]
name = "without text"
cells = ["×", "×", "of the video alone"]
set = { "model.score" = "video" }
[ablate.ticks]
columns = ["my trick"]
[[ablate.ticks.rows]]
name = "tricky"
cells = ["✓"]
[ablate.named]
[[ablate.named.rows]]
name = "whatever"
method = "task-adapter++"
[[ablate.named.rows]]
name = "plain"
method = "frozen"
"""
TRAINED = ("Task-Adapter", "AIM", "full fine-tuning", "order", "alignment", "sub-actions")


def project_of(folder: Path, video: Path, name: str, classes: int, more: str = "") -> Path:
    for label in range(classes):
        (folder / "clips" / f"class {label}").mkdir(parents=True)
        for clip in range(2):
            shutil.copy(video, folder / "clips" / f"class {label}" / f"{clip}.mp4")
    (folder / "fsarctl.toml").write_text(FILE.format(name=name, way=classes) + more, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory, tiny_video: Path) -> Path:
    """Three classes of two clips, all of them test classes, and nothing to train on."""
    return project_of(tmp_path_factory.mktemp("few"), tiny_video, "clips", 3, OWN)


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory, tiny_video: Path) -> Path:
    """Five classes of two clips, under a benchmark's name."""
    return project_of(tmp_path_factory.mktemp("benchmark"), tiny_video, "ssv2-small", 5)


def test_what_cannot_be_trained_is_left_out_with_the_reason(few: Path) -> None:
    done = type_in(few, "fsarctl ablate shots --json")
    (table,) = json.loads(done.stdout)["tables"]
    assert [(row["name"], row["method"]) for row in table["rows"]] == [("frozen CLIP", "frozen CLIP")]
    for row in ("Task-Adapter", "Task-Adapter++"):
        assert table["left_out"][row] == f"{row} is trained, and dataset 'clips' has no train classes"
        assert f"left out {row!r}" in done.stderr
    # Two clips a class make no 3-shot episode; that costs the shot alone.
    assert table["shots"] == [1]
    assert "3 shot + 1 query need 4" in table["left_out"]["3-shot"]


@pytest.mark.parametrize("sweep", ["table4", "fig10", "fig8", "protocol", "table5"])
def test_a_sweep_of_which_nothing_can_be_trained_is_refused(few: Path, sweep: str) -> None:
    done = type_in(few, f"fsarctl ablate {sweep}", expect=3)
    assert done.stdout == ""
    assert f"sweep '{sweep}'" in done.stderr
    assert "is trained, and dataset 'clips' has no train classes" in done.stderr
    assert "splits" in done.stderr


@pytest.mark.parametrize(
    ("sweep", "row"), [("shots", "Task-Adapter++"), ("table3", "AIM"), ("fig10", "OTAM, Task-Adapter++")]
)
def test_a_row_that_was_asked_for_by_name_is_refused(few: Path, sweep: str, row: str) -> None:
    done = type_in(few, "ablate", sweep, "--rows", row, "--shots", "1", expect=3)
    assert done.stdout == ""
    assert f"row {row!r}" in done.stderr
    assert "has no train classes" in done.stderr


def test_no_table_and_no_report_names_a_method_that_was_not_trained(few: Path) -> None:
    type_in(few, "fsarctl run")
    type_in(few, "fsarctl ablate shots table3")
    shown = json.loads(type_in(few, "fsarctl report --json").stdout)["ablations"]
    type_in(few, "fsarctl report --no-pictures --output page.html")
    page = (few / "page.html").read_text(encoding="utf-8").split('<table class="ablation">')[1:]
    tables = {table["name"]: (table, on_page) for table, on_page in zip(shown, page, strict=True)}
    for table, on_page in (tables["shots"], tables["table3"]):  # what else another test has made
        assert {row["method"] for row in table["rows"]} == {"frozen CLIP"}
        body = on_page.split("</table>")[0].split("<tbody>")[1]
        assert all(f">{row['name']}<" in body for row in table["rows"])
        assert not any(f">{name}" in body for name in TRAINED)


def test_a_row_of_ones_own_is_called_what_was_evaluated(few: Path) -> None:
    (table,) = json.loads(type_in(few, "fsarctl ablate mine --json").stdout)["tables"]
    assert table["title"] == "Task-Adapter++ on my clips", "a title is hers"
    first, second = table["rows"]
    assert (first["name"], first["method"]) == ("Task-Adapter++", "frozen CLIP")
    assert first["label"] == "Task-Adapter++ [evaluated: frozen CLIP]"
    # Frozen CLIP has no order adapters; its text is matched after the alignment all the same.
    assert first["cells"] == ["×", "✓", "Task-Adapter++ as I like it [evaluated: frozen CLIP]"]
    assert second["cells"] == ["×", "×", "of the video alone"]
    assert any("said '✓' under 'order'; evaluated: '×'" in each for each in table["corrected"])
    said = type_in(few, "fsarctl ablate mine --format markdown").stdout
    assert "evaluated in every row: frozen CLIP" in said
    assert "said '✓' under 'order'" in said
    for layout in ("table", "csv", "latex"):
        assert "frozen CLIP" in type_in(few, f"fsarctl ablate mine --format {layout}").stdout


def test_a_tick_that_cannot_be_checked_is_refused(few: Path) -> None:
    done = type_in(few, "fsarctl ablate ticks", expect=3)
    assert "ticks in column 'my trick'" in done.stderr
    assert "model.alignment" in done.stderr


def test_a_row_of_ones_own_pins_a_method_by_its_name(few: Path) -> None:
    done = type_in(few, "fsarctl ablate named --json", expect=7)
    (table,) = json.loads(done.stdout)["tables"]
    assert [row["name"] for row in table["rows"]] == ["plain"]
    assert "Task-Adapter++ is trained" in table["left_out"]["whatever"]


def test_what_the_project_says_in_vain_is_said(few: Path) -> None:
    done = type_in(few, "fsarctl ablate shots --set model.metric=otam --json")
    assert "each row sets model.metric itself" in done.stderr
    (table,) = json.loads(done.stdout)["tables"]
    assert table["rows"][0]["set"]["model.metric"] == "protonet"
    assert "each row sets" not in type_in(few, "fsarctl ablate mine").stderr


def test_published_numbers_stand_under_ours_in_every_layout(benchmark: Path) -> None:
    shots = "fsarctl ablate shots --shots 1 --published"
    (table,) = json.loads(type_in(benchmark, f"{shots} --json").stdout)["tables"]
    found = {row["title"]: row["results"][0] for row in table["published"] if row["results"][0]["shot"] == 1}
    assert found["Task-Adapter++ (ViT-B CLIP)"]["accuracy"] == 0.636
    assert found["TS-FSAR (ViT-B/16 CLIP)"]["accuracy"] == 0.605
    rerun = found["Task-Adapter++, re-run, product mended (ViT-B/16 CLIP)"]
    assert (rerun["accuracy"], rerun["spread"]) == (0.578, 0.017)
    assert "57.8 ± 1.7" in table["footnotes"][found["Task-Adapter++ (ViT-B CLIP)"]["mark"]]
    mark = found["TSAM (ViT-B CLIP)"]["mark"]
    for layout in ("table", "markdown", "latex"):
        said = type_in(benchmark, f"{shots} --format {layout}").stdout
        assert f"60.5 [{mark}]" in said
        assert f"[{mark}] published: Cao et al." in said
        assert said.index("frozen CLIP") < said.index("TSAM")
    lines = list(csv.DictReader(io.StringIO(type_in(benchmark, f"{shots} --format csv").stdout)))
    (tsam,) = [line for line in lines if line["row"].startswith("TSAM")]
    assert (tsam["paper"], tsam["accuracy"], tsam["evaluated"]) == ("0.605", "", "")
    assert "its authors" not in tsam["published"]
    assert "as this paper quotes it" in tsam["published"]
    assert [line["evaluated"] for line in lines if line["accuracy"]] == ["frozen CLIP"]


def test_published_numbers_are_shown_on_request_and_on_a_benchmark_alone(few: Path, benchmark: Path) -> None:
    (table,) = json.loads(type_in(benchmark, "fsarctl ablate shots --shots 1 --json").stdout)["tables"]
    assert "published" not in table
    done = type_in(few, "fsarctl ablate shots --published")
    assert "nothing is published on clips" in done.stderr
    assert "TSAM" not in done.stdout


def test_the_report_shows_what_is_published_on_its_benchmark(benchmark: Path, few: Path) -> None:
    for project in (benchmark, few):
        type_in(project, "fsarctl run")
        type_in(project, "fsarctl report --no-pictures --output page.html")
    page = (benchmark / "page.html").read_text(encoding="utf-8")
    section = page.split('<section id="published">')[1].split("</section>")[0]
    for part in ("frozen CLIP, here", "TS-FSAR (ViT-B/16 CLIP)", "57.8 ± 1.7", "CMN (ResNet50 IN-21K)"):
        assert part in section
    assert "an independent re-run came out lower" in section
    assert 'id="published"' not in (few / "page.html").read_text(encoding="utf-8")
