"""`fsarctl status`: what is done, and why the rest is not."""

from typing import Annotated

import typer

from fsarctl.cli.command.options import Dataset, Json, Shots
from fsarctl.cli.command.session import Session, command
from fsarctl.cli.terminal.states import print_states

__all__ = ["status"]


@command("status", example="fsarctl status --why --set train.lr=0.01")
def status(
    session: Session,
    why: Annotated[bool, typer.Option("--why", help="Name each field that changed, old and new.")] = False,
    shots: Shots = None,
    dataset: Dataset = None,
    as_json: Json = False,
) -> None:
    """Which artifacts are done, which are missing or stale, and why."""
    units = session.pipeline(dataset=dataset).everything(session.shots(shots, "eval"))
    from fsarctl.execution.slurm import jobs_under_way

    jobs = jobs_under_way(session.store.root)
    print_states(session.store.plan(units), why=why, as_json=as_json, jobs=jobs)
