"""Clips described by how their channels go together, and compared as pictures of it, of ARN."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsarctl.errors import ConfigError

__all__ = ["HALVINGS", "PlaceAttention", "RelationComparator", "autocorrelation", "start_relation"]

SIGMA = 100.0
HALVINGS = 4
"""How often the comparator halves a picture's side."""


class TimePool(nn.Module):
    """Of two neighbouring frames the larger value; a single frame, or a last one that is odd, as released."""

    def forward(self, maps: Tensor) -> Tensor:
        """Shapes: (..., T, rows, columns) -> (..., max(1, T // 2), rows, columns)."""
        return F.max_pool3d(maps, (2, 1, 1)) if maps.shape[-3] > 1 else maps


class PlaceAttention(nn.Module):
    """Which places matter in all of a clip: 1 + a, with a in (0, 1), of maps that are pooled over time.

    Args:
        channels: of the maps.
        hidden: channels within.
    """

    def __init__(self, channels: int, hidden: int = 16) -> None:
        super().__init__()
        self.sd1 = nn.Sequential(
            nn.Conv3d(channels, hidden, 3, padding=1),
            nn.BatchNorm3d(hidden),
            nn.ReLU(),
            TimePool(),
            nn.Conv3d(hidden, hidden, 3, padding=1),
            nn.BatchNorm3d(hidden),
            nn.ReLU(),
            TimePool(),
            nn.Conv3d(hidden, 1, 1),
            nn.Sigmoid(),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Shapes: (clips, channels, T, rows, columns) -> (clips, 1, 1, rows, columns).

        The published one leaves one frame of those that it was made for; what more are left are a maximum.
        """
        attention: Tensor = self.sd1(maps).amax(dim=-3, keepdim=True)
        return 1 + attention


def autocorrelation(maps: Tensor, sigma: float = SIGMA) -> Tensor:
    """P = 2 sigmoid(sigma S) - 1, of S = h h^T / places over its trace. Shapes: (..., channels, places) ->
    (..., channels, channels).
    """
    together = maps @ maps.mT / maps.shape[-1]
    trace = together.diagonal(dim1=-2, dim2=-1).sum(dim=-1)[..., None, None]
    return 2 * torch.sigmoid(sigma * together / trace) - 1


class RelationComparator(nn.Module):
    """How alike two descriptors are, as a logit: a small network on both as one picture.

    Args:
        side: of the descriptors, a multiple of 16.
        channels: of the convolutions.
        hidden: before the last layer.

    Raises:
        ConfigError: the side cannot be halved four times.
    """

    def __init__(self, side: int, channels: int = 64, hidden: int = 8) -> None:
        super().__init__()
        if side < 1 or side % 2**HALVINGS:
            raise ConfigError(
                f"descriptors are {side} x {side}; the comparator needs a multiple of {2**HALVINGS}",
                next_step=f"Set model.options.channels to a multiple of {2**HALVINGS}.",
            )
        self.layer1 = _convolution(2, channels)
        self.layer2 = _convolution(channels, channels)
        self.layer3 = _convolution(channels, channels)
        self.layer4 = _convolution(channels, channels)
        self.fc1 = nn.Linear(channels * (side // 2**HALVINGS) ** 2, hidden)
        self.fc2 = nn.Linear(hidden, 1)

    def forward(self, classes: Tensor, query: Tensor) -> Tensor:
        """Shapes: (..., C, side, side), (..., Q, side, side) -> (..., Q, C)."""
        way, queries = classes.shape[-3], query.shape[-3]
        both = (
            classes.unsqueeze(-4).expand(*query.shape[:-2], way, *query.shape[-2:]),
            query.unsqueeze(-3).expand(*query.shape[:-3], queries, way, *query.shape[-2:]),
        )
        pairs = torch.stack(both, dim=-3)  # (..., Q, C, 2, side, side)
        x = F.max_pool2d(self.layer1(pairs.flatten(0, -4)), 2)
        for layer in (self.layer2, self.layer3, self.layer4):
            x = F.max_pool2d(x + layer(x), 2)
        logits: Tensor = self.fc2(F.relu(self.fc1(x.flatten(1))))
        return logits.reshape(pairs.shape[:-3])


def start_relation(module: nn.Module) -> None:
    """Weights as the released code starts them: of a convolution by two of its kernel's sides.

    Biases of convolutions are 0, those of linear layers 1.
    """
    for each in module.modules():
        if isinstance(each, nn.Conv2d | nn.Conv3d):
            first, second = each.kernel_size[:2]
            nn.init.normal_(each.weight, std=math.sqrt(2 / (first * second * each.out_channels)))
            if each.bias is not None:
                nn.init.zeros_(each.bias)
        elif isinstance(each, nn.Linear):
            nn.init.normal_(each.weight, std=0.01)
            nn.init.ones_(each.bias)


def _convolution(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())
