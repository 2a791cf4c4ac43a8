"""The page of events: curves in bins, and text that is only text."""

import re

import numpy as np
import pytest

from fsarctl.report.timeline import BINS, TimelineEvent, TimelineVideo, binned, render_timeline

EVIL = '<script>alert(1)</script> & "quotes" --> \''


def test_bins_hold_the_highest_of_all_curves() -> None:
    generator = np.random.default_rng(0)
    curves = []
    for count in (40, 5000):
        centres = np.sort(generator.uniform(0, 100, count))
        values = generator.random((count, 2))
        values[generator.random(count) < 0.1] = np.nan
        curves.append((centres, values))
    found = binned(curves, 100.0)
    assert found.shape == (2, BINS)
    centres, values = curves[1]
    for number in range(BINS):
        own = values[(centres // (100 / BINS)).astype(int) == number]
        if own.size and not np.isnan(own[:, 0]).all():
            assert found[0, number] >= np.nanmax(own[:, 0])
    assert np.nanmax(found) == pytest.approx(max(np.nanmax(values) for _, values in curves))
    assert np.isnan(found[:, 0]).all() == (curves[0][0][0] > 100 / BINS and curves[1][0][0] > 100 / BINS)


def test_without_scores_there_is_no_curve() -> None:
    assert np.isnan(binned([(np.array([1.0]), np.full((1, 3), np.nan))], 2.0)).all()


def page(**changes: object) -> str:
    video = TimelineVideo(
        name=EVIL,
        source="a%20b.mp4",
        duration_s=10.0,
        labels=[EVIL, "b"],
        curves=np.full((2, BINS), 0.5),
        events=[TimelineEvent(1.25, 3.0, EVIL, 0.75)],
        remarks=[EVIL],
    )
    failed = TimelineVideo("no.mp4", "no.mp4", 0.0, ["b"], np.full((1, BINS), np.nan), [], (), EVIL)
    arguments = {"title": EVIL, "about": EVIL, "threshold": 0.5, "note": EVIL, **changes}
    return render_timeline([video, failed], **arguments)  # type: ignore[arg-type]


def test_text_is_text_and_the_page_loads_nothing() -> None:
    found = page()
    assert found.count("<script>") == 1
    assert "alert(1)&lt;/script&gt;" in found
    assert re.search(r'(?:src|href)="(?!a%20b\.mp4|data:)', found) is None
    assert 'data-start="1.25"' in found
    assert "0:01.2 – 0:03.0" in found
    assert page() == found


def test_direction_marks_of_names_are_shown_and_not_followed() -> None:
    found = page(title="wave\u202egp4", about="a\x1bb", note="\u2066")
    assert not set(found) & set("\u202e\x1b\u2066")
    assert "<h1>wave\\u202egp4</h1>" in found
    assert 'over time, 1 event"' in found
    assert 'over time, 0 events"' in found
