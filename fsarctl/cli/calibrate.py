"""`fsarctl calibrate`: how sure predictions may be, and how well unseen classes are told from known ones."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fsarctl.cli.command.options import (
    Dataset,
    Device,
    DryRun,
    Force,
    Json,
    Memory,
    Shots,
    Spill,
)
from fsarctl.cli.command.session import Session, command
from fsarctl.cli.terminal.console import print_json
from fsarctl.execution.device import Machine

if TYPE_CHECKING:
    from fsarctl.artifacts import Artifact, Unit

__all__ = ["calibrate"]


@command("calibrate", example="fsarctl calibrate --shots 1 5 --seeds 0 1 2")
def calibrate(
    session: Session,
    shots: Shots = None,
    dataset: Dataset = None,
    seeds: Annotated[
        list[int] | None,
        typer.Option("--seeds", min=0, metavar="S [S ...]", help="Of training and episodes, each a run."),
    ] = None,
    device: Device = "auto",
    memory: Memory = None,
    spill: Spill = Machine.spill_gib,
    dry_run: DryRun = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Fit confidences on validation classes, and measure them and "none of these" on novel ones.

    Each query is alone, and as many are of classes that are no answers. What `predict` and `spot` need
    of it they find from then on. What is upstream is made, too.
    """
    from fsarctl.models.strategies import FROZEN
    from fsarctl.stages.plan import Pipeline

    machine = Machine(device, memory, spill)
    chosen = session.shots(shots, "eval")
    make = session.pipelines(machine, dataset=dataset)

    def pipeline(seed: int | None) -> Pipeline:
        overrides = [] if seed is None else [f"train.seed={seed}", f"eval.seed={seed}"]
        return make(session.settings.changed(overrides), overrides)

    trained = session.settings.config.model.trained_name != FROZEN
    frozen = session.settings.config.eval.frozen or not trained
    given: Sequence[int | None] = seeds or (None,)
    pairs: dict[tuple[int, bool], list[tuple[Unit, Unit]]] = {}
    for seed in dict.fromkeys(given):
        units = pipeline(seed)
        for shot in chosen:
            for is_frozen in [True] * frozen + [False] * trained:
                pair = units.calibration(shot, frozen=is_frozen), units.unseen(shot, frozen=is_frozen)
                pairs.setdefault((shot, is_frozen), []).append(pair)
    every = [unit for some in pairs.values() for pair in some for unit in pair]
    if dry_run:
        session.make(every, dry_run=True, force=False, as_json=as_json)
        return
    outcomes = session.scheduler(machine, jobs=1).make(every, force=force, upstream=True)
    made = {(each.unit.slot, _seed(each.unit)): each.artifact for each in outcomes}

    def artifacts(pair: "tuple[Unit, Unit]") -> "list[Artifact]":
        return [made[each.slot, _seed(each)] for each in pair]

    rows = [
        row for (shot, _), some in pairs.items() for row in _rows(shot, [artifacts(each) for each in some])
    ]
    if as_json:
        print_json({"schema": "fsarctl.calibrate/1", "seeds": list(seeds or []), "rows": rows})
        return
    from fsarctl.cli.terminal.calibration import print_calibration

    print_calibration(rows)


def _seed(unit: "Unit") -> object:
    return unit.config.get("seed")


def _rows(shot: int, pairs: "Sequence[Sequence[Artifact]]") -> list[dict[str, Any]]:
    """One row for each kind of score: with text, and by video alone."""
    from fsarctl.results.evaluated import called
    from fsarctl.results.unseen import load_unseen, measured

    loaded = [[load_unseen(artifact.path) for artifact in pair] for pair in pairs]
    told, asked = loaded[0]
    title = called(str(asked.facts["model"]), pairs[0][1].manifest.config)
    return [
        {
            "shot": shot,
            "model": asked.facts["model"],
            "title": title,
            "score": kind,
            **{name: asked.facts[name] for name in ("way", "unseen", "episodes")},
            "runs": [
                {"seed": test.facts["seed"], **measured(test, val.calibration(kind), kind)}
                for val, test in loaded
            ],
        }
        for kind in told.kinds
        if kind in asked.kinds
    ]
