"""Parts of open_clip without the whole of it, which imports torchvision, timm and torch's compiler: seconds.

Its folder is found without importing anything; modules that need none of its others are imported alone.
"""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from fsarctl.errors import ConfigError

__all__ = ["open_clip_folder", "open_clip_part"]

PACKAGE = "open_clip"
ALONE = "_fsarctl_open_clip"
"""A package of the same folder whose start imports nothing."""


def open_clip_folder() -> Path:
    """Where open_clip is installed.

    Raises:
        ConfigError: nowhere.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError("open_clip is not installed", next_step="pip install open_clip_torch")
    return Path(spec.submodule_search_locations[0])


def open_clip_part(name: Literal["constants", "pretrained", "tokenizer"]) -> Any:
    """A module of open_clip that needs no other part of it; that of the package where it is loaded anyway.

    Raises:
        ConfigError: open_clip is not installed.
    """
    if PACKAGE in sys.modules:
        return importlib.import_module(f"{PACKAGE}.{name}")
    if ALONE not in sys.modules:
        package = ModuleType(ALONE)
        package.__path__ = [str(open_clip_folder())]
        sys.modules[ALONE] = package
    return importlib.import_module(f"{ALONE}.{name}")
