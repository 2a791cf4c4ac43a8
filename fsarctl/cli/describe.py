"""``fsarctl describe``: make descriptions, show them, or say what they would cost."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fsarctl.cli.command.options import Dataset, Force, Json
from fsarctl.cli.command.session import Session, command
from fsarctl.cli.terminal.console import echo, named, print_json, print_line, say, styled
from fsarctl.cli.terminal.files import Kind, require_writable, writing
from fsarctl.errors import InputError, UsageError
from fsarctl.errors.shown import brief
from fsarctl.progress import counted, first_of

if TYPE_CHECKING:
    from fsarctl.artifacts.command import Option
    from fsarctl.stages.describe import Plan
    from fsarctl.stages.plan import Pipeline
    from fsarctl.text.llm.language_model import Described
    from fsarctl.text.sources import Found

__all__ = ["LabelFile", "chosen_labels", "labels_of", "make", "show", "show_calls"]

_SHOWN = 3
_LARGEST_CORPUS = 2**26  # bytes; what is larger is not read to see whether it is one


@dataclass(frozen=True)
class LabelFile:
    """--labels and --column; ``flags`` are the other options of the command that names them."""

    path: Path
    column: str | None = None
    flags: "Sequence[Option]" = ()

    @property
    def options(self) -> "tuple[Option, ...]":
        """How a command names this file and its column."""
        from fsarctl.artifacts.command import Option

        column = () if self.column is None else (Option("--column", (self.column,)),)
        return (Option("--labels", (str(self.path),)), *column)

    @property
    def place(self) -> str:
        """What it is called where people read it."""
        from fsarctl.config.text_file import STDIN

        return "standard input" if str(self.path) == STDIN else str(self.path)

    def labels(self) -> list[str]:
        """What it lists; what was cleaned is said.

        Raises:
            InputError: it is no label list, or has no such column.
        """
        return self._labels

    @cached_property
    def _labels(self) -> list[str]:  # a pipe is read once
        from fsarctl.artifacts.command import Command
        from fsarctl.config.text_file import STDIN
        from fsarctl.datasets.labels.label_list import read_labels

        command = Command("describe", (*self.flags, *replace(self, column=None).options))
        try:
            listed = read_labels(self.path, self.column, command=str(command))
        except InputError as error:
            if str(self.path) != STDIN:
                raise
            message = error.message.removeprefix(STDIN)
            raise InputError(f"{self.place}{message}", next_step=error.next_step) from None
        for remark in listed.remarks:
            say(f"{self.place}: {remark}")
        return list(listed.labels)


@command("describe", example="fsarctl describe --labels kinetics.txt", needs_project=False)
def describe(
    session: Session,
    chosen: Annotated[
        list[str] | None,
        typer.Argument(metavar="LABEL", help="With --show or --edit: these labels, of a dataset or not."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            help="A text file, one action label a line (-: a pipe); default: the datasets' labels.",
        ),
    ] = None,
    column: Annotated[
        str | None,
        typer.Option("--column", help="Where --labels is a table: the labels' column, by header or number."),
    ] = None,
    dataset: Dataset = None,
    shown: Annotated[bool, typer.Option("--show", help="Print the descriptions there are now.")] = False,
    edited: Annotated[
        bool,
        typer.Option("--edit", help="Correct descriptions in your editor; corrections are kept and win."),
    ] = False,
    source: Annotated[
        str | None,
        typer.Option("--source", help="corpus (written files) or openai (a server); for describe.source."),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option("--base-url", help="An OpenAI-compatible server, for describe.base_url; it is asked."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Its model's name, for describe.model; it is asked.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Also write them there, as describe.files reads them."),
    ] = None,
    concurrency: Annotated[
        int, typer.Option("--concurrency", min=1, help="Questions under way at once.")
    ] = 4,
    time_limit: Annotated[
        float, typer.Option("--time-limit", min=1, help="Seconds an answer may take.")
    ] = 120,
    until_done: Annotated[
        bool, typer.Option("--until-done", help="Wait out the server's rate limit, for hours if it says so.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the prompts that would be sent, and about what they cost.")
    ] = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Turn each label into three sub-actions: beginning, process, end."""
    from fsarctl.artifacts.command import Option

    given = [flag for flag, on in (("--show", shown), ("--edit", edited), ("--dry-run", dry_run)) if on]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} are two commands", next_step=f"Leave out {given[1]}.")
    if chosen and not (shown or edited):
        way = "--labels" if Path(chosen[0]).is_file() else "--show"
        raise UsageError(
            f"{chosen[0]!r} is given without --show, --edit or --labels",
            next_step=f"fsarctl describe {way} {shlex.quote(chosen[0])} (--show and --edit are for labels,"
            " --labels is for a file of them)",
        )
    if output and given:
        raise UsageError(f"{given[0]} makes nothing that --output could write", next_step="Leave out one.")
    if not (labels or chosen):
        session.settings.require_file()
    session = session.overridden(_asked_server(source, base_url, model))
    if column is not None and labels is None:
        raise UsageError("--column is of a file of labels", next_step="Name it: --labels FILE")
    listed = LabelFile(labels, column, (*map(Option, given), *session.flags)) if labels else None
    pipeline = session.pipeline(
        dataset=dataset, concurrency=concurrency, answer_limit_s=time_limit, until_done=until_done
    )
    if shown:
        show(session, pipeline, listed, chosen or (), as_json=as_json)
    elif edited:
        from fsarctl.cli.terminal.editor import edit

        options = listed.options if listed else ()
        asked = chosen_labels(session, pipeline, listed, chosen or ())
        edit(pipeline, session.store, session.reporter, options, asked)
    elif dry_run:
        calls = pipeline.describe_calls(labels_of(pipeline, listed), listed.options if listed else ())
        show_calls(calls, as_json=as_json)
    else:
        make(session, pipeline, listed, output=output, force=force, as_json=as_json)


