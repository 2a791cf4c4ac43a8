"""`fsarctl cache`: look into the artifact store, check it, clear it, share it."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fsarctl.cli.command.options import DryRun, Json
from fsarctl.cli.command.session import Session, command
from fsarctl.cli.terminal.console import echo, print_data, print_json, say
from fsarctl.cli.terminal.files import Kind, begins, require_replaceable
from fsarctl.errors import InputError, IntegrityError, UsageError
from fsarctl.execution.device import Machine
from fsarctl.progress import counted, first_of, sized

if TYPE_CHECKING:
    from fsarctl.artifacts import Artifact, Kept, Removal, Unfinished, Verdict

__all__ = [
    "collect",
    "export_artifacts",
    "import_artifacts",
    "list_artifacts",
    "pull",
    "push",
    "show_artifact",
    "verify",
]

KEPT_STAGES = ("ablate",)
"""Whose artifacts, and all that went into them, `cache gc` keeps if not told otherwise."""
UNFINISHED = "unfinished build"
ARCHIVE = Kind("archive of artifacts", begins(r"\APK\x03\x04.{26}[a-z-]+/[0-9a-f]+/manifest\.json"), "")


Keys = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY]...", help="First characters of keys, or whole slots; default: everything."),
]
Address = Annotated[
    str,
    typer.Option("--remote", metavar="URL", help="s3://, gs://, ssh:// or a path; default: cache.remote."),
]


@command("ls", example="fsarctl cache ls")
def list_artifacts(session: Session, as_json: Json = False) -> None:
    """Every artifact: what it answers, its size and its age; and what lies beside them."""
    store = session.store
    artifacts = store.artifacts()
    _print_artifacts(artifacts, store.unlisted(artifacts), store.unfinished(), as_json=as_json)


@command("show", example="fsarctl cache show 3f9c21")
def show_artifact(
    session: Session,
    key: Annotated[str, typer.Argument(help="The first characters of an artifact's key.")],
) -> None:
    """One artifact's manifest, as JSON."""
    from fsarctl.artifacts.manifest import MANIFEST

    print_data((session.artifact(key).path / MANIFEST).read_text(encoding="utf-8"))


@command("verify", example="fsarctl cache verify")
def verify(session: Session, as_json: Json = False) -> None:
    """Read every byte back and compare it with its digest; what is corrupt is moved to quarantine.

    That is artifacts, what unfinished work has finished, and paid answers.
    """
    verdicts = list(session.store.verify())
    _print_verdicts(verdicts, as_json=as_json)
    corrupt = _shares(verdicts, lambda each: bool(each.faults))
    unread = _shares(verdicts, lambda each: bool(each.unread))
    untold = f"{unread} cannot be read"
    if corrupt:
        # Of unfinished work a damaged file is moved, or a line of its journal left out: never all of it.
        moved = _shares(verdicts, lambda each: each.sort != UNFINISHED and each.quarantined is not None)
        of_them = "were moved to quarantine" if moved == corrupt else "what is damaged of them is not used"
        others = f"; {moved} were moved to quarantine" if moved not in ("", corrupt) else ""
        raise IntegrityError(
            f"{corrupt} are corrupt and {of_them}{others}" + (f"; {untold}" if unread else ""),
            next_step="Run `fsarctl run` to make them again; then check this disk.",
        )
    if unread:
        raise InputError(
            untold,
            next_step="Nothing is known to be wrong with them. Make them readable, or ask whoever made them"
            " to; then run the same command again.",
        )


