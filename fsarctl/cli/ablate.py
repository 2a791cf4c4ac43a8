"""`fsarctl ablate`: plans sweeps, runs what is not done, and prints their tables."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fsarctl.cli.command.options import (
    CORES,
    Device,
    DryRun,
    Json,
    Layout,
    Memory,
    Shots,
    Spill,
    Workers,
    one_layout,
)
from fsarctl.cli.command.session import Session, command
from fsarctl.cli.terminal.console import print_json, say
from fsarctl.cli.terminal.sweeps import print_plan, print_sweeps, print_table_of
from fsarctl.errors import FsarctlError, PartialError
from fsarctl.execution.device import Machine
from fsarctl.progress import counted

if TYPE_CHECKING:
    from fsarctl.artifacts import Unit
    from fsarctl.stages.ablate import Run, Sweep

__all__ = ["ablate"]


@command("ablate", example="fsarctl ablate table4 --seeds 0 1 2 --jobs 2")
def ablate(
    session: Session,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Sweeps, e.g. table4; without any, they are listed."),
    ] = None,
    rows: Annotated[
        list[str] | None,
        typer.Option("--rows", metavar="ROW [ROW ...]", help="These rows alone, and their baselines."),
    ] = None,
    shots: Shots = None,
    seeds: Annotated[
        list[int] | None,
        typer.Option("--seeds", min=0, metavar="S [S ...]", help="Of training and episodes, each a run."),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Runs at once, one core each.")] = 1,
    workers: Workers = CORES,
    device: Device = "auto",
    memory: Memory = None,
    spill: Spill = 16.0,
    dry_run: DryRun = False,
    layout: Annotated[Layout, typer.Option("--format", help="How the table is printed.")] = Layout.table,
    as_json: Json = False,
) -> None:
    """Run a sweep of settings (the paper's tables and figures, or your own), and print its table."""
    one_layout(layout, as_json)
    _ablate(
        session,
        names or [],
        rows=rows or [],
        shots=shots or [],
        seeds=seeds or [],
        jobs=jobs,
        machine=Machine(device, memory, spill),
        workers=workers,
        dry_run=dry_run,
        layout=layout.value,
        as_json=as_json,
    )


def _ablate(
    session: Session,
    names: Sequence[str],
    *,
    rows: Sequence[str],
    shots: Sequence[int],
    seeds: Sequence[int],
    jobs: int,
    machine: Machine,
    workers: int,
    dry_run: bool,
    layout: str,
    as_json: bool,
) -> None:
    """Run the sweeps of these names, or list those that there are.

    Raises:
        UsageError: no such sweep or row.
        PartialError: some runs failed; the tables were printed without them.
    """
    from fsarctl.results.sweeps import chosen_rows, find_sweep, sweeps
    from fsarctl.stages import ablate as stage

    if not names:
        print_sweeps(sweeps(session.settings), as_json=as_json)
        return
    pipeline = session.pipelines(machine, workers)
    planned = []
    for name in dict.fromkeys(names):
        config = find_sweep(name, session.settings)
        planned.append(
            stage.plan(
                name,
                config,
                chosen_rows(config, rows),
                tuple(dict.fromkeys(shots)) or config.shots,
                tuple(dict.fromkeys(seeds)) or (None,),
                session.settings,
                pipeline,
            )
        )
    for sweep in planned:
        for row, reason in sweep.left_out.items():
            say(f"{sweep.name}: left out {row!r}: {reason}")
    if dry_run:
        print_plan(session, [run for sweep in planned for run in sweep.runs], as_json=as_json)
        return
    failures = _make(session, planned, jobs, machine.words)
    documents = [_document(session, sweep, failures) for sweep in planned]
    if as_json:
        print_json({"schema": "fsarctl.ablate/1", "tables": documents})
    else:
        for document in documents:
            print_table_of(document, layout)
    # A row of the paper may be too deep for a backbone. One of the user's own was meant to run.
    own = session.settings.config.ablate
    lost = {f"{s.name}: {row}": why for s in planned if s.name in own for row, why in s.left_out.items()}
    lost |= failures
    if lost:
        listed = "; ".join(f"{name}: {reason}" for name, reason in lost.items())
        raise PartialError(
            f"{counted(len(lost), 'run')} failed: {listed}",
            next_step="Run it again: what is finished is kept, and only these are tried.",
        )


def _make(session: Session, sweeps: "Sequence[Sweep]", jobs: int, words: Sequence[str]) -> dict[str, str]:
    """Make every run that can be made; run -> why it failed."""
    runs = [run for sweep in sweeps for run in sweep.runs]
    states = session.store.plan([run.unit for run in runs])
    todo = {state.unit.slot: state.unit for state in states if state.name != "done"}
    if not todo:
        say(f"nothing to do: {counted(len(runs), 'run')} up to date")
        return {}
    broken = _beside_each_other(session, runs, jobs, words) if jobs > 1 else {}
    failures: dict[str, str] = {}
    for number, run in enumerate(runs, start=1):
        reason = next((broken[each] for each in _commands(session, run) if each in broken), "")
        if not reason:
            if jobs == 1:
                say(f"[{number}/{len(runs)}] {run.title}")
            reason = _attempt(session, run)
        if reason:
            failures[run.title] = reason
            say(f"failed: {run.title}: {reason}")
    return failures


def _attempt(session: Session, run: "Run") -> str:
    """Make one run; "" or why it failed."""
    try:
        session.store.realise_all([run.unit])
    except FsarctlError as error:
        return error.message
    except Exception as error:  # one run's bug is no reason to lose the others
        return f"{type(error).__name__}: {error}"
    return ""


def _beside_each_other(
    session: Session, runs: "Sequence[Run]", jobs: int, words: Sequence[str]
) -> dict[str, str]:
    """Make what the runs share here, then the rest ``jobs`` at a time; command -> why it failed."""
    from fsarctl.execution.local import run_commands

    shared = ("render", "describe", "extract")
    units = [state.unit for state in session.store.plan([run.unit for run in runs])]
    session.store.realise_all([unit for unit in units if unit.stage in shared])
    titles = {command: run.title for run in reversed(runs) for command in _commands(session, run)}
    broken: dict[str, str] = {}
    for stages in (("train",), ("evaluate", "shortcut")):
        # What waits is of a training that failed.
        todo = [
            _command(state.unit)
            for state in session.store.plan(units)
            if state.unit.stage in stages and state.name in ("missing", "stale")
        ]
        commands = {each: titles[each] for each in todo}
        if commands:
            say(f"{' and '.join(stages)}: {len(commands)} to do, {jobs} at a time")
        for line, ended in run_commands(commands, jobs, session.reporter, words).items():
            if ended.exit_code:
                broken[line] = ended.error
    return broken


def _commands(session: Session, run: "Run") -> list[str]:
    return [_command(state.unit) for state in session.store.plan([run.unit])]


def _command(unit: "Unit") -> str:
    """Its command; `fsarctl eval` would evaluate the frozen model along with each row."""
    alone = unit.stage == "evaluate" and unit.config["adapted"]
    return f"{unit.command} --set eval.frozen=false" if alone else unit.command


def _document(session: Session, sweep: "Sweep", failures: Mapping[str, str]) -> dict[str, Any]:
    """The sweep's table, an artifact as soon as there is a number in it."""
    from fsarctl.stages import ablate as stage

    failed = {run.name: failures[run.title] for run in sweep.runs if run.title in failures}
    if len(failed) == len(sweep.runs):
        return stage.document(sweep, {}, failed)
    return stage.load_table(session.store.realise(stage.unit(sweep, session.flags, failed)))
