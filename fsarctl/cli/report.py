"""`fsarctl report`: one HTML file that says what the store holds, or its numbers."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fsarctl.cli.command.options import Dataset, Device, Shots
from fsarctl.cli.command.session import Session, command
from fsarctl.cli.terminal.console import echo, print_json, say
from fsarctl.cli.terminal.files import Kind, begins, open_file, require_writable, writing
from fsarctl.errors import FsarctlError
from fsarctl.execution.device import Machine
from fsarctl.progress import counted, sized

if TYPE_CHECKING:
    from fsarctl.artifacts import Artifact
    from fsarctl.episodes.tracking.trackers import Tracking
    from fsarctl.stages.report import Report

__all__ = ["report"]

OF_EARLIER_VERSIONS = "\"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-"
"""How the pages of those that had no generator are known."""
PAGE = Kind("report", begins(f'<meta name="generator" content="fsarctl/report">|{OF_EARLIER_VERSIONS}'))
NO_PICTURES = "Made without pictures: leave out --no-pictures."


@command("report", example="fsarctl report --open")
def report(
    session: Session,
    shots: Shots = None,
    dataset: Dataset = None,
    output: Annotated[Path, typer.Option("--output", help="The file to write.")] = Path("report.html"),
    opens: Annotated[bool, typer.Option("--open", help="Open it in a browser when it is written.")] = False,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="With episodes and where the models look.")
    ] = True,
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers instead of writing it.")] = False,
) -> None:
    """Write one HTML file with what is evaluated: results, curves, confusions, episodes, ablations."""
    _report(
        session,
        session.shots(shots, "eval"),
        dataset,
        output=output,
        machine=Machine(device),
        pictures=pictures,
        opens=opens,
        as_json=as_json,
    )


def _report(
    session: Session,
    shots: Sequence[int],
    dataset: str | None,
    *,
    output: Path,
    machine: Machine,
    pictures: bool,
    opens: bool,
    as_json: bool,
) -> None:
    """Write the report and print where it is; with ``as_json`` print its numbers and write nothing.

    Raises:
        UpstreamError: nothing is evaluated with the present settings.
        InputError: the file cannot be written.
    """
    from fsarctl.episodes.tracking.trackers import Tracking
    from fsarctl.stages.illustrate import load_pictures
    from fsarctl.stages.report import Report, Source

    tracking = Tracking(session.settings.config.tracking, session.settings.root)
    if not as_json:
        tracking.require()
        require_writable(output, PAGE)
    source = Source(
        session.store, session.settings, session.pipelines(machine, dataset=dataset), shots, machine
    )
    found = Report(source)
    artifact, reason = _illustration(session, found) if pictures else (None, NO_PICTURES)
    illustrated = load_pictures(artifact) if artifact else None
    document = found.document(illustrated)
    if as_json:
        print_json(document)
        return
    from fsarctl.report.page import render

    page = render(
        document,
        illustrated,
        lambda name: (artifact.path / name).read_bytes() if artifact else b"",
        no_pictures=reason,
    )
    with writing(output, PAGE) as partial:
        partial.write_text(page, encoding="utf-8")
    say(f"{_summary(document)}; {sized(output.stat().st_size)}, one file that loads nothing")
    echo(str(output))
    if tracking.config.tools:
        _attach(session, tracking, found.results, output)
    if opens:
        open_file(output)


def _attach(session: Session, tracking: "Tracking", results: "Sequence[Artifact]", page: Path) -> None:
    """Give the page to who is told of results, as a run of its own that names them."""
    from fsarctl.artifacts.keys import digest_of

    keys = {each.manifest.slot: f"{each.manifest.stage}/{each.key}" for each in results}
    key, facts = f"report/{digest_of(keys)[:20]}", {"settings": {}, "read": keys}
    with tracking.telling(key, "report", facts, session.reporter) as tracked:
        tracked.attach(page)


def _illustration(session: Session, found: "Report") -> "tuple[Artifact | None, str]":
    """The pictures, made now if need be; or why there are none, which is no reason to have no report."""
    if not found.has_pictures:
        return None, "The model that is set is not evaluated, so there is no episode to show."
    try:
        return session.store.realise(found.illustration), ""
    except FsarctlError as error:
        say(f"no pictures: {error.message}")
        return None, f"There are no pictures: {error.message}. {error.next_step}"


def _summary(document: dict[str, Any]) -> str:
    nouns = {"results": "result", "training": "training", "ablations": "ablation table"}
    return ", ".join(counted(len(document[name]), noun) for name, noun in nouns.items())
