"""Task-Adapter++: backbone, adapters, both branches, alignment and metrics.

The names below load torch when they are first used, not when this package is imported.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fsarctl.models.backbone import Backbone, load_backbone
    from fsarctl.models.formulation import PRESETS, Formulation
    from fsarctl.models.metrics import METRICS
    from fsarctl.models.task_adapter import Scores, TaskAdapterPlusPlus

__all__ = [
    "METRICS",
    "PRESETS",
    "Backbone",
    "Formulation",
    "Scores",
    "TaskAdapterPlusPlus",
    "load_backbone",
]

_HOMES = {
    "METRICS": "metrics",
    "PRESETS": "formulation",
    "Backbone": "backbone",
    "Formulation": "formulation",
    "Scores": "task_adapter",
    "TaskAdapterPlusPlus": "task_adapter",
    "load_backbone": "backbone",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
