"""TS-FSAR against vectors: patch weights, representations, similarities, frame weights and scores."""

from pathlib import Path

from fsarctl.methods.protocol import by_class
from fsarctl.methods.ts_fsar.distance_correlation import distance_correlation, patch_weights
from fsarctl.methods.ts_fsar.method import Matching
from fsarctl.methods.vectors import Arrays, Difference, compare, fill

__all__ = ["KEYS", "differences"]

INPUTS = frozenset({"tokens", "alpha", "way", "shot", "frames"})
KEYS = frozenset({"representation", "matching", "generated"})


def differences(path: Path, arrays: Arrays) -> list[Difference]:  # noqa: ARG001
    """Every output of a file of TS-FSAR against ours."""
    tokens, frames, way = arrays["tokens"], int(arrays["frames"]), int(arrays["way"])
    videos = way * int(arrays["shot"])
    z = distance_correlation(tokens, float(arrays["alpha"]))
    by_clip = z.reshape(-1, frames, z.shape[-1])
    classes = tokens[:, 0].reshape(len(by_clip), frames, -1)
    matching = Matching(frames, classes.shape[-1])
    fill(matching.generator, {"weight": arrays["w.weight"]})
    similarities = matching.similarities(by_clip[videos:], by_class(by_clip[:videos], way).mean(dim=-3))
    generated = matching.weights(classes[videos:], classes[:videos])
    ours = {
        "weights": patch_weights(tokens),
        "representation": z,
        "matching": similarities,
        "generated": generated,
        "score": matching(similarities, generated),
    }
    return compare(arrays, ours, inputs=INPUTS)
