"""spot: the scores of all windows of a long video against a support set.

Events are made of scores in no time, so what makes them is in no key.
"""

import base64
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from fsarctl.artifacts import JSON, Build, Files, Store, Unit
from fsarctl.artifacts.command import Command
from fsarctl.errors import InputError
from fsarctl.progress import counted

if TYPE_CHECKING:
    from fsarctl.datasets.clip_files import ClipFile
    from fsarctl.predict.event_rules import EventRules
    from fsarctl.predict.events import Event
    from fsarctl.predict.predictor import Predictor
    from fsarctl.predict.support_set import Support
    from fsarctl.predict.windows import Windows, WindowSize

__all__ = [
    "STAGE",
    "VERSION",
    "Spotted",
    "Watched",
    "load_spotted",
    "median_length",
    "unit",
    "watch",
    "window_sizes",
    "write_timeline",
]

STAGE = "spot"
VERSION = 1

PICTURE_HEIGHT = 96
SCORES, FACTS = "scores.npy", "windows.json"


@dataclass(frozen=True)
class Spotted:
    """What the artifact holds. ``scores``: (windows, score video text, way), NaN where there is none.

    ``problems``: remarks of the decoder and on the windows.
    """

    windows: "Windows"
    scores: NDArray[np.float32]
    duration_s: float
    frame_s: float
    problems: tuple[str, ...]

    def confidences(self, predictor: "Predictor", support: "Support") -> NDArray[np.float64]:
        """How likely each class is in every window, as of a prediction. Shapes: (windows, way)."""
        from fsarctl.predict.spotting import window_confidences

        return window_confidences(predictor, support, self.scores)

    @property
    def unread(self) -> tuple[str, ...]:
        """A remark, if some windows could not be read."""
        spans = [
            (float(start), float(start + length))
            for (start, length), row in zip(self.windows.spans(), self.scores, strict=True)
            if np.isnan(row[0]).any()
        ]
        if not spans:
            return ()
        first, last = min(start for start, _ in spans), max(end for _, end in spans)
        return (
            f"{len(spans)} of {counted(len(self.windows), 'window')} between {first:.1f} and {last:.1f} s"
            " hold frames that cannot be read, and no event is found there",
        )


@dataclass(frozen=True)
class Watched:
    """One video and what was found in it, or the ``failure`` that prevented it. ``key``: of the scores."""

    name: str
    path: Path
    events: "Sequence[Event]" = ()
    spotted: Spotted | None = None
    key: str = ""
    failure: str = ""

    @property
    def remarks(self) -> list[str]:
        """What a user should know of it."""
        return [*self.spotted.problems, *self.spotted.unread] if self.spotted else []


def watch(
    store: Store,
    predictor: "Predictor",
    support: "Support",
    video: "ClipFile",
    sizes: "Sequence[WindowSize]",
    rules: "EventRules",
    command: Command,
    note: Callable[[str], None],
) -> Watched:
    """The events of a video, whose scores are found in the store or made; ``note`` hears its remarks."""
    from fsarctl.predict.events import events_of
    from fsarctl.video.container.demuxing import UnreadableVideoError
    from fsarctl.video.frame_folders.images import no_times

    if video.path.is_dir():
        return Watched(video.name, video.path, failure=no_times(video.path))
    try:
        artifact = store.realise(unit(predictor, support, video.path, sizes, command))
    except UnreadableVideoError as error:
        return Watched(video.name, video.path, failure=error.message)
    spotted = load_spotted(artifact.path)
    confidences = spotted.confidences(predictor, support)
    events = events_of(confidences, spotted.windows, support.labels, rules, spotted.duration_s)
    found = Watched(video.name, video.path, events, spotted, artifact.key)
    for remark in found.remarks:
        note(f"warning: {video.name}: {remark}")
    return found


def window_sizes(support: Path, lengths: Sequence[float] | None, stride: float | None) -> "list[WindowSize]":
    """Each length once, in order, and its stride; without lengths, the quartiles of the examples'.

    Raises:
        InputError: there are no lengths, and the support is a saved one, or no folder of clips; or one is too
            short.
    """
    from fsarctl.predict.windows import QUARTILES, SHORTEST_S, STRIDES, WindowSize, exact_seconds

    own = sorted({exact_seconds(each, "a length", SHORTEST_S) for each in lengths or ()})
    step = None if stride is None else exact_seconds(stride, "the stride")
    return [WindowSize(each, step or each / STRIDES) for each in own or _usual_lengths(support, QUARTILES)]


def median_length(support: Path) -> float:
    """Seconds: that of the examples.

    Raises:
        InputError: as of ``window_sizes``.
    """
    (median,) = _usual_lengths(support, (0.5,))
    return float(median)


