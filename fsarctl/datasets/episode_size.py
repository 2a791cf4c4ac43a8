"""Whether classes are many and large enough for the episodes asked of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from fsarctl.errors import InputError

__all__ = ["EpisodeSize", "SmallClass"]


@dataclass(frozen=True)
class SmallClass:
    """A class that has fewer clips than one episode needs of it."""

    label: str
    has: int
    needs: int


@dataclass(frozen=True)
class EpisodeSize:
    """``way`` classes of ``shot`` support and ``query`` query clips each, set by ``table`` (train, eval)."""

    table: str
    way: int
    shot: int
    query: int

    @property
    def clips(self) -> int:
        """How many clips of a class an episode needs."""
        return self.shot + self.query

    def small_classes(self, counts: Mapping[str, int]) -> list[SmallClass]:
        """The classes of ``counts`` (label -> clips) that are too small, the smallest first."""
        small = sorted((count, label) for label, count in counts.items() if count < self.clips)
        return [SmallClass(label, count, self.clips) for count, label in small]

    def check(self, counts: Mapping[str, int], source: str) -> None:
        """Refuse episodes that these clips cannot make; ``source`` names them in the error.

        Raises:
            InputError: fewer classes than ``way``, or a class with fewer clips than shot + query.
        """
        if not counts:
            raise InputError(
                f"{source} has no class with a clip",
                next_step="Put clips there, or say which classes are in that split.",
            )
        if self.way > len(counts):
            raise InputError(
                f"{source} has {len(counts)} classes, fewer than the {self.way} of a {self.way}-way episode",
                next_step=f"Lower the way (--set {self.table}.way={max(len(counts), 2)}), or add classes.",
            )
        small = self.small_classes(counts)
        if small:
            first = small[0]
            others = f" ({len(small) - 1} more classes are too small)" if len(small) > 1 else ""
            raise InputError(
                f"{source}: class {first.label!r} has {first.has} usable clips, and {self.shot} shot +"
                f" {self.query} query need {self.clips}{others}",
                next_step="Use fewer shots or queries, add clips, or leave the class out of the split.",
            )
