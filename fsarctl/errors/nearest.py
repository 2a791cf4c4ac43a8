"""What may have been meant: the known names nearest to one that is not known."""

import difflib
import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable

__all__ = ["KnownNames", "did_you_mean", "nearest"]

COMPARED = 50
"""Names that are compared letter by letter, which takes a millisecond or so each where they are long."""


def nearest(asked: str, known: Iterable[str], most: int = 1, cutoff: float = 0.6) -> list[str]:
    """At most ``most`` of the known names that are like the one asked for, the most alike first.

    Only those that share the most pairs of neighbouring letters with it are compared, so that a hundred
    thousand names take a moment too. ``cutoff`` is difflib's: 1 is the same, 0 has nothing in common.

    >>> nearest("trian", ["train", "eval"])
    ['train']
    """
    return KnownNames(known).nearest(asked, most, cutoff)


class KnownNames:
    """Names among which the nearest to many others are looked for: each is taken apart but once."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = list(names)
        self._sizes: list[int] = []  # pairs of letters of each name
        self._having: dict[str, list[int]] = defaultdict(list)  # pair -> numbers of the names that have it
        for number, name in enumerate(self._names if len(self._names) > COMPARED else ()):
            pairs = _pairs(name)
            self._sizes.append(len(pairs))
            for pair in pairs:
                self._having[pair].append(number)

    def nearest(self, asked: str, most: int = 1, cutoff: float = 0.6) -> list[str]:
        """As the function ``nearest``, among these names."""
        names = self._names if len(self._names) <= COMPARED else self._sharing_most(_pairs(asked))
        return difflib.get_close_matches(asked, names, n=most, cutoff=cutoff)

    def _sharing_most(self, pairs: set[str]) -> list[str]:
        """The names of the largest Dice's coefficients of pairs of letters."""
        shared: Counter[int] = Counter()
        for pair in pairs:
            shared.update(self._having.get(pair, ()))
        alike = ((2 * count / (len(pairs) + self._sizes[n]), -n) for n, count in shared.items())
        return [self._names[-number] for _, number in heapq.nlargest(COMPARED, alike)]


def did_you_mean(asked: str, known: Iterable[str]) -> str:
    """``; did you mean NAME?``, or a full stop where nothing is near."""
    found = nearest(asked, known)
    return f"; did you mean {found[0]}?" if found else "."


def _pairs(name: str) -> set[str]:
    padded = f" {name} "
    return {padded[place : place + 2] for place in range(len(padded) - 1)}
