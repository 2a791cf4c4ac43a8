"""What scores of known and unseen queries come to: a calibration, and how well it does. Needs no torch.

An artifact with them holds unseen.json (settings) and unseen.safetensors, see ``fsarctl.episodes.unseen``.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from fsarctl.results.calibration import (
    Calibration,
    Known,
    area_under_roc,
    calibration_error,
    false_positive_rate,
    log_softmax,
    reliability,
    sigmoid_of,
    temperature_of,
)
from fsarctl.results.predictions import save_arrays

__all__ = ["KINDS", "Unseen", "load_unseen", "measured", "write_unseen"]

KINDS = ("text", "video")
"""With and without a part of the text in the scores."""
ARRAYS, FACTS = "unseen.safetensors", "unseen.json"


@dataclass(frozen=True)
class Unseen:
    """Scores of queries with and without their class among the answers; ``facts``: what they are of."""

    facts: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]

    @property
    def kinds(self) -> list[str]:
        """Which of ``KINDS`` there are."""
        return [kind for kind in KINDS if f"{kind}.scores" in self.arrays]

    def logits(self, kind: str) -> NDArray[np.float64]:
        """(episodes, queries, way)."""
        found: NDArray[np.float64] = self.facts["logit_scale"] * self.arrays[f"{kind}.scores"].astype(
            np.float64
        )
        return found

    @property
    def targets(self) -> NDArray[np.int64]:
        """(episodes, queries); -1: the class is not among the answers."""
        return self.arrays["targets"]

    def calibration(self, kind: str) -> Calibration:
        """The temperature of queries whose class is there, and what tells these from the others."""
        logits, seen = self.logits(kind), self.targets >= 0
        best = logits.max(-1)
        known = Known(sigmoid_of(best[seen], best[~seen]), "validation", int(self.targets.size))
        return Calibration(temperature_of(logits[seen], self.targets[seen]), known)


def write_unseen(folder: Path, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> None:
    """Write unseen.safetensors and unseen.json."""
    save_arrays(folder / ARRAYS, arrays)
    (folder / FACTS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def load_unseen(folder: Path) -> Unseen:
    """What :func:`write_unseen` wrote."""
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    return Unseen(facts, load_file(folder / ARRAYS))


def measured(found: Unseen, calibration: Calibration, kind: str) -> dict[str, Any]:
    """How well known queries are told from unseen ones, and how far confidences are from what is right.

    By the largest softmax (the usual rule), by the best score, and by what each support set tells of itself.
    Confidences: ``closed`` of queries whose class is there, with temperature 1 and with that of the
    calibration; ``open`` of all, where "none of these" is an answer, and where it is none.
    """
    logits, targets = found.logits(kind), found.targets
    seen = targets >= 0
    plain = np.exp(log_softmax(logits))
    shares = np.exp(log_softmax(logits / calibration.temperature))
    best = logits.max(-1)
    assert calibration.known is not None
    by_validation = calibration.known.sigmoid(best)
    rules = {"softmax": plain.max(-1), "score": by_validation}
    there, gone = found.arrays[f"{kind}.there"], found.arrays[f"{kind}.gone"]
    if there.shape[1] and gone.shape[1]:
        sigmoids = [sigmoid_of(known, unknown) for known, unknown in zip(there, gone, strict=True)]
        rules["support"] = np.stack([own(row) for own, row in zip(sigmoids, best, strict=True)])
    answers = logits.argmax(-1)
    right = answers == targets
    known = rules.get("support", by_validation)
    none = known < 0.5
    confidence = np.where(none, 1 - known, known * shares.max(-1))
    return {
        "known": int(seen.sum()),
        "unseen": int((~seen).sum()),
        "accuracy": float(right[seen].mean()),
        "temperature": calibration.temperature,
        "rules": {
            name: {
                "auroc": area_under_roc(values[seen], values[~seen]),
                "fpr95": false_positive_rate(values[seen], values[~seen]),
                **(
                    {
                        "recall": float((values[seen] >= 0.5).mean()),
                        "false_positives": float((values[~seen] >= 0.5).mean()),
                    }
                    if name != "softmax"
                    else {}
                ),
            }
            for name, values in rules.items()
        },
        "closed": {
            "plain": _reliability(plain.max(-1)[seen], right[seen]),
            "calibrated": _reliability(shares.max(-1)[seen], right[seen]),
        },
        "open": {
            "plain": _reliability(plain.max(-1), right),
            "calibrated": _reliability(confidence, np.where(none, ~seen, right)),
        },
    }


def _reliability(confidences: NDArray[np.float64], right: NDArray[np.bool_]) -> dict[str, Any]:
    bins = reliability(confidences.ravel(), right.ravel())
    return {"error": calibration_error(bins), "bins": [asdict(each) for each in bins]}
