"""Where settings come from: flags (--set), then FSARCTL_* variables, then fsarctl.toml, then defaults.

``load_settings`` finds fsarctl.toml upward from a directory, like git finds its root, merges the four
sources, and remembers for each value which one it came from. Unknown keys are errors that name the
nearest known one.
"""

import json
import os
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsarctl.config.dataset_table import DatasetConfig
from fsarctl.config.methods import Preset, method_file, method_names
from fsarctl.config.model_table import ModelConfig
from fsarctl.config.plugins import is_own
from fsarctl.config.sweep_table import AblateConfig
from fsarctl.config.tables import (
    CacheConfig,
    Config,
    DescribeConfig,
    ExecutionConfig,
    ExtractConfig,
    RayConfig,
    SlurmConfig,
    TrackingConfig,
)
from fsarctl.config.text_file import BYTE_ORDER_MARK, read_text
from fsarctl.config.training_tables import EvalConfig, TrainConfig
from fsarctl.errors import ConfigError, InputError
from fsarctl.errors.addresses import hidden, hidden_within
from fsarctl.errors.nearest import did_you_mean

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = [
    "FILE_NAME",
    "OPTIONS",
    "NamedPart",
    "Settings",
    "load_settings",
    "override",
    "parts_named",
    "require_project",
    "rows",
    "table_of",
    "toml_key",
]

FILE_NAME = "fsarctl.toml"
TABLES: Mapping[str, type[Any]] = {
    "describe": DescribeConfig,
    "extract": ExtractConfig,
    "model": ModelConfig,
    "train": TrainConfig,
    "eval": EvalConfig,
    "cache": CacheConfig,
    "execution": ExecutionConfig,
    "execution.ray": RayConfig,
    "execution.slurm": SlurmConfig,
    "tracking": TrackingConfig,
}
# Tables of tables: [datasets.NAME], [ablate.NAME].
NAMED_TABLES: Mapping[str, type[Any]] = {"datasets": DatasetConfig, "ablate": AblateConfig}
OPTIONS = "model.options"
FLAG = "--set "
PRESET_FOR = " for "
CHOOSING = ("model.method", "train.dataset", "train.published")
DATASET = "datasets."
DEEPEST = 16
"""Lists and tables in each other, within one setting."""
MOST_DOTS = 1000
# Variables that name places or moods rather than settings; the command line reads them itself.
NOT_SETTINGS = {
    *("FSARCTL_CACHE", "FSARCTL_PROJECT", "FSARCTL_DEBUG", "FSARCTL_DEVICE", "FSARCTL_ENGINE"),
    "FSARCTL_TOKEN",
}


PART_OF: Mapping[str, str] = {
    each.name: each.metadata["part"]
    for cls in (ModelConfig, DatasetConfig)
    for each in fields(cls)
    if each.metadata["part"]
}
"""Setting that names a part -> the group of parts."""
PART_SETTING = re.compile(
    r"(?:ablate\..+\.)?(?:model\.(\w+)|datasets\.(?!.*\.(?:options|names)\.).+\.(kind))"
)
"""The key of one, in the file or in a sweep of it; what a kind is given or a label called is no setting."""


@dataclass(frozen=True)
class NamedPart:
    """A part of somebody's own, and where it is named."""

    group: str
    name: str
    """``package.module:name``."""
    setting: str
    """The dotted key, in a sweep with what is before it: ``ablate.mine.set.model.metric``."""
    origin: str
    """``fsarctl.toml``, or a variable of the environment."""