@command("gc", example="fsarctl cache gc --dry-run")
def collect(
    session: Session,
    sweeps: Annotated[
        bool,
        typer.Option("--sweeps", help="Tables of `fsarctl ablate` too, with their runs."),
    ] = False,
    forget: Annotated[
        Path | None,
        typer.Option("--forget", help="A project that is gone: what it used counts as this one's."),
    ] = None,
    unclaimed: Annotated[
        bool,
        typer.Option("--unclaimed", help="In a shared cache: what no known project uses, too."),
    ] = False,
    dry_run: DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Remove the artifacts that this project's present settings do not use, unless somebody else does.

    Paid descriptions and sweeps are kept, and in a shared cache what other projects use.
    """
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
    choice: dict[str, Any] = {
        "keep": () if sweeps else KEPT_STAGES,
        "newest": _asked_for(session),
        "forget": forget,
        "unclaimed": unclaimed,
    }
    found = session.store.sort_out(units, **choice)
    for path in found.damaged:
        say(f"kept: {path}, which is damaged: `fsarctl cache verify` says how, and moves it away")
    if not as_json:
        for each in found.doomed:
            echo(f"{sized(each.bytes):>12}  {each.what}: {each.why}")
        _say_kept(found.kept)
    if found.doomed and not dry_run and not yes:
        question = f"Remove {_extent(found.doomed)}?"
        if not sys.stdin.isatty():
            raise UsageError(f"nobody is there to answer: {question}", next_step="Add --yes.")
        if not typer.confirm(question, err=True):
            say("nothing was removed")
            return
    removed = [] if dry_run else session.store.gc(units, **choice)
    if as_json:
        listing = {
            "removed": [_row(each, why=each.why) for each in removed],
            "found": [_row(each, why=each.why) for each in found.doomed],
            "kept": [_row(each, whom=each.whom) for each in found.kept],
        }
        print_json({"schema": "fsarctl.gc/1", **listing})
    elif dry_run:
        say(f"{_extent(found.doomed)} would be removed")
    else:
        say(f"{_extent(removed)} {'was' if len(removed) == 1 else 'were'} removed")


@command("push", example="fsarctl cache push --remote s3://bucket/fsarctl")
def push(
    session: Session,
    keys: Keys = None,
    remote: Address = "",
    again: Annotated[bool, typer.Option("--again", help="Send also what is there already.")] = False,
    as_json: Json = False,
) -> None:
    """Send finished artifacts to a folder that others reach; what is there is not sent again."""
    chosen = _chosen(session, keys)
    new = session.store.transfers.push(_whole(session, chosen), remote, again=again)
    if as_json:
        print_json({"schema": "fsarctl.transfer/1", "artifacts": _transferred(chosen), "new": new})
    say(f"{counted(new, 'artifact')} sent, {len(chosen) - new} were there")


@command("pull", example="fsarctl cache pull --remote s3://bucket/fsarctl")
def pull(
    session: Session,
    key: Annotated[str, typer.Argument(help="The first characters of keys; default: everything.")] = "",
    remote: Address = "",
    as_json: Json = False,
) -> None:
    """Bring artifacts from such a folder; each is compared with its manifest before it is used."""
    new, there = session.store.transfers.pull(key, remote)
    _say_arrived(new, there - len(new), as_json=as_json)


@command("export", example="fsarctl cache export results.zip 3f9c21")
def export_artifacts(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE.zip", help="The file to write.")],
    keys: Keys = None,
    as_json: Json = False,
) -> None:
    """Write finished artifacts to one file, for a machine without a network."""
    require_replaceable(file, ARCHIVE)
    chosen = _chosen(session, keys)
    session.store.transfers.export(_whole(session, chosen), file)
    if as_json:
        print_json({"schema": "fsarctl.transfer/1", "artifacts": _transferred(chosen), "new": len(chosen)})
    say(f"{counted(len(chosen), 'artifact')} written: {file}")


@command("import", example="fsarctl cache import results.zip")
def import_artifacts(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE.zip", help="What `fsarctl cache export` wrote.")],
    as_json: Json = False,
) -> None:
    """Bring the artifacts of such a file; each is compared with its manifest before it is used."""
    new, there = session.store.transfers.take_in(file)
    _say_arrived(new, there, as_json=as_json)


def _row(folder: "Removal | Kept", **more: str) -> dict[str, Any]:
    return {"what": folder.what, "path": str(folder.path), "bytes": folder.bytes, **more}


def _extent(folders: "Sequence[Removal | Kept | Unfinished]") -> str:
    return f"{counted(len(folders), 'folder')}, {sized(sum(each.bytes for each in folders))}"


def _say_kept(kept: "Sequence[Kept]") -> None:
    """For whom how much stays that this project does not use."""
    for whom in dict.fromkeys(each.whom for each in kept):
        say(f"kept: {_extent([each for each in kept if each.whom == whom])}, for {whom}")


def _asked_for(session: Session) -> list[tuple[str, str]]:
    """Answers to `describe --labels` and `eval --adapters`: no setting names them, but somebody asked."""
    from fsarctl.stages import describe, evaluate
    from fsarctl.stages.slots import Slot

    found = {
        (made.stage, made.slot)
        for made in (each.manifest for each in session.store.artifacts())
        if (made.stage == describe.STAGE and Slot.read(made.slot).is_list) or evaluate.is_of_file(made)
    }
    return sorted(found)


def _print_artifacts(
    artifacts: Sequence["Artifact"],
    unlisted: Sequence[Path],
    beside: Sequence["Unfinished"],
    *,
    as_json: bool,
) -> None:
    """Every artifact: what it answers, its key, size and age; and how much lies ``beside`` them."""
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
        others = [{"what": each.what, "path": str(each.path), "bytes": each.bytes} for each in beside]
        names = [str(each) for each in unlisted]
        print_json({"schema": "fsarctl.cache/1", "artifacts": rows, "unlisted": names, "unfinished": others})
        return
    from rich.filesize import decimal

    for each in artifacts:
        made = each.manifest.created[:16].replace("T", " ")
        echo(f"{each.key[:12]}  {made}  {decimal(each.manifest.bytes):>9}  {each.manifest.slot}")
    total = sum(each.manifest.bytes for each in artifacts)
    say(f"{counted(len(artifacts), 'artifact')}, {decimal(total)}; keys are shortened, times are UTC")
    if unlisted:
        first = first_of([str(each) for each in unlisted], 2)
        say(f"not among them: {first}; `fsarctl cache verify` says why")
    for what in dict.fromkeys(each.what for each in beside):
        such = [each for each in beside if each.what == what]
        say(f"beside them: {what}, {_extent(such)}; `fsarctl cache gc` removes what nobody needs")


def _print_verdicts(verdicts: Sequence["Verdict"], *, as_json: bool) -> None:
    """What verification found; artifacts that are whole are only counted."""
    if as_json:
        rows: dict[str, list[dict[str, Any]]] = {"artifacts": [], "unfinished builds": [], "records": []}
        for each in verdicts:
            row = {
                "slot": each.slot,
                "path": str(each.path),
                "faults": list(each.faults),
                "quarantined": each.quarantined and str(each.quarantined),
                "unread": each.unread,
            }
            rows[f"{each.sort}s"].append(row)
        listing = {name.partition(" ")[0]: found for name, found in rows.items()}
        print_json({"schema": "fsarctl.verify/1", **listing})
        return
    for each in verdicts:
        for fault in each.faults:
            echo(f"{each.slot}: {fault}")
        if each.quarantined:
            echo(f"{each.slot}: moved to {each.quarantined}")
        if each.unread:
            echo(f"{each.slot or each.path}: {each.unread}")
    say(f"{_shares(verdicts, lambda each: not each.faults and not each.unread, all_sorts=True)} are whole")


def _shares(
    verdicts: Sequence["Verdict"], counts: Callable[["Verdict"], bool], *, all_sorts: bool = False
) -> str:
    """How many of each sort are such, in words; "" if there are none."""
    shares = []
    for sort in dict.fromkeys(("artifact", *(each.sort for each in verdicts))):
        own = [each for each in verdicts if each.sort == sort]
        such = sum(map(counts, own))
        if such or (all_sorts and (own or sort == "artifact")):
            shares.append(f"{such} of {counted(len(own), sort)}")
    return ", ".join(shares)


def _nothing(_message: str) -> None: ...


def _chosen(session: Session, keys: Sequence[str] | None) -> list["Artifact"]:
    """The artifacts that are named by key or slot, or all.

    Raises:
        InputError: a name is nobody's, or there is none at all.
    """
    everything = session.store.artifacts()
    chosen: dict[str, Artifact] = {} if keys else {each.key: each for each in everything}
    for name in keys or ():
        found = [each for each in everything if each.key.startswith(name) or each.manifest.slot == name]
        if not name or not found:
            raise InputError(
                f"no artifact has a key that begins with {name!r}, or this slot",
                next_step="`fsarctl cache ls` lists keys and slots.",
            )
        chosen |= {each.key: each for each in found}
    if not chosen:
        raise InputError("there is no artifact yet", next_step="Make some: fsarctl run")
    return list(chosen.values())


def _whole(session: Session, artifacts: Sequence["Artifact"]) -> list["Artifact"]:
    return [session.store.checked(each) for each in artifacts]


def _say_arrived(new: Sequence["Artifact"], there: int, *, as_json: bool) -> None:
    if as_json:
        print_json({"schema": "fsarctl.transfer/1", "artifacts": _transferred(new), "new": len(new)})
    else:
        for each in new:
            echo(f"{each.key[:12]}  {each.manifest.slot}")
    say(f"{counted(len(new), 'artifact')} new here, {there} were there")


def _transferred(artifacts: Sequence["Artifact"]) -> list[dict[str, Any]]:
    return [
        {"slot": each.manifest.slot, "stage": each.manifest.stage, "key": each.key, "digest": each.digest}
        for each in artifacts
    ]
