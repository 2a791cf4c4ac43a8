"""Which directories of a tree name the classes: those right under the root, or those in ``person/``."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fsarctl.datasets.labels.spelling import loosely
from fsarctl.progress import first_of

__all__ = ["Level", "levels_of"]

SHARED = 0.5
"""Of the directories of a level, those whose names stand in several places, before it may be the classes'."""
NAMED = 3
NUMBERED = re.compile(
    r"(cam(era)?|view|angle|session|scene|take|part|day|trial|seq(uence)?|set|batch|clips?|videos?|rgb|depth)?"
    r"\d*"
)


@dataclass(frozen=True)
class Level:
    """The directories at ``depth`` below the root: their different names."""

    depth: int
    names: tuple[str, ...]

    def __str__(self) -> str:
        return first_of(self.names, NAMED)


def levels_of(directories: Iterable[Sequence[str]]) -> list[Level]:
    """The first level, and deeper ones whose names return in several places, and so may be the classes.

    ``directories``: of each video those that it is in, from the root on. Names that merely number cameras or
    sessions are no classes'.
    """
    places = {tuple(each[:end]) for each in directories for end in range(1, len(each) + 1)}
    levels = []
    for depth in range(1, max(map(len, places), default=0) + 1):
        here = sorted(place for place in places if len(place) == depth)
        parents: dict[str, set[tuple[str, ...]]] = defaultdict(set)
        for place in here:
            parents[loosely(place[-1])].add(place[:-1])
        returning = sum(len(each) for each in parents.values() if len(each) > 1)
        numbered = all(NUMBERED.fullmatch(name) for name in parents)
        if depth == 1 or (len(parents) > 1 and returning >= SHARED * len(here) and not numbered):
            levels.append(Level(depth, tuple(dict.fromkeys(place[-1] for place in here))))
    return levels
