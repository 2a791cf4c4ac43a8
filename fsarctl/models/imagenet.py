"""ResNets that learnt ImageNet's classes: torchvision's, without the classifier; there is no text encoder."""

from collections.abc import Mapping
from typing import Any

from torch import nn
from torchvision.models import resnet

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "image_only"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Of the three colours, on pixels scaled to 0-1, as torchvision's weights were trained."""
IMAGENET_STD = (0.229, 0.224, 0.225)


def image_only(configuration: Mapping[str, Any]) -> nn.Module:
    """A module whose one child ``visual`` is the ResNet that a configuration of the catalogue describes.

    Its weights are what torchvision starts from, and the global generator decides.
    """
    described = configuration["vision_cfg"]
    tower = resnet.ResNet(getattr(resnet, described["block"]), described["layers"])
    # What open_clip's towers say of themselves.
    tower.image_size, tower.output_dim = described["image_size"], tower.fc.in_features
    tower.fc = nn.Identity()
    return nn.ModuleDict({"visual": tower})
