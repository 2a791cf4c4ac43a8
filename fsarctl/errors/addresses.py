"""Addresses without what they may hold of secrets: user, password and query.

Everything that shows or stores an address goes through here. An address is found by its ``://``; what
is doubtful (an @ behind a slash) counts as a login, since too little shown does no harm.
"""

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

__all__ = [
    "LOOPBACK",
    "LOOPBACK_HOSTS",
    "hidden",
    "hidden_within",
    "public_address",
    "public_text",
    "secrets_in",
]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""What a machine is called by its own programs."""
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")
"""The same, as browsers write it before the port of an address."""

_MARK = "***"
_RUN = re.compile(r"://[^\s?#]*")
_PART = re.compile(r"[^/\n]*")
_QUERY = re.compile(r"(://[^\s?#]*)(?:([?#])(\S+))?")
_ENDS = "\"'`)]},:;."
"""What a sentence puts behind an address: quotes, brackets, stops."""


def public_address(url: str) -> str:
    """An address without user, password, query and fragment."""
    start = "" if "://" in url else "://"
    bare = _without_login(start + url.strip(), "")
    return re.split(r"[?#]", bare.removeprefix(start), maxsplit=1)[0].rstrip("/")


def public_text(text: str) -> str:
    """A text whose addresses are public ones."""
    return _QUERY.sub(lambda found: found[1] + _behind(found), _without_login(text, ""))


def hidden(text: str) -> str:
    """A text in whose addresses user, password and query are stars.

    >>> hidden("no answer from 'http://me:secret@host/v1?key=secret'")
    "no answer from 'http://***@host/v1?***'"
    """
    return _QUERY.sub(_with_mark, _without_login(text, f"{_MARK}@"))


def _without_login(text: str, mark: str) -> str:
    """The text with ``mark`` for every login, in time that grows with its length alone.

    A login is what stands before the last @ up to a blank, ? or #; where there is none, before the last one
    up to a slash.
    """
    parts, place = [], 0
    for run in _RUN.finditer(text):
        start, end = max(run.start() + 3, place), text.rfind("@", run.start() + 3, run.end())
        if end >= start:
            parts += [text[place:start], mark]
            place = end + 1
        start = text.rfind("://", max(run.start(), place), run.end()) + 3
        if start > 2 and (part := _PART.match(text, start)):
            end = text.rfind("@", start, part.end())
            if end >= 0:
                parts += [text[place:start], mark]
                place = end + 1
    return "".join(parts) + text[place:]


def _with_mark(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2]}{_MARK}{_behind(found)}" if found[2] else found[0]


def _behind(found: re.Match[str]) -> str:
    """What stands behind an address's query and belongs to the sentence around it."""
    query = found[3] or ""
    return query[max(len(query.rstrip(_ENDS)), 1) :]


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
