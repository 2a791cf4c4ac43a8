"""All parts that a setting may name: fsarctl's own, and those of installed packages. Needs no torch."""

from dataclasses import dataclass

from fsarctl.config.parts import GROUPS, installed_parts
from fsarctl.config.schema import KNOWN_PARTS
from fsarctl.models.catalogue import known_backbones
from fsarctl.models.strategies import STRATEGIES

__all__ = ["Named", "parts"]


@dataclass(frozen=True)
class Named:
    """One part: what kind it is, its name, the setting that names it, and whose it is."""

    kind: str
    name: str
    setting: str
    source: str


SETTINGS = {
    "methods": "model.method",
    "metrics": "model.metric",
    "backbones": "model.backbone",
    "datasets": "datasets.NAME.kind",
}


def parts() -> list[Named]:
    """Every part, by kind; of one kind fsarctl's first."""
    own = {**KNOWN_PARTS, "backbones": known_backbones()}
    found = []
    for group, (kind, entry_points) in GROUPS.items():
        found += [Named(kind, name, SETTINGS[group], "fsarctl") for name in own[group]]
        found += [
            Named(kind, name, SETTINGS[group], f"{target} ({entry_points})")
            for name, target in installed_parts(group)
        ]
        if group == "methods":
            found += [Named("strategy", name, "model.strategy", "fsarctl") for name in STRATEGIES]
    return found
