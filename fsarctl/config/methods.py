"""The few-shot methods that come with fsarctl: what they are called, and their published settings.

Each is a folder of ``fsarctl/methods`` with a ``method.toml`` in it. Needs no torch.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from fsarctl.config.plugins import Part, find_part

__all__ = ["ANY", "TASK_ADAPTER", "MethodFile", "Preset", "find_method", "method_file", "method_names"]

TASK_ADAPTER = "task-adapter++"
"""The method whose settings are those of [model]; all others have theirs in [model.options]."""
ANY = "any"
"""The preset for what is no benchmark with one of its own."""
FOLDER = Path(__file__).parent.parent / "methods"


@dataclass(frozen=True)
class Preset:
    """A method's settings for one benchmark, by dotted key ("train.lr", "model.options.smoothing")."""

    source: str
    """Where they are from: a file of the authors, a table of the paper, or the command that chose them."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    shots: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    """What is different at so many shots, or at more, up to the next."""

    def of_shot(self, shot: int) -> dict[str, Any]:
        """The settings for ``shot`` support clips a class."""
        below = [each for each in self.shots if each <= shot]
        return {**self.settings, **(self.shots[max(below)] if below else {})}


@dataclass(frozen=True)
class MethodFile:
    """What a method.toml says."""

    title: str
    """What people call it."""
    target: str
    """Its class, ``package.module:name``."""
    paper: str
    """Authors, title, where, year, arXiv number."""
    presets: Mapping[str, Preset]

    def preset(self, benchmark: str) -> Preset | None:
        """The settings for a benchmark, or those for any."""
        return self.presets.get(benchmark) or self.presets.get(ANY)


@cache
def method_names() -> tuple[str, ...]:
    """The names of fsarctl's methods, Task-Adapter++ first."""
    found = {_name(file.parent.name) for file in FOLDER.glob("*/method.toml")}
    return (TASK_ADAPTER, *sorted(found - {TASK_ADAPTER}))


@cache
def method_file(name: str) -> MethodFile:
    """What is known of the method ``name``, one of ``method_names()``."""
    folder = name.replace("-", "_").replace("+", "_plus")
    content = tomllib.loads((FOLDER / folder / "method.toml").read_text(encoding="utf-8"))
    presets = {benchmark: _preset(each) for benchmark, each in content.pop("presets", {}).items()}
    return MethodFile(**content, presets=presets)


def find_method(name: str) -> Part | None:
    """The part that a method's name means; None for Task-Adapter++.

    Raises:
        ConfigError: there is no such method; all are listed.
    """
    names = method_names()
    if name == TASK_ADAPTER or name not in names:
        return find_part("methods", name, names)
    return Part("methods", method_file(name).target, name)


def _name(folder: str) -> str:
    return folder.replace("_plus", "+").replace("_", "-")


def _preset(content: dict[str, Any]) -> Preset:
    source, shots = content.pop("source"), content.pop("shots", {})
    return Preset(source, _dotted(content), {int(shot): _dotted(each) for shot, each in shots.items()})


def _dotted(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    prefix = {"options": "model.options"}
    return {
        f"{prefix.get(table, table)}.{name}": value
        for table, content in tables.items()
        for name, value in content.items()
    }
