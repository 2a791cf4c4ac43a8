"""`fsarctl spot`: finds the actions of a support set in long videos, and when each begins and ends."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fsarctl.cli.command.options import CORES, Device, Json, Workers, one_layout
from fsarctl.cli.command.session import Session, command
from fsarctl.cli.predict import clip_path, facts_of, heading, printable
from fsarctl.cli.terminal.console import print_json, print_table, say
from fsarctl.errors import PartialError, UsageError
from fsarctl.execution.device import Machine
from fsarctl.progress import counted, first_of

if TYPE_CHECKING:
    from fsarctl.artifacts import Unit
    from fsarctl.datasets.clip_files import ClipFile
    from fsarctl.predict.events import Event, EventRules
    from fsarctl.predict.windows import WindowSize
    from fsarctl.stages.predict import Ready
    from fsarctl.stages.spot import Spotted

__all__ = ["spot"]


class EventLayout(StrEnum):
    """The values of --format."""

    table = "table"
    csv = "csv"


class Join(StrEnum):
    """The values of --join."""

    peak = "peak"
    run = "run"


COLUMNS = ("video", "start_s", "end_s", "class", "score", "failure")

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
    support: Annotated[
        Path,
        typer.Option(
            "--support", help="A folder with a folder of clips for each class, or a file of --save-support."
        ),
    ],
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
    smooth: Smooth = 3,
    join: Annotated[
        Join,
        typer.Option(
            "--join", help="An event is a window at a peak, or a run of windows, for what goes on long."
        ),
    ] = Join.peak,
    overlap: Overlap = 0.3,
    shots: Annotated[
        int | None,
        typer.Option("--shots", min=1, metavar="K", help="Adapters trained for K shots; default: nearest."),
    ] = None,
    frozen: Annotated[bool, typer.Option("--frozen", help="The frozen backbone, without adapters.")] = False,
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
    from fsarctl.predict.events import EventRules

    one_layout(layout, as_json)
    if frozen and shots is not None:
        raise UsageError("--frozen has no adapters to choose by --shots", next_step="Leave out one of them.")
    for name, value in (("--stride", stride), *(("--length", each) for each in length or ())):
        if value is not None and not 0 < value < float("inf"):
            raise UsageError(f"{name} is {value:g}", next_step="Give seconds above 0, such as 2.5.")
    from fsarctl.datasets.clip_files import clip_files
    from fsarctl.stages.predict import Setup
    from fsarctl.stages.spot import window_sizes

    machine = Machine(device)
    files = clip_files(videos)
    sizes = window_sizes(support, length, stride)
    setup = Setup(
        session.settings,
        session.pipeline(machine=machine),
        session.store,
        machine,
        workers,
        reporter=session.reporter,
    )
    ready = setup.ready(support, shot=shots, frozen=frozen)
    if not ready.predictor.model.shares_frames:
        say("this model reads no frame by itself, so what windows share is computed for each of them")
    rules = EventRules(smooth=smooth, threshold=threshold, join=join.value, overlap=overlap)
    watched = [_watch(session, ready, each, sizes, rules) for each in files]
    if as_json:
        print_json(_document(session, ready, watched, sizes, rules))
    elif layout == EventLayout.csv:
        _print_csv(watched)
    else:
        _print_table(session, ready, watched, rules)
    failed = [each for each in watched if each.failure]
    if failed:
        raise PartialError(
            f"{len(failed)} of {counted(len(watched), 'video')} could not be read:"
            f" {first_of([f'{each.video.name} ({each.failure})' for each in failed], 1)}",
            next_step=f"Check that a player can show {'it' if len(failed) == 1 else 'them'}.",
        )


@dataclass(frozen=True)
class _Watched:
    """One video and what was found in it, or why nothing could be."""

    video: "ClipFile"
    spotted: "Spotted | None" = None
    key: str = ""
    events: "Sequence[Event]" = ()
    failure: str = ""

    @property
    def remarks(self) -> list[str]:
        """What a user should know of it."""
        return [*self.spotted.problems, *self.spotted.unread] if self.spotted else []


def _watch(
    session: Session, ready: "Ready", video: "ClipFile", sizes: "Sequence[WindowSize]", rules: "EventRules"
) -> _Watched:
    from fsarctl.predict.events import events_of
    from fsarctl.stages.spot import load_spotted
    from fsarctl.video.survey import UnreadableVideoError

    try:
        artifact = session.store.realise(_unit(session, ready, video, sizes))
    except UnreadableVideoError as error:
        return _Watched(video, failure=error.message)
    spotted = load_spotted(artifact.path)
    confidences = spotted.confidences(ready.predictor.logit_scale)
    events = events_of(confidences, spotted.windows, ready.support.labels, rules, spotted.duration_s)
    found = _Watched(video, spotted, artifact.key, events)
    for remark in found.remarks:
        say(f"warning: {video.name}: {remark}")
    return found


def _unit(session: Session, ready: "Ready", video: "ClipFile", sizes: "Sequence[WindowSize]") -> "Unit":
    from fsarctl.artifacts.command import Command, Option
    from fsarctl.stages.spot import unit

    lengths = tuple(f"{float(length):g}" for length, _ in sizes)
    options = (Option("", (str(video.path),)), Option("--length", lengths), *session.flags)
    return unit(ready.predictor, ready.support, video.path, sizes, Command("spot", options))


def _document(
    session: Session,
    ready: "Ready",
    watched: Sequence[_Watched],
    sizes: "Sequence[WindowSize]",
    rules: "EventRules",
) -> dict[str, Any]:
    return {
        "schema": "fsarctl.spot/1",
        **facts_of(session, ready),
        "windows": [{"length_s": float(length), "stride_s": float(stride)} for length, stride in sizes],
        "rules": dict(vars(rules)),
        "videos": [
            {
                "video": each.video.name,
                "duration_s": each.spotted.duration_s if each.spotted else None,
                "windows": len(each.spotted.windows) if each.spotted else 0,
                "key": each.key or None,
                "events": [_row(event) for event in each.events],
                "failure": each.failure or None,
                "remarks": each.remarks,
            }
            for each in watched
        ],
    }


def _row(event: "Event") -> dict[str, Any]:
    """An event by the names of JSON and CSV."""
    return {
        "start_s": round(event.start_s, 3),
        "end_s": round(event.end_s, 3),
        "class": event.label,
        "score": round(event.score, 6),
    }


def _print_csv(watched: Sequence[_Watched]) -> None:
    """A line for each event; a video that failed has one line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for each in watched:
        for event in each.events:
            writer.writerow({"video": each.video.name, **_row(event)})
        if each.failure:
            writer.writerow({"video": each.video.name, "failure": each.failure})
    typer.echo(text.getvalue(), nl=False)


