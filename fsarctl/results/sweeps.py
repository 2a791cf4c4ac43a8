"""Sweeps: rows of settings, each evaluated like any other, and the table that they come to.

Those of the paper ship as data in ``fsarctl/ablations``; a user's own stand in fsarctl.toml as
[ablate.NAME]. Needs no torch.
"""

import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, TypeAlias

from fsarctl.config.sources import Settings, table_of
from fsarctl.config.tables import AblateConfig, RowConfig
from fsarctl.errors import UsageError
from fsarctl.results.intervals import estimate, estimate_over_seeds
from fsarctl.results.jackknife import intervals_of
from fsarctl.results.predictions import Predictions
from fsarctl.results.result import (
    Result,
    compare,
    compare_over_seeds,
    intervals_as_json,
    same_episodes,
)

__all__ = ["Outcomes", "benchmark_of", "chosen_rows", "find_sweep", "overrides_of", "sweeps", "table_rows"]

SIGNIFICANT = 0.05
Outcomes: TypeAlias = Mapping[tuple[str, int], Sequence[Result]]
"""(row, shot) -> a result for each seed, in the order of the seeds."""


def sweeps(settings: Settings) -> dict[str, AblateConfig]:
    """Every sweep by name: the paper's, then the user's own."""
    shipped = {
        file.name.removesuffix(".toml"): _parse(file.name.removesuffix(".toml"), file.read_text("utf-8"))
        for file in resources.files("fsarctl.results.ablations").iterdir()
        if file.name.endswith(".toml")
    }
    return {**dict(sorted(shipped.items(), key=lambda item: _natural(item[0]))), **settings.config.ablate}


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
        near = difflib.get_close_matches(name, known, n=1)
        raise UsageError(
            f"there is no sweep {name!r}" + (f"; did you mean {near[0]}?" if near else ""),
            next_step=f"Known: {', '.join(known)}; your own are [ablate.NAME] tables of fsarctl.toml.",
        )
    return known[name]


def chosen_rows(sweep: AblateConfig, names: Sequence[str]) -> list[RowConfig]:
    """The rows of these names and what they are compared with; all of them without names.

    Raises:
        UsageError: there is no such row.
    """
    rows = {row.name: row for row in sweep.expanded}
    for name in names:
        if name not in rows:
            raise UsageError(f"there is no row {name!r}", next_step=f"The rows: {'; '.join(rows)}.")
    wanted = {*names, *(sweep.reference(rows[name]) for name in names)} if names else set(rows)
    return [row for name, row in rows.items() if name in wanted]


def overrides_of(row: RowConfig) -> list[str]:
    """The row's settings as arguments of ``--set``."""
    return [f"{key}={_toml(value)}" for key, value in row.set.items()]


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
            "cells": list(row.cells),
            "set": dict(row.set),
            "shortcut": row.shortcut,
            "against": sweep.reference(row),
            "results": [_numbers(sweep, row, shot, outcomes, benchmark) for shot in shots],
        }
        for row in rows
    ]


def _numbers(
    sweep: AblateConfig, row: RowConfig, shot: int, outcomes: Outcomes, benchmark: str
) -> dict[str, Any]:
    paper = row.paper.get(benchmark, {}).get(str(shot))
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
        "paper": None if paper is None else paper / 100,
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


def _finite(half_width: float) -> float | None:
    """One episode has no interval, and JSON no infinity."""
    return half_width if half_width != float("inf") else None


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
