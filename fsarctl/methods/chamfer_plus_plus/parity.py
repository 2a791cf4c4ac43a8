"""Chamfer++ against vectors: similarities of frames, and logits of every matching at both tuple lengths."""

from itertools import product
from pathlib import Path

from fsarctl.methods.chamfer_plus_plus.method import Options, TupleHead, of_classes
from fsarctl.methods.protocol import by_class
from fsarctl.methods.vectors import Arrays, Difference, class_major, compare, fill, under
from fsarctl.models.metrics.cosines import damped_cosines

__all__ = ["KEYS", "differences"]

INPUTS = frozenset({"support", "query", "labels", "way", "shot", "global_temperature", "temperature_weight"})
KEYS = frozenset({"global_temperature", "temperature_weight", "w.layer_norm.weight"})
SIDES = {"chamfer": "both", "chamfer_query": "query", "chamfer_support": "support"}


def differences(path: Path, arrays: Arrays) -> list[Difference]:  # noqa: ARG001
    """Every output of a file of Chamfer++ against ours."""
    support, query, way = arrays["support"], arrays["query"], int(arrays["way"])
    ours = {}
    for layer in sorted({name.split(".")[0] for name in under("w.fc", arrays)}):
        weights = under(f"w.fc{layer}.", arrays)
        projection, width = weights["weight"].shape
        length = width // query.shape[-1]
        head = TupleHead(
            query.shape[-1],
            length,
            projection,
            temperature=float(arrays["global_temperature"]),
            weight=float(arrays["temperature_weight"]),
        )
        fill(head.project, weights)
        fill(head.norm, under("w.layer_norm.", arrays))
        asked, told = head(query), head(support)
        ours[f"similarity_tuples{layer}"] = damped_cosines(asked.unsqueeze(-3), told.unsqueeze(-4))
        shots = by_class(class_major(told, arrays["labels"]), way)
        for kind, (name, side) in product(("joint", "separate"), SIDES.items()):
            options = Options(shots=kind, side=side)  # type: ignore[arg-type]
            logits = head.logits(of_classes(asked, shots, options))
            ours[f"logits_{kind}_{name}_tuples{layer}"] = logits
    return compare(arrays, ours, inputs=INPUTS)
