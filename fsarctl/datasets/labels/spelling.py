"""Labels across spellings: datasets, descriptions and people write the same one differently."""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from fsarctl.errors.nearest import nearest

__all__ = ["loosely", "nearest_label"]

_CLOSE = 0.75


@lru_cache(maxsize=65_536)
def loosely(label: str) -> str:
    """A label as it is compared across spellings: ``LongJump``, ``long_jump`` and ``Long Jump`` are one.

    So are SSv2's ``Poking [something]``, as its annotations have it, and ``Poking something``.
    """
    # macOS decomposes accents in folder names; NFKC composes them again
    return re.sub(r"[\s_\[\]-]+", "", unicodedata.normalize("NFKC", label).casefold())


def nearest_label(label: str, labels: Iterable[str]) -> str | None:
    """The label that this one may be a misspelling of; None if none is close."""
    spelled = {loosely(each): each for each in labels}
    found = nearest(loosely(label), spelled, cutoff=_CLOSE)
    return spelled[found[0]] if found else None
