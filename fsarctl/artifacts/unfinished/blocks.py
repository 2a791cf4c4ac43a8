"""Unfinished work of many like items: a block at a time, each a sealed file of its own.

A block depends on no other, so that others may have made it; what is there, and whole, is used.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fsarctl.artifacts.atomic_write import replacing
from fsarctl.artifacts.unfinished.sealed import is_there, whole_content
from fsarctl.progress import SILENT, Reporter

__all__ = ["Blocks"]


@dataclass(frozen=True)
class Blocks:
    """Blocks of ``size`` of the ``items``, in ``folder``, named by their first item.

    ``of`` is the build that they belong to; ``again`` says what becomes of one that was damaged.
    """

    items: int
    size: int
    folder: Path
    of: str
    ending: str
    again: str

    def __len__(self) -> int:
        return -(-self.items // self.size)

    def within(self, number: int) -> range:
        """The items of a block."""
        return range(number * self.size, min((number + 1) * self.size, self.items))

    def path(self, number: int) -> Path:
        return self.folder / f"block-{number * self.size:08d}{self.ending}"

    def left(self, reporter: Reporter) -> list[int]:
        """Which are not there, by number; a damaged one is removed, and it is said.

        Raises:
            OSError: one cannot be read.
        """
        return [number for number in range(len(self)) if not self.is_done(number, reporter)]

    def is_done(self, number: int, reporter: Reporter = SILENT) -> bool:
        """Whether it is there, and whole; see ``left``."""
        return is_there(self.path(number), self._seal(number), reporter, self.again)

    def read(self, number: int, reporter: Reporter = SILENT) -> bytes | None:
        """What its file holds, None where it is not there, or not whole; see ``left``."""
        return whole_content(self.path(number), self._seal(number), reporter, self.again)

    def keep(self, number: int, write: Callable[[Path, str], None], *, synced: bool = True) -> None:
        """Have a block written to a path, with a seal over what it is told, and put it into its place.

        Not ``synced``: without waiting for the disk; a power cut may damage it.
        """
        with replacing(self.path(number), alone=False, synced=synced) as partial:
            write(partial, self._seal(number))

    def _seal(self, number: int) -> str:
        return f"{self.of} {self.path(number).name}"
