"""What a setting is: its default, its meaning, and whether it enters keys; and checks that tables share."""

import math
from collections.abc import Sequence
from dataclasses import MISSING, Field, field, fields
from operator import index
from typing import Any, Literal, get_args

from fsarctl.errors import ConfigError

__all__ = [
    "SPLITS",
    "EngineName",
    "Resize",
    "Split",
    "check_episode_shape",
    "check_seed",
    "check_shots",
    "default_of",
    "either",
    "keyed",
    "require",
    "require_bounds",
    "setting",
    "whole_number",
]

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
EngineName = Literal["local", "ray", "slurm"]
"""Who does the work: what [execution] and --engine name, and the command line loads no tables to know."""
Resize = Literal["squash", "aspect"]
"""How a frame becomes a square: read by what decodes in processes of its own, which load no tables."""


def setting(default: Any, meaning: str, *, part: str = "", later: bool = False) -> Any:
    """A field with its default and its meaning; ``fsarctl config show`` and the README print both.

    ``part``: it names one of a group of ``fsarctl.config.plugins``, fsarctl's or somebody else's.
    ``later``: it came when there were keys already, and leaves them as they are at its default.
    """
    facts = {"meaning": meaning, "part": part, "later": later}
    if isinstance(default, (dict, list)):
        return field(default_factory=lambda: type(default)(default), metadata=facts)
    return field(default=default, metadata=facts)


def keyed(table: Any) -> dict[str, Any]:
    """The settings of a table that enter keys, with their values."""
    return {
        each.name: getattr(table, each.name)
        for each in fields(table)
        if not each.metadata.get("later") or getattr(table, each.name) != default_of(each)
    }


def default_of(each: "Field[Any]") -> Any:
    """What a setting is unless something sets it."""
    return each.default if each.default_factory is MISSING else each.default_factory()


def either(names: Sequence[str]) -> str:
    """
    >>> either(["order", "task", "stages"])
    'order, task or stages'
    """
    return f"{', '.join(names[:-1])} or {names[-1]}"


def require(condition: bool, message: str) -> None:
    """Refuse a table where ``condition`` does not hold.

    Raises:
        ConfigError: it does not; ``message`` says what is so, and what it must be.
    """
    if not condition:
        raise ConfigError(
            message,
            next_step="Correct it in fsarctl.toml, or where else it is set: with --set, by the environment.",
        )


def require_bounds(
    table: Any,
    *names: str,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
) -> None:
    """Refuse numbers of a table that are out of bounds, infinite, or none.

    Raises:
        ConfigError: one is; it is named, with what it must be.
    """
    if most is not None:
        allowed = f"within {least} and {most}"
    else:
        allowed = f"above {above}" if least is None else f"{least} or more"
    for name in names:
        value = getattr(table, name)
        fits = (least is None or value >= least) and (above is None or value > above)
        fits = fits and (most is None or value <= most) and math.isfinite(value)
        require(fits, f"{name} is {value}; it must be {allowed}")


def check_seed(seed: int) -> None:
    """Refuse what is no seed.

    Raises:
        ConfigError: it is negative, or 2^63 or more.
    """
    require(0 <= seed < 2**63, f"seed is {seed}; it must be 0 or more and below 2^63")


def check_episode_shape(way: int, query: int, shots: tuple[int, ...]) -> None:
    """Refuse episodes that cannot be.

    Raises:
        ConfigError: way is below 2, query below 1, or as ``check_shots``.
    """
    require(way >= 2, f"way is {way}; it must be 2 or more")
    require(query >= 1, f"query is {query}; it must be 1 or more")
    check_shots(shots)


def whole_number(name: str, value: object, least: int) -> int:
    """``value``, which somebody gave in Python; numpy's whole numbers are some, too.

    Raises:
        ConfigError: it is no whole number, or below ``least``.
    """
    try:
        number = None if isinstance(value, bool) else index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or number < least:
        raise ConfigError(
            f"{name} is {value!r}; it must be a whole number, {least} or more", next_step=f"Correct {name}."
        )
    return number


def check_shots(shots: tuple[int, ...]) -> None:
    """Refuse shots that are none, below 1, or there twice.

    Raises:
        ConfigError: they are.
    """
    require(bool(shots), "shots is empty; name one or more")
    require(all(shot >= 1 for shot in shots), f"shots is {list(shots)}; each must be 1 or more")
    require(len(set(shots)) == len(shots), f"shots is {list(shots)}; each may stand there once")
