"""Labels across spellings: datasets, descriptions and people write the same one differently."""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from fsarctl.errors.nearest import KnownNames

__all__ = ["loosely", "nearest_labels"]

_CLOSE = 0.75


@lru_cache(maxsize=65_536)
def loosely(label: str) -> str:
    """A label as it is compared across spellings: ``LongJump``, ``long_jump`` and ``Long Jump`` are one.

    So are SSv2's ``Poking [something]``, as its annotations have it, and ``Poking something``.
    """
    # macOS decomposes accents in folder names; NFKC composes them again
    return re.sub(r"[\s_\[\]-]+", "", unicodedata.normalize("NFKC", label).casefold())


def nearest_labels(asked: Iterable[str], labels: Iterable[str]) -> dict[str, str]:
    """The label that each of those asked for may be a misspelling of; none for one that is close to none."""
    spelled = {loosely(each): each for each in labels}
    known = KnownNames(spelled)
    found = {label: known.nearest(loosely(label), cutoff=_CLOSE) for label in asked}
    return {label: spelled[near[0]] for label, near in found.items() if near}
