"""What long work says while it runs.

Library code takes a ``Reporter`` and never prints. The command line passes one that draws progress
bars on a terminal and single lines elsewhere; ``SILENT`` is for notebooks and tests.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

__all__ = [
    "GIB",
    "SILENT",
    "Advance",
    "Reporter",
    "clock",
    "counted",
    "duration",
    "first_of",
    "further",
    "shortened",
    "sized",
]

GIB = 2**30
"""Bytes; memory is set and told in it, files in the units of ``sized``."""


def counted(number: int, thing: str, ending: str = "s") -> str:
    """
    >>> counted(1, "clip"), counted(2_000, "clip"), counted(2, "class", "es")
    ('1 clip', '2,000 clips', '2 classes')
    """
    return f"{number:,} {thing}{'' if number == 1 else ending}"


def duration(seconds: float) -> str:
    """
    >>> duration(12.3), duration(600), duration(7200)
    ('12 s', '10 min', '2.0 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def clock(seconds: float, digits: int = 2) -> str:
    """
    >>> clock(5.25), clock(3725.004), clock(59.9996)
    ('0:05.25', '1:02:05.00', '1:00.00')
    >>> clock(5.25, 1), clock(59.97, 1), clock(60, 0)
    ('0:05.2', '1:00.0', '1:00')
    """
    units = round(seconds * 10**digits)
    minutes, rest = divmod(units, 60 * 10**digits)
    hours, minutes = divmod(minutes, 60)
    start = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    whole, part = divmod(rest, 10**digits)
    return f"{start}:{whole:02}" + (f".{part:0{digits}}" if digits else "")


def sized(length: int) -> str:
    """
    >>> sized(1), sized(812), sized(9_440), sized(999_990), sized(2_450_000), sized(1_200_000_000)
    ('1 byte', '812 bytes', '9.4 kB', '1.0 MB', '2.5 MB', '1.2 GB')
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if length >= 0.99995 * scale:
            return f"{length / scale:.1f} {unit}"
    return counted(length, "byte")


def first_of(items: Sequence[str], most: int, hint: str = "", *, between: str = ", ") -> str:
    """The first of many, and how many more there are; ``hint`` says where to find these.

    >>> first_of(["a", "b", "c", "d"], 2), first_of(["a", "b"], 2)
    ('a, b and 2 more', 'a, b')
    """
    more = f" and {len(items) - most} more{hint}" if len(items) > most else ""
    return between.join(items[:most]) + more


def further(items: Sequence[object], most: int, thing: str, ending: str = "s") -> str:
    """How many there are beyond the first of many; empty where there are none.

    >>> further("abcd", 2, "pair"), further("abc", 2, "class", "es"), further("ab", 2, "pair")
    ('2 more pairs', '1 more class', '')
    """
    return counted(len(items) - most, f"more {thing}", ending) if len(items) > most else ""


def shortened(text: str, longest: int) -> str:
    """At most so many letters, of which the last three are dots where there are more.

    >>> shortened("juggling", 8), shortened("juggling balls", 8)
    ('juggling', 'juggl...')
    """
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


class Advance(Protocol):
    """Moves a task's bar: ``advance(3)``, or ``advance(1, "loss 0.83")`` to say more."""

    def __call__(self, amount: int = 1, detail: str = "") -> None: ...


class Reporter(Protocol):
    """Where progress and remarks go."""

    def task(self, description: str, total: int, unit: str, done: int = 0) -> AbstractContextManager[Advance]:
        """A bar of ``total`` units, each a ``unit``; ``done`` were finished before (a resumed run)."""
        ...

    def note(self, message: str) -> None:
        """One remark on a line of its own: a warning, a summary, a path."""
        ...


class _Silent:
    @contextmanager
    def task(self, *_: object, **__: object) -> Iterator[Advance]:
        yield lambda amount=1, detail="": None

    def note(self, message: str) -> None: ...


SILENT: Reporter = _Silent()
