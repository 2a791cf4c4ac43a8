"""How long and how often a server is asked: time limits, retries, and the pauses between them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["Patience", "asked_to_wait", "pause"]

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0


@dataclass(frozen=True)
class Patience:
    """How long and how often a server is asked. None of it changes an answer."""

    timeout: float = 120.0
    """Seconds for one request, until the last byte of its reply."""
    retries: int = 5
    """Requests repeated after a rate limit, a server's error, a time-out or a broken connection."""
    attempts: int = 3
    """Answers asked for before a label's broken answers make it fail."""
    deadline: float = 900.0
    """Seconds for one label, all waiting included."""
    longest_wait: float = 300.0
    """Seconds that a server may ask to wait (Retry-After); a label for which it asks more fails at once."""


def pause(retry: int, asked: float | None, chance: float) -> float:
    """Seconds before retry number ``retry``, counted from 0.

    What the server asked for, where it asked; else twice as long each time, from half a second to a
    minute, of which ``chance`` (uniform in 0 to 1) takes away up to a half, so that requests which
    failed together do not come back together.
    """
    if asked is not None:
        return asked
    return min(FIRST_PAUSE_S * 2.0 ** min(retry, 30), LONGEST_PAUSE_S) * (1 - chance / 2)


def asked_to_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds that a reply's headers ask to wait; None if they ask for nothing, or for a time past.

    Reads Retry-After, in seconds or as a date (RFC 9110, 10.2.3), and the retry-after-ms of some
    servers. A date counts from the reply's own Date, so that a wrong clock here changes nothing.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        if math.isfinite(seconds):
            return seconds if seconds > 0 else None
    until = _date(headers.get("retry-after"))
    if until is None:
        return None
    seconds = (until - (_date(headers.get("date")) or datetime.now(UTC))).total_seconds()
    return seconds if seconds > 0 else None


def _date(text: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
