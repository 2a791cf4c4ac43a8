"""`fsarctl cache`: look into the artifact store, check it, clear it."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from fsarctl.cli.command.options import DryRun, Json
from fsarctl.cli.command.session import Session, command
from fsarctl.cli.terminal.console import print_json, say
from fsarctl.errors import IntegrityError, UsageError
from fsarctl.execution.device import Machine

if TYPE_CHECKING:
    from fsarctl.artifacts import Artifact, Verdict

__all__ = ["collect", "list_artifacts", "show_artifact", "verify"]

KEPT_STAGES = ("ablate",)
"""Whose artifacts, and all that went into them, `cache gc` keeps if not told otherwise."""


@command("ls", example="fsarctl cache ls")
def list_artifacts(session: Session, as_json: Json = False) -> None:
    """Every artifact: what it answers, its size and its age."""
    _print_artifacts(session.store.artifacts(), as_json=as_json)


@command("show", example="fsarctl cache show 3f9c21")
def show_artifact(
    session: Session,
    key: Annotated[str, typer.Argument(help="The first characters of an artifact's key.")],
) -> None:
    """One artifact's manifest, as JSON."""
    from fsarctl.artifacts.manifest import MANIFEST

    typer.echo((session.artifact(key).path / MANIFEST).read_text(encoding="utf-8"), nl=False)


@command("verify", example="fsarctl cache verify")
def verify(session: Session, as_json: Json = False) -> None:
    """Read every byte back and compare it with its digest; what is corrupt is moved to quarantine."""
    verdicts = list(session.store.verify())
    _print_verdicts(verdicts, as_json=as_json)
    corrupt = [each for each in verdicts if each.faults]
    if corrupt:
        raise IntegrityError(
            f"{len(corrupt)} of {len(verdicts)} artifacts are corrupt and were moved to quarantine",
            next_step="Run `fsarctl run` to make them again; then check this disk.",
        )


@command("gc", example="fsarctl cache gc --dry-run")
def collect(
    session: Session,
    sweeps: Annotated[
        bool,
        typer.Option("--sweeps", help="Tables of `fsarctl ablate` too, with their runs."),
    ] = False,
    dry_run: DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Remove the artifacts that the present settings do not use. Paid descriptions and sweeps are kept."""
    from fsarctl.stages.report import illustrations

    shots = sorted({*session.settings.config.train.shots, *session.settings.config.eval.shots})
    units = [
        u
        for name in session.settings.config.datasets
        for u in session.pipeline(dataset=name, note=_nothing).used(shots)
    ]
    units += illustrations(
        session.store,
        session.settings,
        lambda name: session.pipelines(Machine(), dataset=name, note=_nothing),
    )
    lists = _label_lists(session)
    keep = () if sweeps else KEPT_STAGES
    doomed = session.store.gc(units, keep=keep, newest=lists, dry_run=True)
    size = sum(each.bytes for each in doomed)
    listing = [{"what": each.what, "path": str(each.path), "bytes": each.bytes} for each in doomed]
    if not as_json:
        for each in doomed:
            typer.echo(f"{each.bytes / 1e6:10.1f} MB  {each.what}")
    if doomed and not dry_run:
        if not yes:
            question = f"Remove {len(doomed)} folders, {size / 1e6:.1f} MB?"
            if not sys.stdin.isatty():
                raise UsageError(f"nobody is there to answer: {question}", next_step="Add --yes.")
            if not typer.confirm(question, err=True):
                say("nothing was removed")
                return
        session.store.gc(units, keep=keep, newest=lists)
    if as_json:
        print_json({"schema": "fsarctl.gc/1", "removed": [] if dry_run else listing, "found": listing})
    else:
        say(f"{len(doomed)} folders, {size / 1e6:.1f} MB {'would be' if dry_run else 'were'} removed")


def _label_lists(session: Session) -> list[tuple[str, str]]:
    """The answers to `describe --labels`: no setting names them, but somebody asked for them."""
    from fsarctl.stages.describe import LABEL_LIST, STAGE

    slots = {each.manifest.slot for each in session.store.artifacts() if each.manifest.stage == STAGE}
    return [(STAGE, slot) for slot in sorted(slots) if slot.startswith(LABEL_LIST)]


def _print_artifacts(artifacts: Sequence["Artifact"], *, as_json: bool) -> None:
    """Every artifact: what it answers, its key, size and age."""
    if as_json:
        rows = [
            {
                "slot": each.manifest.slot,
                "stage": each.manifest.stage,
                "key": each.key,
                "digest": each.digest,
                "bytes": each.manifest.bytes,
                "created": each.manifest.created,
                "path": str(each.path),
            }
            for each in artifacts
        ]
        print_json({"schema": "fsarctl.cache/1", "artifacts": rows})
        return
    from rich.filesize import decimal

    for each in artifacts:
        made = each.manifest.created[:16].replace("T", " ")
        typer.echo(f"{each.key[:12]}  {made}  {decimal(each.manifest.bytes):>9}  {each.manifest.slot}")
    total = sum(each.manifest.bytes for each in artifacts)
    say(f"{len(artifacts)} artifacts, {decimal(total)}; keys are shortened, times are UTC")


def _print_verdicts(verdicts: Sequence["Verdict"], *, as_json: bool) -> None:
    """What verification found; artifacts that are whole are only counted."""
    if as_json:
        rows = [
            {
                "slot": each.slot,
                "path": str(each.path),
                "faults": list(each.faults),
                "quarantined": each.quarantined and str(each.quarantined),
            }
            for each in verdicts
        ]
        print_json({"schema": "fsarctl.verify/1", "artifacts": rows})
        return
    for each in verdicts:
        for fault in each.faults:
            typer.echo(f"{each.slot}: {fault}")
        if each.quarantined:
            typer.echo(f"{each.slot}: moved to {each.quarantined}")
    whole = sum(not each.faults for each in verdicts)
    say(f"{whole} of {len(verdicts)} artifacts are whole")


def _nothing(_message: str) -> None: ...
