"""A sweep's table in words: heading, rows and remarks, for terminals, papers and the report."""

from collections.abc import Mapping, Sequence
from typing import Any

from fsarctl.results.interval_text import legend, with_interval

__all__ = ["caption", "cells", "headings", "label", "published_cells", "remarks"]


def cells(document: Mapping[str, Any]) -> list[list[str]]:
    """Heading and rows: the row's own cells, then for each shot accuracy, difference and the paper's.

    Where datasets are columns there is no room for differences: a star says which are significant.
    """
    rows = document["rows"]
    named = headings(document)
    numbers = [[row["results"][number] for row in rows] for number in range(len(named))]
    heading = list(document["columns"]) or [""]
    lines = [list(row["cells"]) or [label(row), *[""] * (len(heading) - 1)] for row in rows]
    if len({each["trainable_parameters"] for each in numbers[0]} - {None}) > 1:
        heading.append("trained")
        for line, each in zip(lines, numbers[0], strict=True):
            line.append(_millions(each["trainable_parameters"]))
    several = bool(document.get("datasets"))
    for name, column in zip(named, numbers, strict=True):
        heading.append(name)
        differs = not several and any(each["difference"] is not None for each in column)
        papers = any(each["paper"] is not None for each in column)
        seeds = differs and any(each["difference_half_width_over_seeds"] is not None for each in column)
        heading += ["difference"] * differs + ["over seeds"] * seeds + ["paper"] * papers
        for line, each in zip(lines, column, strict=True):
            accuracy = each["accuracy"]
            told = "failed" if accuracy is None else with_interval(f"{100 * accuracy:.1f}", each)
            line.append(told + "*" * (several and bool(each["significant"])))
            if differs:
                line.append(_difference(each))
            if seeds:
                half = each["difference_half_width_over_seeds"]
                line.append("" if half is None else f"± {100 * half:.1f}")
            if papers:
                line.append(_marked(each["paper"], each.get("paper_mark", "")))
    return [heading, *lines]


def headings(document: Mapping[str, Any]) -> list[str]:
    """What the columns of accuracies are called: after their shots, or after their datasets."""
    shots, datasets = document["shots"], document.get("datasets", [])
    if len(shots) == 1 and datasets:
        return list(datasets)
    return [f"{dataset} {shot}-shot".strip() for dataset in datasets or [""] for shot in shots]


def published_cells(document: Mapping[str, Any], heading: Sequence[str]) -> list[list[str]]:
    """The rows of ``document["published"]`` under ``heading``: the method, then numbers under their shots."""
    lines = []
    for row in document.get("published", []):
        by_column = {f"{each['shot']}-shot": each for each in row["results"]}
        numbers = [
            _marked(by_column[name]["accuracy"], by_column[name]["mark"], by_column[name]["spread"])
            if name in by_column
            else ""
            for name in heading[1:]
        ]
        lines.append([row["title"], *numbers])
    return lines


def label(row: Mapping[str, Any]) -> str:
    """A row's name, with what was evaluated behind it where it is named after something else."""
    said: str = row.get("label", row["name"])
    return said


def _marked(accuracy: float | None, mark: str, spread: float | None = None) -> str:
    if accuracy is None:
        return ""
    around = "" if spread is None else f" ± {100 * spread:.1f}"
    return f"{100 * accuracy:.1f}{around}" + (f" [{mark}]" if mark else "")


def _difference(numbers: Mapping[str, Any]) -> str:
    if numbers["difference"] is None:
        return ""
    star = "*" if numbers["significant"] else " "
    value = f"{100 * numbers['difference']:+.1f}"
    return with_interval(value, numbers, "difference_", signed=True) + star


def caption(document: Mapping[str, Any]) -> str:
    source = f" ({document['source']})" if document["source"] else ""
    return f"{document['title'] or document['name']}{source}"


def remarks(document: Mapping[str, Any]) -> list[str]:
    seeds = len(document["seeds"])
    several = f" of each of {seeds} seeds" if seeds > 1 else ""
    remarks = []
    if document["episodes"]:
        numbers = [each for row in document["rows"] for each in row["results"]]
        remarks.append(
            f"{document['benchmark']} {document['split']}: accuracy in % of {document['episodes']:,} episodes"
            f"{several}, {document['query_mode']} queries; {legend(numbers)}"
        )
    against = {row["against"] for row in document["rows"] if row["against"] != row["name"]}
    differing = [
        each for row in document["rows"] for each in row["results"] if each["difference"] is not None
    ]
    if document.get("datasets") and remarks:
        chances = {each["chance"] for row in document["rows"] for each in row["results"]} - {None}
        remarks.append(f"chance: {' or '.join(f'{100 * each:.1f}' for each in sorted(chances))}")
    if differing:
        whom = f"{next(iter(against))!r}" if len(against) == 1 else "each row's baseline"
        if document.get("datasets"):
            remarks.append(f"* differs from {whom}: paired, p < 0.05 over clips")
        else:
            over = legend(differing, "difference_")
            remarks.append(f"difference: paired, from {whom}; {over}; * p < 0.05 over clips")
    if seeds > 1 and remarks:
        remarks[-1] += ", and 0 outside the 95 % interval over seeds (other trainings) too"
        remarks.append("single seeds: " + "; ".join(_single_seeds(document)))
    methods = {row.get("method", "") for row in document["rows"]} - {""}
    if len(methods) == 1 and "method" not in document["columns"]:
        remarks.append(f"evaluated in every row: {next(iter(methods))}")
    remarks += document.get("corrected", [])
    remarks += [f"left out {row!r}: {why}" for row, why in document["left_out"].items()]
    remarks += [f"[{mark}] published: {text}" for mark, text in document.get("footnotes", {}).items()]
    remarks += [
        f"published without its shots: {row['title']} {_marked(each['accuracy'], each['mark'])}"
        for row in document.get("published", [])
        for each in row["results"]
        if each["shot"] is None
    ]
    remarks += [f"failed {run!r}: {why}" for run, why in document.get("failed", {}).items()]
    return remarks


def _single_seeds(document: Mapping[str, Any]) -> list[str]:
    return [
        f"{row['name']} "
        + ", ".join(" / ".join(f"{100 * a:.1f}" for a in r["seeds"]) for r in row["results"])
        for row in document["rows"]
    ]


def _millions(count: int | None) -> str:
    if count is None:
        return ""
    return f"{count / 1e6:.2f} M" if count >= 1e6 else f"{count / 1e3:.0f} K" if count else "0"
