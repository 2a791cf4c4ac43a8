"""Whether classes are many and large enough for the episodes asked of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fsarctl.datasets.group_sizes import can_part
from fsarctl.errors import InputError
from fsarctl.progress import counted, further

__all__ = ["EpisodeSize", "SmallClass"]


@dataclass(frozen=True)
class SmallClass:
    """A class that has fewer clips than one episode needs of it, or ``what`` else it counts: groups."""

    label: str
    has: int
    needs: int
    what: str = "clips"


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

    def small_classes(
        self, counts: Mapping[str, int], groups: Mapping[str, Sequence[int]] | None = None
    ) -> list[SmallClass]:
        """The classes of ``counts`` (label -> clips) that are too small, the smallest first.

        ``groups``: label -> how many clips each of its groups has, of which support and query share none.
        """
        small = sorted((count, label) for label, count in counts.items() if count < self.clips)
        found = [SmallClass(label, count, self.clips) for count, label in small]
        for label, sizes in sorted((groups or {}).items(), key=lambda item: (len(item[1]), item[0])):
            if counts.get(label, 0) >= self.clips and not can_part(sizes, self.shot, self.query):
                found.append(SmallClass(label, len(sizes), max(2, len(sizes) + 1), "groups"))
        return found

    def check(
        self,
        counts: Mapping[str, int],
        source: str,
        groups: Mapping[str, Sequence[int]] | None = None,
        sets: Mapping[str, str] | None = None,
    ) -> None:
        """Refuse episodes that these clips cannot make; ``source`` names them in the error.

        ``groups`` as in ``small_classes``; ``sets``: label -> the set that all classes of an episode are of.

        Raises:
            InputError: fewer classes than ``way`` (in any one set), a class with fewer clips than shot +
                query, or one whose groups cannot be parted into so many clips of support and of query.
        """
        if not counts:
            raise InputError(
                f"{source} has no class with a clip",
                next_step="Put clips there, or say which classes are in that split.",
            )
        if self.way > len(counts):
            raise InputError(
                f"{source} has {counted(len(counts), 'class', 'es')}, fewer than the {self.way} of a"
                f" {self.way}-way episode",
                next_step=self._lower_way(len(counts)),
            )
        largest = max(Counter((sets or {}).get(label) for label in counts).values())
        if self.way > largest:
            raise InputError(
                f"{source} has sets of at most {counted(largest, 'class', 'es')} that go together, fewer than"
                f" the {self.way} of a {self.way}-way episode",
                next_step=self._lower_way(largest),
            )
        small = self.small_classes(counts, groups)
        if small:
            first = small[0]
            rest = further(small, 1, "class", "es")
            others = f" (too small, too: {rest})" if rest else ""
            if first.what == "groups":
                sizes = ", ".join(map(str, (groups or {})[first.label]))
                raise InputError(
                    f"{source}: class {first.label!r} has {counted(first.has, 'group')} (of {sizes} clips),"
                    f" and {self.shot} shot + {self.query} query that share no group need more{others}",
                    next_step="Use fewer shots or queries, add clips of other groups, leave the class out of"
                    " the split, or do without groups.",
                )
            raise InputError(
                f"{source}: class {first.label!r} has {counted(first.has, 'usable clip')}, and {self.shot}"
                f" shot + {self.query} query need {self.clips}{others}",
                next_step="Use fewer shots or queries, add clips, or leave the class out of the split.",
            )

    def _lower_way(self, classes: int) -> str:
        """What makes episodes of so few classes; of one there are none."""
        if classes < 2:
            return "Add classes: an episode has two or more."
        return f"Lower the way (--set {self.table}.way={classes}), or add classes."
