"""HyRSM against vectors: positions, and logits of both forms."""

from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from fsarctl.methods.hyrsm.hybrid_relation import Form, HybridRelation, set_distances
from fsarctl.methods.protocol import by_class
from fsarctl.methods.vectors import Arrays, Difference, compare, fill, renamed, under, unstacked
from fsarctl.models.positions import channel_sinusoids

__all__ = ["FORMS", "KEYS", "differences", "filled"]

INPUTS = frozenset({"support", "query", "heads", "A", "B"})
KEYS = frozenset({"logits_1shot_form", "positional"})
FORMS: Mapping[str, Form] = dict(zip(("5shot", "1shot"), get_args(Form), strict=True))
WITHIN = {"fn.": ""}
ACROSS = {"w_qs.": "to_q.", "w_ks.": "to_k.", "w_vs.": "to_v.", "fc.": "to_out.", "layer_norm.": "norm."}


def filled(arrays: Arrays, *, within: str, across: str, fuse: str) -> HybridRelation:
    """The module with the weights under these names, in evaluation mode."""
    frames, width = arrays["query"].shape[-2:]
    relation = HybridRelation(
        frames, width, int(arrays["heads"]), divisor=float(arrays["A"]), weight=float(arrays["B"])
    ).eval()
    fill(relation.within, renamed(unstacked(under(within, arrays)), WITHIN))
    fill(relation.across, renamed(under(across, arrays), ACROSS))
    weights = under(fuse, arrays)
    fill(relation.fuse, {**weights, "weight": weights["weight"].squeeze(-1)})
    return relation


def differences(path: Path, arrays: Arrays) -> list[Difference]:  # noqa: ARG001
    """Every output of a file of HyRSM against ours."""
    relation = filled(arrays, within="w.temporal.", across="w.relation.", fuse="w.fuse.")
    clips, query = relation.within_video(arrays["support"]), relation.within_video(arrays["query"])
    shots = by_class(clips, arrays["logits_1shot_form"].shape[-1])
    ours = {
        f"logits_{name}_form": -set_distances(relation.across_task(shots, query, form))
        for name, form in FORMS.items()
    }
    ours["positional"] = channel_sinusoids(len(arrays["positional"]), query.shape[-1])
    return compare(arrays, ours, inputs=INPUTS)
