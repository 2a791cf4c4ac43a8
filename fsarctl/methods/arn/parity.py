"""ARN against vectors: from pixels through its own encoder to attention, descriptors and scores."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsarctl.methods.arn.autocorrelation import PlaceAttention, RelationComparator, autocorrelation
from fsarctl.methods.protocol import by_class
from fsarctl.methods.vectors import Arrays, Difference, class_major, compare, fill, under

__all__ = ["KEYS", "differences"]

INPUTS = frozenset({"support", "query", "support_labels", "way", "shot", "sigma"})
KEYS = frozenset({"descriptor_support", "descriptor_query"})


class ClipEncoder(nn.Module):
    """The published encoder, of (clips, 3, frames, rows, columns) pixels."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.layer1 = _convolution(inputs, channels)
        self.layer2 = _convolution(channels, channels)
        self.layer3 = _convolution(channels, channels)
        self.layer4 = _convolution(channels, channels)

    def forward(self, clips: Tensor) -> Tensor:
        """Shapes: (clips, 3, T, H, W) -> (clips, channels, T/4, H/4, W/4)."""
        for layer in (self.layer1, self.layer2):
            clips = F.max_pool3d(layer(clips), 2)
        features: Tensor = self.layer4(self.layer3(clips))
        return features


def _convolution(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv3d(inputs, outputs, 3, padding=1), nn.BatchNorm3d(outputs), nn.ReLU())


def differences(path: Path, arrays: Arrays) -> list[Difference]:  # noqa: ARG001
    """Every output of a file of ARN against ours."""
    weights = under("w.", arrays)
    channels, inputs = weights["encoder.layer1.0.weight"].shape[:2]
    encoder = ClipEncoder(inputs, channels).eval()
    spatial = PlaceAttention(channels, len(weights["spatial.sd1.0.weight"])).eval()
    comparator = RelationComparator(
        channels, len(weights["similarity.layer1.0.weight"]), len(weights["similarity.fc1.weight"])
    ).eval()
    for name, module in (("encoder.", encoder), ("spatial.", spatial), ("similarity.", comparator)):
        fill(module, under(name, weights))
    sigma = float(arrays["sigma"])

    def described(clips: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = encoder(clips)
        attention = spatial(features)
        return features, attention, autocorrelation((features * attention).flatten(2), sigma)

    with torch.no_grad():
        features, attention, support = described(arrays["support"])
        _, _, query = described(arrays["query"])
        shots = by_class(class_major(support, arrays.get("support_labels")), int(arrays["way"]))
        computed = {
            "features_first": features[0],
            "attention": attention,
            "descriptor_support": support.unsqueeze(1),
            "descriptor_query": query.unsqueeze(1),
            "scores": torch.sigmoid(comparator(shots.mean(dim=-3), query)),
        }
    return compare(arrays, computed, inputs=INPUTS)
