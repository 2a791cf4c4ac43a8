"""ablate: a sweep as units. Every run shares what it can with all others, and the table is an artifact.

The table's artifact is table.json (schema fsarctl.ablate/1); it keeps the results that it was made of
from ``fsarctl cache gc``.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fsarctl.artifacts import JSON, Artifact, Build, Store, Unit
from fsarctl.artifacts.command import Command, Option
from fsarctl.config.sources import Settings
from fsarctl.config.tables import AblateConfig, RowConfig
from fsarctl.errors import ConfigError, InputError
from fsarctl.execution.schedule import Goal, Scheduler
from fsarctl.results.sweeps import benchmark_of, overrides_of
from fsarctl.stages.plan import Pipeline

__all__ = ["STAGE", "VERSION", "Run", "Sweep", "document", "load_table", "make", "plan", "tabulate", "unit"]

STAGE = "ablate"
VERSION = 3
TABLE = "table.json"


@dataclass(frozen=True)
class Run:
    """One row at one shot with one seed (None: the file's); ``unit`` is its result."""

    sweep: str
    row: str
    shot: int
    seed: int | None
    unit: Unit

    @property
    def name(self) -> str:
        """What it is called within its sweep."""
        seed = "" if self.seed is None else f", seed {self.seed}"
        return f"{self.row}, {self.shot}-shot{seed}"

    @property
    def title(self) -> str:
        """What it is called in messages."""
        return f"{self.sweep}: {self.name}"


@dataclass(frozen=True)
class Sweep:
    """A sweep that is ready to run.

    ``left_out`` says of a row why this project cannot have it, e.g. more layers than the backbone has.
    """

    name: str
    config: AblateConfig
    rows: tuple[RowConfig, ...]
    shots: tuple[int, ...]
    seeds: tuple[int | None, ...]
    benchmark: str
    runs: tuple[Run, ...]
    left_out: Mapping[str, str]

    def command(self, flags: Sequence[Option] = ()) -> Command:
        """What a user types to make this table; ``flags`` name the project, the store and overrides."""
        options = [Option("", (self.name,))]
        if len(self.rows) + len(self.left_out) < len(self.config.expanded):
            options.append(Option("--rows", tuple(row.name for row in self.rows)))
        if self.shots != self.config.shots:
            options.append(Option("--shots", tuple(map(str, self.shots))))
        if self.seeds != (None,):
            options.append(Option("--seeds", tuple(map(str, self.seeds))))
        return Command("ablate", (*options, *flags))


def plan(
    name: str,
    config: AblateConfig,
    rows: Sequence[RowConfig],
    shots: Sequence[int],
    seeds: Sequence[int | None],
    settings: Settings,
    pipeline: Callable[[Settings, Sequence[str]], Pipeline],
) -> Sweep:
    """The runs of a sweep; ``pipeline`` makes the units of settings that came of some overrides.

    Raises:
        ConfigError, InputError: a row's settings are not valid, or no row can run; then it is what the
            last one says.
    """
    runs: list[Run] = []
    left_out: dict[str, str] = {}
    for row in rows:
        changed = [(seed, *_changed(name, row, seed, settings)) for seed in seeds]
        try:
            runs += [
                _run(name, row, shot, seed, pipeline(its, overrides))
                for shot in shots
                for seed, its, overrides in changed
            ]
        except (ConfigError, InputError) as error:
            left_out[row.name] = error.message
            if len(left_out) == len(rows):
                raise
    benchmark = benchmark_of(settings, pipeline(settings, ()).novel)
    kept = tuple(row for row in rows if row.name not in left_out)
    return Sweep(name, config, kept, tuple(shots), tuple(seeds), benchmark, tuple(runs), left_out)


def unit(sweep: Sweep, flags: Sequence[Option], failed: Mapping[str, str]) -> Unit:
    """The table of a sweep, made of the results of its runs; ``flags`` are for its command.

    ``failed`` says of a run why there is no result.
    """
    runs = [run for run in sweep.runs if run.name not in failed]
    config: dict[str, JSON] = {
        "name": sweep.name,
        "benchmark": sweep.benchmark,
        "title": sweep.config.title,
        "source": sweep.config.source,
        "columns": list(sweep.config.columns),
        "rows": [
            {**vars(row), "against": sweep.config.reference(row), "cells": list(row.cells)}
            for row in sweep.rows
        ],
        "shots": list(sweep.shots),
        "seeds": list(sweep.seeds),
        "left_out": dict(sweep.left_out),
        **({"failed": dict(failed)} if failed else {}),
    }

    def build(build: Build) -> None:
        folders = {run.name: build.inputs[run.name] for run in runs}
        text = json.dumps(document(sweep, folders, failed), indent=2, ensure_ascii=False, allow_nan=False)
        (build.folder / TABLE).write_text(text + "\n", encoding="utf-8")

    return Unit(
        stage=STAGE,
        version=VERSION,
        slot=f"ablate {sweep.name}",
        command=sweep.command(flags),
        config=config,
        inputs={run.name: run.unit for run in runs},
        build=build,
    )


def make(sweeps: Sequence[Sweep], scheduler: Scheduler) -> dict[str, str]:
    """Make every run that can be made; the title of a run -> why it failed."""
    runs = [run for sweep in sweeps for run in sweep.runs]
    return scheduler.attempt([Goal(run.title, run.unit, _alone(run.unit)) for run in runs])


def tabulate(
    sweep: Sweep, store: Store, flags: Sequence[Option], failures: Mapping[str, str]
) -> dict[str, Any]:
    """The sweep's table, an artifact as soon as it has a number; ``failures`` are those of ``make``."""
    failed = {run.name: failures[run.title] for run in sweep.runs if run.title in failures}
    if len(failed) == len(sweep.runs):
        return document(sweep, {}, failed)
    return load_table(store.realise(unit(sweep, flags, failed)))


def document(sweep: Sweep, folders: Mapping[str, Path], failed: Mapping[str, str]) -> dict[str, Any]:
    """The table of those runs whose folders are there, as table.json has it."""
    from fsarctl.results.result import Result, load_result
    from fsarctl.results.sweeps import table_rows

    outcomes: dict[tuple[str, int], list[Result]] = {}
    for run in sweep.runs:
        if run.name in folders:
            outcomes.setdefault((run.row, run.shot), []).append(load_result(folders[run.name]))
    first = next(iter(outcomes.values()))[0].record if outcomes else {}
    return {
        "schema": "fsarctl.ablate/1",
        "name": sweep.name,
        "title": sweep.config.title,
        "source": sweep.config.source,
        "benchmark": sweep.benchmark,
        "columns": list(sweep.config.columns),
        "shots": list(sweep.shots),
        "seeds": list(sweep.seeds),
        **{name: first.get(name) for name in ("way", "query", "query_mode", "episodes", "split")},
        "rows": table_rows(sweep.config, sweep.rows, sweep.shots, outcomes, sweep.benchmark),
        "left_out": dict(sweep.left_out),
        **({"failed": dict(failed)} if failed else {}),
    }


def load_table(artifact: Artifact) -> dict[str, Any]:
    """The document of a finished table."""
    table: dict[str, Any] = json.loads((artifact.path / TABLE).read_text(encoding="utf-8"))
    return table


def _changed(sweep: str, row: RowConfig, seed: int | None, settings: Settings) -> tuple[Settings, list[str]]:
    """The settings of a row, and the overrides that make them.

    Raises:
        ConfigError: they are not valid; sweep and row are named.
    """
    seeds = [] if seed is None else [f"train.seed={seed}", f"eval.seed={seed}"]
    if seeds and not {"train.seed", "eval.seed"}.isdisjoint(row.set):
        raise ConfigError(
            f"sweep {sweep!r}, row {row.name!r} sets a seed, and --seeds sets it too",
            next_step="Leave out one of them.",
        )
    overrides = [*overrides_of(row), *seeds]
    try:
        return settings.changed(overrides), overrides
    except ConfigError as error:
        raise ConfigError(
            f"sweep {sweep!r}, row {row.name!r}: {error.message}", next_step=error.next_step
        ) from None


def _alone(unit: Unit) -> Command:
    """What makes this result and no other; `fsarctl eval` would evaluate the frozen model along with it."""
    if unit.config.get("adapted"):
        return unit.command.with_options(Option("--set", ("eval.frozen=false",)))
    return unit.command


def _run(sweep: str, row: RowConfig, shot: int, seed: int | None, units: Pipeline) -> Run:
    if row.shortcut:
        options = (Option("", (sweep,)), Option("--rows", (row.name,)))
        return Run(sweep, row.name, shot, seed, units.shortcut(row.shortcut, shot, options))
    return Run(sweep, row.name, shot, seed, units.result(shot))
