"""What of some units is to be made, and what of that can be begun: one look, kept up to date."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from fsarctl.artifacts.snapshot import Snapshot
from fsarctl.artifacts.unit import Files, Unit

__all__ = ["Agenda", "Due"]

PATIENCE_S = 60.0
"""For an artifact that another machine has made to be seen here: a network file system remembers for as long
that there was none."""


@dataclass(frozen=True)
class Due:
    """A unit that is not made, and all that it reads is; ``identity`` is what it asks."""

    unit: Unit
    identity: str
    key: str


class Agenda:
    """Of ``units`` and all upstream of them. Looking costs once; what was made since is told by ``made``."""

    def __init__(self, look: Snapshot, units: Sequence[Unit]) -> None:
        self._look = look
        self.units = {look.identity(unit): unit for unit in look.order(units)}
        self.left = {each for each, unit in self.units.items() if look.artifact(unit) is None}
        self._waits = {each: self._reads(each) & self.left for each in self.left}
        self._readers: dict[str, list[str]] = {}
        for each in self.units:
            for read in self._waits.get(each, ()):
                self._readers.setdefault(read, []).append(each)

    def due(self) -> list[Due]:
        """What can be begun, upstream first."""
        return [self._due(each) for each in self.units if each in self.left and not self._waits[each]]

    def made(self, identity: str, wait: Callable[[float], None] = time.sleep) -> list[Due] | None:
        """What can be begun now that this is made; None if nobody sees it here, though it is waited for."""
        end = time.monotonic() + PATIENCE_S
        while self._look.again(self.units[identity]) is None:
            if time.monotonic() > end:
                return None
            wait(0.5)
        self.left.discard(identity)
        freed = []
        for reader in self._readers.get(identity, ()):
            self._waits[reader].discard(identity)
            if reader in self.left and not self._waits[reader]:
                freed.append(self._due(reader))
        return freed

    def key(self, unit: Unit) -> str | None:
        """A unit's key; None while something upstream is not made."""
        return self._look.key(unit)

    def looked_at(self) -> Iterator[tuple[Files, Mapping[str, str]]]:
        """The files that were looked at when these units were planned, each input once: name -> SHA-256."""
        inputs = (source for unit in self.units.values() for source in unit.inputs.values())
        for source in {id(each): each for each in inputs if isinstance(each, Files) and each.seen}.values():
            yield source, self._look.listing(source)

    def needs(self, goals: Iterable[Unit]) -> list[set[str]]:
        """For each goal its own identity, and those of all upstream of it."""
        return [{self._look.identity(each) for each in self._look.order([goal])} for goal in goals]

    def _reads(self, identity: str) -> set[str]:
        sources = self.units[identity].inputs.values()
        return {self._look.identity(source) for source in sources if isinstance(source, Unit)}

    def _due(self, identity: str) -> Due:
        unit = self.units[identity]
        key = self._look.key(unit)
        assert key is not None, "all that it reads is there"
        return Due(unit, identity, key)
