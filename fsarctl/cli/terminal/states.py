"""Where units stand: done, stale, missing or waiting."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fsarctl.cli.terminal.console import print_json, print_line, say, styled

if TYPE_CHECKING:
    from fsarctl.artifacts import State
    from fsarctl.execution.slurm import Record

__all__ = ["print_states"]

STYLES = {"done": "green", "stale": "yellow", "missing": "red", "waiting": "dim"}


def print_states(
    states: Sequence["State"],
    *,
    why: bool,
    as_json: bool,
    jobs: "Sequence[tuple[Record, str]]" = (),
) -> None:
    """One line per unit: done, stale, missing or waiting; with ``why``, each changed field under it.

    ``jobs`` that are at them come last, with how they stand.
    """
    if as_json:
        rows = [
            {
                "slot": state.unit.slot,
                "state": state.name,
                "key": state.key,
                "command": str(state.unit.command),
                "why": [{"field": c.field, "old": c.old, "new": c.new} for c in state.why],
            }
            for state in states
        ]
        listed = [
            {"job": each.job, "what": each.title, "state": state, "log": each.log} for each, state in jobs
        ]
        print_json({"schema": "fsarctl.status/1", "units": rows, "jobs": listed})
        return

    width = max(len(state.unit.slot) for state in states)
    for state in states:
        line = styled(f"{state.name:<8}", STYLES[state.name])
        line.append_text(styled(f" {state.unit.slot:<{width}}", "default"))
        if state.name == "done":
            line.rstrip()
        else:
            line.append_text(styled(f"  {state.unit.command}", "dim"))
        print_line(line)
        if why:
            for change in state.why:
                print_line(styled(f"           {change}", "yellow"))
    for job, stand in jobs:
        line = styled(f"{stand.lower():<8} job {job.job}: {job.title}", "default")
        line.append_text(styled(f"  {job.log}", "dim"))
        print_line(line)
    counts = {name: sum(state.name == name for state in states) for name in STYLES}
    say(", ".join(f"{count} {name}" for name, count in counts.items() if count))
