"""What is known of a backbone without loading it: open_clip's own configuration files, read as JSON.

torchvision's ResNets are described in the same way, and have no text encoder. Needs no torch.
"""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from fsarctl.config.plugins import Part, find_part, installed_parts, is_own
from fsarctl.errors import ConfigError
from fsarctl.errors.nearest import nearest
from fsarctl.models import tiny_clip
from fsarctl.models.open_clip_parts import open_clip_folder

__all__ = [
    "BLOCKS",
    "IMAGENET",
    "IMAGE_SIZE",
    "OF_IMAGENET",
    "TINY",
    "architecture",
    "has_text_encoder",
    "image_side",
    "is_resnet",
    "known_backbones",
    "require_readable",
    "own_backbone",
    "stored_side",
    "without_text_encoder",
    "without_vit",
]

TINY = "tiny"

IMAGE_SIZE = 224
"""Pixels of a side, where a configuration does not say."""
BLOCKS = 12
"""Of an encoder, where a configuration does not say."""
RESNET_BLOCKS = ("BasicBlock", "Bottleneck")
"""What torchvision makes ResNets of."""
OF_IMAGENET = "-imagenet"
"""How the names end of backbones that torchvision calls otherwise the same."""

IMAGENET: Mapping[str, dict[str, Any]] = {
    f"{name}{OF_IMAGENET}": {
        "embed_dim": 512 if block == "BasicBlock" else 2048,
        "vision_cfg": {"block": block, "layers": layers, "image_size": IMAGE_SIZE},
    }
    for name, block, layers in (
        ("resnet18", "BasicBlock", [2, 2, 2, 2]),
        ("resnet34", "BasicBlock", [3, 4, 6, 3]),
        ("resnet50", "Bottleneck", [3, 4, 6, 3]),
        ("resnet101", "Bottleneck", [3, 4, 23, 3]),
        ("resnet152", "Bottleneck", [3, 8, 36, 3]),
    )
}
"""torchvision's ResNets, whose published weights learnt ImageNet's classes; ``block`` is torchvision's."""

# What a plain configuration may say; anything else makes another architecture.
PLAIN = {
    "vision_cfg": {"layers", "width", "head_width", "patch_size", "image_size", "mlp_ratio", "block"},
    "text_cfg": {"layers", "width", "heads", "context_length", "vocab_size", "mlp_ratio", "tokenizer_kwargs"},
}
PLAIN_TOP = {"embed_dim", "quick_gelu", "vision_cfg", "text_cfg"}


@cache
def architecture(backbone: str) -> dict[str, Any]:
    """open_clip's model configuration of ``backbone``, or that of the shipped tiny CLIP or of ``IMAGENET``.

    Raises:
        ConfigError: no such backbone, and the nearest names are suggested; or somebody else's is none.
    """
    if backbone in IMAGENET:
        return IMAGENET[backbone]
    files = {TINY: Path(tiny_clip.CONFIG)}
    if backbone != TINY and not is_own(backbone):
        files |= {file.stem: file for file in _configurations().glob("*.json")}
    if part := own_backbone(backbone, files):
        return _own_configuration(part)
    if backbone not in files:
        near = nearest(backbone, [*files, *IMAGENET], 3) or [TINY, "ViT-B-16-quickgelu"]
        raise ConfigError(
            f"there is no backbone {backbone!r}",
            next_step=f"Set model.backbone to one of `fsarctl methods`, for example {', '.join(near)}.",
        )
    content: dict[str, Any] = json.loads(files[backbone].read_text(encoding="utf-8"))
    return content


def require_readable(backbone: str, configuration: Mapping[str, Any]) -> None:
    """Refuse what cannot be loaded; ``configuration`` is the backbone's, as ``architecture`` has it.

    Raises:
        ConfigError: it is neither a plain CLIP, with a ViT or a ResNet, nor a plain ResNet.
    """
    if other := _beyond_plain(configuration):
        raise ConfigError(
            f"backbone {backbone} is not a plain ViT CLIP, nor a plain ResNet ({', '.join(other)})",
            next_step="Use for example ViT-B-16-quickgelu, ViT-B-32-quickgelu or ViT-L-14-quickgelu.",
        )


