"""What the sources of settings say: --set arguments, FSARCTL_* variables, and fsarctl.toml.

A later source wins, and for each value it is remembered which one it came from.
"""

import json
import os
import re
import shlex
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from fsarctl.config.dataset_table import DatasetConfig
from fsarctl.config.tables import FILE_NAME, NAMED_TABLES, OPTIONS, TABLES
from fsarctl.config.text_file import BYTE_ORDER_MARK, read_text
from fsarctl.config.unknown_settings import check_known
from fsarctl.config.validation import DEEPEST, FLAG, check_ordinary
from fsarctl.errors import ConfigError, InputError
from fsarctl.errors.addresses import hidden
from fsarctl.errors.nearest import did_you_mean

__all__ = [
    "Said",
    "merge",
    "no_project",
    "options_apart",
    "override",
    "overriding",
    "toml_key",
    "what_is_said",
]

MOST_DOTS = 1000
# Variables that name places or moods rather than settings; the command line reads them itself.
NOT_SETTINGS = {
    *("FSARCTL_CACHE", "FSARCTL_PROJECT", "FSARCTL_DEBUG", "FSARCTL_DEVICE", "FSARCTL_ENGINE"),
    "FSARCTL_TOKEN",
}


def toml_key(name: str) -> str:
    """A name as a key of fsarctl.toml, in quotes if it needs them."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


def override(key: str, text: str) -> str:
    """A ``--set`` argument that gives ``key`` this text, even where it looks like a number."""
    return f"{key}={text if _parse(text.strip()) == text else json.dumps(text, ensure_ascii=False)}"


def options_apart(overrides: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """``--set`` arguments without those of a method's options, and these by the option's name.

    Raises:
        ConfigError: one is no KEY=VALUE.
    """
    rest: list[str] = []
    options: dict[str, str] = {}
    for text in overrides:
        key, value = _from_override(text)
        if key == OPTIONS or key.startswith(f"{OPTIONS}."):
            parts = _parts(key, value).items()
            options |= {each.removeprefix(f"{OPTIONS}."): f"{each}={json.dumps(one)}" for each, one in parts}
        else:
            rest.append(text)
    return rest, options


class Said(NamedTuple):
    """What all sources say, by dotted key, and where each value is from."""

    root: Path
    """The project's, or where it was looked for."""
    has_file: bool
    values: dict[str, Any]
    origins: dict[str, str]


def what_is_said(
    start: Path, overrides: Sequence[str], environment: Mapping[str, str], *, required: bool
) -> Said:
    """What the file of ``start``'s project, the environment and ``--set`` arguments say.

    Raises:
        ConfigError: no fsarctl.toml here or above where one is ``required``, broken TOML, or an unknown key.
    """
    start = Path(os.path.expanduser(start))  # noqa: PTH111 - a home that is unknown stays
    path = _find(start)
    if path is None and required:
        raise no_project(start)
    file = _read(path) if path else {}
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    sources = [
        (FILE_NAME, _flatten(file)),
        *((variable, [item]) for variable, item in _from_environment(environment, file)),
        *overriding(overrides),
    ]
    merge(values, origins, sources)
    return Said(path.parent if path else start.resolve(), path is not None, values, origins)


def merge(
    values: dict[str, Any], origins: dict[str, str], sources: Sequence[tuple[str, Sequence[tuple[str, Any]]]]
) -> None:
    """Put what ``sources`` say over ``values``; of each, its name and (dotted key, value).

    Raises:
        ConfigError: a key that is not known, or a value that no setting has.
    """
    for origin, items in sources:
        for key, value in items:
            check_known(key, origin)
            check_ordinary(key, value, origin)
            # A table given whole (splits = {...}) replaces what was there; its parts are not merged.
            for replaced in [each for each in values if each == key or each.startswith(f"{key}.")]:
                del values[replaced]
            parts = _parts(key, value)
            values |= parts
            origins |= dict.fromkeys(parts, origin)


def _parts(key: str, value: Any) -> dict[str, Any]:
    """A setting by itself, but those of a table within a table one by one, as any other may set them."""
    if key not in (OPTIONS, *TABLES) or not isinstance(value, Mapping):
        return {key: value}
    return {f"{key}.{name}": each for name, each in value.items()}


