"""Sweeps: rows of settings, each evaluated like any other, and the table that they come to.

Those of the paper ship as data in ``fsarctl/results/ablations``; a user's own stand in fsarctl.toml as
[ablate.NAME]. Needs no torch.
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import cache
from importlib import resources
from typing import Any, TypeAlias

from fsarctl.config.model_table import (
    FORMULATION_CROPS,
    ONLY_WITH,
    SHARED_SETTINGS,
    WITHOUT_ADAPTERS,
    ModelConfig,
)
from fsarctl.config.setting_field import default_of
from fsarctl.config.settings import Settings
from fsarctl.config.sweep_table import AblateConfig, RowConfig
from fsarctl.config.validation import FLAG, table_of
from fsarctl.errors import UsageError
from fsarctl.errors.nearest import did_you_mean
from fsarctl.models.strategies import TITLES, title_of
from fsarctl.results.clip_intervals import intervals_of
from fsarctl.results.intervals import estimate, estimate_over_seeds
from fsarctl.results.predictions import Predictions
from fsarctl.results.published import TABLES_1_AND_2, Number, known_number, of_method, of_row
from fsarctl.results.result import (
    Result,
    compare,
    compare_over_seeds,
    intervals_as_json,
    same_episodes,
)

__all__ = [
    "Outcomes",
    "benchmark_of",
    "chosen_rows",
    "find_sweep",
    "is_own",
    "methods",
    "needed_overrides",
    "overrides_of",
    "overruled",
    "pinned",
    "published_number",
    "shared_overrides",
    "sweeps",
    "table_rows",
]

SIGNIFICANT = 0.05
FOLLOWING = ("model.visual_layers", "model.text_layers")
Outcomes: TypeAlias = Mapping[tuple[str, int], Sequence[Result]]
"""(row, shot) -> a result for each seed, in the order of the seeds."""


def sweeps(settings: Settings) -> dict[str, AblateConfig]:
    """Every sweep by name: the paper's, then the user's own."""
    return {**_shipped(), **settings.config.ablate}


def is_own(sweep: AblateConfig) -> bool:
    """Whether a sweep is a user's, and so its words hers."""
    return sweep not in _shipped().values()


def benchmark_of(settings: Settings, dataset: str) -> str:
    """The name under which the paper's numbers for a dataset are looked up."""
    return str(getattr(settings.dataset(dataset), "name", "")) or dataset


def find_sweep(name: str, settings: Settings) -> AblateConfig:
    """The sweep of that name; a user's own hides a shipped one.

    Raises:
        UsageError: there is none; the nearest are named.
    """
    known = sweeps(settings)
    if name not in known:
        raise UsageError(
            f"there is no sweep {name!r}{did_you_mean(name, known).rstrip('.')}",
            next_step=f"Known: {', '.join(known)}; your own are [ablate.NAME] tables of fsarctl.toml.",
        )
    return known[name]


def chosen_rows(sweep: AblateConfig, names: Sequence[str], settings: Settings) -> list[RowConfig]:
    """The rows of these names and what they are compared with; all of them without names.

    Of a sweep of one method there are but the rows of the project's, as ``AblateConfig.of_method`` says.

    Raises:
        UsageError: there is no such row.
    """
    every = sweep.expanded
    if sweep.of_method:
        method = settings.config.model.method
        own = [row for row in every if row.method and pinned(row)["model.method"] == method]
        every = tuple(own or [row for row in every if not row.method])
    rows = {row.name: row for row in every}
    for name in names:
        if name not in rows:
            raise UsageError(f"there is no row {name!r}", next_step=f"The rows: {'; '.join(rows)}.")
    wanted = {*names, *(sweep.reference(rows[name]) for name in names)} if names else set(rows)
    return [row for name, row in rows.items() if name in wanted]


def pinned(row: RowConfig) -> dict[str, Any]:
    """Every setting that the row replaces: its method's, its own, and options without a use beside these."""
    settings = {**(_of_method(row.method) if row.method else {}), **row.set}
    for name, (other, needed) in ONLY_WITH.items():
        if settings.get(f"model.{other}", needed) != needed and f"model.{name}" not in row.set:
            settings[f"model.{name}"] = getattr(ModelConfig, name)
    if settings.get("model.strategy") in WITHOUT_ADAPTERS and "model.adapters" not in row.set:
        settings["model.adapters"] = []
    return settings


