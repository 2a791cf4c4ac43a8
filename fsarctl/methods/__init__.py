"""Few-shot methods: from the settings to a model that scores queries against a support set.

The names below load torch when they are first used, not when this package is imported.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fsarctl.methods.formulation import PRESETS, Formulation
    from fsarctl.methods.protocol import FewShotMethod, Scores
    from fsarctl.methods.task_adapter import TaskAdapterPlusPlus

__all__ = [
    "PRESETS",
    "FewShotMethod",
    "Formulation",
    "Scores",
    "TaskAdapterPlusPlus",
]

_HOMES = {
    "PRESETS": "formulation",
    "Formulation": "formulation",
    "FewShotMethod": "protocol",
    "Scores": "protocol",
    "TaskAdapterPlusPlus": "task_adapter",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
