"""`fsarctl train`: what can be watched of it, and the line that each training ends with."""

import json
import os
import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fsarctl.cli.command.options import (
    CORES,
    Detach,
    Device,
    DryRun,
    Engine,
    Force,
    Jobs,
    Json,
    Memory,
    RayAddress,
    Shots,
    Spill,
)
from fsarctl.cli.command.session import Session, command
from fsarctl.cli.terminal.console import stderr, styled
from fsarctl.cli.terminal.signals import LAST_WORDS
from fsarctl.errors import UsageError
from fsarctl.execution.device import Machine

if TYPE_CHECKING:
    from fsarctl.artifacts import Unit
    from fsarctl.execution.job_schedule import Scheduler

__all__ = ["sparkline", "train"]

BLOCKS = "▁▂▃▄▅▆▇█"
WIDEST = 60


@command("train", example="fsarctl train --shots 1 3 5 --set train.lr=0.01")
def train(
    session: Session,
    shots: Shots = None,
    device: Device = "auto",
    memory: Memory = None,
    spill: Spill = Machine.spill_gib,
    board: Annotated[
        Path | None,
        typer.Option("--tensorboard", metavar="DIR", help="Also write the curves there for TensorBoard."),
    ] = None,
    gpus: Annotated[
        int,
        typer.Option("--gpus", min=1, help="Processes that share each step's episodes, one a GPU."),
    ] = 1,
    engine: Engine = None,
    ray_address: RayAddress = None,
    jobs: Jobs = None,
    detach: Detach = False,
    dry_run: DryRun = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Train one set of adapters per shot on the base classes; the curves are in each artifact's log.jsonl.

    Under torchrun its processes share the work, on one machine or many; the trained bytes are the same.
    """
    from fsarctl.episodes.ranks import RankLostError, require_shares
    from fsarctl.execution.torchrun import LAUNCHED, dismiss, joined, run_ranks, telling, told

    chosen = engine or session.settings.config.execution.engine
    starts = gpus > 1 and "WORLD_SIZE" not in os.environ and not dry_run
    if starts and chosen != "local":
        raise UsageError(
            f"--gpus shares a training among processes here, and the engine {chosen} trains elsewhere",
            next_step="Add --engine local, or leave out --gpus; torchrun is for several machines.",
        )
    if detach and not dry_run:
        session.detach(engine, as_json=as_json)
        return
    if starts:
        require_shares(session.settings.config.train.episodes_per_step, gpus)
        raise typer.Exit(run_ranks(gpus, sys.argv[1:], device, CORES))
    if LAUNCHED in os.environ:
        LAST_WORDS.clear()
    try:
        with joined(device) as ranks:
            require_shares(session.settings.config.train.episodes_per_step, ranks.world)
            if ranks.rank:
                session = replace(session, findings=told(ranks))
            machine = Machine(device, memory, spill, ranks)
            pipeline = session.pipeline(machine=machine, board=None if ranks.rank else board)
            units = pipeline.train(session.shots(shots, "train"))
            if ranks.rank:
                from fsarctl.stages.train import follow

                follow(units, ranks)
                return
            session.warn(pipeline.training_warnings())
            scheduler = session.scheduler(machine, engine, jobs, ray_address) if ranks.world == 1 else None

            def found() -> bytes:  # what is only looked at is not brought from elsewhere
                return session.findings.render(session.store.agenda([] if dry_run else units).looked_at())

            with telling(ranks, session.store.root, found):
                _train(session, units, board, scheduler, dry_run=dry_run, force=force, as_json=as_json)
                dismiss(ranks)
    except (RankLostError, KeyboardInterrupt) as error:
        if LAUNCHED in os.environ:  # who started this process says it
            raise typer.Exit(getattr(error, "exit_code", 130)) from None
        raise


def _train(
    session: Session,
    units: Sequence["Unit"],
    board: Path | None,
    scheduler: "Scheduler | None",
    *,
    dry_run: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Make these units, fill the folder ``board`` for TensorBoard, and print how each training went.

    Raises:
        ConfigError: a board is asked for and TensorBoard is not installed.
    """
    done: set[str] = set()
    if board is not None and not dry_run:
        from fsarctl.episodes.training.tensorboard import require_board

        require_board()
        done = set() if force else {unit.slot for unit in units if session.store.find(unit) is not None}
    session.make(units, scheduler=scheduler, dry_run=dry_run, force=force, as_json=as_json)
    if board is not None and done:
        _fill_board(session, units, board, done)
    if not dry_run:
        _print_curves(session, units)


def sparkline(values: Sequence[float]) -> str:
    """A character for each value, the lowest and the highest at both ends of the scale."""
    low, high = min(values), max(values)
    if low == high:
        return BLOCKS[3] * len(values)
    return "".join(BLOCKS[round((value - low) / (high - low) * (len(BLOCKS) - 1))] for value in values)


def _print_curves(session: Session, units: Sequence["Unit"]) -> None:
    """For each finished training its validation accuracy by epoch; the kept one stands out.

    On a terminal alone: elsewhere the numbers are in the artifact's log.jsonl.
    """
    console = stderr()
    if not console.is_terminal:
        return

    for unit in units:
        artifact = session.store.find(unit)
        if artifact is None:
            continue
        report = json.loads((artifact.path / "training.json").read_text(encoding="utf-8"))
        epochs, kept = report["epochs"], report["best_epoch"]
        if not epochs:  # a method that has nothing to train, and does not say so beforehand
            continue
        # The last ones, since a line is a line.
        first = max(0, min(len(epochs) - WIDEST, kept - 1))
        line = styled(f"{unit.slot}  validation ")
        for number, block in enumerate(sparkline([epoch["val_accuracy"] for epoch in epochs])):
            if first <= number < first + WIDEST:
                line.append(block, "bold green" if number + 1 == kept else "dim")
        line.append(
            f"  {100 * epochs[0]['val_accuracy']:.1f} -> {100 * report['best_val_accuracy']:.1f} %,"
            f" kept epoch {kept} of {len(epochs)}"
        )
        console.print(line, soft_wrap=True)


def _fill_board(session: Session, units: Sequence["Unit"], folder: Path, done: Collection[str]) -> None:
    """Show TensorBoard the trainings of the slots ``done``, which nobody could watch any more."""
    from fsarctl.episodes.training.tensorboard import run_name, watching
    from fsarctl.episodes.training.training_log import read_log
    from fsarctl.stages.slots import Slot

    for unit in units:
        artifact = session.store.find(unit) if unit.slot in done else None
        if artifact is not None:
            with watching(folder, run_name(Slot.read(unit.slot).of, unit.config)) as watch:
                for line in read_log(artifact.path):
                    watch(line)
