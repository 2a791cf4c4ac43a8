"""All parts that a setting may name, fsarctl's own and those of installed packages; one method in full."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, get_args, get_type_hints

from fsarctl.config.json_schema import known_parts
from fsarctl.config.methods import TASK_ADAPTER, Preset, find_method, method_file, method_names
from fsarctl.config.named_parts import NamedPart
from fsarctl.config.plugins import GROUPS, find_part, installed_parts, require_known
from fsarctl.config.setting_field import default_of
from fsarctl.errors import FsarctlError
from fsarctl.models.backbone_catalogue import known_backbones
from fsarctl.models.strategies import STRATEGIES
from fsarctl.progress import first_of

__all__ = ["Described", "Named", "OptionOf", "describe", "parts"]


@dataclass(frozen=True)
class Named:
    """One part: what kind it is, its name, the setting that names it, and whose it is."""

    kind: str
    name: str
    setting: str
    source: str
    fault: str = ""
    """Why it cannot be used, of one that a project names or that is installed."""


SETTINGS = {
    "methods": "model.method",
    "metrics": "model.metric",
    "backbones": "model.backbone",
    "datasets": "datasets.NAME.kind",
}


def parts(named: Iterable[NamedPart] = ()) -> list[Named]:
    """Every part, by kind; of one kind fsarctl's first, and the ``named`` last, which are imported."""
    own = {**known_parts(), "backbones": known_backbones()}
    found = []
    for group, (kind, entry_points) in GROUPS.items():
        found += [Named(kind, name, SETTINGS[group], "fsarctl") for name in own[group]]
        found += [
            Named(
                kind, name, SETTINGS[group], f"{target} ({entry_points})", _not_meant(group, name, own[group])
            )
            for name, target in installed_parts(group)
        ]
        found += [
            Named(kind, each.name, each.setting, each.origin, _fault(each))
            for each in named
            if each.group == group
        ]
        if group == "methods":
            found += [Named("strategy", name, "model.strategy", "fsarctl") for name in STRATEGIES]
    return found


def _not_meant(group: str, name: str, own: Iterable[str]) -> str:
    """Why no setting can name an installed part so; it is not imported for that."""
    if name in own:
        return "the name means fsarctl's own: name it as package.module:name"
    try:
        require_known(group, name, ())
    except FsarctlError as error:
        return error.message
    return ""


def _fault(named: NamedPart) -> str:
    try:
        if part := find_part(named.group, named.name, ()):
            part.load()
    except FsarctlError as error:
        return error.message
    return ""


@dataclass(frozen=True)
class OptionOf:
    """One option of a method."""

    name: str
    default: Any
    meaning: str
    allowed: tuple[str, ...]
    """Its values where it has but a few."""


@dataclass(frozen=True)
class Described:
    """What there is to say of a method."""

    name: str
    title: str
    paper: str
    about: str
    text: str
    """What it reads of a class."""
    queries_meet: bool
    options: tuple[OptionOf, ...]
    settings: str
    """Where its options are instead, if they are not in model.options."""
    presets: Mapping[str, Preset]


def describe(name: str) -> Described:
    """The method ``name`` in full; this imports it.

    Raises:
        ConfigError: there is no such method, or it is none.
    """
    from fsarctl.methods.build import method_class
    from fsarctl.methods.task_adapter_plus_plus.method import TaskAdapterPlusPlus

    part = find_method(name)
    own: Any = method_class(part) if part else TaskAdapterPlusPlus
    known = method_file(name) if name in method_names() else None
    kind = getattr(own, "Options", None)
    hints = get_type_hints(kind) if kind else {}
    options = tuple(
        OptionOf(
            each.name,
            default_of(each),
            each.metadata.get("meaning", ""),
            tuple(map(str, get_args(hints[each.name]))) if "Literal" in str(hints[each.name]) else (),
        )
        for each in (fields(kind) if kind else ())
    )
    return Described(
        name=name,
        title=known.title if known else own.__name__,
        paper=known.paper if known else "",
        about=(own.__doc__ or "").strip().partition("\n\n")[0].replace("\n", " "),
        text=_text_of(own) if part else "three sub-actions of a class, or its label (model.sub_actions)",
        queries_meet=own.queries_meet,
        options=options,
        settings="the other settings of [model], see `fsarctl config show`" if name == TASK_ADAPTER else "",
        presets=known.presets if known else {},
    )


def _text_of(own: Any) -> str:
    if not own.reads_text:
        return "none"
    use = own.sub_actions
    if isinstance(use, tuple):
        return f"the label, as {first_of([*map(repr, use)], 1)}"
    return "the label" if use == "none" else "three sub-actions of a class"
