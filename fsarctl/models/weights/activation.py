"""GELU or QuickGELU: with the other one everything loads and runs, and every feature is slightly wrong.

A file of weights seldom says which it was trained with, and fits backbones of either. What decides is
OpenAI's three sizes among its weights, or the configuration beside it. Needs no torch.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from fsarctl.errors import ConfigError
from fsarctl.models.backbone_catalogue import architecture, own_backbone
from fsarctl.progress import first_of

__all__ = ["OPENAI_SIZES", "require_activation", "settle_activation", "twin"]

OPENAI_SIZES = frozenset({"input_resolution", "context_length", "vocab_size"})
"""OpenAI's archives keep three sizes as if they were weights; nobody else's do."""

QUICK = "-quickgelu"
NAMED = 4


def require_activation(name: str, configuration: Mapping[str, Any], quick_gelu: bool, what: str) -> None:
    """Refuse a backbone whose activation is not that of its weights; ``what`` names these.

    Raises:
        ConfigError: it is the other one.
    """
    if bool(configuration.get("quick_gelu", False)) != quick_gelu:
        right = f"{name}{QUICK}" if quick_gelu else name.removesuffix(QUICK)
        raise ConfigError(
            f"{what} was trained with {_called(quick_gelu)}; backbone {name} has the other",
            next_step=f'Set model.backbone = "{right}".',
        )


def settle_activation(
    name: str,
    configuration: Mapping[str, Any],
    path: Path,
    names: Iterable[str],
    published: Callable[[], Mapping[str, bool]],
) -> list[str]:
    """What to say of a local file that does not tell its activation and fits backbones of either.

    ``names`` are those of its tensors, ``published`` gives the known weights of this architecture (a tag of
    open_clip -> whether it is QuickGELU).

    Raises:
        ConfigError: it tells, and the backbone has the other one.
    """
    told = True if OPENAI_SIZES & set(names) else _beside(path)
    if told is not None:
        require_activation(name, configuration, told, str(path))
        return []
    other = twin(name)
    if other is None:
        return []
    tagged = published()
    own = _called(bool(configuration.get("quick_gelu", False)))
    known = [
        f"{_called(kind)} for {first_of(tags, NAMED)}"
        for kind in (True, False)
        if (tags := [tag for tag, quick in tagged.items() if quick == kind])
    ]
    return [
        f"{path.name} does not say whether it was trained with QuickGELU or GELU: it fits both {name} and"
        f" {other}, whose features differ. model.backbone decides, and {name} takes it for {own}. What would"
        " tell: the config.json or open_clip_config.json that it came with, put beside it; or who trained it"
        + (f" ({'; '.join(known)})" if known else "")
    ]


def twin(name: str) -> str | None:
    """The backbone that differs from ``name`` in its activation alone."""
    if own_backbone(name):
        return None
    other = name.removesuffix(QUICK) if name.endswith(QUICK) else name + QUICK
    try:
        pair = [{k: v for k, v in architecture(each).items() if k != "quick_gelu"} for each in (name, other)]
    except ConfigError:
        return None
    return other if pair[0] == pair[1] else None


def _beside(path: Path) -> bool | None:
    """Whether the configuration beside a file says QuickGELU; None if there is none, or they disagree."""
    said = {_open_clip_says(path.parent), _transformers_says(path.parent)} - {None}
    return said.pop() if len(said) == 1 else None


def _open_clip_says(folder: Path) -> bool | None:
    model = _table(_json(folder / "open_clip_config.json").get("model_cfg"))
    return bool(model.get("quick_gelu", False)) if model else None


def _transformers_says(folder: Path) -> bool | None:
    content = _json(folder / "config.json")
    if content.get("model_type") != "clip":
        return None
    # What a configuration leaves out is quick_gelu there.
    towers = (_table(content.get(each)) for each in ("vision_config", "text_config"))
    kinds = {tower.get("hidden_act", "quick_gelu") for tower in towers}
    return {"quick_gelu": True, "gelu": False}.get(str(kinds.pop())) if len(kinds) == 1 else None


def _json(path: Path) -> Mapping[str, Any]:
    try:
        return _table(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):
        return {}


def _table(content: Any) -> Mapping[str, Any]:
    return content if isinstance(content, Mapping) else {}


def _called(quick_gelu: bool) -> str:
    return "QuickGELU" if quick_gelu else "GELU"
