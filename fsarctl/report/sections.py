"""The parts of the report's document, each from finished artifacts: numbers as they are stored, 0 to 1."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fsarctl.artifacts import Artifact
from fsarctl.config.plugins import own_parts_in
from fsarctl.datasets.dataset import Dataset
from fsarctl.episodes.training.training_log import read_log
from fsarctl.models.strategies import FROZEN
from fsarctl.report.confusion import as_document, class_rows, confusion
from fsarctl.results.evaluated import called
from fsarctl.results.result import Result, compare, load_result, same_episodes
from fsarctl.results.unseen import load_unseen, measured
from fsarctl.text.corpus import STAGES, load_descriptions

__all__ = [
    "Found",
    "calibration_row",
    "class_tables",
    "clip_counts",
    "descriptions",
    "film_row",
    "provenance",
    "query_mode_rows",
    "result_rows",
    "training_curve",
    "way_curves",
]

NAMED = 20
"""Missing clips of a split that are named; a data set of which little is there lacks thousands."""


@dataclass(frozen=True)
class Found:
    """A result in the store."""

    artifact: Artifact
    result: Result

    @classmethod
    def load(cls, artifact: Artifact) -> "Found":
        """Read an evaluation's artifact."""
        return cls(artifact, load_result(artifact.path))

    @property
    def shot(self) -> int:
        return int(self.result.record["shot"])

    @property
    def model(self) -> str:
        return str(self.result.record["model"])

    @property
    def title(self) -> str:
        """What people call that model."""
        return called(self.model, self.artifact.manifest.config)


def result_rows(found: Sequence[Found]) -> list[dict[str, Any]]:
    """Each result's record, and its paired gain over the frozen model at the same shot."""
    rows = []
    for each in found:
        baseline = next((f for f in found if (f.shot, f.model) == (each.shot, FROZEN)), each)
        paired = baseline is not each and same_episodes(baseline.result, each.result)
        rows.append(
            {
                "title": each.title,
                **{name: value for name, value in each.result.record.items() if name != "classes"},
                "gain": compare(baseline.result, each.result).as_json() if paired else None,
                "key": each.artifact.key,
                "command": each.artifact.manifest.command,
            }
        )
    return rows


def query_mode_rows(found: Sequence[Found], others: Sequence[Found]) -> list[dict[str, Any]]:
    """Results beside those of the other query mode; the difference is what seeing other queries adds."""
    rows = []
    for each in found:
        other = next((f for f in others if (f.shot, f.model) == (each.shot, each.model)), None)
        if other is None or not same_episodes(each.result, other.result):
            continue
        pair = {str(f.result.record["query_mode"]): f for f in (each, other)}
        rows.append(
            {
                "shot": each.shot,
                "title": each.title,
                **{mode: _accuracy(f) for mode, f in pair.items()},
                "difference": compare(pair["independent"].result, pair["joint"].result).as_json(),
            }
        )
    return rows


def calibration_row(found: Found, told: Artifact, asked: Artifact) -> dict[str, Any]:
    """How sure predictions of a result's model may be: as ``told`` by validation classes, of novel ones."""
    validation, novel = load_unseen(told.path), load_unseen(asked.path)
    kind = novel.kinds[0]
    return {
        "shot": found.shot,
        "title": found.title,
        "score": kind,
        "key": asked.key,
        "command": asked.manifest.command,
        **measured(novel, validation.calibration(kind), kind),
    }


def film_row(found: Artifact, trained: str) -> dict[str, Any]:
    """What one model finds in a film, and how good that is; ``trained``: what the trained one is called."""
    config = found.manifest.config
    return {
        "model": trained if config["adapted"] else FROZEN,
        "shot": config["shot"],
        **json.loads((found.path / "found.json").read_text(encoding="utf-8")),
        "key": found.key,
        "command": found.manifest.command,
    }


def training_curve(artifact: Artifact) -> dict[str, Any]:
    """What training.json and log.jsonl say."""
    return {
        **json.loads((artifact.path / "training.json").read_text(encoding="utf-8")),
        "val_episodes": artifact.manifest.config["val_episodes"],
        "log": read_log(artifact.path),
        "key": artifact.key,
        "command": artifact.manifest.command,
    }


def class_tables(found: Sequence[Found], strategy: str) -> list[dict[str, Any]]:
    """Classes and confusions of the strategy's model at each shot, or of the frozen one where it is alone."""
    counted = {(each.shot, each.model): confusion(each.result.predictions) for each in found}
    titles = {each.model: each.title for each in found}
    return [
        {
            "shot": shot,
            "title": titles[model],
            "rows": class_rows(each, counted.get((shot, FROZEN)) if model != FROZEN else None),
            "confusion": as_document(each),
        }
        for (shot, model), each in counted.items()
        if model == strategy or (shot, strategy) not in counted
    ]


def way_curves(table: Mapping[str, Any]) -> dict[str, Any]:
    """Figure 9 from its table: accuracy by way, a curve for each method."""
    curves: dict[str, list[dict[str, Any]]] = {}
    for row in table["rows"]:
        numbers = row["results"][0]
        if numbers["accuracy"] is not None and "eval.way" in row["set"]:
            title = row["method"]
            point = {
                name: numbers[name] for name in ("accuracy", "half_width", "intervals", "headline", "chance")
            }
            curves.setdefault(title, []).append({"way": row["set"]["eval.way"], **point})
    return {
        "curves": [{"title": title, "points": points} for title, points in curves.items()],
        "shot": table["shots"][0],
        "benchmark": table["benchmark"],
        "command": table["command"],
    }


def descriptions(artifact: Artifact) -> dict[str, Any]:
    """Each label with its sub-actions, whether a person corrected them, and how many come from where."""
    labels = load_descriptions(artifact.path)
    facts = artifact.manifest.facts
    edited = set(facts.get("edited", ()))
    return {
        "sources": facts.get("sources", {}),
        "labels": [
            {"label": label, **dict(zip(STAGES, sentences, strict=True)), "edited": label in edited}
            for label, sentences in labels.items()
        ],
    }


def clip_counts(artifact: Artifact, title: str, dataset: Dataset, split: str) -> dict[str, Any]:
    """How many clips of a split there should be, are there and have frames; those that are not or have none.

    ``title``: what the split is called. ``missing`` are the first names, and ``missing_more`` is how many
    others there are.
    """
    missing = dataset.missing.get(split, ())
    return {
        "split": title,
        "expected": sum(dataset.expected.get(split, {}).values()),
        **{name: artifact.manifest.facts.get(name) for name in ("clips", "decoders")},
        "missing": list(missing[:NAMED]),
        "missing_more": len(missing[NAMED:]),
        "failed": json.loads((artifact.path / "failures.json").read_text(encoding="utf-8")),
    }


def provenance(artifacts: Iterable[Artifact]) -> dict[str, Any]:
    """Where each artifact comes from, and with whose parts; which machine it was is nobody's business."""
    names = ("created", "seconds", "git", "python", "platform", "packages")
    return {
        "artifacts": [
            {
                "slot": each.manifest.slot,
                "stage": each.manifest.stage,
                "key": each.key,
                "command": each.manifest.command,
                "parts": own_parts_in(each.manifest.config),
                "device": each.manifest.facts.get("device"),
                **{name: each.manifest.provenance.get(name) for name in names},
            }
            for each in artifacts
        ]
    }


def _accuracy(found: Found) -> dict[str, Any]:
    record = found.result.record
    return {
        **{name: record[name] for name in ("accuracy", "half_width", "intervals", "headline")},
        "key": found.artifact.key,
        "command": found.artifact.manifest.command,
    }
