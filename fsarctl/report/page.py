"""The page: the report's document and pictures as one HTML file that loads nothing.

Labels and file names are untrusted text: everything is escaped but the charts, which are made here, and a
content security policy lets nothing run but the page's own script.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from fsarctl.errors.shown import without_marks
from fsarctl.models.strategies import FROZEN, title_of
from fsarctl.progress import counted
from fsarctl.report import figures
from fsarctl.report.frame_strips import CELL, GAP, MEDIA_TYPE
from fsarctl.results.footnotes import Footnotes
from fsarctl.results.interval_text import ends, interval_words, legend, over_classes
from fsarctl.results.sweep_table import caption, cells, headings, label, remarks
from fsarctl.results.texts_read import TextsRead
from fsarctl.text.corpus import STAGES

if TYPE_CHECKING:
    import jinja2

__all__ = ["render"]

LAST_FIRST = ("evaluate", "film", "train", "extract", "render", "describe")
"""Stages, as the document calls them."""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MATRIX_CLASSES = 40
"""More would be unreadable; those with the lowest accuracy are shown."""


def render(
    document: Mapping[str, Any],
    pictures: Mapping[str, Any] | None,
    read: Callable[[str], bytes],
    *,
    no_pictures: str = "",
) -> str:
    """The page's HTML.

    ``document`` is the report's, ``pictures`` what pictures.json says, and ``read`` gives the files that it
    names; without pictures, ``no_pictures`` says why. The same arguments give the same bytes.
    """
    from markupsafe import Markup

    parts = resources.files("fsarctl.report")
    style, script = (Markup(parts.joinpath(name).read_text("utf-8")) for name in ("style.css", "script.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    drawn = _drawn(document, pictures, read) if pictures else None
    footnotes = Footnotes()
    for each in document["paper"]:
        footnotes.mark(each.get("footnote", each["source"]))
    ablations = [_table(each, document["benchmark"]) for each in document["ablations"]]
    sections = {
        "results": "Results",
        "training": "Training" if document["training"] else "",
        "classes": "Classes",
        "episodes": "Episodes",
        "comparisons": "Comparisons",
        "confidence": "Confidence" if document.get("calibration") else "",
        "film": "Long video" if document.get("film") else "",
        "ablations": "Ablations",
        "published": "Published" if document.get("published", {}).get("rows") else "",
        "descriptions": "Descriptions" if document["descriptions"] else "",
        "data": "Data",
        "provenance": "Reproduce",
    }
    titles = {each["model"]: each["title"] for each in document["results"]}
    return _template().render(
        r=document,
        e=document["episodes"],
        title_of=lambda model: titles.get(model, title_of(model)),
        own=pictures["models"][-1] if pictures else document["strategy"],
        sections=[(id_, title) for id_, title in sections.items() if title],
        cards=_cards(document),
        legend=_legend(document),
        texts=_texts(document, titles),
        intervals=legend(document["results"]),
        charts=_charts(document, Markup),
        made=sorted(document["provenance"]["artifacts"], key=_rank),
        paper_of=lambda result: _paper_of(document, result, footnotes),
        paper_notes=footnotes.texts,
        classes=[_classes(each) for each in document["classes"]],
        pictures=drawn,
        no_pictures=no_pictures,
        letters=_letters(document["episodes"]["way"]),
        strip_width=_strip_width(pictures),
        strip_height=CELL,
        ablations=ablations,
        published=_published(document),
        environments=_environments(document["provenance"]["artifacts"]),
        style=style,
        script=script,
        script_hash=f"sha256-{digest}",
    )


@cache
def _template() -> "jinja2.Template":
    import jinja2

    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # No direction mark of a name turns the page around it.
        finalize=without_marks,
    )
    environment.filters |= FILTERS
    return environment.from_string(resources.files("fsarctl.report").joinpath("page.html").read_text("utf-8"))


def _texts(document: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    """What the frozen model and the strategy's read of the classes, where both are shown."""
    strategy = document["strategy"]
    if strategy == FROZEN or not {FROZEN, strategy} <= titles.keys():
        return ""
    return TextsRead(**document["texts"]).words(titles[FROZEN], titles[strategy])


def _cards(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For each shot the strategy's own result (the frozen model's where it is all there is) and all."""
    cards = []
    for shot in sorted({each["shot"] for each in document["results"]}):
        there = [each for each in document["results"] if each["shot"] == shot]
        own = next((each for each in there if each["model"] == document["strategy"]), there[0])
        paper = next((each for each in document["paper"] if each["shot"] == shot), None)
        cards.append({"own": own, "all": there, "paper": paper})
    return cards


def _legend(document: Mapping[str, Any]) -> list[dict[str, str]]:
    """The models that have a result at some shot, the strategy's own first."""
    titles = {each["model"]: each["title"] for each in document["results"]}
    ordered = sorted(titles, key=lambda model: model != document["strategy"])
    return [{"model": model, "title": titles[model]} for model in ordered]


