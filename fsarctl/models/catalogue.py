"""What is known of a backbone without loading it: open_clip's own configuration files, read as JSON."""

import difflib
import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

from fsarctl.errors import ConfigError
from fsarctl.models import tiny_clip

__all__ = ["TINY", "architecture", "image_side", "stored_side"]

TINY = "tiny"


@cache
def architecture(backbone: str) -> dict[str, Any]:
    """open_clip's model configuration of ``backbone``, or that of the shipped tiny CLIP.

    Raises:
        ConfigError: no such backbone; the nearest names are suggested.
    """
    files = {TINY: Path(tiny_clip.CONFIG)}
    if backbone != TINY:
        files |= {file.stem: file for file in _configurations().glob("*.json")}
    if backbone not in files:
        nearest = difflib.get_close_matches(backbone, files, n=3) or [TINY, "ViT-B-16-quickgelu"]
        raise ConfigError(
            f"there is no backbone {backbone!r}",
            next_step=f"Set model.backbone to an open_clip ViT, for example {', '.join(nearest)}.",
        )
    content: dict[str, Any] = json.loads(files[backbone].read_text(encoding="utf-8"))
    return content


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
