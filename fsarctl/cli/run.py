"""`fsarctl run`: whatever is not done yet."""

from fsarctl.cli.command.options import (
    CORES,
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
    Workers,
)
from fsarctl.cli.command.session import Session, command
from fsarctl.execution.device import Machine

__all__ = ["run"]


@command("run", example="fsarctl run --dry-run")
def run(
    session: Session,
    shots: Shots = None,
    dataset: Dataset = None,
    workers: Workers = CORES,
    engine: Engine = None,
    ray_address: RayAddress = None,
    jobs: Jobs = None,
    detach: Detach = False,
    device: Device = "auto",
    memory: Memory = None,
    spill: Spill = Machine.spill_gib,
    dry_run: DryRun = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Do whatever is not done yet of describe, extract, train and eval, then print the results."""
    from fsarctl.artifacts.command import Option

    if detach and not dry_run:
        session.detach(engine, as_json=as_json)
        return
    machine = Machine(device, memory, spill)
    pipeline = session.pipeline(dataset=dataset, workers=workers, machine=machine)
    chosen = session.shots(shots, "eval")
    session.make_results(
        pipeline.everything(chosen),
        pipeline.evaluate(chosen),
        upstream=True,
        warnings=pipeline.warnings(),
        undescribed=pipeline.undescribed,
        texts=pipeline.texts_read,
        scheduler=session.scheduler(
            machine, engine, jobs, ray_address, [Option("--workers", (str(workers),))]
        ),
        dry_run=dry_run,
        force=force,
        as_json=as_json,
    )
