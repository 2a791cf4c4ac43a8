"""What commands print on stdout: tables for people, one JSON document with --json."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from fsarctl.cli.terminal.console import print_json, print_table, say
from fsarctl.models.strategies import TITLES, title_of

if TYPE_CHECKING:
    from fsarctl.artifacts import Artifact
    from fsarctl.results.result import Comparison, Result

__all__ = ["print_comparison", "print_results"]

STYLES = {"done": "green", "stale": "yellow", "missing": "red", "waiting": "dim"}


def print_results(
    results: Sequence[tuple["Artifact", "Result"]],
    warnings: Sequence[str],
    undescribed: Sequence[str] = (),
    *,
    as_json: bool,
) -> None:
    """Accuracy with its interval per shot, the models side by side, and their paired difference."""
    shots = sorted({result.record["shot"] for _, result in results})
    by_shot = {s: {r.record["model"]: r for _, r in results if r.record["shot"] == s} for s in shots}
    gains = {shot: _gain(models) for shot, models in by_shot.items()}
    if as_json:
        rows = [{**r.record, "slot": a.manifest.slot, "key": a.manifest.key} for a, r in results]
        paired = [{"shot": shot, **_comparison(gain)} for shot, gain in gains.items() if gain]
        print_json(
            {
                "schema": "fsarctl.eval/1",
                "warnings": list(warnings),
                "undescribed": list(undescribed),
                "results": rows,
                "gains": paired,
            }
        )
        return
    from rich.table import Table

    record = results[0][1].record
    alone = "each query alone" if record["query_mode"] == "independent" else "queries seen together"
    typer.echo(
        f"{record['way']}-way, {record['episodes']:,} episodes of {len(record['classes'])}"
        f" {record['split']} classes ({_clips(record)}), {record['query']} query per class, {alone}"
    )
    table = Table()
    there = dict.fromkeys(name for each in by_shot.values() for name in each)
    models = sorted(there, key=lambda name: [*TITLES, name].index(name))
    table.add_column("shots", justify="right")
    table.add_column("chance", justify="right")
    for name in models:
        table.add_column(title_of(name), justify="right")
    if any(gains.values()):
        table.add_column("gain", justify="right")
    for shot, each in by_shot.items():
        cells = [str(shot), f"{100 * record['chance']:.1f}"]
        cells += [_accuracy(each[name].record) if name in each else "" for name in models]
        gain = gains[shot]
        table.add_row(*cells, *([_points(gain)] if gain else []))
    print_table(table)
    remark = "; the gain is paired over the same episodes" if any(gains.values()) else ""
    typer.echo(f"accuracy in % with its 95 % interval{remark}")
    if record["classes_missing"]:
        say(f"classes without any video, which no episode has: {', '.join(record['classes_missing'])}")
    failed = record["clips_failed"]
    if failed:
        say(f"{failed} clips of this split could not be decoded; see failures.json of its extract artifact")


def print_comparison(
    results: Sequence[tuple["Artifact", "Result"]], found: "Comparison", *, as_json: bool
) -> None:
    """Two results and their paired difference: the second minus the first."""
    if as_json:
        first, second = (
            {"slot": a.manifest.slot, "key": a.manifest.key, "accuracy": r.record["accuracy"]}
            for a, r in results
        )
        document = {"schema": "fsarctl.compare/1", "first": first, "second": second, **_comparison(found)}
        print_json(document)
        return
    width = max(len(artifact.manifest.slot) for artifact, _ in results)
    for name, (artifact, result) in zip("AB", results, strict=True):
        accuracy = _accuracy(result.record)
        typer.echo(f"{name}      {artifact.manifest.slot:<{width}}  {artifact.key[:12]}  {accuracy:>11}")
    p = "p < 0.0001" if found.p < 1e-4 else f"p = {found.p:.4f}"
    typer.echo(f"B - A  {_points(found)} points over the same {found.episodes:,} episodes, {p}")
    typer.echo(f"B alone is right on {found.gained:,} queries, A alone on {found.lost:,}")
    if found.episodes < 30:
        say("warning: interval and test need 30 episodes or more to be worth much")


def _gain(models: dict[str, "Result"]) -> "Comparison | None":
    from fsarctl.results.result import compare

    if len(models) < 2:
        return None
    trained = next(result for name, result in models.items() if name != "frozen")
    return compare(models["frozen"], trained)


def _comparison(found: "Comparison") -> dict[str, Any]:
    half_width = found.difference.half_width
    return {
        "difference": found.difference.mean,
        "half_width": None if math.isinf(half_width) else half_width,
        "p": found.p,
        "episodes": found.episodes,
        "gained": found.gained,
        "lost": found.lost,
    }


def _points(found: "Comparison") -> str:
    return f"{100 * found.difference.mean:+.1f} ± {_half(found.difference.half_width)}"


def _clips(record: Mapping[str, Any]) -> str:
    """How many clips there were, and of how many if some are missing or failed."""
    expected = record["clips_expected"]
    of = "" if expected == record["clips"] else f" of {expected:,}"
    return f"{record['clips']:,}{of} clips"


def _accuracy(record: Mapping[str, Any]) -> str:
    return f"{100 * record['accuracy']:.1f} ± {_half(record['half_width'])}"


def _half(width: float | None) -> str:
    """A half-width in points; one episode has none."""
    return "?" if width is None or math.isinf(width) else f"{100 * width:.1f}"
