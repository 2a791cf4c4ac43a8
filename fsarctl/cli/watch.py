"""`fsarctl watch`: names what a camera, a stream or a growing file shows, as it comes."""

import threading
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fsarctl.cli.command.options import Device, Frozen, Support, TrainedFor
from fsarctl.cli.command.recognition import require_one_model, require_seconds, setup_of
from fsarctl.cli.command.session import Session, command
from fsarctl.cli.terminal.console import echo, panel, print_json, say, stdout, styled
from fsarctl.cli.terminal.signals import LAST_WORDS
from fsarctl.errors import UsageError
from fsarctl.errors.shown import brief
from fsarctl.execution.device import Machine
from fsarctl.progress import clock, counted

if TYPE_CHECKING:
    from fsarctl.serving.watching import Sight

__all__ = ["watch"]

EVERY = 4
"""Windows are named so often within their length, unless --every says otherwise."""
OFTENEST_S = 0.001
"""Between answers: their times are told in thousandths of a second."""
NOTHING = "-"
INTERRUPTED = 130
"""The exit code after Ctrl-C."""
LATENCIES = 100_000
"""Of so many windows, the last ones, is said how late they were."""


@command("watch", example="fsarctl watch rtsp://camera.local/stream --support examples/")
def watch(
    session: Session,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="A camera's number, /dev/video0, rtsp://, http://, or a file that grows."
        ),
    ],
    support: Support,
    length: Annotated[
        float | None,
        typer.Option("--length", metavar="S", help="Seconds of a window; default: as the examples."),
    ] = None,
    every: Annotated[
        float | None,
        typer.Option(
            "--every", metavar="S", help="Seconds between answers; default: a quarter of the length."
        ),
    ] = None,
    threshold: Annotated[
        float,
        typer.Option("--threshold", min=0, max=1, help="Confidence below which nothing is said to be seen."),
    ] = 0.5,
    seconds: Annotated[
        float | None, typer.Option("--seconds", metavar="S", help="Stop after so long; default: never.")
    ] = None,
    give_up: Annotated[
        float, typer.Option("--give-up", min=0, help="Seconds that a stream may be away, or a file not grow.")
    ] = 30,
    preview: Annotated[
        int | None,
        typer.Option(
            "--preview",
            min=0,
            max=65535,
            metavar="PORT",
            help="Show the picture to browsers of this machine.",
        ),
    ] = None,
    shots: TrainedFor = None,
    frozen: Frozen = False,
    device: Device = "auto",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON document a line, for each window.")
    ] = False,
) -> None:
    """Name what a camera or a stream shows, over and over: its last seconds, as `predict` names a clip."""
    require_one_model(frozen, shots)
    from fsarctl.predict.windows import SHORTEST_S

    require_seconds([("--length", length)], SHORTEST_S)
    require_seconds([("--every", every)], OFTENEST_S)
    require_seconds([("--seconds", seconds)])
    if seconds is not None and seconds > threading.TIMEOUT_MAX:
        raise UsageError(
            f"--seconds is {seconds:g}, more than this machine waits",
            next_step=f"Leave it out to watch until Ctrl-C, or give {threading.TIMEOUT_MAX:.0f} at most.",
        )
    if not source:
        raise UsageError("SOURCE is empty", next_step="Give a camera's number, an address or a file.")
    from fsarctl.serving.live_source import LiveSource
    from fsarctl.serving.preview import Preview
    from fsarctl.serving.watching import Watch
    from fsarctl.stages.spot import median_length

    shown = Preview()
    watching = Watch(LiveSource(source, give_up, say), lambda each: shown.show(each.frame, each.pixel_aspect))
    with ExitStack() as stack:
        if preview is not None:
            say(f"preview: {stack.enter_context(shown.served(preview))}")
        watching.open()  # before what takes seconds
        stack.callback(watching.close)
        from fsarctl.predict.recogniser import Recogniser

        if length is None:
            length = median_length(support)
        ready = setup_of(session, Machine(device), 1).ready(support, shot=shots, frozen=frozen)
        recogniser = stack.enter_context(Recogniser(ready.predictor, ready.support))
        sights = watching.sights(recogniser, length, every or length / EVERY)
        if seconds is not None:
            over = threading.Timer(seconds, watching.close)  # though nothing comes
            over.start()
            stack.callback(over.cancel)
        LAST_WORDS.clear()  # of what is watched nothing is kept
        try:
            named = _watch(sights, threshold, shown.say, as_json=as_json)
        except KeyboardInterrupt:  # as it is ended
            raise typer.Exit(INTERRUPTED) from None
        if not named:
            say(
                f"it ended before there was a window of {length:g} s to be named; --length takes shorter ones"
            )


