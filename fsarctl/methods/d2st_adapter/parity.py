"""D2ST-Adapter against vectors: the adapter with its offsets, places and samples, and a tiny whole model."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from fsarctl.methods.d2st_adapter.adapter import D2STAdapter, DeformableAttention, Kernel
from fsarctl.methods.d2st_adapter.method import AdaptedBlock, D2STAdapterMethod, Options
from fsarctl.methods.vectors import Arrays, Difference, class_major, compare, fill, under
from fsarctl.models.backbone import build_backbone

__all__ = ["KEYS", "differences"]

ADAPTER_KEYS = frozenset({"y14_every8th", "s_offset_raw"})
MODEL_KEYS = frozenset({"frames_support", "class_logits", "w.temporal_embedding"})
KEYS = (ADAPTER_KEYS, MODEL_KEYS)
INPUTS = frozenset(
    {"x", "T", "support_images", "query_images", "support_labels", "query_labels", "base_labels", "lam"}
    | {"patch", "heads", "layers"}
)
PATHS = {"s": "spatial", "t": "temporal"}
NAMES = {
    "conv_offset.0.": "convolution.",
    "conv_offset.1.norm.": "norm.",
    "conv_offset.3.": "to_offset.",
    "proj_q.": "query.",
    "proj_k.": "key.",
    "proj_v.": "value.",
    "proj_out.": "out.",
    "s_attn.": "spatial.",
    "t_attn.": "temporal.",
    "s_ln.": "spatial_ln.",
    "t_ln.": "temporal_ln.",
    "pos_embed.": "position.",
}
LARGER = (8, 14)
"""Frames and rows of the clips that the second part of a file is of, made of a sine."""


def differences(path: Path, arrays: Arrays) -> list[Difference]:  # noqa: ARG001
    """Every output of a file of D2ST-Adapter against ours."""
    ours = _adapter(arrays) if arrays.keys() >= ADAPTER_KEYS else _model(arrays)
    return compare(arrays, ours, inputs=INPUTS)


def _adapter(arrays: Arrays) -> dict[str, Tensor]:
    weights = _renamed(under("w.", arrays))
    hidden, width = weights["down.weight"].shape
    groups, *_ = _groups_and_kernels(weights)
    adapter = D2STAdapter(width, hidden, groups, **_paths(weights)).eval()
    fill(adapter, weights)
    # Places far out make much of rounding.
    adapter.double()
    x = _by_clip(arrays["x"].double(), int(arrays["T"]))
    ours = {"y": adapter(x).flatten(0, 1).transpose(0, 1)}
    for letter, path in PATHS.items():
        raw, places, sampled = _looks(adapter, path, x)
        ours[f"{letter}_offset_raw"] = raw.movedim(-1, 1)
        ours[f"{letter}_grid_xyz"] = places.flip(-1)
        ours[f"{letter}_sampled"] = sampled
    frames, rows = LARGER
    tokens, every = 1 + rows * rows, arrays["y14_every8th"].shape[1]
    wave = torch.sin(0.7391 * torch.arange(tokens * every * width, dtype=torch.float64))
    larger = _by_clip(wave.view(tokens, every, width), frames)
    ours["y14_every8th"] = adapter(larger).flatten(0, 1).transpose(0, 1)[::8]
    for letter, path in PATHS.items():
        ours[f"{letter}14_grid_xyz"] = _looks(adapter, path, larger)[1].flip(-1)
    return ours


def _by_clip(x: Tensor, frames: int) -> Tensor:
    """Shapes: (tokens, clips*T, width) -> (clips, T, tokens, width)."""
    return x.reshape(len(x), -1, frames, x.shape[-1]).permute(1, 2, 0, 3)


def _looks(adapter: D2STAdapter, path: str, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Offsets, places and samples of one path."""
    attention = getattr(adapter, path)
    assert isinstance(attention, DeformableAttention)
    u = getattr(adapter, f"{path}_ln")(adapter.narrow(x))
    raw = attention.offsets(attention.query(u))
    places = attention.places(raw)
    return raw, places, attention.sample(u, places)