def _charts(document: Mapping[str, Any], safe: Callable[[str], str]) -> dict[str, Any]:
    shots = {each["shot"] for each in document["results"]}
    curves = document["ways"]["curves"]
    return {
        "shots": safe(figures.accuracy_by_shots(document["results"], document["paper"]))
        if len(shots) > 1
        else "",
        "ways": safe(figures.accuracy_by_way(curves)) if curves else "",
        "reliability": [
            {**each, "chart": safe(figures.reliability_diagram(each))}
            for each in document.get("calibration", {}).get("rows", ())
        ],
        "training": [safe(figures.training_curves(each)) for each in document["training"]],
    }


def _paper_of(document: Mapping[str, Any], result: Mapping[str, Any], footnotes: Footnotes) -> str:
    for each in document["paper"]:
        if (each["title"], each["shot"]) == (result["title"], result["shot"]):
            return f"{_percent(each['accuracy'])} [{footnotes.mark(each.get('footnote', each['source']))}]"
    return ""


def _published(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """The project's own rows, then what is published, a column a shot; None where nothing is."""
    published = document.get("published")
    if not published or not published["rows"]:
        return None
    shots = sorted({*published["shots"], *(each["shot"] for each in document["results"])})
    titles = dict.fromkeys(each["title"] for each in document["results"])
    own = [
        {
            "title": title,
            "numbers": [
                next((r for r in document["results"] if (r["title"], r["shot"]) == (title, shot)), None)
                for shot in shots
            ],
        }
        for title in titles
    ]
    others = [
        {
            **row,
            "numbers": [next((n for n in row["results"] if n["shot"] == shot), None) for shot in shots],
            "unknown": [n for n in row["results"] if n["shot"] is None],
        }
        for row in published["rows"]
    ]
    return {**published, "shots": shots, "own": own, "others": others}


def _classes(each: Mapping[str, Any]) -> dict[str, Any]:
    """A shot's table with numbered classes, and its matrix."""
    labels, given, met = (each["confusion"][name] for name in ("labels", "given", "met"))
    number = {label: place for place, label in enumerate(labels, start=1)}
    rows = [{"number": number[row["label"]], **row} for row in each["rows"]]
    hardest = sorted(each["rows"], key=lambda row: row["accuracy"])[:MATRIX_CLASSES]
    shown = sorted(number[row["label"]] - 1 for row in hardest)

    def cell(row: int, column: int) -> dict[str, Any]:
        meetings = met[row][column]
        return {
            "kind": "never" if not meetings else "hit" if row == column else "miss",
            "rate": given[row][column] / meetings if meetings else None,
            "given": given[row][column],
            "met": meetings,
            "label": labels[column],
        }

    return {
        **each,
        "rows": rows,
        "baseline": all(row["baseline"] is not None for row in rows),
        "matrix": {
            "numbers": [place + 1 for place in shown],
            "left_out": len(each["rows"]) > len(shown),
            "rows": [
                {"number": row + 1, "label": labels[row], "cells": [cell(row, column) for column in shown]}
                for row in shown
            ],
        },
    }


def _lengths(of: str, values: Sequence[float]) -> dict[str, float]:
    """From where to where bars of these values go: from 0, or from the least where one is below, so that of
    two the better one always has the longer bar."""
    least = min([0.0, *values])
    return {f"least{of}": least, f"largest{of}": max([0.0, *(value - least for value in values)])}


def _drawn(
    document: Mapping[str, Any], pictures: Mapping[str, Any], read: Callable[[str], bytes]
) -> dict[str, Any]:
    """The episodes with their pictures as data, and stage scores with their sentences."""

    def source(name: str) -> str:
        return f"data:{MEDIA_TYPE};base64,{base64.b64encode(read(name)).decode()}"

    described = document["descriptions"]["labels"] if document["descriptions"] else []
    sentences = {each["label"]: each for each in described}
    own = pictures["models"][-1]
    episodes = []
    for episode in pictures["episodes"]:
        queries = [
            {
                **query,
                "picture": source(query["picture"]),
                "attention": {name: source(file) for name, file in query["attention"].items()},
                **_lengths("", query["scores"][own]),
                "stages": [_stage(each, episode["classes"], sentences) for each in query["stages"] or []],
                **_lengths(
                    "_cosine",
                    [v for each in query["stages"] or [] for row in each["cosines"] for v in row],
                ),
            }
            for query in episode["queries"]
        ]
        wrong = [n for n, query in enumerate(queries) if query["predictions"][own] != query["target"]]
        support = [{**each, "picture": source(each["picture"])} for each in episode["support"]]
        # What is worth a look first: a mistake, if there is one.
        shown = wrong[0] if wrong else 0
        episodes.append({**episode, "queries": queries, "support": support, "shown": shown})
    return {**pictures, "episodes": episodes}


def _stage(
    stage: Mapping[str, Any], classes: Sequence[str], sentences: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    """Cosines with a row for each sub-action and a column for each part of the video."""
    cosines = stage["cosines"]
    label = classes[stage["column"]]
    if len(cosines) == len(STAGES):
        said = [sentences.get(label, {}).get(name, name) for name in STAGES]
        segments = list(STAGES)
    else:
        said, segments = [label], ["the whole video"]
    return {
        "column": stage["column"],
        "segments": segments,
        "rows": [
            {
                "sentence": sentence,
                "cells": [
                    {"cosine": line[row], "matched": row == column and len(cosines) > 1}
                    for column, line in enumerate(cosines)
                ],
            }
            for row, sentence in enumerate(said)
        ],
    }


def _table(document: Mapping[str, Any], benchmark: str) -> dict[str, Any]:
    """A sweep's table with its rows' names first, then numbers, and last what they are in the paper's words.

    So a phone shows names and accuracies without scrolling.
    """
    heading, *body = cells(document)
    words = len(document["columns"]) or 1
    # Each column of accuracies gets a bar.
    shots = [heading.index(name, words) for name in headings(document)]
    rows = document["rows"]
    # A single word that repeats the name says nothing.
    said = range(words) if any(list(row["cells"]) not in ([], [label(row)]) for row in rows) else range(0)
    kinds = {n: "bar" if n in shots else "number" for n in range(words, len(heading))}
    kinds |= dict.fromkeys(said, "word")
    lines = [
        {
            "name": label(row),
            "cells": [
                {
                    "text": line[n],
                    "kind": kind,
                    "share": row["results"][shots.index(n)]["accuracy"] if kind == "bar" else None,
                }
                for n, kind in kinds.items()
            ],
        }
        for line, row in zip(body, rows, strict=True)
    ]
    return {
        **document,
        "caption": caption(document)
        + (f", on {document['benchmark']}" if document["benchmark"] != benchmark else ""),
        "heading": [{"text": heading[n], "kind": kind} for n, kind in kinds.items()],
        "body": lines,
        # Shown as what they are, and once.
        "failed": document.get("failed", {}),
        "remarks": remarks({**document, "failed": {}}),
    }


def _environments(artifacts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the artifacts were made with, each combination once."""
    found: dict[str, dict[str, Any]] = {}
    for each in reversed(artifacts):
        facts = {name: each[name] for name in ("python", "platform", "packages")}
        entry = found.setdefault(json.dumps(facts, sort_keys=True), {**facts, "slots": []})
        entry["slots"].append(each["slot"])
    return list(found.values())


def _rank(artifact: Mapping[str, Any]) -> tuple[int, str]:
    """What comes last in the pipeline first; what the document may have beside, after it."""
    stage = artifact["stage"]
    return LAST_FIRST.index(stage) if stage in LAST_FIRST else len(LAST_FIRST), artifact["slot"]


def _letters(count: int) -> list[str]:
    """A, B, ..., Z, A1, B1, ..."""
    return [LETTERS[n % 26] + (str(n // 26) if n >= 26 else "") for n in range(count)]


def _strip_width(pictures: Mapping[str, Any] | None) -> int:
    return len(pictures["drawn"]) * (CELL + GAP) - GAP if pictures else 0


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _seconds(value: float) -> str:
    if value < 90:
        return f"{value:.1f} s"
    return f"{value / 60:.0f} min" if value < 5400 else f"{value / 3600:.1f} h"


def _count(number: int) -> str:
    if number >= 1_000_000:
        return f"{number / 1e6:.2f} M"
    return f"{number / 1e3:.0f} K" if number >= 1000 else str(number)


FILTERS: Mapping[str, Callable[..., Any]] = {
    "percent": _percent,
    "interval": interval_words,
    "signed_interval": lambda gain: interval_words(gain, signed=True),
    "ends": ends,
    "over_classes": over_classes,
    "points": lambda value: f"{100 * value:+.1f}".replace("-", "−"),
    # Adding 0.0 takes the sign off a zero.
    "plain": lambda value, digits: f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−"),
    "thousands": lambda value: f"{value:,}",
    "count": _count,
    "counted": counted,
    "seconds": _seconds,
    "day": lambda moment: moment[:16].replace("T", " ") + " UTC",
}
