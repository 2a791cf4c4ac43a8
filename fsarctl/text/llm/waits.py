"""How long a server asks to wait: by its headers, by the fields of its error, or in words."""

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

__all__ = ["asked_to_wait", "seconds_in", "until_renewed"]

_UNITS = {"milli": 0.001, "ms": 0.001, "m": 60.0, "s": 1.0, "h": 3600.0, "d": 86400.0}
"""By how a unit's name begins, the first that fits."""
_AMOUNT = (
    r"(\d+(?:\.\d+)?)\s*"
    r"(milliseconds?|ms|minutes?|mins?|m|seconds?|secs?|s|hours?|hrs?|h|days?|d)(?![a-z])"
)
_DURATION = rf"{_AMOUNT}(?:(?:\s|,|and\b)*{_AMOUNT})*"
_ASKED = re.compile(
    rf"\b(?:again|retry|retrying|wait|available|resets?|back)\b\D{{0,40}}?({_DURATION})", re.I
)
_FIELDS = {"retrydelay", "retryafter", "retryafterms", "retryafterseconds", "retryin", "estimatedtime"}
"""Of an error's JSON: Google's retryDelay, and what others say; a model that is loading has an estimate."""


def asked_to_wait(headers: Mapping[str, str], body: Any = None, words: str = "") -> float | None:
    """Seconds that a reply asks to wait; None if it asks for nothing, or for a time past.

    Reads Retry-After, in seconds or as a date (RFC 9110, 10.2.3), and the retry-after-ms of some servers;
    then the fields of an error's JSON; then its words ("try again in 6m0s"); then when the limits of its
    headers (x-ratelimit-reset-...) are renewed. A date counts from the reply's own Date, so that a wrong
    clock here changes nothing. Names of headers are in lower case.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        if math.isfinite(seconds):
            return seconds if seconds > 0 else None
    if headers.get("retry-after") and (until := _date(headers["retry-after"])):
        return _positive(_from_now(until, headers))
    found = [*_delays(body)]
    if match := _ASKED.search(words):
        found.append(seconds_in(match[1]) or 0.0)
    found.append(until_renewed(headers) or until_renewed(dict(_limits(body))) or _soonest(headers) or 0.0)
    return next((each for each in found if each > 0), None)


def until_renewed(headers: Mapping[str, str]) -> float | None:
    """Seconds until what is used up of a rate limit is there again, by its headers; None if nothing is.

    They come in pairs, ``x-ratelimit-remaining-requests`` and ``x-ratelimit-reset-requests``; the time is a
    number of seconds, ``6m0s``, or a date.
    """
    waits = [wait for wait, left in _renewals(headers) if left is not None and left <= 0]
    return _positive(max(waits, default=0.0))


def seconds_in(text: str) -> float | None:
    """The seconds of a duration as people and programs write it; None of anything else.

    >>> seconds_in("1m26.4s"), seconds_in("850ms"), seconds_in("2 hours"), seconds_in("soon")
    (86.4, 0.85, 7200.0, None)
    """
    if not re.fullmatch(_DURATION, text.strip(), re.I):
        return None
    return sum(
        float(number) * next(_UNITS[name] for name in _UNITS if unit.lower().startswith(name))
        for number, unit in re.findall(_AMOUNT, text, re.I)
    )


def _soonest(headers: Mapping[str, str]) -> float | None:
    """A server that refuses though nothing is used up has the limit that is renewed first in mind, if any."""
    return _positive(
        min((wait for wait, left in _renewals(headers) if left is None or left > 0), default=0.0)
    )


def _renewals(headers: Mapping[str, str]) -> Iterator[tuple[float, float | None]]:
    """Seconds until a limit is renewed, and how much of it is left."""
    named = {name: value for name, value in headers.items() if "ratelimit" in name or "rate-limit" in name}
    if "ratelimit" in named:  # limit=10, remaining=0, reset=30; or "default";r=0;t=30
        short = {"r": "remaining", "t": "reset"}
        parts = re.findall(r"(\w+)\s*=\s*(\d+)", named.pop("ratelimit"))
        named |= {f"ratelimit-{short.get(name, name)}": value for name, value in parts}
    for name, value in named.items():
        if "reset" not in name or (wait := _reset(value, headers)) is None or wait <= 0:
            continue
        try:
            left = float(named.get(name.replace("reset", "remaining"), ""))
        except ValueError:
            left = None
        yield wait, left


def _reset(value: str, headers: Mapping[str, str]) -> float | None:
    try:
        number = float(value)
    except ValueError:
        if (seconds := seconds_in(value)) is not None:
            return seconds
        until = _date(value)
        return _from_now(until, headers) if until else None
    if not math.isfinite(number):
        return None
    if number > 1e11:
        number /= 1000.0  # milliseconds since 1970
    if number < 1e9:
        return number
    return _from_now(datetime.fromtimestamp(min(number, 1e10), UTC), headers)


def _delays(body: Any) -> Iterator[float]:
    for name, value in _fields(body):
        if name not in _FIELDS:
            continue
        if isinstance(value, Mapping):  # a duration in parts
            value = value.get("seconds")
        try:
            yield float(value) * (0.001 if name.endswith("ms") else 1.0)
        except (TypeError, ValueError, OverflowError):
            yield seconds_in(str(value)) or 0.0


def _limits(body: Any) -> Iterator[tuple[str, str]]:
    """Headers that a go-between repeats in its error."""
    for name, value in _fields(body, plain=False):
        if "ratelimit" in name and isinstance(value, str | int | float):
            yield name, str(value)


def _fields(value: Any, *, plain: bool = True, depth: int = 6) -> Iterator[tuple[str, Any]]:
    """The names and values of an error's JSON, however deep; ``plain`` names are of letters alone."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield re.sub(r"[^a-z]", "", str(name).lower()) if plain else str(name).lower(), each
    if depth and isinstance(value, Mapping | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _fields(each, plain=plain, depth=depth - 1)


def _from_now(until: datetime, headers: Mapping[str, str]) -> float:
    return (until - (_date(headers.get("date", "")) or datetime.now(UTC))).total_seconds()


def _positive(seconds: float) -> float | None:
    return seconds if seconds > 0 else None


def _date(text: str) -> datetime | None:
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            date = read(text)
        except (ValueError, OverflowError):
            continue
        return date if date.tzinfo else date.replace(tzinfo=UTC)
    return None