def _print_table(session: Session, ready: "Ready", watched: Sequence[_Watched], rules: "EventRules") -> None:
    from rich.table import Table
    from rich.text import Text

    typer.echo(heading(session, ready, "each window alone"))
    table = Table()
    table.add_column("video", overflow="fold")
    table.add_column("start", justify="right")
    table.add_column("end", justify="right")
    table.add_column("class", overflow="fold")
    table.add_column("score", justify="right")
    for each in watched:
        name = printable(each.video.name)
        if each.failure:
            table.add_row(Text(name), "", "", Text(printable(each.failure), "red"), Text("failed", "red"))
        elif not each.events:
            table.add_row(Text(name), "", "", Text("no event", "dim"), "")
        for number, event in enumerate(each.events):
            cells = (clock(event.start_s), clock(event.end_s), printable(event.label), f"{event.score:.2f}")
            table.add_row(Text("" if number else name), *(Text(cell) for cell in cells))
        table.add_section()
    print_table(table)
    typer.echo(
        f"score: confidence (softmax of {ready.predictor.logit_scale:g} x score over the classes), mean over"
        f" {counted(rules.smooth, 'window')}, {rules.threshold:g} or more; it is not calibrated"
    )


def clock(seconds: float) -> str:
    """
    >>> clock(5.25), clock(3725.004), clock(59.9996)
    ('0:05.25', '1:02:05.00', '1:00.00')
    """
    hundredths = round(seconds * 100)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    start = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{start}:{rest // 100:02}.{rest % 100:02}"
