"""`fsarctl spot`: finds the actions of a support set in long videos, and when each begins and ends."""

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fsarctl.cli.command.options import (
    CORES,
    Always,
    Device,
    Frozen,
    Json,
    Negatives,
    Support,
    TrainedFor,
    Workers,
    one_layout,
)
from fsarctl.cli.command.recognition import (
    clip_path,
    facts_of,
    heading,
    require_negatives,
    require_one_model,
    require_seconds,
    setup_of,
)
from fsarctl.cli.command.session import Session, command
from fsarctl.cli.terminal.confidence import confidence_words
from fsarctl.cli.terminal.console import print_data, print_json, say
from fsarctl.cli.terminal.events import as_csv, as_subtitles, print_events, print_precision, row
from fsarctl.cli.terminal.files import Kind, begins, require_replaceable
from fsarctl.errors import PartialError, UsageError
from fsarctl.execution.device import Machine
from fsarctl.predict.event_rules import EventRules, Join
from fsarctl.progress import counted, first_of

if TYPE_CHECKING:
    from fsarctl.datasets.clip_files import ClipFile
    from fsarctl.predict.windows import WindowSize
    from fsarctl.results.average_precision import Measured, TimedLabel
    from fsarctl.stages.predict import Ready
    from fsarctl.stages.spot import Watched

__all__ = ["spot"]


class EventLayout(StrEnum):
    """The values of --format."""

    table = "table"
    csv = "csv"
    vtt = "vtt"
    srt = "srt"


PAGES = (".html", ".htm")
"""How a page's name ends, so that no video is taken for one and written over."""
OF_EARLIER_VERSIONS = "\"default-src 'none'; img-src data:; media-src 'self' file:; "
"""How the pages of those that had no generator are known."""
PAGE = Kind(
    "page of events",
    begins(f'<meta name="generator" content="fsarctl/spot">|{OF_EARLIER_VERSIONS}'),
    "--html",
)

Threshold = Annotated[
    float, typer.Option("--threshold", min=0, max=1, help="Confidence that an event has to reach.")
]
Smooth = Annotated[
    int, typer.Option("--smooth", min=1, help="Confidences become the mean over so many windows.")
]
Overlap = Annotated[
    float,
    typer.Option(
        "--overlap", min=0, max=1, help="Of two events that share more of their time, the better one stays."
    ),
]


