"""What `fsarctl ablate` prints: a sweep's table for people, as CSV, Markdown or LaTeX, and its plan."""

import csv
import io
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import TYPE_CHECKING, Any

from fsarctl.cli.terminal.console import echo, print_data, print_json, print_table, say, styled
from fsarctl.progress import duration
from fsarctl.results.markup import latex_text, markdown_text
from fsarctl.results.sweep_table import caption, cells, label, published_cells, remarks

if TYPE_CHECKING:
    from fsarctl.artifacts import Store, Unit
    from fsarctl.config.sweep_table import AblateConfig
    from fsarctl.stages.ablate import Run

__all__ = ["print_plan", "print_sweeps", "print_table_of"]


def print_sweeps(known: "Mapping[str, AblateConfig]", *, as_json: bool) -> None:
    """The sweeps that there are."""
    if as_json:
        listed = [
            {
                "name": name,
                "title": each.title,
                "source": each.source,
                "rows": [r.name for r in each.expanded],
            }
            for name, each in known.items()
        ]
        print_json({"schema": "fsarctl.sweeps/1", "sweeps": listed})
        return
    width = max(map(len, known))
    for name, each in known.items():
        source = f" ({each.source})" if each.source else ""
        echo(f"{name:<{width}}  {len(each.expanded):3} rows  {each.title}{source}")
    say("Run one: fsarctl ablate NAME; your own are [ablate.NAME] tables of fsarctl.toml.")


def print_plan(store: "Store", runs: "Sequence[Run]", *, as_json: bool) -> None:
    """What each run would need, and how long the rest may take by what its like took before."""
    goals, planned = store.survey([run.unit for run in runs])
    missing = [state.unit for state in planned if state.name != "done"]
    states = [state.name for state in goals]
    seconds = _seconds_left(store, missing)
    if as_json:
        rows = [
            {"sweep": run.sweep, "run": run.name, "state": state, "command": str(run.unit.command)}
            for run, state in zip(runs, states, strict=True)
        ]
        document = {"schema": "fsarctl.ablate-plan/1", "runs": rows, "artifacts_to_make": len(missing)}
        print_json({**document, "seconds_left": seconds})
        return
    for run, state in zip(runs, states, strict=True):
        echo(f"{state:<8} {run.title}")
    finished = states.count("done")
    time = "nothing like them was made before" if seconds is None else f"about {duration(seconds)} in one job"
    say(f"{finished} of {len(runs)} runs are done; {len(missing)} artifacts to make: {time}")


def print_table_of(document: Mapping[str, Any], layout: str) -> None:
    """One sweep's table as table, csv, markdown or latex."""
    if layout == "csv":
        _print_csv(document)
        return
    heading, *body = cells(document)
    others = published_cells(document, heading)
    if layout == "markdown":
        echo(f"**{markdown_text(caption(document))}**", "")
        for line in (heading, ["---"] * len(heading), *body, *others):
            echo("| " + " | ".join(map(markdown_text, line)) + " |")
    elif layout == "latex":
        _print_latex(document, heading, body, others)
    else:
        from rich.table import Table

        words = len(document["columns"]) or 1
        rows = document["rows"]
        # What --rows and the remarks call them, unless the cells say it.
        names = any(list(row["cells"]) not in ([], [label(row)]) for row in rows)
        table = Table(title=styled(caption(document)), title_justify="left", title_style="bold")
        if names:
            table.add_column("row", overflow="fold")
        for number, name in enumerate(heading):
            table.add_column(styled(name), justify="left" if number < words else "right")
        for row, line in zip(rows, body, strict=True):
            table.add_row(*map(styled, [label(row), *line] if names else line))
        table.add_section()
        for line in others:
            table.add_row(*map(styled, [line[0], "", *line[1:]] if names else line), style="dim")
        print_table(table)
    for remark in remarks(document):
        echo(*(["", remark] if layout == "markdown" else [f"% {remark}" if layout == "latex" else remark]))


