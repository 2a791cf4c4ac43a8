"""`fsarctl results`: finished results as a file for others, or as an appendix."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from fsarctl.cli.command.options import Dataset, Shots
from fsarctl.cli.command.session import Session, command
from fsarctl.cli.terminal.console import echo, print_data, say
from fsarctl.cli.terminal.files import Kind, begins, require_writable, writing
from fsarctl.errors import UsageError
from fsarctl.execution.device import Machine
from fsarctl.progress import counted, sized

if TYPE_CHECKING:
    from fsarctl.artifacts import Artifact

__all__ = ["export"]

EXPORT = Kind(
    "file of results",
    begins(
        r'\A(\{\n "clips": \[\n  \{\n   "clips": \[|## Results\n\n\| result \| model \| accuracy \|'
        r"|% It needs \\usepackage\{longtable\})"
    ),
)


class Form(StrEnum):
    """The values of --format."""

    json = "json"
    markdown = "markdown"
    latex = "latex"


@command("export", example="fsarctl results export --output results.json.gz")
def export(
    session: Session,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RESULT]...", help="Slots, or how keys begin; default: all that are set."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="The file to write, compressed if it ends in .gz; default: stdout."
        ),
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="For `fsarctl compare`, or to be read.")] = Form.json,
    shots: Shots = None,
    dataset: Dataset = None,
) -> None:
    """Write finished results with their clips, episodes and settings, to be compared with or read."""
    if names and (shots or dataset):
        raise UsageError(
            "--shots and --dataset choose among the results that are set, and these are named",
            next_step="Leave out one or the other.",
        )
    compressed = output is not None and output.name.endswith(".gz")
    if compressed and form is not Form.json:
        raise UsageError(f"a {form.value} appendix is to be read", next_step="Leave out .gz.")
    if output is not None:
        require_writable(output, EXPORT)
    from fsarctl.results.exchange.document import file_bytes
    from fsarctl.stages.results_export import collect

    chosen = [session.result(name) for name in names] if names else _set(session, shots, dataset)
    document = collect(session.store, chosen)
    if form is Form.json:
        content = file_bytes(document, compressed=compressed)
    else:
        content = _appendix(document, form.value)
    said = f"{counted(len(document['results']), 'result')} on {_clips(document)}; {sized(len(content))}"
    if output is None:
        print_data(content.decode())
        say(said)
        return
    with writing(output, EXPORT) as partial:
        partial.write_bytes(content)
    say(said)
    echo(str(output))


def _set(session: Session, shots: list[int] | None, dataset: str | None) -> "list[Artifact]":
    """The results of the present settings that are there; what is not is said.

    Raises:
        UpstreamError: there is none.
    """
    from fsarctl.stages.report import Report, Source

    machine = Machine()
    pipelines = session.pipelines(machine, dataset=dataset)
    found = Report(Source(session.store, session.settings, pipelines, session.shots(shots, "eval"), machine))
    for each in found.missing:
        say(f"left out, since it is not made: {each}")
    return found.results


def _appendix(document: dict[str, Any], markup: Any) -> bytes:
    from fsarctl.results.exchange.appendix import Markup, appendix

    assert markup in get_args(Markup)
    return appendix(document, markup).encode("utf-8", "replace")


def _clips(document: dict[str, Any]) -> str:
    return counted(sum(len(each["clips"]) for each in document["clips"]), "clip")