def _usual_lengths(support: Path, parts: Sequence[float]) -> list[Fraction]:
    """Quantiles of the examples'."""
    from fsarctl.datasets.clip_files import open_support_folder
    from fsarctl.predict.windows import usual_lengths

    if support.is_file():
        raise InputError(
            f"{support} does not say how long its examples are", next_step="Give --length, in seconds."
        )
    found = usual_lengths((clip.path for clip in open_support_folder(support).clips), parts)
    if not found:
        raise InputError(
            f"no clip of {support} can be read and says how long it is",
            next_step="Give --length, in seconds, or add clips that a player can show.",
        )
    return found


def unit(
    predictor: "Predictor",
    support: "Support",
    video: Path,
    sizes: "Sequence[WindowSize]",
    command: Command,
) -> Unit:
    """Scores of one video.

    The key holds what the features of the support depend on (its clips' frames, classes, descriptions and
    the model), not their bits.

    Raises (when built):
        UnreadableVideoError: nothing of the video can be decoded.
    """
    config: dict[str, JSON] = {
        "model": dict(support.made_by),
        "support": support.digest,
        "sizes": [[str(length), str(stride)] for length, stride in sizes],
    }

    def fill(build: Build) -> None:
        from fsarctl.predict.spotting import score_windows
        from fsarctl.predict.windows import Windows
        from fsarctl.video.read_through import course_of

        course = course_of(video)
        windows = Windows.over(sizes, predictor.model.frames, course.duration_s, course.frame_s)
        scores = score_windows(
            predictor,
            support,
            video,
            course,
            windows,
            build.scratch,
            of=build.of,
            reporter=build.reporter,
            title=f"spot {video.name}",
        )
        np.save(build.folder / SCORES, scores)
        facts = {
            "sizes": [[str(length), str(stride)] for length, stride in windows.sizes],
            "counts": windows.counts,
            "frames": windows.frames,
            "duration_s": str(course.duration_s),
            "frame_s": str(course.frame_s),
            "problems": [*course.problems, *windows.remarks],
        }
        (build.folder / FACTS).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")

    return Unit(
        stage=STAGE,
        version=VERSION,
        slot=f"spot {video.name}",
        command=command,
        config=config,
        inputs={"video": Files({"video": video})},
        build=fill,
    )


def load_spotted(folder: Path) -> Spotted:
    """What :func:`unit` made."""
    from fsarctl.predict.windows import Windows, WindowSize

    facts: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    sizes = tuple(WindowSize(Fraction(length), Fraction(stride)) for length, stride in facts["sizes"])
    windows = Windows(sizes, tuple(facts["counts"]), facts["frames"])
    return Spotted(
        windows,
        np.load(folder / SCORES, allow_pickle=False),
        float(Fraction(facts["duration_s"])),
        float(Fraction(facts["frame_s"])),
        tuple(facts["problems"]),
    )


def write_timeline(
    html: Path,
    watched: Sequence[Watched],
    predictor: "Predictor",
    support: "Support",
    rules: "EventRules",
    *,
    about: str,
    note: str,
) -> None:
    """Write the page of videos.

    Raises:
        InputError: it cannot be written.
    """
    from fsarctl.artifacts.atomic_write import write_whole
    from fsarctl.predict.events import curves_of
    from fsarctl.report.timeline import BINS, TimelineEvent, TimelineVideo, binned, render_timeline
    from fsarctl.video.thumbnails import THUMBNAIL_TYPE, thumbnails

    labels = support.labels
    videos = []
    for each in watched:
        curves, shown, duration_s = np.full((len(labels), BINS), np.nan), [], 0.0
        if each.spotted is not None:
            duration_s = each.spotted.duration_s
            confidences = each.spotted.confidences(predictor, support)
            curves = binned(curves_of(confidences, each.spotted.windows, rules.smooth), duration_s)
            middles = [(event.start_s + event.end_s) / 2 for event in each.events]
            pictures = thumbnails(each.path, middles, PICTURE_HEIGHT)
            for event, picture in zip(each.events, pictures, strict=True):
                data = f"data:{THUMBNAIL_TYPE};base64,{base64.b64encode(picture).decode()}" if picture else ""
                shown.append(TimelineEvent(event.start_s, event.end_s, event.label, event.score, data))
        place = os.path.relpath(each.path.absolute(), html.absolute().parent)
        source = quote(Path(place).as_posix())
        facts = (duration_s, labels, curves, shown, each.remarks, each.failure)
        videos.append(TimelineVideo(each.path.name, source, *facts))
    title = videos[0].name if len(videos) == 1 else counted(len(videos), "video")
    page = render_timeline(videos, title=title, about=about, threshold=rules.threshold, note=note)
    try:
        write_whole(html, page.encode("utf-8", "replace"))
    except OSError as error:
        raise InputError(
            f"the page {html} cannot be written: {error.strerror}", next_step="Name another place: --html."
        ) from None
