"""``fsarctl describe``: make descriptions, show them, correct them, or say what they would cost."""

import difflib
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fsarctl.cli.console import print_json, print_line, say
from fsarctl.errors import InputError, UsageError

if TYPE_CHECKING:
    from fsarctl.cli.session import Session
    from fsarctl.data.corpus import SubActions
    from fsarctl.describing.language_model import Described
    from fsarctl.describing.sources import Found
    from stages.describe import Plan
    from stages.plan import Pipeline

__all__ = ["edit", "labels_of", "make", "show", "show_calls"]


def make(session: "Session", pipeline: "Pipeline", file: Path | None, *, force: bool, as_json: bool) -> None:
    """Make the descriptions of a label list, or of the datasets.

    Raises:
        PartialError: a language model did not describe some labels; whatever lacks none of them is made.
    """
    from stages.describe import failures, labels_asked

    units = [pipeline.describe_labels(_listed(file), file)] if file else pipeline.describe()
    undone = [unit for unit in units if force or session.store.find(unit) is None]
    asked = pipeline.ask(undone, session.reporter)
    failed = set(asked.failed) if asked else set()
    ready = [unit for unit in units if not failed & set(labels_asked(unit))]
    made = session.realise(ready, force=force, as_json=as_json) if ready else []
    if as_json:
        print_json(
            {
                "schema": "fsarctl.describe/1",
                "artifacts": made,
                "answers": _answers(asked, session) if asked else None,
            }
        )
    if asked and failed:
        raise failures(asked, len(asked.sub_actions) + len(failed))


def show(pipeline: "Pipeline", file: Path | None, chosen: Sequence[str], *, as_json: bool) -> None:
    """Print what each label is described by now."""
    labels = _chosen(pipeline, file, chosen)
    found = pipeline.sources().all(labels)
    if as_json:
        print_json(
            {"schema": "fsarctl.descriptions/1", "descriptions": [_row(each, found) for each in labels]}
        )
        return
    _print_descriptions(labels, found)


def edit(session: "Session", pipeline: "Pipeline", file: Path | None, chosen: Sequence[str]) -> None:
    """Let a person correct descriptions in an editor, one label after the other.

    Raises:
        UsageError: no label is named, or there is no editor.
        InputError: a description is no good and nobody is there to correct it.
    """
    from fsarctl.describing.edits import EDITS, keep_edit

    if not chosen:
        raise UsageError("--edit needs a label", next_step='For example: fsarctl describe --edit "long jump"')
    labels = _chosen(pipeline, file, chosen)
    found = pipeline.sources().all(labels)
    changed = 0
    for label in labels:
        before = found[label].sub_actions if label in found else None
        after = _corrected(label, before, pipeline)
        if after is None or after == before:
            say(f"{label!r}: nothing was changed")
            continue
        keep_edit(session.settings.root, label, after)
        changed += 1
        say(f"{label!r} is kept in {EDITS}; delete it there to take it back")
    if changed:
        say("next: fsarctl describe")


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
    from fsarctl.describing.costs import amount

    for label, prompt in plan.calls.items():
        typer.echo(f"--- {label}\n{prompt}\n")
    about = f"about {plan.prompt_tokens:,} + {plan.completion_tokens:,} tokens" if plan.calls else "no tokens"
    cost = f", about {amount(plan.cost)} at your prices" if plan.calls and plan.cost is not None else ""
    say(f"{len(plan.calls)} calls would be made ({about}{cost}); {plan.kept} descriptions are there already")


def labels_of(pipeline: "Pipeline", file: Path | None) -> list[str]:
    """The labels of a list, or those of the datasets."""
    return _listed(file) if file else pipeline.described_labels()


def _listed(file: Path) -> list[str]:
    from fsarctl.data.labels import read_labels

    listed = read_labels(file)
    for remark in listed.remarks:
        say(f"{file}: {remark}")
    return list(listed.labels)


