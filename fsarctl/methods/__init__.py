"""Few-shot methods: from the settings to a model that scores queries against a support set.

The names below load torch when they are first used, not when this package is imported.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from fsarctl.methods.formulation import PRESETS, Formulation
    from fsarctl.methods.protocol import FewShotMethod, QueryMode, Scores
    from fsarctl.methods.task_adapter import TaskAdapterPlusPlus

__all__ = ["PRESETS", "FewShotMethod", "Formulation", "QueryMode", "Scores", "TaskAdapterPlusPlus"]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "formulation": ["PRESETS", "Formulation"],
        "protocol": ["FewShotMethod", "QueryMode", "Scores"],
        "task_adapter": ["TaskAdapterPlusPlus"],
    },
)
