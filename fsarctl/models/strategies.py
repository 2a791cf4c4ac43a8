"""What is trained, and where it sits: the rows of the paper's Tables 3, 8 and 9 as data. Needs no torch."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from fsarctl.config.methods import method_file, method_names
from fsarctl.config.model_table import (
    AdapterKind,
    OrderPosition,
    Position,
    Strategy,
    SubActionUse,
    TaskPosition,
)
from fsarctl.errors import ConfigError
from fsarctl.models.backbone_catalogue import IMAGENET

__all__ = [
    "FROZEN",
    "ORDER_FIRST",
    "POSITIONS",
    "PROMPTS",
    "STRATEGIES",
    "TITLES",
    "VISUAL_STEPS",
    "adapters_of",
    "chosen",
    "frozen_title",
    "title_of",
]

FROZEN: Strategy = "frozen"
"""The strategy that trains nothing, which every other is compared with."""

Key = TypeVar("Key", bound=str)
T = TypeVar("T")

STRATEGIES: Mapping[Strategy, tuple[AdapterKind, ...]] = {
    "frozen": (),
    "full": (),
    "aim": ("temporal", "spatial", "joint"),
    "task-adapter": ("temporal", "spatial", "task", "joint"),
    "task-adapter++": ("temporal", "spatial", "task", "joint", "order"),
}
"""Fine-tuning strategy -> the adapters that it trains; "full" trains the backbone itself (Table 3)."""

TITLES: Mapping[str, str] = {
    "frozen": "frozen CLIP",
    "full": "full fine-tuning",
    "aim": "AIM",
    "task-adapter": "Task-Adapter",
    "task-adapter++": "Task-Adapter++",
}
"""What people call the strategies."""


def frozen_title(backbone: str) -> str:
    """What people call the frozen model with this backbone."""
    return "frozen ResNet" if backbone in IMAGENET else TITLES[FROZEN]


def title_of(name: str) -> str:
    """What people call a result's model: a strategy's or a method's title, or the name of one not ours."""
    if name in TITLES or name not in method_names():
        return TITLES.get(name, name)
    return method_file(name).title


POSITIONS: Mapping[Position, Callable[[int, int], range]] = {
    "top": lambda blocks, layers: range(blocks - layers, blocks),
    "bottom": lambda blocks, layers: range(layers),
    "all": lambda blocks, layers: range(blocks),
}
"""Which blocks carry adapters, given how many there are and how many to adapt (Table 8)."""

VISUAL_STEPS: Mapping[TaskPosition, tuple[AdapterKind, ...]] = {
    "before": ("task", "temporal", "spatial"),
    "between": ("temporal", "task", "spatial"),
    "after": ("temporal", "spatial", "task"),
}
"""The order of a visual block's attentions: Task-MSA before, between or after T-MSA and S-MSA (Table 9)."""

ORDER_FIRST: Mapping[OrderPosition, bool] = {"before": True, "after": False}
"""Whether O-MSA comes before the block's own attention (Table 9)."""

PROMPTS: Mapping[SubActionUse, int] = {"none": 1, "average": 3, "concatenate": 1, "stages": 3}
"""How many prompts of a class the text encoder reads (Table 6); with one, matching is global."""


def adapters_of(strategy: str, adapters: Sequence[str] | None) -> tuple[AdapterKind, ...]:
    """The adapters of ``strategy``, or ``adapters`` instead, in the order of ``STRATEGIES``.

    Raises:
        ConfigError: an unknown strategy or adapter, or adapters for a strategy that has none.
    """
    kinds = chosen("strategy", strategy, STRATEGIES)
    if adapters is None:
        return kinds
    if not kinds:
        raise ConfigError(f"strategy {strategy!r} has no adapters", next_step="Leave model.adapters empty.")
    known = STRATEGIES["task-adapter++"]
    for name in adapters:
        chosen("adapters", name, {kind: kind for kind in known})
    return tuple(kind for kind in known if kind in adapters)


def chosen(setting: str, value: str, table: Mapping[Key, T]) -> T:
    """What ``table`` has for ``value``.

    Raises:
        ConfigError: the value is not in the table.
    """
    for key, content in table.items():
        if key == value:
            return content
    raise ConfigError(
        f"{setting} is {value!r}; it must be one of {', '.join(table)}",
        next_step=f"Set model.{setting} to one of these.",
    )
