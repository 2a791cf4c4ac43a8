"""What may have been meant: the known names nearest to one that is not known."""

import difflib
import heapq
from collections.abc import Iterable

__all__ = ["did_you_mean", "nearest"]

COMPARED = 50
"""Names that are compared letter by letter, which takes a millisecond or so each where they are long."""


def nearest(asked: str, known: Iterable[str], most: int = 1, cutoff: float = 0.6) -> list[str]:
    """At most ``most`` of the known names that are like the one asked for, the most alike first.

    Only those that share the most pairs of neighbouring letters with it are compared, so that a hundred
    thousand names take a moment too. ``cutoff`` is difflib's: 1 is the same, 0 has nothing in common.

    >>> nearest("trian", ["train", "eval"])
    ['train']
    """
    names = list(known)
    if len(names) > COMPARED:
        pairs = _pairs(asked)
        names = heapq.nlargest(COMPARED, names, key=lambda name: _alike(pairs, name))
    return difflib.get_close_matches(asked, names, n=most, cutoff=cutoff)


def did_you_mean(asked: str, known: Iterable[str]) -> str:
    """``; did you mean NAME?``, or a full stop where nothing is near."""
    found = nearest(asked, known)
    return f"; did you mean {found[0]}?" if found else "."


def _alike(pairs: set[str], name: str) -> float:
    """Dice's coefficient of the pairs of letters of two names."""
    others = _pairs(name)
    return len(pairs & others) / (len(pairs) + len(others))


def _pairs(name: str) -> set[str]:
    padded = f" {name} "
    return {padded[place : place + 2] for place in range(len(padded) - 1)}