def _watch(
    sights: "Generator[Sight, None, None]",
    threshold: float,
    show: Callable[[str], None],
    *,
    as_json: bool,
) -> bool:
    """Tell and show what is seen, to the end or Ctrl-C; whether there was any window."""
    latencies: deque[float] = deque(maxlen=LATENCIES)
    last: Sight | None = None
    try:
        with _telling(as_json=as_json) as tell:
            for last in sights:
                best = last.prediction.classes[0]
                certain = best.confidence >= threshold and not last.prediction.is_none
                seen = best.label if certain else ""
                show(f"{brief(seen)}  {best.confidence:.2f}" if seen else NOTHING)
                if last.latency_s is not None:
                    latencies.append(last.latency_s)
                tell(last, seen)
    finally:
        sights.close()
        if last is not None:
            _say_how(last, latencies)
    return last is not None


def _say_how(last: "Sight", latencies: Collection[float]) -> None:
    """The last line: how long, how late, and what was left out."""
    parts = [f"watched {last.end_s:.1f} s"]
    if latencies:
        ordered = sorted(latencies)
        half, most = ordered[len(ordered) // 2], ordered[95 * len(ordered) // 100]
        parts.append(f"latency {half:.2f} s, 95 % within {most:.2f} s")
    parts += [
        f"{counted(last.dropped_windows, 'window')} left out",
        f"{counted(last.dropped_frames, 'frame')} dropped",
    ]
    if last.gaps:
        parts.append(f"{counted(last.gaps, 'gap')}")
    say("; ".join(parts))


@contextmanager
def _telling(*, as_json: bool) -> "Iterator[Callable[[Sight, str], None]]":
    """What says a sight: JSON lines; on a terminal a line that changes; elsewhere a line a change."""
    before: list[str] = []

    def line(sight: "Sight", seen: str) -> None:
        print_json(_document(sight, seen), indent=None)

    def change(sight: "Sight", seen: str) -> None:
        if before[-1:] != [seen]:
            before[:] = [seen]
            best = sight.prediction.classes[0]
            echo(f"{clock(sight.end_s)}  {f'{brief(seen)}  {best.confidence:.2f}' if seen else NOTHING}")

    if as_json or not stdout().isatty():
        yield line if as_json else change
        return
    with panel() as screen:

        def show(sight: "Sight", seen: str) -> None:
            screen.update(_panel(sight, seen))

        yield show


def _panel(sight: "Sight", seen: str) -> Any:
    """The best classes, what is seen, and how late that is."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    late = "" if sight.latency_s is None else f"latency {sight.latency_s:.2f} s"
    lost = f"{sight.dropped_windows} left out, {sight.dropped_frames} frames dropped"
    table.add_row(
        styled(clock(sight.end_s), "bold"),
        styled(brief(seen) or NOTHING, "bold"),
        styled(f"{late}  {lost}", "dim"),
    )
    for each in sight.prediction.classes[:3]:
        table.add_row(
            "", styled(brief(each.label)), f"{each.confidence:.2f} {'#' * round(20 * each.confidence)}"
        )
    return table


def _document(sight: "Sight", seen: str) -> dict[str, Any]:
    return {
        "schema": "fsarctl.watch/1",
        "start_s": round(sight.start_s, 3),
        "end_s": round(sight.end_s, 3),
        "class": seen or None,
        "top": [
            {"class": each.label, "score": each.score, "confidence": each.confidence}
            for each in sight.prediction.classes[:3]
        ],
        "none": sight.prediction.none,
        "latency_s": None if sight.latency_s is None else round(sight.latency_s, 3),
        "dropped_windows": sight.dropped_windows,
        "dropped_frames": sight.dropped_frames,
        "gaps": sight.gaps,
    }
