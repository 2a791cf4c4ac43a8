"""How large the groups of clips are, and whether they can be parted into support and query."""

from collections import Counter
from collections.abc import Iterable, Sequence

__all__ = ["can_part", "group_sizes"]


def group_sizes(clips: Iterable[tuple[str, str]]) -> dict[str, list[int]]:
    """Label -> how many clips each of its groups has, from pairs of label and group."""
    counts: dict[str, Counter[str]] = {}
    for label, group in clips:
        counts.setdefault(label, Counter())[group] += 1
    return {label: sorted(each.values(), reverse=True) for label, each in counts.items()}


def can_part(sizes: Sequence[int], support: int, query: int) -> bool:
    """Whether groups of these sizes can be parted in two, with so many clips or more on either side."""
    # Filling the support group by group takes less than a group's clips too many.
    if sum(sizes) >= max(0, support) + max(0, query) + max(sizes, default=1) - 1:
        return True
    sums = 1  # bit s: some of the groups have s clips together
    for size in sizes:
        sums |= sums << size
    first, last = max(0, support), sum(sizes) - max(0, query)
    return last >= first and bool((sums >> first) & ((1 << (last - first + 1)) - 1))
