"""Where settings come from: flags (--set), then FSARCTL_* variables, then fsarctl.toml, then defaults.

``load_settings`` finds fsarctl.toml upward from a directory, like git finds its root, merges the four
sources, and remembers for each value which one it came from.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

from fsarctl.config.dataset_table import DatasetConfig
from fsarctl.config.methods import Preset, method_file, method_names
from fsarctl.config.read_settings import merge, no_project, overriding, toml_key, what_is_said
from fsarctl.config.tables import FILE_NAME, NAMED_TABLES, TABLES, Config
from fsarctl.config.validation import FLAG, PRESET_FOR, validated
from fsarctl.errors import ConfigError
from fsarctl.errors.addresses import hidden_within
from fsarctl.errors.nearest import did_you_mean

__all__ = [
    "Settings",
    "load_settings",
    "rows",
]

CHOOSING = ("model.method", "train.dataset", "train.published")
DATASET = "datasets."


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
        merge(values, origins, overriding(overrides))
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
            raise no_project(self.root)

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
    said = what_is_said(start, overrides, environment, required=required)
    return _settled(said.root, said.values, said.origins, has_file=said.has_file)


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


def _settled(
    root: Path, values: Mapping[str, Any], said: Mapping[str, str], *, has_file: bool, shot: int | None = None
) -> Settings:
    """Settings of what was ``said`` where, and of the method's own for the benchmark that is trained on.

    The latter hold where nothing else sets them. What is said of training may be right only beside them, so
    it is checked with them.
    """
    origins = {key: said[key] for key in said if key in values}
    chosen = {key: each for key, each in values.items() if key in CHOOSING or key.startswith(DATASET)}
    settings = Settings(root, validated(chosen, origins), origins, values, has_file)
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
    return replace(settings, config=validated(values, origins), origins=origins)


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
