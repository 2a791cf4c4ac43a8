"""Whether the values of settings are valid, and what to correct where not."""

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from fsarctl.config.tables import FILE_NAME, NAMED_TABLES, OPTIONS, TABLES, Config
from fsarctl.config.unknown_settings import check_known_field
from fsarctl.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = [
    "FLAG",
    "PRESET_FOR",
    "check_ordinary",
    "table_of",
    "validated",
]

FLAG = "--set "
PRESET_FOR = " for "
DEEPEST = 16
"""Lists and tables in each other, within one setting."""


def check_ordinary(key: str, value: Any, origin: str, depth: int = 0) -> None:
    """Refuse what no setting is, and would go wrong later: numbers beyond 64 bits, and endless nesting.

    Raises:
        ConfigError: it is such a value; ``origin`` is named.
    """
    if depth > DEEPEST:
        raise ConfigError(
            f"{origin}: {key} is nested too deeply",
            next_step=f"Nest it {DEEPEST} deep at most, or leave it out.",
        )
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ConfigError(
            f"{origin}: {key} holds a whole number of {value.bit_length()} bits; all must be below 2^63",
            next_step="Write a smaller one; `fsarctl config show` lists every setting's meaning.",
        )
    within = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for each in within:
        check_ordinary(key, each, origin, depth + 1)


def table_of(cls: type[Any], name: str, content: Mapping[str, Any], origin: str) -> Any:
    """``content`` as the dataclass of a table, checked like fsarctl.toml.

    Raises:
        ConfigError: an unknown key, or a value of the wrong type or out of range; ``origin`` is named.
    """
    for key in content:
        check_known_field(cls, name, key, origin)
    return _table(cls, name, content, {f"{name}.{key}": origin for key in content})


def validated(values: Mapping[str, Any], origins: Mapping[str, str]) -> Config:
    """``values`` by dotted key as the tables of a project.

    Raises:
        ConfigError: one is of the wrong type or out of range; its origin is named.
    """
    # Names may hold dots when quoted in TOML, so a key is split at its last dot only.
    content: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        table, _, name = key.rpartition(".")
        content.setdefault(table, {})[name] = value
    if options := content.pop(OPTIONS, None):
        content.setdefault("model", {})["options"] = options
    for inner in [name for name in TABLES if "." in name and name in content]:
        outer, _, name = inner.rpartition(".")
        content.setdefault(outer, {})[name] = content.pop(inner)
    tables: dict[str, Any] = {
        name: _table(cls, name, content.get(name, {}), origins)
        for name, cls in TABLES.items()
        if "." not in name
    }
    named: dict[str, Any] = {
        group: {
            table.removeprefix(f"{group}."): _table(cls, table, keys, origins)
            for table, keys in content.items()
            if table.startswith(f"{group}.")
        }
        for group, cls in NAMED_TABLES.items()
    }
    return Config(**named, **tables)


def _table(cls: type[Any], table: str, content: Mapping[str, Any], origins: Mapping[str, str]) -> Any:
    from pydantic import ValidationError

    try:
        # Strict JSON is the mode that takes lists for tuples and 1 for 1.0, but never "1" for 1.
        return _adapter(cls).validate_json(json.dumps(content, default=str), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        key = f"{table}.{first['loc'][0]}" if first["loc"] else table
        if key in TABLES and len(first["loc"]) > 1:
            key = f"{key}.{first['loc'][1]}"
        value = json.dumps(first["input"], ensure_ascii=False, default=str)
        origin = origins.get(key, FILE_NAME)
        table, _, name = key.rpartition(".")
        known = {each.name: each.metadata.get("meaning") for each in fields(TABLES.get(table, cls))}
        meaning = known.get(name)
        raise ConfigError(
            f"{origin}: {key} = {value}: {first['msg'].lower()}",
            next_step=_unset(origin)
            or (
                # which fails itself where the file is wrong
                "`fsarctl config show` lists every setting with its meaning."
                if origin.startswith(FLAG) or not meaning
                else f"Correct it in {FILE_NAME}. It is: {meaning}."
            ),
        ) from None
    except ConfigError as error:
        origin = origins.get(f"{table}.{error.message.partition(' ')[0]}", FILE_NAME)
        unset = _unset(origin)
        whose = f"{origin}: " if unset else ""
        message, step = f"{whose}[{table}] {error.message}", unset or error.next_step
        if own := {} if unset else _named_own(cls, table, error.message, origins):
            message += f" ({'; '.join(f'{key} is as {whose} has it' for key, whose in own.items())})"
            step = f"Set {' and '.join(own)} as well, to go with what you set."
        raise ConfigError(message, next_step=step) from None


def _named_own(cls: type[Any], table: str, message: str, origins: Mapping[str, str]) -> dict[str, str]:
    """Those of the settings that a message names which are a method's own, and what that is called."""
    words = set(re.findall(r"\w+", message))
    named = [f"{table}.{each.name}" for each in fields(cls) if each.name in words]
    origin = {key: origins[key] for key in named if key in origins}
    return {key: each for key, each in origin.items() if PRESET_FOR in each and not each.startswith(FLAG)}


def _unset(origin: str) -> str:
    """What to do about a value of the environment; nothing of one from elsewhere."""
    variable = origin.startswith("FSARCTL_")
    return f"Correct the environment variable, or: unset {origin}" if variable else ""


_adapters: "dict[type[Any], TypeAdapter[Any]]" = {}


def _adapter(cls: type[Any]) -> "TypeAdapter[Any]":
    """Made once for a kind of table: a sweep makes the settings of every row."""
    from pydantic import TypeAdapter

    return _adapters.setdefault(cls, _adapters.get(cls) or TypeAdapter(cls))
