"""Published numbers as rows of a document: for a sweep's table, and for the report."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from fsarctl.results.footnotes import Footnotes
from fsarctl.results.published import WAY, Number, of_benchmark

__all__ = ["published_rows", "why_none", "with_published"]


def with_published(document: Mapping[str, Any]) -> dict[str, Any]:
    """A sweep's document with ``published``, the rows of its benchmark at its shots, and their footnotes.

    There are none where ``why_none`` has a reason.
    """
    footnotes = Footnotes(document["footnotes"])
    numbers = [] if why_none(document) else of_benchmark(document["benchmark"], document["shots"])
    return {**document, "published": published_rows(numbers, footnotes), "footnotes": footnotes.texts}


def why_none(document: Mapping[str, Any]) -> str:
    """Why nothing published can stand under this table; "" where something can."""
    if not of_benchmark(document["benchmark"], document["shots"]):
        return f"nothing is published on {document['benchmark']}, as far as is known here"
    if any(row["way"] != WAY for row in document["rows"]):
        return f"what is published is of {WAY}-way episodes, and these are not"
    return ""


def published_rows(numbers: Iterable[Number], footnotes: Footnotes) -> list[dict[str, Any]]:
    """One row a method and source; accuracies from 0 to 1, ``shot`` None where it is not known."""
    return [
        _row(list(group), footnotes)
        for _, group in groupby(numbers, key=lambda each: (each.method, each.source, each.backbone))
    ]


def _row(numbers: Sequence[Number], footnotes: Footnotes) -> dict[str, Any]:
    first = numbers[0]
    return {
        "method": first.method,
        "title": first.title,
        "venue": first.venue,
        "backbone": first.backbone,
        "pretraining": first.pretraining,
        "tuning": first.tuning,
        "source": first.source,
        "epoch": first.protocol.epoch,
        "queries": first.protocol.queries,
        "results": [
            {
                "shot": each.shot,
                "accuracy": round(each.accuracy / 100, 6),
                "spread": None if each.spread is None else round(each.spread / 100, 6),
                "runs": [round(run / 100, 6) for run in each.runs],
                "standing": each.standing,
                "note": each.note,
                "mark": footnotes.mark(each.footnote),
            }
            for each in numbers
        ],
    }
