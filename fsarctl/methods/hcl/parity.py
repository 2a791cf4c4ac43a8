"""HCL against vectors: its encoder, its scores and each of its losses."""

from pathlib import Path

import torch
from torch import Tensor, nn

from fsarctl.methods.hcl.matching import HierarchicalMatching
from fsarctl.methods.hcl.method import contrast_losses, of_classes
from fsarctl.methods.hcl.place_encoder import PlaceEncoder
from fsarctl.methods.vectors import Arrays, Difference, compare, fill, under

__all__ = ["KEYS", "differences"]

INPUTS = frozenset(
    {"encoder_input", "encoder_heads", "tokens", "way", "shot", "topT", "topK", "loss_clips", "temperature"}
    | {"sigma_global", "sigma_temporal", "sigma_spatial"}
)
KEYS = frozenset({"loss_temporal_cycle", "scores_temporal", "sigma_global"})
CLASSIFIER = "action_classifier."


def differences(path: Path, arrays: Arrays) -> list[Difference]:  # noqa: ARG001
    """Every output of a file of HCL against ours."""
    weights = under("w.", arrays)
    encoder, classifier = under("encoder.", weights), under(CLASSIFIER, weights)
    rest = {name: each for name, each in weights.items() if not name.startswith(("encoder.", CLASSIFIER))}
    tokens = arrays["tokens"]
    clips = arrays["encoder_output"].shape[1]
    # Maps of the encoder are of clips as long as those that are matched.
    maps = arrays["encoder_input"].movedim(1, -1)
    maps = maps.reshape(clips, -1, *maps.shape[1:])  # (clips, T, rows, columns, channels)
    way, shot = int(arrays["way"]), int(arrays["shot"])
    kept = {"pairs": int(arrays["topT"]), "places": int(arrays["topK"])}
    matching = HierarchicalMatching(tokens.shape[-1], maps.shape[1], **kept).eval()
    fill(matching, rest)
    support, query = (matching.cues(each) for each in (tokens[: way * shot], tokens[way * shot :]))
    whole, temporal, spatial = of_classes(matching(query, support), way)

    of_losses = tokens[: int(arrays["loss_clips"])]
    partners = torch.arange(len(of_losses)) // 2
    losses = contrast_losses(matching, of_losses, partners, temperature=float(arrays["temperature"]))
    classes, width = classifier["weight"].shape
    linear = nn.Linear(width, classes)
    fill(linear, classifier)
    computed = {
        "encoder_output": _encoded(encoder, maps, int(arrays["encoder_heads"])).transpose(0, 1),
        "scores": arrays["sigma_global"] * whole
        + arrays["sigma_temporal"] * temporal
        + arrays["sigma_spatial"] * spatial,
        "scores_global": whole,
        "scores_temporal": temporal,
        "scores_spatial": spatial,
        "loss_global": losses.whole,
        "loss_temporal": losses.temporal,
        "loss_temporal_cycle": losses.temporal_cycle,
        "loss_spatial": losses.spatial,
        "loss_spatial_cycle": losses.spatial_cycle,
    }
    logits = next((name for name in arrays if name.startswith("class_logits_first")), None)
    if logits:
        computed[logits] = linear(tokens[: len(arrays[logits])].mean(dim=-2))
    # Losses are stored as numbers or as lists of one.
    shaped = {
        name: each.reshape(arrays[name].shape) if name in arrays and each.numel() == 1 else each
        for name, each in computed.items()
    }
    return compare(arrays, shaped, inputs=INPUTS)


def _encoded(weights: Arrays, maps: Tensor, heads: int) -> Tensor:
    """Shapes: (clips, T, rows, columns, channels) -> (clips, T*rows*columns, D)."""
    own = {name.removeprefix("transformer_encoder.layers.0."): each for name, each in weights.items()}
    own["input_proj.weight"] = own["input_proj.weight"].flatten(1)
    width, channels = own["input_proj.weight"].shape
    tables = {name: len(own[f"pos_encoder.{name}_embed.weight"]) for name in ("temp", "row")}
    encoder = PlaceEncoder(
        channels,
        width,
        frames=tables["temp"],
        side=tables["row"],
        heads=heads,
        hidden=len(own["linear1.weight"]),
    ).eval()
    fill(encoder, own)
    encoded: Tensor = encoder(maps)
    return encoded
