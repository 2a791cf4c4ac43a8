"""Parts of a unit that any build makes as far as it needs them, and that whoever comes later finds.

They lie where the unit's unfinished work lies, each a sealed file of its own. Nobody waits: a part is there
as soon as it is whole, and two who make the same one at once put the same bytes into its place. What is lost
is made again, so `gc` removes them whenever nobody is at them, and so does whoever has no room for its own.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from fsarctl.artifacts.unfinished.blocks import Blocks
from fsarctl.artifacts.unfinished.sealed import sealed
from fsarctl.errors import FsarctlError
from fsarctl.progress import Reporter

__all__ = ["SHARED", "SharedParts"]

SHARED = "shared"
"""In ``scratch``: there is nothing to be finished here."""
LOOKS = 16
"""How often a process looks at what others take while it fills all the room by itself."""


@dataclass
class SharedParts:
    """The parts of one unit, by number.

    ``most``: bytes that all units of the stage may have in the store. ``thin_out`` removes those that nobody
    is at, the longest unused first, until all have no more than so many bytes; and says how many they have.
    """

    blocks: Blocks
    reporter: Reporter
    thin_out: Callable[[int], int]
    most: int = 0
    _left: int = field(default=0, init=False)
    """Bytes that may be written before it is looked again at what is there."""

    def read(self, number: int) -> bytes | None:
        """A part, if it is there; a damaged one is removed, and it is said."""
        with suppress(OSError):  # it can be made
            return self.blocks.read(number, self.reporter)
        return None

    def keep(self, number: int, content: bytes) -> bool:
        """Put a part, which bears an ``EMPTY_SEAL``, into its place, if there is room; whether it is."""

        def write(path: Path, seal: str) -> None:
            path.write_bytes(sealed(content, seal))

        try:
            if not self._has_room(len(content)):
                return False
            self.blocks.keep(number, write, synced=False)
        except (OSError, FsarctlError):  # a full disk is no reason to stop
            self.most = 0
            return False
        self._left -= len(content)
        return True

    def _has_room(self, size: int) -> bool:
        if size > self.most:
            return False
        if self._left < size:
            free = self.most - self.thin_out(self.most - size)
            if free < size:
                self.most = 0  # those who are at it need all of it
                return False
            self._left = min(free, max(size, self.most // LOOKS))
        return True