def _chosen(pipeline: "Pipeline", file: Path | None, chosen: Sequence[str]) -> list[str]:
    known = labels_of(pipeline, file)
    unknown = [label for label in chosen if label not in known]
    if unknown:
        nearest = difflib.get_close_matches(unknown[0], known, n=1, cutoff=0.4)
        where = str(file) if file else "the datasets"
        raise InputError(
            f"there is no label {unknown[0]!r} in {where}",
            next_step=(f"Did you mean {nearest[0]!r}? " if nearest else "")
            + "`fsarctl describe --show` lists the labels; --labels FILE names another list.",
        )
    return list(dict.fromkeys(chosen)) or known


def _corrected(label: str, before: "SubActions | None", pipeline: "Pipeline") -> "SubActions | None":
    """What a person makes of a description; None if she leaves it. Errors are shown in the editor again."""
    from fsarctl.describing.edits import as_text, from_text, with_problem

    limit = pipeline.caption_limit
    text = as_text(label, before)
    while True:
        edited = _in_editor(text)
        if edited == text:
            return None
        try:
            after = from_text(edited)
            if after and limit and (problem := limit.problem(label, after)):
                raise ValueError(f"is too long: {problem}")
            return after
        except ValueError as error:
            if not sys.stdin.isatty():
                raise InputError(
                    f"the description of {label!r} {error}", next_step="Nothing was changed; edit it again."
                ) from None
            say(f"the description {error}")
            if not typer.confirm("Edit it again?", default=True, err=True):
                return None
            text = with_problem(edited, str(error))


def _in_editor(text: str) -> str:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ("vi" if sys.stdin.isatty() else "")
    if not editor:
        raise UsageError(
            "there is no editor: neither VISUAL nor EDITOR is set, and this is no terminal",
            next_step='Set EDITOR, or write {"label": ["beginning.", "process.", "end."]} into '
            "edited-descriptions.json beside fsarctl.toml.",
        )
    with tempfile.TemporaryDirectory(prefix="fsarctl-") as folder:
        path = Path(folder, "sub-actions.yaml")
        path.write_text(text, encoding="utf-8")
        try:
            done = subprocess.run([*shlex.split(editor), str(path)], check=False)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"the editor {editor!r} cannot be started: {error}", next_step="Set EDITOR to another one."
            ) from None
        if done.returncode:
            raise InputError(
                f"the editor {editor!r} ended with status {done.returncode}", next_step="Nothing was changed."
            )
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"what the editor left cannot be read: {type(error).__name__}",
                next_step="Nothing was changed.",
            ) from None


def _print_descriptions(labels: Sequence[str], found: Mapping[str, "Found"]) -> None:
    from rich.text import Text

    from fsarctl.data.corpus import STAGES

    width = max(map(len, STAGES))
    for label in labels:
        each = found.get(label)
        origin = ", ".join(filter(None, [each.source, each.place])) if each else "not described yet"
        print_line(Text(label, "bold").append(f"  ({origin})", "not bold dim" if each else "not bold yellow"))
        for stage, sentence in zip(STAGES, each.sub_actions, strict=True) if each else ():
            print_line(Text(f"  {stage:<{width}}  ", "dim").append(sentence, "not dim"))
    say(f"{len(found)} of {len(labels)} labels are described")


def _row(label: str, found: Mapping[str, "Found"]) -> dict[str, Any]:
    from fsarctl.data.corpus import STAGES

    each = found.get(label)
    sentences = each.sub_actions if each else (None,) * len(STAGES)
    return {
        "label": label,
        **dict(zip(STAGES, sentences, strict=True)),
        "source": each.source if each else None,
        "place": each.place if each else None,
        "answered_by": each.record.answered_by if each and each.record else None,
        "created": each.record.created if each and each.record else None,
    }


def _answers(asked: "Described", session: "Session") -> dict[str, Any]:
    from stages.describe import prices, tokens

    counts = tokens(asked)
    return {
        "found": asked.found,
        "new": asked.new,
        "failed": dict(asked.failed),
        **counts,
        "cost": prices(session.settings.config.describe).cost(*counts.values()),
    }
