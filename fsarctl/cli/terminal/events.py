"""Events of long videos as people and programs read them: a table, CSV, WebVTT and SubRip."""

import csv
import io
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from fsarctl.cli.terminal.console import echo, print_table, styled
from fsarctl.errors.shown import brief, shown
from fsarctl.progress import clock, counted

if TYPE_CHECKING:
    from fsarctl.predict.events import Event
    from fsarctl.results.average_precision import Measured
    from fsarctl.stages.spot import Watched

__all__ = ["as_csv", "as_subtitles", "print_events", "print_precision", "row"]

COLUMNS = ("video", "start_s", "end_s", "class", "score", "failure")


def row(event: "Event") -> dict[str, Any]:
    """An event by the names of JSON and CSV."""
    return {
        "start_s": round(event.start_s, 3),
        "end_s": round(event.end_s, 3),
        "class": event.label,
        "score": round(event.score, 6),
    }


def as_csv(watched: "Sequence[Watched]") -> str:
    """A line for each event; a video that failed has one line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for each in watched:
        for event in each.events:
            writer.writerow({"video": each.name, **row(event)})
        if each.failure:
            writer.writerow({"video": each.name, "failure": each.failure})
    return text.getvalue()


def as_subtitles(events: "Sequence[Event]", layout: str) -> str:
    """Events as cues of "vtt" (WebVTT) or "srt" (SubRip), which players show over the video."""
    point = "." if layout == "vtt" else ","
    blocks = ["WEBVTT"] if layout == "vtt" else []
    for number, event in enumerate(events, start=1):
        # Such an arrow would be taken for a line of times; SubRip has no way to write one.
        said = f"{shown(brief(event.label))} ({event.score:.2f})".replace("-->", "→")
        times = f"{_stamp(event.start_s, point)} --> {_stamp(event.end_s, point)}"
        blocks.append(f"{number}\n{times}\n{escape(said, quote=False) if layout == 'vtt' else said}")
    return "\n\n".join(blocks) + "\n" * bool(blocks)


def print_events(watched: "Sequence[Watched]", about: str, below: str) -> None:
    """A table, between two lines."""
    from rich.table import Table

    echo(about)
    table = Table()
    table.add_column("video", overflow="fold")
    table.add_column("start", justify="right")
    table.add_column("end", justify="right")
    table.add_column("class", overflow="fold")
    table.add_column("score", justify="right")
    for each in watched:
        name = brief(each.name)
        if each.failure:
            table.add_row(styled(name), "", "", styled(each.failure, "red"), styled("failed", "red"))
        elif not each.events:
            table.add_row(styled(name), "", "", styled("no event", "dim"), "")
        for number, event in enumerate(each.events):
            cells = (clock(event.start_s), clock(event.end_s), brief(event.label), f"{event.score:.2f}")
            table.add_row(styled("" if number else name), *(styled(cell) for cell in cells))
        table.add_section()
    print_table(table)
    echo(below)


def print_precision(measured: "Sequence[Measured]", true: int, found: int) -> None:
    """Lines below the table."""
    echo(f"mean average precision over the classes, {counted(true, 'true event')}, {found} found:")
    for each in measured:
        value, low, high = (f"{100 * number:.1f}" for number in (each.value, each.low, each.high))
        echo(f"  {value} % [{low}, {high}] at an overlap of {each.overlap:g}")
    echo("[ ]: 95 % of draws of half minutes of the video")


def _stamp(seconds: float, point: str) -> str:
    """
    >>> _stamp(3725.0042, ".")
    '01:02:05.004'
    """
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{point}{rest % 1000:03}"
