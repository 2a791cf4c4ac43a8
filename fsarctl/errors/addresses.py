"""Addresses without what they may hold of secrets: user, password and query.

Everything that shows or stores an address goes through here. An address is found by its ``://``; what
is doubtful (an @ behind a slash) counts as a login, since too little shown does no harm.
"""

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

__all__ = ["hidden", "hidden_within", "public_address", "public_text", "secrets_in"]

_MARK = "***"
LONGEST = 10_000
"""Characters of a message; an address cut off by that shows nothing of itself."""
_LOGIN = re.compile(r"(?<=://)(?:[^\s?#]*|[^/\n]*)@")
# up to a blank, less the quotes and brackets that a sentence puts around it
_QUERY = re.compile(r"(://[^\s?#]*)([?#])\S+?(?=[\"'`)\]},:;.]*(?:\s|$))")


def public_address(url: str) -> str:
    """An address without user, password, query and fragment."""
    start = "" if "://" in url else "://"
    bare = _LOGIN.sub("", start + url.strip())
    return re.split(r"[?#]", bare.removeprefix(start), maxsplit=1)[0].rstrip("/")


def public_text(text: str) -> str:
    """A text whose addresses are public ones."""
    return _QUERY.sub(r"\1", _LOGIN.sub("", text))


def hidden(text: str) -> str:
    """A text in whose addresses user, password and query are stars.

    >>> hidden("no answer from 'http://me:secret@host/v1?key=secret'")
    "no answer from 'http://***@host/v1?***'"
    """
    if len(text) > LONGEST:  # what is sought for an end at each :// takes the square of that
        start = text[:LONGEST]
        place = start.rfind("://")
        text = f"{start[: place + 3] + _MARK if place >= 0 else start}... ({len(text):,} characters)"
    return _QUERY.sub(rf"\1\2{_MARK}", _LOGIN.sub(f"{_MARK}@", text))


def hidden_within(value: Any) -> Any:
    """A setting's value with every text in it ``hidden``."""
    if isinstance(value, str):
        return hidden(value)
    if isinstance(value, Mapping):
        return {hidden_within(key): hidden_within(each) for key, each in value.items()}
    return [hidden_within(each) for each in value] if isinstance(value, list | tuple) else value


def secrets_in(url: str) -> Iterator[str]:
    """User, password, both as a header has them, and the values of the query, as they stand and decoded.

    Raises:
        ValueError: it is no address.
    """
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    yield from login.split(":", 1)
    name, password = unquote(parts.username or ""), unquote(parts.password or "")
    yield from (name, password, b64encode(f"{name}:{password}".encode()).decode() if login else "")
    for part in (parts.query, parts.fragment):
        yield part
        for field in part.split("&"):
            yield field.partition("=")[2] or field
        for key, value in parse_qsl(part, keep_blank_values=True):
            yield value or key
