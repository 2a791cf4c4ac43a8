"""ablate: a sweep as units. Every run shares what it can with all others, and the table is an artifact.

The table's artifact is table.json (schema fsarctl.ablate/1); it keeps the results that it was made of
from ``fsarctl cache gc``.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from fsarctl.artifacts import JSON, Artifact, Build, Store, Unit
from fsarctl.artifacts.command import Command, Option
from fsarctl.config.settings import Settings
from fsarctl.config.sweep_table import AblateConfig, RowConfig
from fsarctl.config.tables import OPTIONS
from fsarctl.errors import ConfigError, InputError
from fsarctl.errors.nearest import did_you_mean
from fsarctl.execution.job_schedule import Goal, Scheduler
from fsarctl.methods.build import option_names
from fsarctl.results.evaluated import Evaluated, require_columns
from fsarctl.results.footnotes import Footnotes
from fsarctl.results.published import WAY
from fsarctl.results.sweeps import (
    benchmark_of,
    is_own,
    needed_overrides,
    published_number,
    shared_overrides,
)
from fsarctl.stages.plan import Pipeline

__all__ = ["STAGE", "VERSION", "Run", "Sweep", "document", "load_table", "make", "plan", "tabulate", "unit"]

STAGE = "ablate"
VERSION = 4
TABLE = "table.json"


@dataclass(frozen=True)
class Run:
    """One row at one shot with one seed (None: the file's); ``unit`` is its result.

    ``dataset`` is its column, where the sweep's columns are datasets.
    """

    sweep: str
    row: str
    shot: int
    seed: int | None
    unit: Unit
    dataset: str = ""

    @property
    def name(self) -> str:
        """What it is called within its sweep."""
        seed = "" if self.seed is None else f", seed {self.seed}"
        dataset = f"{self.dataset}, " if self.dataset else ""
        return f"{self.row}, {dataset}{self.shot}-shot{seed}"

    @property
    def title(self) -> str:
        """What it is called in messages."""
        return f"{self.sweep}: {self.name}"

    @property
    def evaluated(self) -> Evaluated:
        """The settings that its result's key has, and those of its training."""
        trained = self.unit.inputs.get("adapters")
        return Evaluated.of(self.unit.config, trained.config if isinstance(trained, Unit) else {})


@dataclass(frozen=True)
class Sweep:
    """A sweep that is ready to run.

    ``benchmarks``: dataset that is a column -> its name in published tables; "" where none is. ``left_out``
    says of a row why this project cannot have it, e.g. more layers than the backbone has.
    """

    name: str
    config: AblateConfig
    rows: tuple[RowConfig, ...]
    shots: tuple[int, ...]
    seeds: tuple[int | None, ...]
    benchmarks: Mapping[str, str]
    runs: tuple[Run, ...]
    left_out: Mapping[str, str]
    without: Mapping[str, Sequence[str]]
    """Option that was set for all rows -> those whose method has none of that name."""

    @property
    def benchmark(self) -> str:
        """What the table is of."""
        return ", ".join(self.benchmarks.values())

    @property
    def evaluated(self) -> dict[str, Evaluated]:
        """Row -> what its runs evaluate, by their keys."""
        return {run.row: run.evaluated for run in self.runs}

    def command(self, flags: Sequence[Option] = ()) -> Command:
        """What a user types to make this table; ``flags`` name the project, the store and overrides."""
        options = [Option("", (self.name,))]
        known = {*(row.name for row in self.rows), *self.left_out}
        if any(row.name not in known for row in self.config.expanded):
            options.append(Option("--rows", tuple(row.name for row in self.rows)))
        if self.shots != self.config.shots:
            options.append(Option("--shots", tuple(map(str, self.shots))))
        if self.seeds != (self.config.seeds or (None,)):
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
    asked: Sequence[str] = (),
    options: Mapping[str, str] | None = None,
) -> Sweep:
    """The runs of a sweep; ``pipeline`` makes the units of settings that came of some overrides.

    ``shots`` are those that a user named; without any, those of the sweep that the clips suffice for.
    ``asked`` are the rows that she named. ``options`` (name -> override) hold in the rows whose method has
    them, and which does not set them itself.

    Raises:
        ConfigError, InputError: a row's settings are not valid, one that was named cannot run, or none can;
            then it is what the last one says. Or no row has one of the ``options``.
    """
    require_columns(name, config.columns, [row.cells for row in config.rows])
    runs: list[Run] = []
    columns = {dataset: _shared(name, config, dataset, settings) for dataset in config.datasets or [""]}
    first = next(iter(columns.values()))
    shots, without = (shots, {}) if shots else _possible(config, pipeline(*first))
    left_out: dict[str, str] = {}
    methods = {row.name: _changed(name, row, None, *first)[0].config.model for row in rows}
    known = {row: option_names(model) for row, model in methods.items()} if options else {}
    _require_options(name, options or {}, known)
    for row in rows:
        heeded = [
            each
            for option, each in (options or {}).items()
            if option in known[row.name] and f"{OPTIONS}.{option}" not in row.set
        ]
        changed = [
            (dataset, seed, *_changed(name, row, seed, *shared, heeded))
            for dataset, shared in columns.items()
            for seed in seeds
        ]
        try:
            runs += [
                _run(name, row, shot, seed, pipeline(its, overrides), dataset)
                for shot in shots
                for dataset, seed, its, overrides in changed
            ]
        except (ConfigError, InputError) as error:
            left_out[row.name] = error.message
            if row.name in asked or len(left_out) == len(rows):
                raise type(error)(
                    f"sweep {name!r}, row {row.name!r}: {error.message}", next_step=error.next_step
                ) from None
    benchmarks = {
        dataset: benchmark_of(its, pipeline(its, overrides).novel)
        for dataset, (its, overrides) in columns.items()
    }
    kept = tuple(row for row in rows if row.name not in left_out)
    left_out |= without
    lacking = {
        option: [row.name for row in kept if option not in known[row.name]] for option in options or {}
    }
    lacking = {option: others for option, others in lacking.items() if others}
    return Sweep(name, config, kept, tuple(shots), tuple(seeds), benchmarks, tuple(runs), left_out, lacking)


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
            {**_said(row), "against": sweep.config.reference(row), "cells": list(row.cells)}
            | {"evaluated": dict(sweep.evaluated[row.name].settings)}
            for row in sweep.rows
        ],
        "shots": list(sweep.shots),
        "seeds": list(sweep.seeds),
        "left_out": dict(sweep.left_out),
        **({"datasets": list(sweep.config.datasets)} if sweep.config.datasets else {}),
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
    return scheduler.attempt([Goal(run.title, run.unit) for run in runs])


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

    outcomes: dict[str, dict[tuple[str, int], list[Result]]] = {each: {} for each in sweep.benchmarks}
    for run in sweep.runs:
        if run.name in folders:
            result = load_result(folders[run.name])
            outcomes[run.dataset].setdefault((run.row, run.shot), []).append(result)
    found = [result for some in outcomes.values() for results in some.values() for result in results]
    first = found[0].record if found else {}
    columns = _columns(sweep)
    footnotes = Footnotes()
    numbers = [
        table_rows(sweep.config, sweep.rows, sweep.shots, outcomes[dataset], benchmark)
        for dataset, benchmark in sweep.benchmarks.items()
    ]
    rows = [
        _described(sweep, row, columns, _on_all(sweep, its), footnotes)
        for row, its in zip(sweep.rows, zip(*numbers, strict=True), strict=True)
    ]
    return {
        "schema": "fsarctl.ablate/1",
        "name": sweep.name,
        "title": sweep.config.title,
        "source": sweep.config.source,
        "benchmark": sweep.benchmark,
        "columns": columns,
        **({"datasets": list(sweep.config.datasets)} if sweep.config.datasets else {}),
        "shots": list(sweep.shots),
        "seeds": list(sweep.seeds),
        **{name: first.get(name) for name in ("way", "query", "query_mode", "episodes", "split")},
        "rows": rows,
        "footnotes": footnotes.texts,
        "corrected": _corrected(sweep, columns, rows),
        "left_out": dict(sweep.left_out),
        **({"failed": dict(failed)} if failed else {}),
    }


