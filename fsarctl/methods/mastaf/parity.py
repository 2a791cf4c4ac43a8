"""MASTAF's head against vectors: with the released rule of when there is a batch normalisation, and ours."""

from functools import partial
from pathlib import Path

from torch import Tensor, nn

from fsarctl.methods.mastaf.map_attention import MapAttention, match_maps
from fsarctl.methods.mastaf.method import base_logits
from fsarctl.methods.protocol import by_class
from fsarctl.methods.vectors import Arrays, Difference, class_major, compare, fill, largest_error, under

__all__ = ["KEYS", "differences"]

INPUTS = frozenset({"support", "query", "support_labels", "query_labels", "way", "shot", "alpha", "scale"})
KEYS = frozenset({"location_scores", "class_map"})


def differences(path: Path, arrays: Arrays) -> list[Difference]:  # noqa: ARG001
    """Every output of a file of MASTAF against ours."""
    kept = {name: each.flatten(1) if each.dim() > 1 else each for name, each in under("w.", arrays).items()}
    cam = {name.replace("conv1.", "", 1): each for name, each in under("cam.", kept).items()}
    cam = {name.replace("conv.", "conv1."): each for name, each in cam.items()}
    hidden, places = cam["conv1.weight"].shape
    attention = MapAttention(places, hidden).eval()
    fill(attention, cam)
    weights = under("classifier.", kept)
    outputs, width = weights["weight"].shape
    classifier = nn.Linear(width, outputs)
    fill(classifier, weights)

    side = arrays["query"].shape[2:]
    support = class_major(_places(arrays["support"]), arrays.get("support_labels"))
    classes = by_class(support, int(arrays["way"])).mean(dim=-3)
    match_all = partial(
        match_maps, attention, classes, alpha=float(arrays["alpha"]), scale=float(arrays["scale"])
    )
    query = _places(arrays["query"])
    # The released rule: where there is more than one.
    match = match_all(query, normalise_queries=len(query) > 1)
    first = match_all(query[:1]).scores
    crossed = match.query_cross.unsqueeze(-1) * query.unsqueeze(-3)  # (Q, C, L, D)
    labels = arrays["query_labels"].long()
    true = match.query_cross[range(len(labels)), labels]
    computed = {
        "support_self": _map(match.support_self.unsqueeze(-1) * classes, side),
        "query_cross": _map(crossed, side)[:, :, ::2],
        "scores": match.scores,
        "location_scores": _map(match.places.unsqueeze(-1), side).squeeze(-4),
        "class_map": _map(base_logits(classifier, query, true), side),
        "scores_first_query_alone": first,
    }
    # Ours: the first query scores in any company as it does alone.
    company = match_all(query).scores[:1]
    return [
        *compare(arrays, computed, inputs=INPUTS),
        Difference("first query in company as alone", largest_error(company, first)),
    ]


def _places(maps: Tensor) -> Tensor:
    """Shapes: (clips, D, time, rows, columns) -> (clips, places, D)."""
    return maps.flatten(2).mT


def _map(places: Tensor, side: tuple[int, ...]) -> Tensor:
    """Shapes: (..., places, D) -> (..., D, time, rows, columns)."""
    maps = places.mT
    return maps.reshape(*maps.shape[:-1], *side)