@dataclass(frozen=True)
class Settings:
    """A project: where it is, what its file says, and where each value came from.

    ``origins`` maps a dotted key ("train.lr") to its source; a key that is not there has its default.
    """

    root: Path
    config: Config
    origins: Mapping[str, str]
    values: Mapping[str, Any]
    """What the sources say, by dotted key."""
    has_file: bool = True
    """False outside a project: everything is a flag's, the environment's, or a default."""

    def changed(self, overrides: Sequence[str]) -> "Settings":
        """These settings with more ``--set`` arguments on top.

        Raises:
            ConfigError: as ``load_settings``.
        """
        values, origins = dict(self.values), dict(self.origins)
        _merge(values, origins, _overriding(overrides))
        return _settled(self.root, values, origins, has_file=self.has_file)

    def for_shot(self, shot: int) -> "Settings":
        """What holds with ``shot`` support clips a class: published settings may differ by it."""
        found = _preset_of(self)
        if not found or not found[1].shots:
            return self
        return _settled(self.root, self.values, self.origins, has_file=self.has_file, shot=shot)

    def require_file(self) -> None:
        """Refuse what a project alone can answer.

        Raises:
            ConfigError: there is no fsarctl.toml here or above.
        """
        if not self.has_file:
            raise _no_project(self.root)

    def dataset(self, name: str) -> DatasetConfig:
        """The [datasets.NAME] table.

        Raises:
            ConfigError: no such table; the nearest names are suggested.
        """
        try:
            return self.config.datasets[name]
        except KeyError:
            known = ", ".join(sorted(self.config.datasets)) or "none"
            raise ConfigError(
                f"there is no dataset {name!r}; known: {known}",
                next_step=f"Add [datasets.{toml_key(name)}] to {FILE_NAME}"
                f"{did_you_mean(name, self.config.datasets)}",
            ) from None

    def only_dataset(self, table: str) -> str:
        """What ``train.dataset`` or ``eval.dataset`` names, or the only dataset there is.

        Raises:
            ConfigError: it names none that is there, or there are several to choose from.
        """
        name: str = getattr(self.config, table).dataset
        if name:
            self.dataset(name)
            return name
        if len(self.config.datasets) == 1:
            return next(iter(self.config.datasets))
        if not self.config.datasets:
            raise ConfigError(
                f"{FILE_NAME} has no dataset",
                next_step="Add one as [datasets.NAME]; `fsarctl init FOLDER --dry-run` prints it. "
                "For labels alone: fsarctl describe --labels FILE, or --show LABEL.",
            )
        raise ConfigError(
            f"{table}.dataset is not set and there are {len(self.config.datasets)} datasets to choose from",
            next_step=f"Name one in {FILE_NAME}: [{table}] dataset = ... (or --set {table}.dataset=NAME).",
        )


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


def load_settings(
    start: Path,
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] = os.environ,
    *,
    required: bool = True,
) -> Settings:
    """The settings that hold in ``start``; unless ``required``, also where there is no project.

    ``overrides`` are ``--set`` arguments, ``"train.lr=0.01"``: the value is TOML, or a plain string.

    Raises:
        ConfigError: no fsarctl.toml here or above, broken TOML, an unknown key, a value of the wrong
            type or out of range.
    """
    start = _expanded(start)
    path, values, origins = _said(start, overrides, environment)
    if path is None and required:
        raise _no_project(start)
    root = path.parent if path else start.resolve()
    return _settled(root, values, origins, has_file=path is not None)


def parts_named(start: Path, environment: Mapping[str, str] = os.environ) -> list[NamedPart]:
    """The parts of somebody's own that the project of ``start`` names as ``package.module:name``.

    None of them is looked for: settings that name one that is not there are no settings otherwise.

    Raises:
        ConfigError: there is no project, or what it says is not known or no TOML.
    """
    start = _expanded(start)
    path, values, origins = _said(start, (), environment)
    if path is None:
        raise _no_project(start)
    found = []
    for key, value in values.items():
        for setting, text in _texts(key, value):
            named = PART_SETTING.fullmatch(setting)
            group = PART_OF.get(named[1] or named[2]) if named else None
            if group and is_own(text):
                found.append(NamedPart(group, text, setting, origins[key]))
    return list(dict.fromkeys(found))


def require_project(settings: Settings) -> None:
    """Refuse settings of no project.

    Raises:
        ConfigError: no fsarctl.toml was found.
    """
    if not settings.has_file:
        raise _no_project(settings.root)


def rows(settings: Settings) -> list[tuple[str, Any, str, str]]:
    """Every setting as (dotted key, value, origin, meaning), in the order of the tables.

    They are to be shown: addresses in the values are without login and query.
    """
    listed = []
    tables: list[tuple[str, Any]] = [
        (f"{group}.{name}", table)
        for group in NAMED_TABLES
        for name, table in getattr(settings.config, group).items()
    ]
    tables += [(name, attrgetter(name)(settings.config)) for name in TABLES]
    for table, instance in tables:
        for each in fields(instance):
            if isinstance(instance, DatasetConfig) and each.name not in instance.settings():
                continue
            key = f"{table}.{each.name}"
            if key in TABLES:
                continue
            origin = settings.origins.get(key, "default")
            value = hidden_within(asdict(instance)[each.name])
            listed.append((key, value, origin, each.metadata["meaning"]))
    return listed


def table_of(cls: type[Any], name: str, content: Mapping[str, Any], origin: str) -> Any:
    """``content`` as the dataclass of a table, checked like fsarctl.toml.

    Raises:
        ConfigError: an unknown key, or a value of the wrong type or out of range; ``origin`` is named.
    """
    for key in content:
        _check_field(cls, name, key, origin)
    return _table(cls, name, content, {f"{name}.{key}": origin for key in content})


def _expanded(start: Path) -> Path:
    return Path(os.path.expanduser(start))  # noqa: PTH111 - a home that is unknown stays


