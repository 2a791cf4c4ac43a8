"""``fsarctl describe --edit``: a person writes or corrects descriptions in her editor."""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fsarctl.artifacts.command import Command, Option
from fsarctl.cli.terminal.console import say
from fsarctl.errors import InputError, UsageError

if TYPE_CHECKING:
    from fsarctl.stages.plan import Pipeline
    from fsarctl.text.corpus import SubActions

__all__ = ["edit"]


def edit(pipeline: "Pipeline", listed: Sequence[Option], labels: Sequence[str]) -> None:
    """Let a person correct the descriptions of these labels in an editor, one after the other.

    ``listed``: how a command names the list that they are of, empty without one.

    Raises:
        UsageError: no label is named or one is empty, or there is no editor.
        InputError: a description is no good and nobody is there to correct it.
    """
    from fsarctl.text.edits import EDITS, keep_edit

    if not labels:
        raise UsageError("--edit needs a label", next_step='For example: fsarctl describe --edit "long jump"')
    found = pipeline.sources().all(labels)
    changed = []
    for label in labels:
        before = found[label].sub_actions if label in found else None
        after = _corrected(label, before, pipeline)
        if after is None or after == before:
            say(f"{label!r}: nothing was changed")
            continue
        keep_edit(pipeline.root, label, after)
        changed.append(label)
        say(f"{label!r} is kept in {EDITS}; delete it there to take it back")
    if changed and (listed or not set(changed).isdisjoint(pipeline.labels_of_datasets())):
        say(f"next: {Command('describe', (*listed, *pipeline.flags))}")


def _corrected(label: str, before: "SubActions | None", pipeline: "Pipeline") -> "SubActions | None":
    """What a person makes of a description; None if she leaves it. Errors are shown in the editor again."""
    from fsarctl.text.edits import EDITS, as_text, from_text, with_problem

    limit = pipeline.caption_limit
    text = as_text(label, before)
    while True:
        edited = _in_editor(text, label, pipeline.root / EDITS)
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


STAGES = ["beginning.", "process.", "end."]


def _in_editor(text: str, label: str, kept: Path) -> str:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ("vi" if sys.stdin.isatty() else "")
    if not editor:
        raise UsageError(
            "there is no editor: neither VISUAL nor EDITOR is set, and this is no terminal",
            next_step=f"Set EDITOR, or write {json.dumps({label: STAGES}, ensure_ascii=False)} into {kept}.",
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
