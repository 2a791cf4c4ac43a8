"""TRX against vectors: positions, logits of each cardinality, of both, and of one shot, and the loss."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from fsarctl.methods.protocol import by_class
from fsarctl.methods.vectors import Arrays, Difference, class_major, compare, fill, renamed, under
from fsarctl.models.metrics.trx import POSITION_SCALE, TRX, sinusoids

__all__ = ["KEYS", "differences"]

INPUTS = frozenset({"support", "support_labels", "query", "query_labels", "cardinalities"})
KEYS = frozenset({"logits_one_shot", "loss_sum", "cardinalities"})
NAMES = {"k_linear.": "key.", "v_linear.": "value.", "norm_k.": "norm."}
SIZES = {"pairs": 2, "triples": 3}


def differences(path: Path, arrays: Arrays) -> list[Difference]:  # noqa: ARG001
    """Every output of a file of TRX against ours."""
    support, query, labels = arrays["support"], arrays["query"], arrays["support_labels"]
    frames, width = query.shape[-2:]
    shots = by_class(class_major(support, labels), len(set(labels.tolist())))
    parts = {}
    for name, size in SIZES.items():
        weights = under(f"w.{name}.", arrays)
        if size in arrays["cardinalities"].tolist():
            parts[name] = TRX(width, frames, sizes=[size], width=len(weights["k_linear.bias"])).eval()
            fill(parts[name].tuples[0], renamed(weights, NAMES))

    def logits(of: list[TRX], shots: Tensor) -> Tensor:
        return -torch.stack([each.distances(query, shots) for each in of]).mean(dim=0)

    both = logits(list(parts.values()), shots)
    ours = {
        "positional": POSITION_SCALE * sinusoids(frames, width),
        **{f"logits_{name}": logits([each], shots) for name, each in parts.items()},
        "logits": both,
        "logits_one_shot": logits(list(parts.values()), shots[:, :1]),
        "loss_sum": F.cross_entropy(both, arrays["query_labels"].long(), reduction="sum"),
    }
    return compare(arrays, ours, inputs=INPUTS)
