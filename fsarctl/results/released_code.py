"""What public code of methods does with test classes, queries and frames: the table of docs/protocols.md."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal, get_args

from fsarctl.results.markup import markdown_text
from fsarctl.results.published import Epoch, Protocol, Queries

__all__ = ["ReleasedCode", "released_code", "table"]

Frames = Literal["random", "fixed", "unknown"]
FILE = "released_code.toml"

CHOSEN: Mapping[Epoch, str] = {
    "validation": "validation classes",
    "test": "**test classes**",
    "fixed": "nothing: fixed",
    "unknown": "?",
}
MEET: Mapping[Queries, str] = {"together": "see each other", "alone": "each alone", "unknown": "?"}
DRAWN: Mapping[Frames, str] = {"random": "drawn at random", "fixed": "always the same", "unknown": "?"}


@dataclass(frozen=True)
class ReleasedCode:
    """One code base, as it was read: on what the epoch is chosen, and ``how``; what a query sees.

    ``frames``: whether a test clip's are the same every time. ``sees``: what a query's answer is given that
    it should not depend on, "" where nothing of that kind was read.
    """

    method: str
    epoch: Epoch
    how: str
    queries: Queries = "unknown"
    frames: Frames = "unknown"
    sees: str = ""
    repository: str = ""

    def __post_init__(self) -> None:
        Protocol(self.epoch, self.queries)  # says what is no such word
        assert self.frames in get_args(Frames), self.frames


@cache
def released_code() -> tuple[ReleasedCode, ...]:
    """Every code base that was read."""
    text = (resources.files("fsarctl.results") / FILE).read_text(encoding="utf-8")
    return tuple(ReleasedCode(**each) for each in tomllib.loads(text)["code"])


def table() -> str:
    """The code bases as a table in Markdown."""
    heading = ("method", "epoch chosen on", "queries", "test frames", "a query is also given", "as read")
    rows = [
        (
            f"[{each.method}](https://github.com/{each.repository})" if each.repository else each.method,
            CHOSEN[each.epoch],
            MEET[each.queries],
            DRAWN[each.frames],
            each.sees or "–",
            each.how,
        )
        for each in released_code()
    ]
    lines = [heading, ("---",) * len(heading), *rows]
    return "\n".join(f"| {' | '.join(map(markdown_text, line))} |" for line in lines)
