"""``fsarctl describe --edit``: a person writes or corrects descriptions in her editor."""

import hashlib
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fsarctl.artifacts.command import Command, Option
from fsarctl.cli.terminal.console import say
from fsarctl.errors import FsarctlError, InputError, UsageError

if TYPE_CHECKING:
    from fsarctl.artifacts import Store
    from fsarctl.progress import Reporter
    from fsarctl.stages.plan import Pipeline
    from fsarctl.text.corpus import SubActions
    from fsarctl.text.drafts import Draft

__all__ = ["edit"]

END_S = 1.0


def edit(
    pipeline: "Pipeline",
    store: "Store",
    reporter: "Reporter",
    listed: Sequence[Option],
    labels: Sequence[str],
) -> None:
    """Let a person correct the descriptions of these labels in an editor, one after the other.

    ``store`` has the locks. ``listed``: how a command names the list that they are of, empty without one.

    Raises:
        UsageError: no label is named or one is empty, or there is no editor.
        InputError: a description is no good and nobody is there to correct it, or the editor failed; what
            was typed stays in its draft.
        LockError: another process is editing one of them.
    """
    from fsarctl.text.edits import EDITS, keep_edit

    if not labels:
        raise UsageError("--edit needs a label", next_step='For example: fsarctl describe --edit "long jump"')
    _editor(labels, pipeline)
    changed = []
    locks = _Locks(store.root / "locks", pipeline.root, reporter)
    for label in labels:
        with locks.hold(f"editing {label!r}", label, patience_s=0):
            after = _corrected(label, pipeline)
            if after is None:
                say(f"{label!r}: nothing was changed")
                continue
            draft, sub_actions = after
            try:
                with locks.hold(f"writing {EDITS}"):
                    keep_edit(pipeline.root, label, sub_actions)
            except FsarctlError as error:
                raise _in_draft(error, draft, pipeline) from None
            draft.remove()
        changed.append(label)
        say(f"{label!r} is kept in {EDITS}; delete it there to take it back")
    if changed and (listed or not set(changed).isdisjoint(pipeline.labels_of_datasets())):
        say(f"next: {Command('describe', (*listed, *pipeline.flags))}")


@dataclass(frozen=True)
class _Locks:
    """One of the corrections of the project at ``root``, and one of each label's."""

    folder: Path
    root: Path
    reporter: "Reporter"

    def hold(self, doing: str, label: str = "", patience_s: float = -1.0) -> AbstractContextManager[bool]:
        from fsarctl.artifacts.sharing.locks import hold

        content = f"{self.root.resolve()}\0{label}".encode("utf-8", "surrogatepass")
        name = f"edit-{hashlib.sha256(content).hexdigest()[:12]}.lock"
        return hold(self.folder / name, doing, self.reporter, patience_s)


def _corrected(label: str, pipeline: "Pipeline") -> "tuple[Draft, SubActions] | None":
    """What a person makes of a description, and where she typed it; None if she leaves it.

    What is wrong is shown in the editor again.
    """
    from fsarctl.text.drafts import Draft

    draft = Draft(pipeline.root, label)
    resumed = draft.begin(_now(label, pipeline))
    if resumed:
        say(f"{label!r}: what was typed and not kept is opened again: {draft.path}")
    while True:
        try:
            _in_editor(draft, label, pipeline)
            after = _checked(draft, label, pipeline)
        except ValueError as error:
            draft.remark(str(error))
            problem = InputError(f"the description of {label!r} {error}")
            if not sys.stdin.isatty():
                raise _in_draft(problem, draft, pipeline) from None
            say(problem.message)
            if not typer.confirm("Edit it again?", default=True, err=True):
                raise _in_draft(problem, draft, pipeline) from None
        except FsarctlError as error:
            raise _in_draft(error, draft, pipeline) from None
        else:
            if after is None or after == _now(label, pipeline):
                draft.remove()
                return None
            return draft, after


def _now(label: str, pipeline: "Pipeline") -> "SubActions | None":
    found = pipeline.sources().all([label]).get(label)
    return found.sub_actions if found else None


def _checked(draft: "Draft", label: str, pipeline: "Pipeline") -> "SubActions | None":
    """What the draft says; None where it says nothing, or nothing new.

    Raises:
        ValueError: it is no description, too long, or another was kept meanwhile. The message completes
            "the description ...".
    """
    if not draft.typed:
        return None
    after, limit, now = draft.sub_actions(), pipeline.caption_limit, _now(label, pipeline)
    if after and limit and (problem := limit.problem(label, after)):
        raise ValueError(f"is too long: {problem}")
    if after and now and after != now and not draft.is_of(now):
        draft.remark("", now=now)
        raise ValueError(f"was changed meanwhile, to {' '.join(now)!r}; what stands here replaces it if kept")
    return after


def _in_draft(error: FsarctlError, draft: "Draft", pipeline: "Pipeline") -> FsarctlError:
    """The same error, which says where what was typed is; nothing is left where nothing was."""
    from fsarctl.stages.describe import edit_command

    if draft.typed:
        again = edit_command([draft.label], pipeline.flags)
        here = f"What was typed is in {draft.path}; go on with it: {again}"
        error.next_step = f"{error.next_step} {here}".strip()
    else:
        draft.remove()
        error.next_step = error.next_step or "Nothing was changed."
    return error


STAGES = ["beginning.", "process.", "end."]


def _editor(labels: Sequence[str], pipeline: "Pipeline") -> str:
    """The command of the person's editor, for descriptions of these labels."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ("vi" if sys.stdin.isatty() else "")
    if not editor:
        raise UsageError(
            "there is no editor: neither VISUAL nor EDITOR is set, and this is no terminal",
            next_step=f"Set EDITOR, or {_by_hand(labels, pipeline)}",
        )
    return editor


def _by_hand(labels: Sequence[str], pipeline: "Pipeline") -> str:
    """What to write where, so that these labels are corrected without an editor."""
    from fsarctl.text.edits import EDITS, load_edits

    found = pipeline.sources().all(labels)
    described = {label: list(each.sub_actions) for label, each in found.items() if each.source != "label"}
    written = json.dumps({label: described.get(label, STAGES) for label in labels}, ensure_ascii=False)
    blank = [label for label in labels if label not in described]
    own = f", with sentences of your own for {', '.join(map(repr, blank))}" if blank else ""
    path = pipeline.root / EDITS
    if load_edits(pipeline.root):
        return f"add to the labels in {path}{own}: {written[1:-1]}"
    return f"write into {path}{own}: {written}"


def _in_editor(draft: "Draft", label: str, pipeline: "Pipeline") -> None:
    editor = _editor([label], pipeline)
    try:
        status = _ended(shlex.split(editor), draft.path)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"the editor {editor!r} cannot be started: {error}", next_step="Set EDITOR to another one."
        ) from None
    if status == -signal.SIGINT:
        raise KeyboardInterrupt
    if status:
        raise InputError(f"the editor {editor!r} ended with status {status}")


def _ended(editor: Sequence[str], path: Path) -> int:
    """The status of an editor, once it has ended. Ctrl-C is the editor's own meanwhile."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        # what is ignored here would be ignored there
        process = subprocess.Popen(
            [*editor, str(path)], preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
        )
        try:
            return process.wait()
        finally:
            if process.poll() is None:  # a signal ends this process; vi writes down what it has
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(END_S)
                process.kill()
                process.wait()
    finally:
        signal.signal(signal.SIGINT, before)