def overriding(overrides: Sequence[str]) -> list[tuple[str, list[tuple[str, Any]]]]:
    """The ``--set`` arguments as sources, whose names are shown."""
    return [(hidden(f"{FLAG}{text}"), [_from_override(text)]) for text in overrides]


def no_project(start: Path) -> ConfigError:
    """There is none in ``start`` or above it."""
    there = "" if start.resolve() == Path.cwd() else f"cd {shlex.quote(str(start))} && "
    return ConfigError(
        f"there is no {FILE_NAME} in {start} or above it",
        next_step=f"{there}fsarctl init --demo (a project that runs as it is); for your own clips: fsarctl "
        "init FOLDER; and --project names one that is elsewhere.",
    )


def _find(start: Path) -> Path | None:
    if not start.is_dir():
        raise ConfigError(f"there is no directory {start}", next_step="Correct --project.")
    for folder in (start, *start.resolve().parents):
        if (folder / FILE_NAME).is_file():
            return (folder / FILE_NAME).resolve()
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        text = read_text(path, FILE_NAME, "Settings are UTF-8 text, in TOML.", one_name=True)
        return _toml(text.removeprefix(BYTE_ORDER_MARK))
    except InputError as error:
        raise ConfigError(error.message, next_step=error.next_step) from None
    except RecursionError:
        raise ConfigError(
            f"{path} is not valid TOML: a value is nested too deeply",
            next_step=f"Nest it {DEEPEST} deep at most.",
        ) from None
    except ValueError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}", next_step="Correct that line.") from None


def _toml(text: str) -> dict[str, Any]:
    """What TOML says. A key of many parts costs tomllib the square of their number.

    Raises:
        ValueError: it is no TOML, or none that settings need.
        RecursionError: it is nested without an end.
    """
    if max((line.count(".") for line in text.splitlines()), default=0) > MOST_DOTS:
        raise ValueError(f"a line has more than {MOST_DOTS:,} dots")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:  # Python's, with advice for who writes Python
        raise ValueError(f"a whole number has more than {sys.get_int_max_str_digits():,} digits") from None


def _flatten(file: Mapping[str, Any]) -> list[tuple[str, Any]]:
    items: list[tuple[str, Any]] = []
    for table, content in file.items():
        if not isinstance(content, dict):
            raise ConfigError(
                f"{FILE_NAME}: {table} stands outside any table", next_step="Put it under its [table]."
            )
        if table in NAMED_TABLES:
            for name, inner in content.items():
                if not isinstance(inner, dict):
                    raise ConfigError(
                        f"{FILE_NAME}: {table}.{name} is not a table", next_step=f"Write [{table}.{name}]."
                    )
                items += [(f"{table}.{name}.{key}", value) for key, value in inner.items()]
                if not inner:
                    raise ConfigError(
                        f"{FILE_NAME}: [{table}.{name}] is empty", next_step="Fill it, or remove it."
                    )
        else:
            items += [(f"{table}.{key}", value) for key, value in content.items()]
            if not content:
                check_known(f"{table}.", FILE_NAME)
    return items


def _from_environment(
    environment: Mapping[str, str], file: Mapping[str, Any]
) -> list[tuple[str, tuple[str, Any]]]:
    keys = {
        f"FSARCTL_{t}_{f.name}".replace(".", "_").upper(): f"{t}.{f.name}"
        for t, c in TABLES.items()
        for f in fields(c)
    }
    for name in file.get("datasets", {}):
        for each in fields(DatasetConfig):
            keys[f"FSARCTL_DATASETS_{name}_{each.name}".upper()] = f"datasets.{name}.{each.name}"
    found = []
    for variable in sorted(environment):
        if not variable.startswith("FSARCTL_") or variable in NOT_SETTINGS:
            continue
        if variable not in keys:
            raise ConfigError(
                f"the environment variable {variable} is no setting",
                next_step=f"Unset it{did_you_mean(variable, keys)}",
            )
        found.append((variable, (keys[variable], _parse(environment[variable]))))
    return found


def _from_override(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(
            f"--set {text!r} is not KEY=VALUE", next_step="Write, for example, --set train.lr=0.01"
        )
    return key.strip(), _parse(value.strip())


def _parse(text: str) -> Any:
    """A value as TOML where it is TOML, and otherwise the text itself, so that quotes are optional."""
    try:
        read = _toml(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return read["value"] if len(read) == 1 else text  # lines after the first would set something else
