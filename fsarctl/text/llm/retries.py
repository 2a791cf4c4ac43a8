"""How long and how often a server is asked: time limits, retries, and the pauses between them."""

from dataclasses import dataclass

__all__ = ["Patience", "pause"]

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
    """Seconds that a server may ask to wait (Retry-After); where it asks more, no label is asked any more."""
    until_done: bool = False
    """Rate limits are waited out, however long and often they are met; the last two do not hold then."""

    def waits(self, seconds: float) -> bool:
        """Whether a server that asks for such a pause is given it."""
        return self.until_done or seconds <= self.longest_wait


def pause(retry: int, asked: float | None, chance: float, first: float = FIRST_PAUSE_S) -> float:
    """Seconds before retry number ``retry``, counted from 0.

    What the server asked for, where it asked; else twice as long each time, from ``first`` to a
    minute, of which ``chance`` (uniform in 0 to 1) takes away up to a half, so that requests which
    failed together do not come back together.
    """
    if asked is not None:
        return asked
    return min(first * 2.0 ** min(retry, 30), LONGEST_PAUSE_S) * (1 - chance / 2)