def _asked_server(source: str | None, base_url: str | None, model: str | None) -> dict[str, str]:
    """The settings that these flags stand for; who names a server or its model means to ask it."""
    if source is None and (base_url or model):
        source = "openai"
    given = {"source": source, "base_url": base_url, "model": model}
    return {f"describe.{name}": value for name, value in given.items() if value is not None}


def make(
    session: Session,
    pipeline: "Pipeline",
    file: LabelFile | None,
    *,
    output: Path | None = None,
    force: bool,
    as_json: bool,
) -> None:
    """Make the descriptions of a label list, or of the datasets; ``output`` is written with those there are.

    Raises:
        PartialError: a language model did not describe some labels; whatever lacks none of them is made.
        InputError: ``output`` cannot be written, or something else would be lost.
    """
    from fsarctl.stages.describe import failures, labels_asked

    read = _read(session, file)
    if output:
        require_writable(output, CORPUS, read)
    listed = file.labels() if file else []
    try:
        units = (
            [pipeline.describe_labels(listed, file.path.name, file.options)] if file else pipeline.describe()
        )
    finally:  # a misspelt correction may be why a label has no description
        _say_unused(session, pipeline, file, listed)
    undone = [unit for unit in units if force or session.store.find(unit) is None]
    asked = pipeline.ask(undone, session.reporter)
    failed = set(asked.failed) if asked else set()
    ready = [unit for unit in units if not failed & set(labels_asked(unit))]
    made = session.realise(ready, force=force, as_json=as_json) if ready else []
    if output:
        _write(output, read, pipeline.sources().all(listed or pipeline.described_labels()))
    if as_json:
        print_json(
            {
                "schema": "fsarctl.describe/1",
                "artifacts": made,
                "answers": _answers(asked, session) if asked else None,
            }
        )
    if asked and failed:
        named = file.options if file else ()
        raise failures(asked, len(asked.sub_actions) + len(failed), session.flags, named)


def _read(session: Session, file: LabelFile | None) -> list[Path]:
    """The files that descriptions are made from."""
    from fsarctl.text.edits import EDITS

    root = session.settings.root
    named = [file.path] if file else []
    return [*named, root / EDITS, *(root / each for each in session.settings.config.describe.files)]


def _is_corpus(path: Path) -> bool:
    from fsarctl.text.corpus import parse_corpus

    try:
        if path.stat().st_size > _LARGEST_CORPUS:
            return False
        parse_corpus(path.name, path.read_bytes())
    except (OSError, InputError):
        return False
    return True


CORPUS = Kind("file of descriptions", _is_corpus)


def _write(output: Path, read: Sequence[Path], found: Mapping[str, "Found"]) -> None:
    from fsarctl.text.corpus import corpus_text

    described = {label: each.sub_actions for label, each in found.items() if each.source != "label"}
    with writing(output, CORPUS, read) as partial:
        partial.write_bytes(corpus_text(output.name, described).encode("utf-8", "backslashreplace"))
    say(f"wrote {counted(len(described), 'description')} to {output}")


def show(
    session: Session, pipeline: "Pipeline", file: LabelFile | None, chosen: Sequence[str], *, as_json: bool
) -> None:
    """Print what each label is described by now."""
    labels = chosen_labels(session, pipeline, file, chosen) if chosen else labels_of(pipeline, file)
    found = pipeline.sources().all(labels)
    if not chosen:
        _say_unused(session, pipeline, file, labels)
    if as_json:
        print_json(
            {"schema": "fsarctl.descriptions/1", "descriptions": [_row(each, found) for each in labels]}
        )
        return
    _print_descriptions(labels, found)
    if file is None and not chosen:
        session.warn(pipeline.warnings_on_labels())