def _said(
    start: Path, overrides: Sequence[str], environment: Mapping[str, str]
) -> tuple[Path | None, dict[str, Any], dict[str, str]]:
    """The project's file, and what all sources say, with where each value is from."""
    path = _find(start)
    file = _read(path) if path else {}
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    sources = [
        (FILE_NAME, _flatten(file)),
        *((variable, [item]) for variable, item in _from_environment(environment, file)),
        *_overriding(overrides),
    ]
    _merge(values, origins, sources)
    return path, values, origins


def _texts(key: str, value: Any) -> Iterator[tuple[str, str]]:
    """The texts of a setting, or of a sweep's settings within it, each by its dotted key."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _texts(f"{key}.{name}", each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(key, each)


def _merge(
    values: dict[str, Any], origins: dict[str, str], sources: Sequence[tuple[str, Sequence[tuple[str, Any]]]]
) -> None:
    for origin, items in sources:
        for key, value in items:
            _check_known(key, origin)
            _check_ordinary(key, value, origin)
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


def _settled(
    root: Path, values: Mapping[str, Any], said: Mapping[str, str], *, has_file: bool, shot: int | None = None
) -> Settings:
    """Settings of what was ``said`` where, and of the method's own for the benchmark that is trained on.

    The latter hold where nothing else sets them. What is said of training may be right only beside them, so
    it is checked with them.
    """
    origins = {key: said[key] for key in said if key in values}
    chosen = {key: each for key, each in values.items() if key in CHOOSING or key.startswith(DATASET)}
    settings = Settings(root, _build(chosen, origins), origins, values, has_file)
    if found := _preset_of(settings):
        whose, preset = found
        above = settings.config.train.published
        own = preset.settings if shot is None else preset.of_shot(shot)
        unset = {
            key: value
            for key, value in own.items()
            if key not in values or (above and not origins.get(key, FILE_NAME).startswith(FLAG))
        }
        values, origins = {**values, **unset}, {**origins, **dict.fromkeys(unset, whose)}
    return replace(settings, config=_build(values, origins), origins=origins)


def _preset_of(settings: Settings) -> tuple[str, Preset] | None:
    """The method's own settings for the benchmark that is trained on, and what they are called."""
    method = settings.config.model.method
    try:
        trained = settings.dataset(settings.only_dataset("train"))
    except ConfigError:  # a command that trains will say so
        return None
    # Probes are rendered like shapes, for the same tiny CLIP.
    benchmark = "shapes" if trained.kind == "probe" else trained.name or trained.kind
    preset = method_file(method).preset(benchmark) if method in method_names() else None
    return None if preset is None else (f"{method}{PRESET_FOR}{benchmark}", preset)


def _find(start: Path) -> Path | None:
    if not start.is_dir():
        raise ConfigError(f"there is no directory {start}", next_step="Correct --project.")
    for folder in (start, *start.resolve().parents):
        if (folder / FILE_NAME).is_file():
            return (folder / FILE_NAME).resolve()
    return None


def _no_project(start: Path) -> ConfigError:
    there = "" if start.resolve() == Path.cwd() else f"cd {shlex.quote(str(start))} && "
    return ConfigError(
        f"there is no {FILE_NAME} in {start} or above it",
        next_step=f"{there}fsarctl init --demo (a project that runs as it is); for your own clips: fsarctl "
        "init FOLDER; and --project names one that is elsewhere.",
    )


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
                _check_known(f"{table}.", FILE_NAME)
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


def _overriding(overrides: Sequence[str]) -> list[tuple[str, list[tuple[str, Any]]]]:
    """The ``--set`` arguments as sources, whose names are shown."""
    return [(hidden(f"{FLAG}{text}"), [_from_override(text)]) for text in overrides]


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


def _check_ordinary(key: str, value: Any, origin: str, depth: int = 0) -> None:
    """Refuse what no setting is, and would go wrong later: numbers beyond 64 bits, and endless nesting."""
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
        _check_ordinary(key, each, origin, depth + 1)


def _check_known(key: str, origin: str) -> None:
    table, _, name = key.rpartition(".")
    group = table.partition(".")[0]
    if table == OPTIONS:
        return  # the method knows its own
    if group in NAMED_TABLES and group != table:
        cls = NAMED_TABLES[group]
    elif table in TABLES:
        cls = TABLES[table]
    else:
        raise ConfigError(
            f"{origin}: there is no table [{table or key}]",
            next_step=f"Known tables: {', '.join((*(f'{each}.NAME' for each in NAMED_TABLES), *TABLES))}"
            f"{did_you_mean(table, TABLES)}",
        )
    if name:
        _check_field(cls, table, name, origin)


def _check_field(cls: type[Any], table: str, name: str, origin: str) -> None:
    known = [f.name for f in fields(cls)]
    if name not in known:
        raise ConfigError(
            f"{origin}: there is no setting {table}.{name}",
            next_step=f"Known in [{table}]: {', '.join(known)}{did_you_mean(name, known)}",
        )


def _build(values: Mapping[str, Any], origins: Mapping[str, str]) -> Config:
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
