"""CLIP-SPM against vectors: CLIP-MEI's, with gates, and without the losses that the released code drops."""

from pathlib import Path

import torch

from fsarctl.methods.clip_mei import parity as clip_mei
from fsarctl.methods.clip_mei.interaction import GatedInteraction
from fsarctl.methods.vectors import Arrays, Difference, compare, fill

__all__ = ["KEYS", "differences"]

INPUTS = clip_mei.INPUTS | {"alpha", "slope"}
KEYS = frozenset({"slope", "alpha", "class_task", "query_semantic"})


def differences(path: Path, arrays: Arrays) -> list[Difference]:  # noqa: ARG001
    """Every output of a file of CLIP-SPM against ours."""
    weights = clip_mei.weights_of(arrays)
    heads = int(arrays["heads"])
    inner, width = weights["over_task.to_q.weight"].shape
    interaction = GatedInteraction(
        width,
        weights["gate_vision.0.weight"].shape[0],
        weights["gate_text.0.weight"].shape[0],
        slope=float(arrays["slope"]),
        added=float(arrays["alpha"]),
        heads=heads,
        head_width=inner // heads,
        hidden=weights["to_token.0.weight"].shape[0],
    ).eval()
    fill(interaction, weights)
    texts = arrays["text"]
    of_queries = texts[arrays["query_labels"].long()]
    of_support = texts[arrays["support_labels"].long()]
    ours, _ = clip_mei.outputs(
        interaction,
        arrays,
        torch.cat([of_queries, of_support]).mean(dim=0),
        torch.cat([of_queries[:1], of_support]).mean(dim=0),
    )
    return compare(arrays, ours, inputs=INPUTS)