def _of_method(name: str) -> dict[str, Any]:
    """What a strategy's or a method's name says of [model]; a method's published settings hold, too."""
    if name in methods():
        said = {**methods()["every"], **methods()[name]}
        return {f"model.{each}": value for each, value in said.items()}
    plain = {each.name: default_of(each) for each in fields(ModelConfig) if each.name not in SHARED_SETTINGS}
    said = {"method": name, **plain}
    return {"train.published": True, **{f"model.{each}": value for each, value in said.items()}}


def overrides_of(row: RowConfig) -> list[str]:
    """The row's settings as arguments of ``--set``."""
    return _arguments(pinned(row))


def needed_overrides(row: RowConfig, settings: Settings) -> list[str]:
    """Those of them that change anything in ``settings``, for short commands and one key for equal models.

    A row of another method than the project's has none of the project's options.
    """
    said, model = pinned(row), settings.config.model
    if model.options and said.get("model.method", model.method) != model.method:
        said = {"model.options": {}, **said}
    return _arguments({key: value for key, value in said.items() if not _holds(settings, key, value)})


def shared_overrides(sweep: AblateConfig, dataset: str, settings: Settings) -> list[str]:
    """What all rows of a sweep set on one of its datasets ("" where it has none); --set stands above that."""
    flags = {key for key, origin in settings.origins.items() if origin.startswith(FLAG)}
    chosen = dict(sweep.set)
    if dataset:
        chosen |= {f"datasets.{dataset}.{key}": value for key, value in sweep.datasets[dataset].items()}
        chosen |= {f"{table}.dataset": dataset for table in ("train", "eval")}
    return _arguments({key: value for key, value in chosen.items() if key not in flags})


@cache
def methods() -> Mapping[str, Mapping[str, Any]]:
    """Method -> what its name says of [model]; "every" is of them all."""
    text = resources.files("fsarctl.results").joinpath("methods.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def table_rows(
    sweep: AblateConfig, rows: Sequence[RowConfig], shots: Sequence[int], outcomes: Outcomes, benchmark: str
) -> list[dict[str, Any]]:
    """Each row with its numbers, as JSON has them; accuracies from 0 to 1, the paper's too.

    Accuracy and difference are over all episodes of all seeds; ``seeds`` are the seeds' own accuracies. A
    difference is significant if p < 0.05 over clips (or groups) and, with several seeds, 0 lies outside the
    interval over seeds as well. A number is None where a run is missing, or where two rows are of different
    episodes.
    """
    return [
        {
            "name": row.name,
            "set": pinned(row),
            "shortcut": row.shortcut,
            "against": sweep.reference(row),
            "results": [_numbers(sweep, row, shot, outcomes, benchmark) for shot in shots],
        }
        for row in rows
    ]