def _model(arrays: Arrays) -> dict[str, Tensor]:
    weights = under("w.", arrays)
    frames, width = weights["temporal_embedding"].shape[-2:]
    patch = weights["conv1.weight"].shape[-1]
    first = _renamed(under("transformer.resblocks.0.Adapter.", weights))
    groups, *_ = _groups_and_kernels(first)
    configuration = {
        "embed_dim": width,
        "quick_gelu": True,
        "vision_cfg": {
            "image_size": arrays["support_images"].shape[-1],
            "layers": int(arrays["layers"]),
            "width": width,
            "head_width": width // int(arrays["heads"]),
            "mlp_ratio": weights["transformer.resblocks.0.mlp.c_fc.weight"].shape[0] / width,
            "patch_size": patch,
        },
        "text_cfg": {"context_length": 4, "vocab_size": 8, "width": 8, "heads": 1, "layers": 1},
    }
    paths = _paths(first)
    options = Options(
        ratio=width // first["down.weight"].shape[0],
        groups=groups,
        spatial_kernel=paths["spatial"][0],
        temporal_kernel=paths["temporal"][0],
    )
    backbone = build_backbone("vectors", configuration, None)
    plain = {
        name: each
        for name, each in weights.items()
        if ".Adapter." not in name and not name.startswith(("classification_layer.", "temporal_embedding"))
    }
    fill(backbone.visual, {**plain, "proj": backbone.visual.proj})
    model = D2STAdapterMethod(backbone, frames=frames, options=options).eval()
    for number, block in enumerate(model.encoder.adapted):
        assert isinstance(block, AdaptedBlock)
        fill(block.adapter, _renamed(under(f"transformer.resblocks.{number}.Adapter.", weights)))
    with torch.no_grad():
        assert model.encoder.temporal_position is not None
        model.encoder.temporal_position.copy_(weights["temporal_embedding"].squeeze(0))
    support, query = (
        model.video(images.reshape(-1, frames, *images.shape[1:]))
        for images in (arrays["support_images"], arrays["query_images"])
    )
    labels = arrays["support_labels"]
    scores = model.score_features(class_major(support, labels), query, None, way=len(set(labels.tolist())))
    classifier = under("classification_layer.", weights)
    logits = F.linear(torch.cat([support, query]).mean(dim=-2), classifier["weight"], classifier["bias"])
    targets, base = arrays["query_labels"].long(), arrays["base_labels"].long()
    loss = F.cross_entropy(scores.score, targets) + float(arrays["lam"]) * F.cross_entropy(logits, base)
    return {
        "frames_support": support.flatten(0, 1),
        "frames_query": query.flatten(0, 1),
        "logits": scores.score,
        "class_logits": logits,
        "loss": loss,
    }


def _paths(weights: Arrays) -> dict[str, tuple[Kernel, Kernel]]:
    """Kernel and stride of both paths; strides are the published ones, as files do not tell them."""
    _, spatial, temporal = _groups_and_kernels(weights)
    return {
        "spatial": (spatial, Options.spatial_stride),
        "temporal": (temporal, Options.temporal_stride),
    }


def _groups_and_kernels(weights: Arrays) -> tuple[int, Kernel, Kernel]:
    spatial, temporal = (weights[f"{path}.convolution.weight"] for path in PATHS.values())
    return (
        weights["down.weight"].shape[0] // spatial.shape[0],
        (spatial.shape[2], spatial.shape[3], spatial.shape[4]),
        (temporal.shape[2], temporal.shape[3], temporal.shape[4]),
    )


def _renamed(weights: Arrays) -> dict[str, Tensor]:
    found = {}
    for name, each in weights.items():
        for theirs, own in NAMES.items():
            name = name.replace(theirs, own)
        found[name] = each.flatten(1) if "to_offset" in name else each
    return found
