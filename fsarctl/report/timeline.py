"""A page of events in long videos: a curve for each class, the events, and a player that jumps to them.

One HTML file that loads nothing but the videos, which stay where they are. Labels and names are untrusted
text: everything is escaped, and a content security policy lets nothing run but the page's own script.
"""

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from fsarctl.errors.shown import without_marks
from fsarctl.progress import clock, counted

__all__ = ["TimelineEvent", "TimelineVideo", "binned", "render_timeline"]

BINS = 600
"""Points of a curve."""

MOST_LANES = 40
"""Classes that are drawn; those with the most events, then the highest scores."""

HEIGHT = 100.0


@dataclass(frozen=True)
class TimelineEvent:
    """``picture`` is a data address, or ""."""

    start_s: float
    end_s: float
    label: str
    score: float
    picture: str = ""


@dataclass(frozen=True)
class TimelineVideo:
    """``source`` is the file's address, from the page. ``curves``: (way, BINS), NaN where unknown."""

    name: str
    source: str
    duration_s: float
    labels: Sequence[str]
    curves: NDArray[np.float64]
    events: Sequence[TimelineEvent]
    remarks: Sequence[str] = ()
    failure: str = ""


def binned(
    curves: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]], duration_s: float
) -> NDArray[np.float64]:
    """The highest of several curves in each of ``BINS`` parts of the time; NaN where there is none.

    Shapes: pairs of centres (windows,), seconds, and values (windows, way) -> (way, BINS).
    """
    way = curves[0][1].shape[1]
    highest = np.full((way, BINS), np.nan)
    middles = (np.arange(BINS) + 0.5) * duration_s / BINS
    for centres, values in curves:
        bins = np.minimum((centres / duration_s * BINS).astype(int), BINS - 1)
        for column in range(way):
            there = ~np.isnan(values[:, column])
            if not there.any():
                continue
            own = np.interp(middles, centres[there], values[there, column], left=np.nan, right=np.nan)
            np.fmax.at(own, bins[there], values[there, column])
            highest[column] = np.fmax(highest[column], own)
    return highest


def render_timeline(
    videos: Sequence[TimelineVideo], *, title: str, about: str, threshold: float, note: str
) -> str:
    """The page's HTML. ``about`` and ``note`` are lines above and below. The same arguments give the same."""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=without_marks,
    )
    parts = resources.files("fsarctl.report")
    base, own, script, page = (
        parts.joinpath(name).read_text("utf-8")
        for name in ("style.css", "timeline.css", "timeline.js", "timeline.html")
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment.filters |= {"clock": partial(clock, digits=1), "counted": counted}
    return environment.from_string(page).render(
        title=title,
        about=about,
        note=note,
        videos=[{"v": each, "lanes": _lanes(each, threshold), "hours": _ticks(each)} for each in videos],
        threshold=HEIGHT * (1 - threshold),
        style=Markup(base + own),
        script=Markup(script),
        script_hash=f"sha256-{digest}",
    )


def _lanes(video: TimelineVideo, threshold: float) -> dict[str, object]:
    """The classes that are drawn, in the order of the labels, and how many are not."""
    of_label = Counter(event.label for event in video.events)
    counts = [of_label[label] for label in video.labels]
    peaks = [float(np.nanmax(row)) if not np.isnan(row).all() else 0.0 for row in video.curves]
    ranked = sorted(range(len(counts)), key=lambda n: (-counts[n], -peaks[n], n))
    shown = sorted(ranked[:MOST_LANES])
    return {
        "shown": [
            {
                "label": video.labels[n],
                "events": [event for event in video.events if event.label == video.labels[n]],
                "path": _path(video.curves[n]),
            }
            for n in shown
        ],
        "left_out": len(counts) - len(shown),
        "threshold": threshold,
    }


def _path(row: NDArray[np.float64]) -> str:
    """An SVG path of filled stretches, in a box of BINS x HEIGHT."""
    there = np.concatenate([[False], ~np.isnan(row), [False]])
    turns = np.flatnonzero(there[1:] != there[:-1])
    parts = []
    for first, end in zip(turns[::2], turns[1::2], strict=True):
        points = " ".join(f"{n + 0.5:g},{HEIGHT * (1 - row[n]):.1f}" for n in range(first, end))
        parts.append(f"M{first + 0.5:g},{HEIGHT:g} L{points} L{end - 0.5:g},{HEIGHT:g}Z")
    return " ".join(parts)


def _ticks(video: TimelineVideo) -> list[tuple[float, str]]:
    """Places (percent) and words along the time axis: seven at most."""
    if video.duration_s <= 0:
        return []
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 36000)
    step = next((each for each in steps if video.duration_s / each <= 6), steps[-1])
    count = int(video.duration_s / step) + 1
    return [(100 * n * step / video.duration_s, clock(n * step, 0)) for n in range(count)]
