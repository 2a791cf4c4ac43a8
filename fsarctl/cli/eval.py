"""`fsarctl eval`: accuracy on episodes of novel classes."""

from pathlib import Path
from typing import Annotated

import typer

from fsarctl.cli.command.options import (
    Dataset,
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
from fsarctl.execution.device import Machine

__all__ = ["evaluate"]


@command("eval", example="fsarctl eval --shots 1 3 5")
def evaluate(
    session: Session,
    shots: Shots = None,
    dataset: Dataset = None,
    device: Device = "auto",
    memory: Memory = None,
    spill: Spill = Machine.spill_gib,
    adapters: Annotated[
        Path | None,
        typer.Option(
            "--adapters",
            metavar="FILE",
            help="Instead of the adapters trained here: a released Task-Adapter++ checkpoint, or"
            " adapters.safetensors of another project. Nothing is trained.",
        ),
    ] = None,
    engine: Engine = None,
    ray_address: RayAddress = None,
    jobs: Jobs = None,
    detach: Detach = False,
    dry_run: DryRun = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Score episodes of novel classes, and print accuracy with its 95 % interval."""
    if detach and not dry_run:
        session.detach(engine, as_json=as_json)
        return
    machine = Machine(device, memory, spill)
    pipeline = session.pipeline(dataset=dataset, machine=machine)
    chosen = session.shots(shots, "eval")
    units = pipeline.evaluate_file(chosen, adapters) if adapters else pipeline.evaluate(chosen)
    session.make_results(
        units,
        units,
        upstream=False,
        warnings=pipeline.warnings_of_file(adapters) if adapters else pipeline.warnings(),
        undescribed=pipeline.undescribed,
        texts=pipeline.texts_read,
        scheduler=session.scheduler(machine, engine, jobs, ray_address),
        dry_run=dry_run,
        force=force,
        as_json=as_json,
    )