def _on_all(sweep: Sweep, numbers: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """A row's numbers on one dataset after the other."""
    named = [{"dataset": dataset} if dataset else {} for dataset in sweep.benchmarks]
    results = [{**each, **name} for its, name in zip(numbers, named, strict=True) for each in its["results"]]
    return {**numbers[0], "results": results}


def _said(row: RowConfig) -> dict[str, Any]:
    """The row as its table's key has it: without what came later, where it has none."""
    return {name: value for name, value in vars(row).items() if name != "oracle" or value}


def _columns(sweep: Sweep) -> list[str]:
    """The sweep's columns; in a user's own table rows of several methods say which they are."""
    columns = list(sweep.config.columns)
    several = len({each.method for each in sweep.evaluated.values()}) > 1
    return columns if not several or not is_own(sweep.config) or "method" in columns else ["method", *columns]


def _described(
    sweep: Sweep, row: RowConfig, columns: Sequence[str], numbers: Mapping[str, Any], footnotes: Footnotes
) -> dict[str, Any]:
    """A row with what was evaluated: its method, its cells, and marks at what is published.

    ``label`` is its name, with the method behind it where it is named after another one.
    """
    evaluated = sweep.evaluated[row.name]
    said = [""] * (len(columns) - len(sweep.config.columns)) + (
        list(row.cells) or [""] * len(sweep.config.columns)
    )
    results = []
    for each in numbers["results"]:
        beside = published_number(sweep.config, row, each["shot"], sweep.benchmarks[each.get("dataset", "")])
        if beside is None or evaluated.way != WAY:
            results.append({**each, "paper": None, "paper_mark": ""})
        else:
            results.append({**each, "paper_mark": footnotes.mark(beside.footnote)})
    return {
        "name": row.name,
        "label": evaluated.named(row.name),
        "method": evaluated.method,
        "way": evaluated.way,
        "cells": evaluated.cells(columns, said),
        **{key: value for key, value in numbers.items() if key not in ("name", "results")},
        "results": results,
    }


def _corrected(sweep: Sweep, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a row said of itself that its settings do not bear out, a sentence each."""
    first = len(columns) - len(sweep.config.columns)
    return [
        f"row {row.name!r} said {said!r} under {column!r}; evaluated: {cell!r}"
        for row, told in zip(sweep.rows, rows, strict=True)
        for column, said, cell in zip(sweep.config.columns, row.cells, told["cells"][first:], strict=False)
        if said != cell
    ]


def load_table(artifact: Artifact) -> dict[str, Any]:
    """The document of a finished table."""
    table: dict[str, Any] = json.loads((artifact.path / TABLE).read_text(encoding="utf-8"))
    return table


def _possible(config: AblateConfig, units: Pipeline) -> tuple[list[int], dict[str, str]]:
    """The shots of a sweep that the novel classes suffice for (all, if for none), and why not the others."""
    possible, without = [], {}
    for shot in config.shots:
        try:
            units.data.require_evaluation([shot])
            possible.append(shot)
        except InputError as error:
            without[f"{shot}-shot"] = error.message
    alone = not possible or any(key.startswith("eval.") for row in config.expanded for key in row.set)
    return (list(config.shots), {}) if alone else (possible, without)


def _shared(name: str, config: AblateConfig, dataset: str, settings: Settings) -> tuple[Settings, list[str]]:
    """The settings of all rows on one of the sweep's datasets, and the overrides that make them.

    Raises:
        ConfigError: they are not valid; the sweep is named.
    """
    overrides = shared_overrides(config, dataset, settings)
    try:
        changed = settings.changed(overrides)
        if dataset:
            changed.dataset(dataset)
    except ConfigError as error:
        raise ConfigError(f"sweep {name!r}: {error.message}", next_step=error.next_step) from None
    return changed, overrides


def _require_options(sweep: str, options: Mapping[str, str], known: Mapping[str, Sequence[str]]) -> None:
    """Refuse options that the method of no row has; ``known``: row -> those of its method."""
    every = sorted(set(chain.from_iterable(known.values())))
    for option in options:
        if option not in every:
            raise ConfigError(
                f"no row of {sweep!r} has an option {option!r}",
                next_step=f"Their options: {', '.join(every) or 'none'}{did_you_mean(option, every)}",
            )


def _changed(
    sweep: str,
    row: RowConfig,
    seed: int | None,
    settings: Settings,
    shared: Sequence[str],
    options: Sequence[str] = (),
) -> tuple[Settings, list[str]]:
    """The settings of a row, and the overrides that make them; ``shared`` are those of ``settings``.

    ``options`` are set for the row beside its own.

    Raises:
        ConfigError: they are not valid; sweep and row are named.
    """
    seeds = [] if seed is None else [f"train.seed={seed}", f"eval.seed={seed}"]
    if seeds and not {"train.seed", "eval.seed"}.isdisjoint(row.set):
        raise ConfigError(
            f"sweep {sweep!r}, row {row.name!r} sets a seed, and --seeds sets it too",
            next_step="Leave out one of them.",
        )
    overrides = [*needed_overrides(row, settings), *seeds, *options]
    try:
        return settings.changed(overrides), [*shared, *overrides]
    except ConfigError as error:
        raise ConfigError(
            f"sweep {sweep!r}, row {row.name!r}: {error.message}", next_step=error.next_step
        ) from None


def _run(sweep: str, row: RowConfig, shot: int, seed: int | None, units: Pipeline, dataset: str = "") -> Run:
    options = (Option("", (sweep,)), Option("--rows", (row.name,)))
    if row.shortcut:
        unit = units.shortcut(row.shortcut, shot, options)
    elif row.oracle:
        unit = units.oracle(row.oracle, shot, options)
    else:
        unit = units.result(shot)
    return Run(sweep, row.name, shot, seed, unit, dataset)
