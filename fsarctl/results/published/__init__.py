"""Published 5-way accuracies as data: each with its source, its protocol and its standing. Needs no torch.

One TOML file a source of numbers. A row is a method; its ``accuracy`` holds, for each benchmark, percent by
shots (``unknown`` where the source does not say the shots). A number that differs from its row in standing,
or that has runs of its own, is a table instead.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any, Literal, get_args

__all__ = [
    "EPOCH",
    "QUERIES",
    "STANDING",
    "TABLES_1_AND_2",
    "WAY",
    "Number",
    "Protocol",
    "known_number",
    "of_benchmark",
    "of_method",
    "of_row",
    "published",
]

WAY = 5
"""What all numbers here are of."""
PAPER = "Cao et al., Task-Adapter++ (2025)"
TABLES_1_AND_2 = "Tables 1 and 2"
OWN = f"{PAPER}, {TABLES_1_AND_2}"

Epoch = Literal["validation", "test", "fixed", "unknown"]
Queries = Literal["together", "alone", "unknown"]
Standing = Literal["own", "contested", "quoted", "secondhand", "re-run", "stated"]

EPOCH: Mapping[Epoch, str] = {
    "validation": "epoch chosen on validation classes",
    "test": "epoch chosen on the test classes",
    "fixed": "number of iterations fixed beforehand",
    "unknown": "where the epoch was chosen is not known",
}
"""Where the epoch was chosen, as read in the released code (which may not be what made the number)."""

QUERIES: Mapping[Queries, str] = {
    "together": "queries of an episode see each other",
    "alone": "each query alone",
    "unknown": "whether queries see each other is not known",
}

STANDING: Mapping[Standing, str] = {
    "own": "its authors' number; no independent reproduction is known",
    "contested": "its authors' number; an independent re-run came out lower",
    "quoted": "as this paper quotes it from elsewhere",
    "secondhand": "from a page or note about it; the paper itself was not read",
    "re-run": "an independent re-run of public code, not reviewed",
    "stated": "as the sweep states it",
}


@dataclass(frozen=True)
class Protocol:
    """How a number was made, as far as it is known."""

    epoch: Epoch = "unknown"
    queries: Queries = "unknown"

    def __post_init__(self) -> None:
        assert self.epoch in get_args(Epoch), self.epoch
        assert self.queries in get_args(Queries), self.queries


@dataclass(frozen=True)
class Number:
    """One published accuracy, in percent, of 5-way episodes.

    ``shot`` is None where the source does not give it. ``spread`` is the standard deviation over ``runs``.
    """

    method: str
    benchmark: str
    shot: int | None
    accuracy: float
    source: str
    protocol: Protocol
    standing: Standing
    note: str = ""
    venue: str = ""
    backbone: str = ""
    pretraining: str = ""
    tuning: str = ""
    spread: float | None = None
    runs: tuple[float, ...] = ()

    @property
    def footnote(self) -> str:
        """Source, protocol and standing in words."""
        said = (self.source, EPOCH[self.protocol.epoch], QUERIES[self.protocol.queries])
        return "; ".join([*said, STANDING[self.standing], *([self.note] if self.note else [])])

    @property
    def title(self) -> str:
        """The method and what it stands on."""
        basis = " ".join(part for part in (self.backbone, self.pretraining) if part)
        return f"{self.method} ({basis})" if basis else self.method


@cache
def published() -> tuple[Number, ...]:
    """Every number there is, in the order of the files and their rows."""
    files = sorted(
        (each for each in resources.files(__name__).iterdir() if each.name.endswith(".toml")),
        key=lambda each: each.name,
    )
    return tuple(
        number for file in files for number in _numbers(tomllib.loads(file.read_text(encoding="utf-8")))
    )


def of_benchmark(benchmark: str, shots: Sequence[int] | None = None) -> list[Number]:
    """The numbers of a benchmark at these shots (None: any), and those whose shots are not known."""
    return [
        n for n in published() if n.benchmark == benchmark and (shots is None or n.shot in (None, *shots))
    ]


def of_method(title: str) -> dict[str, dict[str, float]]:
    """Benchmark -> shot -> what the paper's Tables 1 and 2 have for a method, in percent."""
    found: dict[str, dict[str, float]] = {}
    for each in published():
        if (each.source, each.method) == (OWN, title):
            found.setdefault(each.benchmark, {})[str(each.shot)] = each.accuracy
    return found


def known_number(title: str, benchmark: str, shot: int) -> Number | None:
    """What is published of a method: on a CLIP ViT rather than on anything else, from its authors first.

    Its note says on what.
    """
    found = [n for n in published() if (n.method, n.benchmark, n.shot) == (title, benchmark, shot)]
    if not found:
        return None
    order = list(STANDING)
    best = min(
        found, key=lambda n: (n.pretraining != "CLIP", "ViT" not in n.backbone, order.index(n.standing))
    )
    basis = " ".join(part for part in (best.backbone, best.pretraining) if part)
    return replace(best, note="; ".join(each for each in (basis, best.note) if each))


def of_row(title: str, given: float, source: str, benchmark: str, shot: int, *, papers: bool) -> Number:
    """``given``, which a sweep from ``source`` has beside a row, with its protocol and its standing.

    ``title`` is the method's, "" where the row is none or a variant of one: what the paper's Tables 1 and 2
    have for the method has their standing wherever it stands. ``papers``: ``source`` is a table of it.
    """
    asked = (OWN, title, benchmark, shot, given)
    for n in published():
        if (n.source, n.method, n.benchmark, n.shot, n.accuracy) == asked:
            return n
    if papers:
        known = (f"{PAPER}, {source}", Protocol("test", "together"))
        return Number(title, benchmark, shot, given, *known, "own")
    return Number(title, benchmark, shot, given, source or "fsarctl.toml", Protocol(), "stated")


def _numbers(content: Mapping[str, Any]) -> Iterable[Number]:
    for row in content["rows"]:
        shared = {name: value for name, value in row.items() if name not in ("accuracy", "epoch", "queries")}
        shared.setdefault("source", content.get("source"))
        protocol = Protocol(row.get("epoch", "unknown"), row.get("queries", "unknown"))
        for benchmark, by_shot in row["accuracy"].items():
            for shot, value in by_shot.items():
                own = dict(value) if isinstance(value, Mapping) else {"accuracy": value}
                own["runs"] = tuple(own.get("runs", ()))
                yield Number(
                    **{**shared, **own},
                    benchmark=benchmark,
                    shot=None if shot == "unknown" else int(shot),
                    protocol=protocol,
                )
