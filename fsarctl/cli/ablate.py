"""`fsarctl ablate`: plans sweeps, runs what is not done, and prints their tables."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fsarctl.cli.command.options import (
    CORES,
    Detach,
    Device,
    DryRun,
    Engine,
    Jobs,
    Json,
    Layout,
    Memory,
    RayAddress,
    Shots,
    Spill,
    Workers,
    one_layout,
)
from fsarctl.cli.command.session import Session, command
from fsarctl.cli.terminal.console import print_json, say
from fsarctl.errors import PartialError
from fsarctl.execution.device import Machine
from fsarctl.progress import counted, first_of

if TYPE_CHECKING:
    from fsarctl.execution.job_schedule import Scheduler

__all__ = ["ablate"]

NAMED = 8


@command("ablate", example="fsarctl ablate table4 --seeds 0 1 2 --jobs 2", of_methods=True)
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
    engine: Engine = None,
    ray_address: RayAddress = None,
    jobs: Jobs = None,
    detach: Detach = False,
    workers: Workers = CORES,
    device: Device = "auto",
    memory: Memory = None,
    spill: Spill = Machine.spill_gib,
    dry_run: DryRun = False,
    published: Annotated[
        bool, typer.Option("--published", help="Under it, what others have published on the benchmark.")
    ] = False,
    layout: Annotated[Layout, typer.Option("--format", help="How the table is printed.")] = Layout.table,
    as_json: Json = False,
) -> None:
    """Run a sweep of settings (the paper's tables and figures, or your own), and print its table."""
    from fsarctl.artifacts.command import Option

    one_layout(layout, as_json)
    if detach and not dry_run:
        session.detach(engine, as_json=as_json)
        return
    machine = Machine(device, memory, spill)
    _ablate(
        session,
        names or [],
        rows=rows or [],
        shots=shots or [],
        seeds=seeds or [],
        scheduler=session.scheduler(
            machine, engine, jobs, ray_address, [Option("--workers", (str(workers),))]
        ),
        machine=machine,
        workers=workers,
        dry_run=dry_run,
        published=published,
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
    scheduler: "Scheduler",
    machine: Machine,
    workers: int,
    dry_run: bool,
    published: bool,
    layout: str,
    as_json: bool,
) -> None:
    """Run the sweeps of these names, or list those that there are.

    Raises:
        UsageError: no such sweep or row.
        ConfigError, InputError: a row that was named, or every row, cannot run.
        PartialError: some runs failed; the tables were printed without them.
    """
    from fsarctl.artifacts.command import Option
    from fsarctl.cli.terminal.sweeps import print_plan, print_sweeps, print_table_of
    from fsarctl.results.sweeps import chosen_rows, find_sweep, overruled, sweeps
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
                chosen_rows(config, rows, session.settings),
                tuple(dict.fromkeys(shots)),
                tuple(dict.fromkeys(seeds)) or config.seeds or (None,),
                session.settings,
                pipeline,
                asked=rows,
                options=session.options,
            )
        )
    for sweep in planned:
        if unheeded := overruled(sweep.rows, session.settings):
            say(f"{sweep.name}: each row sets {', '.join(unheeded)} itself, whatever the project says")
        for row, reason in sweep.left_out.items():
            say(f"{sweep.name}: left out {row!r}: {reason}")
        for option, others in sweep.without.items():
            say(f"{sweep.name}: without an option {option!r}, and so as they are: {first_of(others, NAMED)}")
    if dry_run:
        print_plan(session.store, [run for sweep in planned for run in sweep.runs], as_json=as_json)
        return
    failures = stage.make(planned, scheduler)
    flags = (*session.flags, *(Option("--set", (each,)) for each in session.options.values()))
    documents = [stage.tabulate(sweep, session.store, flags, failures) for sweep in planned]
    if published:
        documents = [_beside_published(document) for document in documents]
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


def _beside_published(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with what is published on its benchmark; where nothing can be, that is said."""
    from fsarctl.results.published_rows import why_none, with_published

    if reason := why_none(document):
        say(f"{document['name']}: {reason}")
    return with_published(document)
