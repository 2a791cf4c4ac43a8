"""`fsarctl extract`: frames of every clip."""

from typing import TYPE_CHECKING, Annotated

import typer

from fsarctl.cli.command.options import (
    CORES,
    Dataset,
    Detach,
    DryRun,
    Engine,
    Force,
    Jobs,
    Json,
    RayAddress,
    TimeLimit,
    Workers,
)
from fsarctl.cli.command.session import Session, command
from fsarctl.video.processes import TIME_LIMIT_S

if TYPE_CHECKING:
    from fsarctl.artifacts import Unit

__all__ = ["extract"]


@command("extract", example="fsarctl extract --workers 4")
def extract(
    session: Session,
    dataset: Dataset = None,
    workers: Workers = CORES,
    strict: Annotated[bool, typer.Option("--strict", help="Fail if any video cannot be decoded.")] = False,
    time_limit: TimeLimit = TIME_LIMIT_S,
    retry: Annotated[
        bool, typer.Option("--retry", help="Try again what ran out of time or crashed the decoder.")
    ] = False,
    engine: Engine = None,
    ray_address: RayAddress = None,
    jobs: Jobs = None,
    detach: Detach = False,
    dry_run: DryRun = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Decode the frames of every clip into the frame store; what was decoded before is copied."""
    from fsarctl.artifacts.command import Option
    from fsarctl.stages.extract import require_no_failures, retry_hint

    if detach and not dry_run:
        session.detach(engine, as_json=as_json)
        return
    pipeline = session.pipeline(dataset=dataset, workers=workers, strict=strict, time_limit_s=time_limit)
    units = pipeline.extract()
    again: list[Unit] = []
    for unit in units:
        known = session.store.find(unit) if strict or retry else None
        if known is not None and retry and retry_hint(known, unit.command):
            again.append(unit)
        elif known is not None and strict:
            require_no_failures(known)
    decoding = [Option("--workers", (str(workers),)), Option("--time-limit", (str(time_limit),))]
    decoding += [Option("--strict")] if strict else []
    scheduler = session.scheduler(None, engine, jobs, ray_address, decoding)
    session.make(units, again=again, scheduler=scheduler, dry_run=dry_run, force=force, as_json=as_json)