@command("spot", example="fsarctl spot long.mp4 --support examples/ --length 2 4")
def spot(
    session: Session,
    support: Support,
    videos: Annotated[
        list[Path],
        typer.Argument(metavar="VIDEO...", parser=clip_path, help="Long videos, or folders of them."),
    ],
    length: Annotated[
        list[float] | None,
        typer.Option(
            "--length",
            metavar="S [S ...]",
            help="Seconds of a window; several find long and short actions. Default: as the examples.",
        ),
    ] = None,
    stride: Annotated[
        float | None,
        typer.Option(
            "--stride",
            metavar="S",
            help="Seconds from one window to the next; default: an eighth of each length.",
        ),
    ] = None,
    threshold: Threshold = 0.5,
    smooth: Smooth = 1,
    join: Annotated[
        Join,
        typer.Option(
            "--join", help="An event is a window at a peak, or a run of windows, for what goes on long."
        ),
    ] = "peak",
    overlap: Overlap = 0.0,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", help="A page with curves, events and a player that jumps to them."
        ),
    ] = None,
    clips: Annotated[
        Path | None,
        typer.Option("--clips", metavar="DIR", help="A clip of each event, and clips.csv, a list of them."),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            "--truth", metavar="FILE", help="True events, CSV of start_s,end_s,class: says how good it is."
        ),
    ] = None,
    shots: TrainedFor = None,
    frozen: Frozen = False,
    negatives: Negatives = None,
    always: Always = False,
    workers: Workers = CORES,
    device: Device = "auto",
    layout: Annotated[
        EventLayout, typer.Option("--format", help="How they are printed.")
    ] = EventLayout.table,
    as_json: Json = False,
) -> None:
    """Find the actions of a support set in long videos: start, end, class and score of each.

    Every window of the video is scored as `predict` scores it cut out. What is finished is kept, so that the
    same command goes on after Ctrl-C, and other thresholds cost nothing.
    """
    one_layout(layout, as_json)
    require_one_model(frozen, shots)
    require_negatives(support, negatives)
    from fsarctl.datasets.clip_files import clip_files
    from fsarctl.predict.windows import SHORTEST_S
    from fsarctl.stages.spot import window_sizes

    require_seconds([("--length", each) for each in length or ()], SHORTEST_S)
    require_seconds([("--stride", stride)])
    files = clip_files(videos, session.reporter.note)
    _check_outputs(files, layout.value, html, clips)
    machine = Machine(device)
    sizes = window_sizes(support, length, stride)
    if apart := [each for each in sizes if each.stride_s > each.length_s]:
        lengths = " and ".join(f"{float(each.length_s):g} s" for each in apart)
        say(f"warning: windows of {lengths} start every {stride:g} s: what is between is not looked at")
    ready = setup_of(session, machine, workers).ready(
        support, shot=shots, frozen=frozen, negatives=negatives, says_none=not always
    )
    if not ready.predictor.model.shares_frames:
        say("this model reads no frame by itself, so what windows share is computed for each of them")
    rules = EventRules(smooth=smooth, threshold=threshold, join=join, overlap=overlap)
    true = _true_events(truth, ready, files) if truth is not None else None
    watched = [_watch(session, ready, each, sizes, rules) for each in files]
    about = heading(session, ready, "each window alone")
    over = f", mean over {smooth} windows" if smooth > 1 else ""
    said = confidence_words(ready.predictor, ready.support)
    note = "; ".join([f"score: confidence ({said.confidence}){over}, {threshold:g} or more", *said.of_none])
    if html is not None:
        _write_page(html, watched, ready, rules, about, note)
    cut = _cut(session, watched, clips) if clips is not None else []
    measured = _measured(watched, true) if true is not None else None
    if as_json:
        print_json(_document(session, ready, watched, sizes, rules, measured))
    elif layout == EventLayout.table:
        print_events(watched, about, note)
        if measured is not None and true is not None:
            print_precision(measured, sum(map(len, true.values())), sum(len(each.events) for each in watched))
    else:
        text = as_csv(watched) if layout == EventLayout.csv else as_subtitles(watched[0].events, layout.value)
        print_data(text)
    failed = [each for each in watched if each.failure]
    if failed:
        raise PartialError(
            f"{len(failed)} of {counted(len(watched), 'video')} could not be read:"
            f" {first_of([f'{each.name} ({each.failure})' for each in failed], 1)}",
            next_step=f"Check that a player can show {'it' if len(failed) == 1 else 'them'}.",
        )
    if lost := [each for each in cut if not each["path"]]:
        raise PartialError(
            f"{len(lost)} of {counted(len(cut), 'event')} could not be cut out: {lost[0]['how']}",
            next_step="The other clips are there; clips.csv lists them.",
        )


def _check_outputs(files: "Sequence[ClipFile]", layout: str, html: Path | None, clips: Path | None) -> None:
    """What would fail when all is computed is refused before."""
    if layout in ("vtt", "srt") and len(files) > 1:
        raise UsageError(
            f"--format {layout} is of one video, and there are {len(files)}", next_step="Name one of them."
        )
    if html is not None and (html.is_dir() or not html.absolute().parent.is_dir()):
        raise UsageError(
            f"--html {html} is a folder" if html.is_dir() else f"there is no folder {html.parent} for --html",
            next_step="Name a file in a folder that is there.",
        )
    if html is not None and html.suffix.lower() not in PAGES:
        raise UsageError(
            f"--html {html} does not end in .html", next_step=f"Name it {html.with_suffix('.html').name}."
        )
    if html is not None:
        require_replaceable(html, PAGE)
    if clips is not None and clips.exists() and not clips.is_dir():
        raise UsageError(f"--clips {clips} is a file", next_step="Name a folder; it is made if need be.")
    if clips is not None:
        from fsarctl.predict.event_clips import earlier_clips

        earlier_clips(clips, [each.path.name for each in files])


