"""The parts of somebody's own that a project names."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from fsarctl.config.dataset_table import DatasetConfig
from fsarctl.config.model_table import ModelConfig
from fsarctl.config.plugins import is_own
from fsarctl.config.read_settings import what_is_said

__all__ = [
    "NamedPart",
    "parts_named",
]

PART_OF: Mapping[str, str] = {
    each.name: each.metadata["part"]
    for cls in (ModelConfig, DatasetConfig)
    for each in fields(cls)
    if each.metadata["part"]
}
"""Setting that names a part -> the group of parts."""
PART_SETTING = re.compile(
    r"(?:ablate\..+\.)?(?:model\.(\w+)|datasets\.(?!.*\.(?:options|names)\.).+\.(kind))"
)
"""The key of one, in the file or in a sweep of it; what a kind is given or a label called is no setting."""


@dataclass(frozen=True)
class NamedPart:
    """A part of somebody's own, and where it is named."""

    group: str
    name: str
    """``package.module:name``."""
    setting: str
    """The dotted key, in a sweep with what is before it: ``ablate.mine.set.model.metric``."""
    origin: str
    """``fsarctl.toml``, or a variable of the environment."""


def parts_named(
    start: Path, environment: Mapping[str, str] = os.environ, *, required: bool = True
) -> list[NamedPart]:
    """The parts of somebody's own that the project of ``start`` names as ``package.module:name``.

    None of them is looked for: settings that name one that is not there are no settings otherwise.

    Raises:
        ConfigError: there is no project where one is ``required``, or what it says is not known or no TOML.
    """
    said = what_is_said(start, (), environment, required=required)
    found = []
    for key, value in said.values.items():
        for setting, text in _texts(key, value):
            named = PART_SETTING.fullmatch(setting)
            group = PART_OF.get(named[1] or named[2]) if named else None
            if group and is_own(text):
                found.append(NamedPart(group, text, setting, said.origins[key]))
    return list(dict.fromkeys(found))


def _texts(key: str, value: Any) -> Iterator[tuple[str, str]]:
    """The texts of a setting, or of a sweep's settings within it, each by its dotted key."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _texts(f"{key}.{name}", each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(key, each)