def known_backbones() -> tuple[str, ...]:
    """The shipped backbone, open_clip's plain CLIPs with a ViT or a ResNet, and torchvision's ResNets."""
    files = [file for kind in ("ViT-*", "RN*") for file in sorted(_configurations().glob(f"{kind}.json"))]
    plain = [file.stem for file in files if not _beyond_plain(json.loads(file.read_text(encoding="utf-8")))]
    return (TINY, *plain, *IMAGENET)


def is_resnet(configuration: Mapping[str, Any]) -> bool:
    """Whether the image tower is a ResNet, of which a configuration says how long each of four stages is."""
    return isinstance(configuration["vision_cfg"].get("layers"), list)


def has_text_encoder(backbone: str) -> bool:
    """Whether ``backbone`` can read text at all."""
    return "text_cfg" in architecture(backbone)


def without_vit(
    backbone: str, needing: str = "the adapters need", instead: str = 'set model.strategy = "frozen"'
) -> ConfigError:
    """What to raise where a ViT is needed, and the backbone's image tower is a ResNet."""
    return ConfigError(
        f"backbone {backbone} is not a plain ViT CLIP, which {needing} (it has a ResNet)",
        next_step="Use for example ViT-B-16-quickgelu, ViT-B-32-quickgelu or ViT-L-14-quickgelu, or"
        f" {instead}.",
    )


def without_text_encoder(backbone: str) -> ConfigError:
    """What to raise where text is to be read with a backbone that cannot."""
    return ConfigError(
        f"backbone {backbone} has no text encoder; what reads text needs a CLIP",
        next_step="Set model.backbone to a CLIP, such as RN50-quickgelu or ViT-B-16-quickgelu, or choose what"
        " reads no text.",
    )


def _beyond_plain(configuration: Mapping[str, Any]) -> list[str]:
    """What a configuration says that no plain CLIP's does, or no plain ResNet's."""
    other = sorted(configuration.keys() - PLAIN_TOP)
    for table, plain in PLAIN.items():
        other += sorted(configuration.get(table, {}).keys() - plain)
    block = configuration["vision_cfg"].get("block", RESNET_BLOCKS[0])
    if block not in RESNET_BLOCKS:
        other.append(f"block {block}")
    if ("text_cfg" in configuration) == ("block" in configuration["vision_cfg"]):
        other.append("without text_cfg" if "text_cfg" not in configuration else "text_cfg")
    return other


def own_backbone(backbone: str, known: Iterable[str] = ()) -> Part | None:
    """The part that ``backbone`` names, or None where it is one of fsarctl's or open_clip's, or unknown.

    A part of the group "backbones" is a mapping, which is read like one of open_clip's model configurations,
    or an object with such a ``configuration`` and ``make(configuration)``, which gives the CLIP module.
    """
    installed = dict(installed_parts("backbones"))
    if backbone in known or not (is_own(backbone) or backbone in installed):
        return None
    return find_part("backbones", backbone, ())


def _own_configuration(part: Part) -> dict[str, Any]:
    own = part.load()
    found = own if isinstance(own, Mapping) else getattr(own, "configuration", None)
    vision = found.get("vision_cfg") if isinstance(found, Mapping) else None
    # A ResNet without a text encoder is as wide as its blocks make it.
    if (
        isinstance(found, Mapping)
        and isinstance(vision, Mapping)
        and ("embed_dim" in found or "block" in vision)
    ):
        return dict(found)
    what = f"a {type(own).__name__}" if found is None else "a configuration without embed_dim and vision_cfg"
    raise ConfigError(
        f"{part.called} is {what}, not a mapping of embed_dim, vision_cfg and text_cfg",
        next_step="Write it like open_clip's model configurations, or as an object with such a"
        " `configuration` and `make(configuration)`.",
    )


def image_side(backbone: str) -> int:
    """Side of the square that ``backbone`` reads, pixels."""
    size = architecture(backbone)["vision_cfg"].get("image_size", IMAGE_SIZE)
    return int(size if isinstance(size, int) else size[0])


def stored_side(backbone: str) -> int:
    """Side of the square that is stored for it: 1.15 times as much, so that crops have room."""
    return image_side(backbone) * 115 // 100


def _configurations() -> Path:
    return open_clip_folder() / "model_configs"
