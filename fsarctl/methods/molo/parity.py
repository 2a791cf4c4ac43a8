"""MoLo against vectors: tokens, logits of matching and contrast, base classes, pixels, and the loss."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsarctl.methods.clip_fsar.parity import TRANSFORMER
from fsarctl.methods.molo.method import LongShort, set_logits
from fsarctl.methods.molo.motion import AppearanceAndMotion, PixelDecoder
from fsarctl.methods.protocol import by_class
from fsarctl.methods.vectors import Arrays, Difference, class_major, compare, fill, renamed, under, unstacked

__all__ = ["KEYS", "differences"]

INPUTS = frozenset(
    {
        *("support_maps", "support_labels", "query_maps", "query_labels", "base_labels"),
        *("heads", "A", "B", "loss_parts_weights"),
    }
)
KEYS = frozenset({"support_maps", "logits_motion", "reconstruction_every_16th"})
SMALL = {"logits_motion": 1e-6}
MOTION_WEIGHT = 0.3
STRIDE = 32
"""Pixels of a side that one place of the file's maps stands for."""
CONVOLUTIONS = {"up1": 1, "up2": 5, "up3": 9}
"""Places in :class:`PixelDecoder`; each has its batch normalisation behind it."""


def differences(path: Path, arrays: Arrays) -> list[Difference]:  # noqa: ARG001
    """Every output of a file of MoLo against ours."""
    clips, decoder, classifier = _networks(arrays)
    labels, targets = arrays["support_labels"], arrays["query_labels"].long()
    (support, of_support), (query, of_query) = clips(arrays["support_maps"]), clips(arrays["query_maps"])
    way = len(set(labels.tolist()))
    classes = [by_class(class_major(each, labels), way).mean(dim=-3) for each in support]
    ours: dict[str, Tensor] = {}
    contrasts = []
    names = ("appearance", "motion")
    for name, each, asked, scale in zip(names, classes, query, ("scale", "scale_motion"), strict=True):
        contrast = LongShort()
        fill(contrast, {"scale": arrays[f"w.{scale}"].squeeze()})
        ending = "_motion" if name == "motion" else ""
        ours |= {f"class_tokens_{name}": each, f"query_tokens_{name}": asked}
        ours[f"logits_{name}"] = set_logits(asked, each)
        ours[f"logits_s2q{ending}"], ours[f"logits_q2s{ending}"] = contrast(asked, each)
        contrasts += [ours[f"logits_{side}{ending}"] for side in ("s2q", "q2s")]
    ours["logits"] = ours["logits_appearance"] + MOTION_WEIGHT * ours["logits_motion"]
    means = [torch.cat([a, b]).mean(dim=-2) for a, b in zip(support, query, strict=True)]
    ours["class_logits"] = classifier(means[0] + means[1])
    motion = torch.cat([of_support, of_query])
    made = decoder(motion.flatten(0, 1))
    ours["loss_recons"] = F.mse_loss(made, _pixels(motion, made.shape[-1]).diff(dim=1).flatten(0, 1))
    ours["reconstruction_every_16th"] = made[..., ::16, ::16]
    ours["reconstruction_mean"], ours["reconstruction_std"] = made.mean(), made.std()
    base_weight, contrast_weight, pixel_weight = arrays["loss_parts_weights"].tolist()
    parts = F.cross_entropy(ours["logits"], targets)
    parts = parts + base_weight * F.cross_entropy(ours["class_logits"], arrays["base_labels"].long())
    parts = parts + contrast_weight * sum(F.cross_entropy(each, targets) for each in contrasts)
    ours["loss"] = parts / 4 + pixel_weight * ours["loss_recons"]
    return compare(arrays, ours, inputs=INPUTS, absolute=SMALL)


def _networks(arrays: Arrays) -> tuple[AppearanceAndMotion, PixelDecoder, nn.Linear]:
    weights = under("w.", arrays)
    frames, width, rows = arrays["query_maps"].shape[-4:-1]
    clips = AppearanceAndMotion(
        frames,
        width,
        int(arrays["heads"]),
        len(weights["temporal_atte_before.layers.0.1.net.0.bias"]),
        divisor=float(arrays["A"]),
        weight=float(arrays["B"]),
        reduced=len(weights["motion_conv.bias"]),
    ).eval()
    for encoder, ending in ((clips.appearance, ""), (clips.motion, "_motion")):
        layer = under(f"temporal_atte_before{ending}.", weights)
        fill(encoder.layer, renamed(unstacked(layer), TRANSFORMER))
        with torch.no_grad():
            encoder.token.copy_(weights[f"class_token{ending}"].flatten())
    for module, name in (
        (clips.reduce, "motion_reduce."),
        (clips.later, "motion_conv."),
        (clips.enlarge, "motion_up."),
    ):
        fill(module, under(name, weights))
    widths = tuple(len(weights[f"{each}.conv.double_conv.1.bias"]) for each in CONVOLUTIONS)
    decoder = PixelDecoder(clips.reduced, rows, STRIDE * rows, widths)  # type: ignore[arg-type]
    for name, place in CONVOLUTIONS.items():
        fill(decoder[place], under(f"{name}.conv.double_conv.0.", weights))
        norm = under(f"{name}.conv.double_conv.1.", weights)
        decoder[place + 1].load_state_dict(norm, strict=False)  # it has no use for stored statistics
    fill(decoder[-1], under("outc.conv.", weights))
    base = weights["classification_layer.weight"]
    classifier = nn.Linear(base.shape[1], base.shape[0])
    fill(classifier, under("classification_layer.", weights))
    return clips, decoder, classifier


def _pixels(motion: Tensor, side: int) -> Tensor:
    """Of the file, which does not hold them. Shape: (clips, T, 3, side, side)."""
    clips, frames = motion.shape[0], motion.shape[1] + 1
    sizes = (clips, frames, 3, side, side)
    n, t, c, y, x = (
        torch.arange(size, dtype=torch.float64).view([-1 if axis == own else 1 for axis in range(5)])
        for own, size in enumerate(sizes)
    )
    angle = 0.7 * n + 0.9 * t + 1.3 * c + 0.05 * y * (1 + 0.2 * t) + 0.07 * x - 0.02 * t * x
    return angle.sin().float()
