"""The film of shapes: what its list of events says is what it shows."""

import csv
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from typed import type_in

from fsarctl.datasets.shapes import film
from fsarctl.datasets.shapes.film import frames_of, plan_film
from fsarctl.datasets.shapes.rendering import CLASSES, render


@pytest.mark.parametrize("split", ["val", "test"])
def test_events_do_not_overlap_and_no_class_waits_for_long(split: str) -> None:
    events = plan_film(split, 120, seed=3)
    labels = [one.label for one in CLASSES if one.split == split]
    assert sorted(each.label for each in events[: len(labels)]) == sorted(labels)
    for first, second in pairwise(events):
        rest = second.start_s - first.end_s
        assert film.REST_S[0] - 0.1 <= rest <= film.REST_S[1]
    assert events[-1].end_s <= 120
    assert plan_film(split, 120, seed=3) == events
    assert plan_film(split, 120, seed=4) != events


def test_frames_show_the_events_and_nothing_moves_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(film, "ACTIONS_A_SCENE", 2)
    events = plan_film("test", 20, seed=1)
    assert len(events) > 3
    plain = [film.replace(each, scene=film.replace(each.scene, grain=0.0)) for each in events]
    frames = list(frames_of(plain, 20, seed=1))
    assert len(frames) == 300
    acted = np.zeros(300, bool)
    for event in plain:
        acted[event.first : event.end] = True
        shown = np.stack(frames[event.first : event.end])
        assert np.array_equal(
            shown,
            (render(event.label, event.nuisance).astype(np.float64).clip(0, 1) * 255 + 0.5).astype(np.uint8),
        )
    # While nobody acts, a frame is the one before it, but where the scene changes, once in two actions.
    changes = sum(
        not np.array_equal(frames[n], frames[n - 1]) for n in range(1, 300) if not (acted[n] or acted[n - 1])
    )
    assert changes == (len(events) - 1) // 2


def test_the_command_writes_film_events_and_examples(tmp_path: Path) -> None:
    done = type_in(tmp_path, "fsarctl data film made --seconds 8 --shots 1 --split val")
    rows = list(csv.DictReader((tmp_path / "made" / "events.csv").read_text().splitlines()))
    assert done.stdout == f"made: 8 s, {len(rows)} events of the val classes\n"
    with av.open(str(tmp_path / "made" / "film.mp4")) as given:
        assert sum(1 for _ in given.decode(video=0)) == 120
    labels = {one.label for one in CLASSES if one.split == "val"}
    assert {each.name for each in (tmp_path / "made" / "support").iterdir()} == labels
    assert {row["class"] for row in rows} <= labels
    (tmp_path / "file").write_text("")
    assert "cannot be written" in type_in(tmp_path, "fsarctl data film file --seconds 8", expect=3).stderr