def show_calls(plan: "Plan", *, as_json: bool) -> None:
    """Print what a language model would be asked, and about what that takes."""
    if as_json:
        print_json(
            {
                "schema": "fsarctl.describe-plan/1",
                "calls": len(plan.calls),
                "kept": plan.kept,
                "prompt_tokens": plan.prompt_tokens,
                "completion_tokens": plan.completion_tokens,
                "cost": plan.cost,
                "prompts": dict(plan.calls),
            }
        )
        return
    from fsarctl.text.llm.costs import amount

    for label, prompt in plan.calls.items():
        echo(f"--- {brief(label)}", *prompt.splitlines(), "")
    about = f"about {plan.prompt_tokens:,} + {plan.completion_tokens:,} tokens" if plan.calls else "no tokens"
    cost = f", about {amount(plan.cost)} at your prices" if plan.calls and plan.cost is not None else ""
    calls = f"{counted(len(plan.calls), 'call')} would be made ({about}{cost})"
    say(f"{calls}; {counted(plan.kept, 'description')} {'is' if plan.kept == 1 else 'are'} there already")


def labels_of(pipeline: "Pipeline", file: LabelFile | None) -> list[str]:
    """The labels of a list, or those of the datasets."""
    return file.labels() if file else pipeline.described_labels()


def chosen_labels(
    session: Session, pipeline: "Pipeline", file: LabelFile | None, chosen: Sequence[str]
) -> list[str]:
    """The labels that a person named, as the list, the datasets or the corrections spell them.

    One that none of them has is taken as it is, and said, with the label that may have been meant.

    Raises:
        UsageError: one is empty.
        InputError: the list or the corrections cannot be read.
    """
    from fsarctl.datasets.labels.spelling import loosely, nearest_labels
    from fsarctl.text.edits import load_edits

    if not all(label.strip() for label in chosen):
        raise UsageError("a label is empty", next_step='For example: fsarctl describe --edit "long jump"')
    known = dict.fromkeys([*(file.labels() if file else ()), *pipeline.labels_of_datasets()])
    spelled = {loosely(label): label for label in (*load_edits(session.settings.root), *reversed(known))}
    labels = {label if label in known else spelled.get(loosely(label), label): None for label in chosen}
    unknown = [label for label in labels if known and label not in known]
    near = nearest_labels(unknown, known)
    for label in unknown:
        meant = f"; did you mean {near[label]!r}?" if label in near else ""
        say(f"{label!r} is in {_nowhere(file)}{meant}")
    return list(labels)


def _say_unused(
    session: Session, pipeline: "Pipeline", file: LabelFile | None, labels: Sequence[str]
) -> None:
    """Corrections of labels that are neither among these nor in a dataset: perhaps they are misspelt."""
    from fsarctl.datasets.labels.spelling import loosely, nearest_labels
    from fsarctl.text.edits import EDITS, load_edits

    edits = load_edits(session.settings.root)
    if not edits:
        return
    of_datasets = pipeline.labels_of_datasets()
    known = [*labels, *of_datasets]
    used = {loosely(label) for label in known}
    unused = [label for label in edits if loosely(label) not in used]
    near = nearest_labels(unused[:_SHOWN] if of_datasets else unused, known)
    if not of_datasets:  # other label lists may have them
        unused = list(near)
    if not unused:
        return
    meant = {label: f" (did you mean {other!r}?)" for label, other in near.items()}
    named = [f"{label!r}{meant.get(label, '')}" for label in unused]
    say(f"{EDITS} also describes {first_of(named, _SHOWN)}, in {_nowhere(file)}")


def _nowhere(file: LabelFile | None) -> str:
    return f"neither {file.place} nor a dataset" if file else "no dataset"


def _print_descriptions(labels: Sequence[str], found: Mapping[str, "Found"]) -> None:
    from fsarctl.text.corpus import STAGES

    width = max(map(len, STAGES))
    for label in labels:
        each = found.get(label)
        called = f"in prompts: {each.name}" if each and each.name else ""
        origin = ", ".join(filter(None, [each.source, each.place, called])) if each else "not described yet"
        style = "not bold dim" if each else "not bold yellow"
        print_line(named(label, "bold").append_text(styled(f"  ({origin})", style)))
        for stage, sentence in zip(STAGES, each.sub_actions, strict=True) if each else ():
            print_line(styled(f"  {stage:<{width}}  ", "dim").append_text(styled(sentence, "not dim")))
    are = "is" if 1 in (len(found), len(labels)) else "are"
    say(f"{len(found)} of {counted(len(labels), 'label')} {are} described")


def _row(label: str, found: Mapping[str, "Found"]) -> dict[str, Any]:
    from fsarctl.text.corpus import STAGES

    each = found.get(label)
    sentences = each.sub_actions if each else (None,) * len(STAGES)
    return {
        "label": label,
        "name": each.name if each and each.name else label,
        **dict(zip(STAGES, sentences, strict=True)),
        "source": each.source if each else None,
        "place": each.place if each else None,
        "answered_by": each.record.answered_by if each and each.record else None,
        "created": each.record.created if each and each.record else None,
    }


def _answers(asked: "Described", session: Session) -> dict[str, Any]:
    from fsarctl.stages.describe import prices, tokens

    counts = tokens(asked)
    return {
        "found": asked.found,
        "new": asked.new,
        "failed": dict(asked.failed),
        "alike": asked.alike,
        **counts,
        "cost": prices(session.settings.config.describe).cost(*counts.values()),
    }
