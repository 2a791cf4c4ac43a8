"""ResNets that learnt ImageNet's classes: torchvision's, without the classifier; there is no text encoder."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from fsarctl.models.backbone_catalogue import IMAGE_SIZE, OF_IMAGENET

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "image_only", "published_weights"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Of the three colours, on pixels scaled to 0-1, as torchvision's weights were trained."""
IMAGENET_STD = (0.229, 0.224, 0.225)


def image_only(configuration: Mapping[str, Any]) -> nn.Module:
    """A module whose one child ``visual`` is the ResNet that a configuration of the catalogue describes.

    Its weights are what torchvision starts from, and the global generator decides.
    """
    from torchvision.models import resnet

    described = configuration["vision_cfg"]
    tower = resnet.ResNet(getattr(resnet, described["block"]), described["layers"])
    # What open_clip's towers say of themselves.
    tower.image_size, tower.output_dim = described.get("image_size", IMAGE_SIZE), tower.fc.in_features
    tower.fc = nn.Identity()
    return nn.ModuleDict({"visual": tower})


def published_weights(name: str) -> dict[str, dict[str, Any]]:
    """The weights that torchvision has for a ResNet of the catalogue: tag -> its address, mean and std."""
    from torchvision.models import get_model_weights

    tags = {}
    for each in get_model_weights(name.removesuffix(OF_IMAGENET)):
        seen = each.transforms()
        tags[each.name] = {"torchvision": each.url, "mean": tuple(seen.mean), "std": tuple(seen.std)}
    return tags
