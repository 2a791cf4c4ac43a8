"""A server's words without the secrets that a request carries, should it repeat them."""

import html
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote, quote_plus

__all__ = ["Redaction"]

_LONG = 8
"""Characters from which a secret is one wherever it stands, not only as a word of its own."""
_MARK = "[key]"


@dataclass(frozen=True)
class Redaction:
    """Replaces ``secrets``, in every spelling that a server may give them."""

    secrets: tuple[str, ...]

    def text(self, said: str) -> str:
        """What a server said, for people to read: no secret is too short to be replaced."""
        return self._strict.sub(_MARK, said)

    def answer(self, said: str) -> str:
        """An answer, to be kept; there a short secret of letters alone ("someone", "EMPTY") is but a word."""
        return self._tolerant.sub(_MARK, said)

    @cached_property
    def _strict(self) -> re.Pattern[str]:
        return _pattern(self.secrets)

    @cached_property
    def _tolerant(self) -> re.Pattern[str]:
        return _pattern(
            each for each in self.secrets if len(each) >= _LONG or (len(each) > 2 and not each.isalpha())
        )


def _pattern(secrets: Iterable[str]) -> re.Pattern[str]:
    spelled = {spelling for secret in secrets for spelling in _spellings(secret) if spelling}
    if not spelled:
        return re.compile(r"(?!)")
    # the longest first, so that no part of one is left over
    return re.compile("|".join(_found(each) for each in sorted(spelled, key=len, reverse=True)))


def _found(spelling: str) -> str:
    if len(spelling) >= _LONG:
        return re.escape(spelling)
    before = r"(?<![^\W_])" if spelling[0].isalnum() else ""
    after = r"(?![^\W_])" if spelling[-1].isalnum() else ""
    return before + re.escape(spelling) + after


def _spellings(secret: str) -> Iterator[str]:
    """As it is, and encoded for an address, a page, JSON or Python; with one blank for several."""
    for spelling in (secret, quote(secret, safe=""), quote(secret), quote_plus(secret)):
        yield spelling
        yield re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), spelling)
    yield from (html.escape(secret), json.dumps(secret)[1:-1], repr(secret)[1:-1], secret.rstrip("="))
    yield " ".join(secret.split())