def _print_csv(document: Mapping[str, Any]) -> None:
    """One line for each row and shot, with the names of the JSON document; accuracies from 0 to 1.

    What is published stands under ``paper``, of rows that are published alone too, with where it comes from.
    """
    names = [
        "accuracy", "half_width", "difference", "difference_half_width", "difference_half_width_over_seeds",
        "p", "significant", "paper", "trainable_parameters",
    ]  # fmt: skip
    ends = [f"{which}{end}" for which in ("", "difference_") for end in ("over", "low", "high")]
    columns = list(document["columns"] or [])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["sweep", "benchmark", *columns, "row", "shot", *names, *ends, "seeds", "evaluated", "published"]
    )
    footnotes = document.get("footnotes", {})
    for row in document["rows"]:
        cells = row["cells"] or [""] * len(columns)
        for each in row["results"]:
            values = ["" if each[name] is None else each[name] for name in names]
            values += [*_told(each, ""), *_told(each, "difference_")]
            seeds = " ".join(map(str, each["seeds"]))
            told = [row.get("method", ""), footnotes.get(each.get("paper_mark", ""), "")]
            writer.writerow(
                [
                    document["name"],
                    each.get("dataset") or document["benchmark"],
                    *cells,
                    label(row),
                    each["shot"],
                    *values,
                    seeds,
                    *told,
                ]
            )
    for row in document.get("published", []):
        for each in row["results"]:
            values = [each["accuracy"] if name == "paper" else "" for name in (*names, *ends)]
            shot = "" if each["shot"] is None else each["shot"]
            runs = " ".join(map(str, each["runs"]))
            told = [runs, "", footnotes[each["mark"]]]
            empty = [""] * len(columns)
            writer.writerow(
                [document["name"], document["benchmark"], *empty, row["title"], shot, *values, *told]
            )
    print_data(text.getvalue())


def _told(numbers: Mapping[str, Any], prefix: str) -> list[Any]:
    """What the interval to tell is over, and both its ends."""
    name = numbers[f"{prefix}headline"]
    if name is None:
        return [""] * 3
    interval = numbers[f"{prefix}intervals"][name]
    return [name, *("" if interval[end] is None else interval[end] for end in ("low", "high"))]


def _print_latex(
    document: Mapping[str, Any], heading: list[str], body: list[list[str]], others: list[list[str]]
) -> None:
    words = len(document["columns"]) or 1
    echo(f"\\begin{{tabular}}{{{'l' * words}{'r' * (len(heading) - words)}}}")
    echo("\\hline")
    for number, line in enumerate((heading, *body, *others)):
        ruled = number == 0 or (bool(others) and number == len(body))
        echo(" & ".join(map(latex_text, line)) + r" \\" + (r" \hline" if ruled else ""))
    echo("\\hline", "\\end{tabular}")


def _seconds_left(store: "Store", units: "Sequence[Unit]") -> float | None:
    """By what an episode of the same stage, method and backbone took in this store; None where one of them
    was never run: methods differ by twenty times."""
    from fsarctl.stages import evaluate, shortcut, train

    took: dict[tuple[str, ...], list[float]] = {}
    for artifact in store.artifacts():
        manifest = artifact.manifest
        seconds = manifest.provenance.get("seconds")
        if isinstance(seconds, (int, float)):
            took.setdefault(_like(manifest.stage, manifest.config), []).append(
                seconds / _episodes(manifest.config)
            )
    # A shortcut trains and evaluates.
    for stage, *of in [*took]:
        if stage == train.STAGE and (evaluate.STAGE, *of) in took:
            both = [*took[train.STAGE, *of], *took[evaluate.STAGE, *of]]
            took.setdefault((shortcut.STAGE, *of), [mean(both)])
    wanted = [(_like(unit.stage, unit.config), unit) for unit in units]
    if not {like for like, _ in wanted} <= took.keys():
        return None
    return sum(_episodes(unit.config) * mean(took[like]) for like, unit in wanted)


def _like(stage: str, config: Mapping[str, Any]) -> tuple[str, ...]:
    """What of a unit its time depends on most."""
    model = config.get("model")
    model = model if isinstance(model, Mapping) else config
    return (stage, *(str(model.get(name, "")) for name in ("method", "backbone")))


def _episodes(config: Mapping[str, Any]) -> int:
    """The episodes that a stage of this configuration computes; 1 where it has none."""
    parts = [config, *(each for each in config.values() if isinstance(each, Mapping))]
    return (
        sum(each.get("epochs", 1) * (each.get("episodes", 0) + each.get("val_episodes", 0)) for each in parts)
        or 1
    )
