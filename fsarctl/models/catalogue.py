"""What is known of a backbone without loading it: open_clip's own configuration files, read as JSON."""

import importlib.util
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from fsarctl.config.parts import Part, find_part, installed_parts, is_own
from fsarctl.errors import ConfigError
from fsarctl.errors.nearest import nearest
from fsarctl.models import tiny_clip

__all__ = [
    "PLAIN",
    "PLAIN_TOP",
    "TINY",
    "architecture",
    "image_side",
    "known_backbones",
    "own_backbone",
    "stored_side",
]

TINY = "tiny"

# What a plain CLIP's configuration may say; anything else makes another architecture.
PLAIN = {
    "vision_cfg": {"layers", "width", "head_width", "patch_size", "image_size", "mlp_ratio"},
    "text_cfg": {"layers", "width", "heads", "context_length", "vocab_size", "mlp_ratio", "tokenizer_kwargs"},
}
PLAIN_TOP = {"embed_dim", "quick_gelu", "vision_cfg", "text_cfg"}


@cache
def architecture(backbone: str) -> dict[str, Any]:
    """open_clip's model configuration of ``backbone``, or that of the shipped tiny CLIP.

    Raises:
        ConfigError: no such backbone; the nearest names are suggested.
    """
    files = {TINY: Path(tiny_clip.CONFIG)}
    if backbone != TINY and not is_own(backbone):
        files |= {file.stem: file for file in _configurations().glob("*.json")}
    if part := own_backbone(backbone, files):
        own = part.load()
        return dict(own if isinstance(own, Mapping) else own.configuration)
    if backbone not in files:
        near = nearest(backbone, files, 3) or [TINY, "ViT-B-16-quickgelu"]
        raise ConfigError(
            f"there is no backbone {backbone!r}",
            next_step=f"Set model.backbone to an open_clip ViT, for example {', '.join(near)}.",
        )
    content: dict[str, Any] = json.loads(files[backbone].read_text(encoding="utf-8"))
    return content


def known_backbones() -> tuple[str, ...]:
    """The shipped backbone, and open_clip's plain ViTs that the adapters fit into."""
    names = [TINY]
    for file in sorted(_configurations().glob("ViT-*.json")):
        content = json.loads(file.read_text(encoding="utf-8"))
        if content.keys() <= PLAIN_TOP and all(
            content[table].keys() <= plain for table, plain in PLAIN.items()
        ):
            names.append(file.stem)
    return tuple(names)


def own_backbone(backbone: str, known: Iterable[str] = ()) -> Part | None:
    """The part that ``backbone`` names, or None where it is one of fsarctl's or open_clip's, or unknown.

    A part of the group "backbones" is a mapping, which is read like one of open_clip's model configurations,
    or an object with such a ``configuration`` and ``make(configuration)``, which gives the CLIP module.
    """
    installed = dict(installed_parts("backbones"))
    if backbone in known or not (is_own(backbone) or backbone in installed):
        return None
    return find_part("backbones", backbone, ())


def image_side(backbone: str) -> int:
    """Side of the square that ``backbone`` reads, pixels."""
    size = architecture(backbone)["vision_cfg"].get("image_size", 224)
    return int(size if isinstance(size, int) else size[0])


def stored_side(backbone: str) -> int:
    """Side of the square that is stored for it: 1.15 times as much, so that crops have room."""
    return image_side(backbone) * 115 // 100


def _configurations() -> Path:
    # find_spec finds the package without importing it, and torch with it.
    spec = importlib.util.find_spec("open_clip")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError("open_clip is not installed", next_step="pip install open_clip_torch")
    return Path(spec.submodule_search_locations[0]) / "model_configs"
