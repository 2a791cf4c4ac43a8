"""Few-shot methods: from the settings to a model that scores queries against a support set.

The names below load torch when they are first used, not when this package is imported.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from fsarctl.methods.protocol import FewShotMethod, QueryMode, Scores
    from fsarctl.methods.task_adapter_plus_plus.formulation import PRESETS, Formulation
    from fsarctl.methods.task_adapter_plus_plus.method import TaskAdapterPlusPlus

__all__ = ["PRESETS", "FewShotMethod", "Formulation", "QueryMode", "Scores", "TaskAdapterPlusPlus"]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "protocol": ["FewShotMethod", "QueryMode", "Scores"],
        "task_adapter_plus_plus.formulation": ["PRESETS", "Formulation"],
        "task_adapter_plus_plus.method": ["TaskAdapterPlusPlus"],
    },
)