def _numbers(
    sweep: AblateConfig, row: RowConfig, shot: int, outcomes: Outcomes, benchmark: str
) -> dict[str, Any]:
    published = published_number(sweep, row, shot, benchmark)
    numbers: dict[str, Any] = {
        "shot": shot,
        "accuracy": None,
        "half_width": None,
        "intervals": None,
        "headline": None,
        "seeds": [],
        "chance": None,
        "trainable_parameters": None,
        "difference": None,
        "difference_half_width": None,
        "difference_intervals": None,
        "difference_headline": None,
        "difference_half_width_over_seeds": None,
        "p": None,
        "significant": None,
        "paper": None if published is None else published.accuracy / 100,
    }
    results = outcomes.get((row.name, shot))
    if not results:
        return numbers
    predictions = Predictions.joined([result.predictions for result in results])
    accuracy = estimate(predictions.episode_accuracies)
    numbers |= {
        "accuracy": accuracy.mean,
        "half_width": _finite(accuracy.half_width),
        **intervals_as_json(intervals_of(predictions)),
        "seeds": [result.record["accuracy"] for result in results],
        "chance": results[0].record["chance"],
        "trainable_parameters": results[0].record.get("trainable_parameters"),
    }
    reference = sweep.reference(row)
    baseline = outcomes.get((reference, shot), ())
    if reference == row.name or len(baseline) != len(results):
        return numbers
    pairs = list(zip(baseline, results, strict=True))
    if all(same_episodes(*pair) for pair in pairs):
        found = compare_over_seeds(pairs)
        told = {f"difference_{name}": each for name, each in intervals_as_json(found.intervals).items()}
        seeds = estimate_over_seeds([compare(*pair).difference.mean for pair in pairs])
        settled = len(pairs) == 1 or abs(seeds.mean) > seeds.half_width
        numbers |= {
            "difference": found.difference.mean,
            "difference_half_width": _finite(found.difference.half_width),
            **told,
            "difference_half_width_over_seeds": _finite(seeds.half_width) if len(pairs) > 1 else None,
            "p": found.p,
            "significant": settled and (found.over_clips.p or 0.0) < SIGNIFICANT,
        }
    return numbers


def published_number(sweep: AblateConfig, row: RowConfig, shot: int, benchmark: str) -> Number | None:
    """What is published for this row at this shot, with its standing."""
    given = row.paper.get(benchmark, {}).get(str(shot))
    plain = row.method and not row.shortcut and pinned(row) == pinned(RowConfig("", method=row.method))
    title = title_of(row.method) if plain else ""
    if given is None:
        return known_number(title, benchmark, shot) if plain and sweep.every_method else None
    return of_row(title, given, sweep.source, benchmark, shot, papers=not is_own(sweep))


def overruled(rows: Sequence[RowConfig], settings: Settings) -> list[str]:
    """Settings of the project that say what is so in none of the rows, since each sets it itself."""
    return [
        key
        for key in settings.values
        if all(key in row.set for row in rows)
        and not any(_is_so(settings, key, row.set[key]) for row in rows)
    ]


def _arguments(settings: Mapping[str, Any]) -> list[str]:
    return [f"{key}={_toml(value)}" for key, value in settings.items()]


def _holds(settings: Settings, key: str, value: Any) -> bool:
    """Whether a setting of [model] is so already; L and M may follow other settings of the row."""
    return key.startswith("model.") and key not in FOLLOWING and _is_so(settings, key, value)


def _is_so(settings: Settings, key: str, value: Any) -> bool:
    table, _, name = key.partition(".")
    present: object = getattr(getattr(settings.config, table, None), name, None)
    if key == "model.crop" and present == "":
        present = FORMULATION_CROPS[settings.config.model.formulation]
    return bool(present == (tuple(value) if isinstance(value, list) else value))


def _finite(half_width: float) -> float | None:
    """One episode has no interval, and JSON no infinity."""
    return half_width if half_width != float("inf") else None


@cache
def _shipped() -> dict[str, AblateConfig]:
    found = {
        file.name.removesuffix(".toml"): _parse(file.name.removesuffix(".toml"), file.read_text("utf-8"))
        for file in resources.files("fsarctl.results.ablations").iterdir()
        if file.name.endswith(".toml")
    }
    return {name: _written_out(found[name]) for name in sorted(found, key=_natural)}


def _written_out(sweep: AblateConfig) -> AblateConfig:
    """A shipped sweep whose rows set all that their methods say; in Tables 1 and 2 with their numbers."""
    papers = sweep.source == TABLES_1_AND_2
    rows = [
        replace(row, set=pinned(row), paper=of_method(TITLES[row.method]) if papers else row.paper)
        for row in sweep.expanded
    ]
    return sweep if sweep.values else replace(sweep, rows=tuple(rows))


def _parse(name: str, text: str) -> AblateConfig:
    content = tomllib.loads(text)
    parsed: AblateConfig = table_of(AblateConfig, f"ablate.{name}", content, f"{name}.toml")
    return parsed


def _natural(name: str) -> tuple[str, int]:
    letters = name.rstrip("0123456789")
    return letters, int(name[len(letters) :] or 0)


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
