"""Keys that no table of fsarctl.toml has, refused with the nearest that one has."""

from dataclasses import fields
from typing import Any

from fsarctl.config.tables import NAMED_TABLES, OPTIONS, TABLES
from fsarctl.errors import ConfigError
from fsarctl.errors.nearest import did_you_mean

__all__ = ["check_known", "check_known_field"]


def check_known(key: str, origin: str) -> None:
    """Refuse a dotted key that no table has.

    Raises:
        ConfigError: there is no such table or setting; ``origin`` and the nearest names are told.
    """
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
        check_known_field(cls, table, name, origin)


def check_known_field(cls: type[Any], table: str, name: str, origin: str) -> None:
    """Refuse a setting that the dataclass of its table does not have.

    Raises:
        ConfigError: it has none of this name; ``origin`` and the nearest names are told.
    """
    known = [f.name for f in fields(cls)]
    if name not in known:
        raise ConfigError(
            f"{origin}: there is no setting {table}.{name}",
            next_step=f"Known in [{table}]: {', '.join(known)}{did_you_mean(name, known)}",
        )
