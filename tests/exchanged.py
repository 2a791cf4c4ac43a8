"""Documents of `fsarctl results export` made by hand, small enough to count on fingers."""

import copy
from typing import Any

from fsarctl.results.exchange.reading import ExportedResult, parse_results

__all__ = ["document", "result"]

LABELS = ["run", "jump"]
CLIPS = [
    [f"{label}/{n}.mp4", label, f"{place:032x}{n:032x}"]
    for place, label in enumerate(LABELS)
    for n in range(3)
]
DOCUMENT: dict[str, Any] = {
    "schema": "fsarctl.results/1",
    "fsarctl": "1",
    "clips": [{"dataset": "d", "split": "test", "digest": "", "clips": CLIPS, "failed": []}],
    "episodes": [
        {
            "clips": 0, "way": 2, "shot": 1, "labels": LABELS, "groups": None,
            "classes": [[0, 1], [1, 0]], "support": [[0, 3], [4, 1]],
            "query": [[1, 4], [5, 2]], "targets": [[0, 1], [0, 1]],
        }
    ],
    "results": [
        {
            "slot": "eval d 1-shot x", "key": "abc123", "title": "X", "episodes": 0,
            "record": {
                "way": 2, "shot": 1, "query": 1, "query_mode": "joint", "episodes": 2, "model": "x",
                "accuracy": 0.75, "chance": 0.5,
            },
            "predicted": [[0, 1], [0, 0]],
        }
    ],
}  # fmt: skip


def document() -> dict[str, Any]:
    """A document of one result: two episodes of two classes, three of four queries right."""
    return copy.deepcopy(DOCUMENT)


def result(changed: dict[str, Any] | None = None) -> ExportedResult:
    """The result of a document."""
    return parse_results(changed or document())[0]
