"""Numbers with their intervals in words, as terminals, tables and the report have them."""

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["brackets", "ends", "interval_words", "legend", "over_classes", "with_interval"]


def with_interval(value: str, numbers: Mapping[str, Any], prefix: str = "", *, signed: bool = False) -> str:
    """A value in points and the interval to tell: "73.8 ± 1.2" over episodes, "73.8 [66, 80]" over clips."""
    return f"{value} {interval_words(numbers, prefix, signed=signed)}"


def interval_words(numbers: Mapping[str, Any], prefix: str = "", *, signed: bool = False) -> str:
    """The interval to tell, alone.

    ``numbers``: a record or a document with ``half_width``, ``intervals`` and ``headline``, their names
    behind ``prefix``.
    """
    name, half_width = numbers[f"{prefix}headline"], numbers[f"{prefix}half_width"]
    if name == "episodes":
        return f"± {'?' if half_width is None else f'{100 * half_width:.1f}'}"
    return brackets(numbers[f"{prefix}intervals"][name], signed=signed)


def ends(numbers: Mapping[str, Any]) -> tuple[float, float]:
    """Both ends of the interval to tell of an accuracy, 0 to 1; the accuracy itself where there is none."""
    told = numbers["intervals"][numbers["headline"]]
    accuracy: float = numbers["accuracy"]
    if told["low"] is None:
        return accuracy, accuracy
    return min(told["low"], accuracy), max(told["high"], accuracy)


def brackets(interval: Mapping[str, Any], *, signed: bool = False) -> str:
    """Both ends in points; of a difference with their signs."""
    low, high = (f"{100 * interval[end]:{'+' if signed else ''}.1f}" for end in ("low", "high"))
    return f"[{low}, {high}]"


def legend(all_numbers: Iterable[Mapping[str, Any]], prefix: str = "") -> str:
    """What the intervals are over that ``with_interval`` shows of these."""
    known = [each for each in all_numbers if each[f"{prefix}headline"] is not None]
    wide = [each for each in known if each[f"{prefix}headline"] != "episodes"]
    if not wide:
        return "95 % interval over episodes"
    name = wide[0][f"{prefix}headline"]
    count = wide[0][f"{prefix}intervals"][name]["count"]
    rest = "; ±: over episodes" if len(wide) < len(known) else ""
    return f"95 % interval in [ ], for other {name} than these {count:,}{rest}"


def over_classes(numbers: Mapping[str, Any]) -> str:
    """The interval for other classes than these."""
    return brackets(numbers["intervals"]["classes"])
