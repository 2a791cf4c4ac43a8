"""A film of shapes in a project: what `run` finds in it is what `spot` finds, and the report shows it."""

import json
from pathlib import Path

import pytest
from built import copied
from typed import type_in

QUICK = "--set eval.shots=[1,2] --set model.strategy=frozen --set eval.episodes=2"


@pytest.fixture(scope="module")
def project(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a film of 30 seconds."""
    folder = copied(shapes, tmp_path_factory.mktemp("film"))
    settings = folder / "fsarctl.toml"
    settings.write_text(
        settings.read_text().replace("clips_per_class = 6", "clips_per_class = 6\nfilm_s = 30")
    )
    type_in(folder, f"fsarctl run {QUICK}")
    return folder


def test_what_is_found_is_what_spot_finds(project: Path) -> None:
    type_in(project, "fsarctl data film made --seconds 30 --shots 2")
    line = (
        "fsarctl spot made/film.mp4 --support made/support --truth made/events.csv --frozen --always --json"
    )
    told = json.loads(type_in(project, line).stdout)
    film = json.loads(type_in(project, f"fsarctl report --json --no-pictures {QUICK}").stdout)["film"]
    assert film["commands"] == []
    (row,) = film["rows"]
    assert (row["model"], row["shot"]) == ("frozen", 2)
    assert row["found"] == len(told["videos"][0]["events"]) > 0
    assert row["precision"] == told["average_precision"]
    assert max(each["value"] for each in row["precision"]) > 0
    assert row["true"] == len((project / "made" / "events.csv").read_text().splitlines()) - 1


def test_it_is_found_once_and_of_the_largest_shot_alone(project: Path) -> None:
    assert "nothing to do" in type_in(project, f"fsarctl run {QUICK}").stderr
    states = json.loads(type_in(project, f"fsarctl status --json {QUICK}").stdout)["units"]
    films = {each["slot"]: each["state"] for each in states if "film" in each["slot"]}
    assert films == {"render shapes/test film": "done", "film shapes/test 2-shot frozen": "done"}
    assert "film" not in type_in(project, f"fsarctl status --json --shots 1 {QUICK}").stdout
    doomed = type_in(project, f"fsarctl cache gc --dry-run {QUICK}").stdout
    assert "film shapes" not in doomed
    assert "test film" not in doomed


def test_the_page_has_a_section_of_it_or_what_makes_it(project: Path) -> None:
    type_in(project, f"fsarctl report --no-pictures {QUICK}")
    page = (project / "report.html").read_text(encoding="utf-8")
    assert "Actions found in a rendered video of 30 seconds in which 8 actions of 12 new classes" in page
    type_in(project, f"fsarctl report --no-pictures {QUICK} --set datasets.shapes.film_s=11")
    page = (project / "report.html").read_text(encoding="utf-8")
    assert "What is found in a long video is not measured" in page
    assert "fsarctl run --shots 2" in page
    type_in(project, f"fsarctl report --no-pictures {QUICK} --set datasets.shapes.film_s=0")
    assert "Long video" not in (project / "report.html").read_text(encoding="utf-8")


def test_a_film_too_short_for_an_event_is_refused(project: Path) -> None:
    assert "film_s is 5" in type_in(project, "fsarctl status --set datasets.shapes.film_s=5", expect=3).stderr
