"""Tasks that wait for a worker: first come, first served, but that a worker goes on with what it was at."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from fsarctl.execution.engine import Need, Task

__all__ = ["Line", "Waiting"]


class Waiting(NamedTuple):
    """A task, and how often it may be tried; whose ``number`` is less comes first."""

    number: int
    task: Task
    tries: int


class Line:
    """Those that wait; nothing that is asked of it takes longer where many do."""

    def __init__(self) -> None:
        self._came = 0
        self._all: dict[Need, OrderedDict[int, Waiting]] = {}
        self._of: dict[tuple[Need, str], OrderedDict[int, Waiting]] = {}

    def extend(self, tasks: Iterable[Task], tries: int) -> None:
        """They come last."""
        for task in tasks:
            self._came += 1
            self._put(Waiting(self._came, task, tries), last=True)

    def put_back(self, task: Task, tries: int) -> None:
        """It comes first."""
        self._came += 1
        self._put(Waiting(-self._came, task, tries), last=False)

    def first(self, key: str) -> list[Waiting]:
        """Of each need whose turn it is, who comes first first: those of the unit ``key``, then others."""
        heads = [
            next(iter((self._of.get((need, key)) or line).values()))
            for need, line in self._all.items()
            if line
        ]
        return sorted(heads, key=lambda each: (each.task.key != key, each.number))

    def take(self, each: Waiting) -> None:
        """It waits no more."""
        need, key = each.task.need, each.task.key
        del self._all[need][each.number]
        del self._of[need, key][each.number]
        if not self._of[need, key]:
            del self._of[need, key]

    def clear(self) -> None:
        """Nobody waits any more."""
        self._all.clear()
        self._of.clear()

    def _put(self, each: Waiting, *, last: bool) -> None:
        need, key = each.task.need, each.task.key
        for line in (
            self._all.setdefault(need, OrderedDict()),
            self._of.setdefault((need, key), OrderedDict()),
        ):
            line[each.number] = each
            line.move_to_end(each.number, last=last)
