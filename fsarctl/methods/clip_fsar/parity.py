"""CLIP-FSAR against vectors: distances, logits of both merges, and the cosines of the video-text loss."""

from pathlib import Path

import torch

from fsarctl.methods.clip_fsar.method import Matching
from fsarctl.methods.protocol import by_class
from fsarctl.methods.vectors import Arrays, Difference, compare, fill, renamed, under
from fsarctl.models.metrics.otam import both_ways

__all__ = ["KEYS", "TRANSFORMER", "differences"]

INPUTS = frozenset({"support", "text", "query", "heads", "smoothing"})
KEYS = frozenset({"logits_merge_before", "logits_merge_after", "video_text_cos"})
TRANSFORMER = {
    "layers.0.0.norm.": "norm.",
    "layers.0.0.fn.": "",
    "layers.0.1.net.": "feed_forward.",
    "layers.0.0.": "",
}
"""How its code, and MoLo's, names the parts of a temporal transformer."""


def differences(path: Path, arrays: Arrays) -> list[Difference]:  # noqa: ARG001
    """Every output of a file of CLIP-FSAR against ours."""
    weights = renamed(under("w.", arrays), TRANSFORMER)
    hidden, width = weights["feed_forward.0.weight"].shape
    matching = Matching(width, int(arrays["heads"]), hidden).eval()
    fill(matching.temporal, weights)
    query, text = arrays["query"], arrays["text"]
    shots = by_class(arrays["support"], len(text))
    apart = {merge: matching.distances(query, shots, text, merge) for merge in ("before", "after")}
    logits = {
        f"logits_merge_{merge}": -both_ways(each, float(arrays["smoothing"])) for merge, each in apart.items()
    }
    clips = torch.cat([arrays["support"], query])
    ours = {"distances": apart["after"], **logits, "video_text_cos": matching.text_logits(clips, text)}
    return compare(arrays, ours, inputs=INPUTS)
