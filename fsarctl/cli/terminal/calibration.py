"""The table of `fsarctl calibrate`: how well unseen classes are told, and how far off confidences are."""

from collections.abc import Mapping, Sequence
from typing import Any

from fsarctl.cli.terminal.console import echo, print_table

__all__ = ["RULES", "print_calibration"]

RULES = {
    "softmax": "largest softmax",
    "score": "best score",
    "support": "best score, by the support set",
}


def print_calibration(rows: Sequence[Mapping[str, Any]]) -> None:
    """A table of rules, and one of confidences; percent, mean over seeds and Student's interval."""
    from rich.table import Table

    first = rows[0]
    echo(
        f"{first['way']} classes are answers and {first['unseen']} are not, {first['episodes']} episodes,"
        " each query alone"
    )
    rules = Table()
    for name in ("shots", "model", "score", "known by"):
        rules.add_column(name, overflow="fold")
    for name in ("AUROC", "false positives at 95 % recall", "at the threshold: recall", "false positives"):
        rules.add_column(name, justify="right")
    for row in rows:
        for rule in (each for each in RULES if each in row["runs"][0]["rules"]):
            numbers = [
                _over(row, ("rules", rule, name)) for name in ("auroc", "fpr95", "recall", "false_positives")
            ]
            rules.add_row(str(row["shot"]), row["title"], row["score"], RULES[rule], *numbers)
        rules.add_section()
    print_table(rules)
    errors = Table()
    for name in ("shots", "model", "score"):
        errors.add_column(name, overflow="fold")
    for name in ("accuracy", "temperature", "error, known", "calibrated", "error, all", "with none"):
        errors.add_column(name, justify="right")
    for row in rows:
        numbers = [
            _over(row, ("accuracy",)),
            _over(row, ("temperature",), 1, 2),
            *(
                _over(row, (part, which, "error"))
                for part in ("closed", "open")
                for which in ("plain", "calibrated")
            ),
        ]
        errors.add_row(str(row["shot"]), row["title"], row["score"], *numbers)
    print_table(errors)
    echo(
        "percent; error: expected calibration error of queries whose class is an answer, and of all, 10 bins;"
        " calibrated: with the temperature of validation episodes"
    )
    if len(first["runs"]) > 1:
        echo(f"+/-: Student's 95 % interval over {len(first['runs'])} seeds of training and episodes")


def _over(row: Mapping[str, Any], place: Sequence[str], scale: float = 100, digits: int = 1) -> str:
    """The mean over a row's runs of what stands at a place, with its interval where there are several."""
    from fsarctl.results.intervals import estimate_over_seeds

    values = [_at(run, place) for run in row["runs"]]
    found = [scale * each for each in values if each is not None]
    if not found:
        return ""
    mean = estimate_over_seeds(found)
    if len(found) == 1:
        return f"{mean.mean:.{digits}f}"
    return f"{mean.mean:.{digits}f} +/- {mean.half_width:.{digits}f}"


def _at(run: Mapping[str, Any], place: Sequence[str]) -> float | None:
    for name in place[:-1]:
        run = run[name]
    found = run.get(place[-1])
    return None if found is None else float(found)