def _true_events(truth: Path, ready: "Ready", files: "Sequence[ClipFile]") -> "dict[str, list[TimedLabel]]":
    from fsarctl.results.true_events import read_true_events

    names = [each.path.name for each in files]
    if twice := sorted(name for name, count in Counter(names).items() if count > 1):
        raise UsageError(
            f"--truth knows videos by their files' names, and {twice[0]!r} is there twice",
            next_step="Name them in commands of their own.",
        )
    return read_true_events(truth, ready.support.labels, names)


def _measured(watched: "Sequence[Watched]", true: "dict[str, list[TimedLabel]]") -> "list[Measured]":
    from fsarctl.results.average_precision import OVERLAPS, TimedLabel, mean_average_precision

    found, wanted = [], []
    offset = 0.0
    for each in watched:  # one after the other, as if they were one video
        events = [TimedLabel(e.start_s, e.end_s, e.label, e.score) for e in each.events]
        true_ones = true[each.path.name]
        found += [event.later(offset) for event in events]
        wanted += [event.later(offset) for event in true_ones]
        offset += max((event.end_s for event in (*events, *true_ones)), default=0.0) + 1
    return mean_average_precision(found, wanted, OVERLAPS)


def _write_page(
    html: Path, watched: "Sequence[Watched]", ready: "Ready", rules: EventRules, about: str, note: str
) -> None:
    from fsarctl.stages.spot import write_timeline

    write_timeline(html, watched, ready.predictor, ready.support, rules, about=about, note=note)
    say(f"page: {html}")


def _cut(session: Session, watched: "Sequence[Watched]", folder: Path) -> list[dict[str, Any]]:
    from fsarctl.predict.event_clips import cut_events

    found = [(each.path, each.events) for each in watched if not each.failure]
    rows = cut_events(found, folder, session.reporter)
    copied, encoded = (sum(each["how"] == how for each in rows) for how in ("copied", "encoded"))
    say(f"clips: {folder} ({copied} copied, {encoded} encoded anew, since they begin at no key frame)")
    return rows


def _watch(
    session: Session, ready: "Ready", video: "ClipFile", sizes: "Sequence[WindowSize]", rules: EventRules
) -> "Watched":
    from fsarctl.artifacts.command import Command, Option
    from fsarctl.stages.spot import watch

    lengths = tuple(f"{float(length):g}" for length, _ in sizes)
    options = (Option("", (str(video.path),)), Option("--length", lengths), *session.flags)
    return watch(
        session.store, ready.predictor, ready.support, video, sizes, rules, Command("spot", options), say
    )


def _document(
    session: Session,
    ready: "Ready",
    watched: "Sequence[Watched]",
    sizes: "Sequence[WindowSize]",
    rules: EventRules,
    measured: "Sequence[Measured] | None",
) -> dict[str, Any]:
    return {
        "schema": "fsarctl.spot/1",
        **facts_of(session, ready),
        "windows": [{"length_s": float(length), "stride_s": float(stride)} for length, stride in sizes],
        "rules": dict(vars(rules)),
        "average_precision": None if measured is None else [dict(vars(each)) for each in measured],
        "videos": [
            {
                "video": each.name,
                "duration_s": each.spotted.duration_s if each.spotted else None,
                "windows": len(each.spotted.windows) if each.spotted else 0,
                "key": each.key or None,
                "events": [row(event) for event in each.events],
                "failure": each.failure or None,
                "remarks": each.remarks,
            }
            for each in watched
        ],
    }
