"""What a reply says that is no answer: read in whichever of its many places a server says it."""

import json
import re
from collections.abc import Mapping
from typing import Any

from fsarctl.text.llm.answers import page_title
from fsarctl.text.llm.connection import Reply
from fsarctl.text.llm.redaction import Redaction
from fsarctl.text.llm.waits import asked_to_wait

__all__ = ["RefusedError", "refusal_in"]

_LONGEST_QUOTE = 200
_PASSING = {408, 409, 425, 429}
_LIMITS = re.compile(
    r"rate.?limit|too many|quota|exhausted|throttl|\b(rpm|tpm|rpd|qps)\b"
    r"|(per|/) ?(second|minute|min|hour|day)",
    re.I,
)
_BUSY = re.compile(
    r"overload|busy|unavailable|capacity|loading|temporar|try again|timed? ?out|internal", re.I
)
_WORDS = (
    *("message", "Message", "msg", "detail", "error", "errors", "error_message", "error_msg", "errmsg"),
    *("error_description", "description", "status_msg", "faultstring", "reason", "title"),
)
"""Where an error's words are, best first."""
_AROUND = ("error", "errors", "base_resp", "fault", "detail")
"""What an error is wrapped in."""
_CODES = ("code", "status", "status_code", "error_code", "http_status", "type")


class RefusedError(Exception):
    """A reply that is an error, by its status or by what it says. The message is that, without the key."""

    def __init__(self, reply: Reply, body: Any, redaction: Redaction) -> None:
        error = _within(body)
        words = " ".join(_words(error).split())
        fields: Mapping[str, Any] = error if isinstance(error, Mapping) else {}
        codes = [each for where in (fields, _first(body)) for each in map(where.get, _CODES) if each]
        self.said = redaction.text(words)[:_LONGEST_QUOTE]
        super().__init__(self.said)
        self.status = reply.status
        if reply.status < 300:
            self.status = next((each for each in map(_status, codes) if each), reply.status)
        self.code = next((str(each) for each in codes if not _status(each)), "")
        self.param = str(fields.get("param") or "")
        self.wait = asked_to_wait(reply.headers, body, words)
        self.location = reply.headers.get("location", "")
        said = f"{words} {' '.join(map(str, codes))}"
        perhaps = self.status < 300 or self.status in (403, 503, 529)
        self.limited = self.status == 429 or (perhaps and bool(_LIMITS.search(said)))
        """Whether too much was asked in too short a time."""
        busy = self.status < 300 and bool(_BUSY.search(said))
        server = self.status >= 500 and self.status not in (501, 505)
        self.passing = self.limited or busy or server or self.status in _PASSING
        """Whether the same request may succeed later."""


def refusal_in(reply: Reply, redaction: Redaction) -> RefusedError | None:
    """The error that a reply is; None where it may be an answer."""
    text = reply.content.decode("utf-8", "replace")
    try:
        body = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        if reply.status < 300:
            return None
        body = {"message": page_title(text) or text}
    if reply.status >= 300:
        return RefusedError(reply, body, redaction)
    first = _first(body)
    choices = first.get("choices")
    choice = _first(choices)
    if isinstance(choice.get("message"), Mapping) and not choice.get("error"):
        return None
    said = (
        choice if choice.get("error") else {name: each for name, each in first.items() if name != "choices"}
    )
    if not any(said.get(name) for name in (*_AROUND, *_WORDS)):
        return None
    return RefusedError(reply, said, redaction)


def _first(value: Any) -> Mapping[str, Any]:
    """An object, or the first of a list of them."""
    while isinstance(value, list):
        value = value[0] if value else None
    return value if isinstance(value, Mapping) else {}


def _within(body: Any) -> Any:
    """The error, without what is around it."""
    first = _first(body)
    return next((_first(first[name]) or first[name] for name in _AROUND if first.get(name)), first or body)


def _words(value: Any) -> str:
    """What an error says for people; of a list of complaints the first few, with the field each is about."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "; ".join(filter(None, map(_words, value[:3])))
    if not isinstance(value, Mapping) or not value:
        return str(value) if value else ""
    said = next((words for name in _WORDS if value.get(name) and (words := _words(value[name]))), "")
    where = value.get("loc")
    said = f"{'.'.join(map(str, where))}: {said}" if isinstance(where, list) else said
    passed_on = value.get("metadata")
    raw = passed_on.get("raw") if isinstance(passed_on, Mapping) else None
    return f"{said}: {raw}" if said and isinstance(raw, str) else said or json.dumps(value)[:_LONGEST_QUOTE]


def _status(value: Any) -> int:
    """A code that is an HTTP status of an error; else 0."""
    number = int(value) if isinstance(value, str) and value.isdecimal() and len(value) == 3 else value
    return number if isinstance(number, int) and 400 <= number <= 599 else 0
