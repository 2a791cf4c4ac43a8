"""Reading a server's reply strictly: three good sentences, or a reason why not.

A reply is a chat completion in JSON; the answer is what its first choice says.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fsarctl.progress import shortened
from fsarctl.text.corpus import STAGES, SubActions, sub_actions_from
from fsarctl.text.llm.wrappings import ThoughtError, unwrapped

__all__ = [
    "Answer",
    "BadAnswerError",
    "CutOffError",
    "NoAnswerError",
    "answer_text",
    "page_title",
    "parse_answer",
    "read_reply",
    "usage_of",
]

_EXCERPT = 60
_TEXTS = ("text", "output_text")
_REASONING = ("reasoning_content", "reasoning", "reasoning_text", "thinking")
"""Where servers put a model's thoughts."""


class BadAnswerError(Exception):
    """A reply that is not three sub-actions; the message says in what way."""


class CutOffError(BadAnswerError):
    """An answer that ends where the model might say no more."""


class NoAnswerError(BadAnswerError):
    """A reply that is not even a model's answer, but something else's."""


@dataclass(frozen=True)
class Answer:
    """Three sub-actions and where they come from."""

    sub_actions: SubActions
    usage: Mapping[str, int] | None
    """prompt_tokens and completion_tokens as the server counts them, broken answers included; None if it
    does not."""
    answered_by: str
    """The model's name as the server gives it, often more exact than the name asked for."""
    server: str
    """The server's address without user, password and query."""
    form: str
    """In which form it was asked for: json_schema, json_object or text."""


def read_reply(content: bytes) -> Mapping[str, Any]:
    """A reply's JSON object, whatever content type it came with (untyped: servers differ).

    Raises:
        NoAnswerError: it is none.
    """
    try:
        reply = json.loads(content)
    except UnicodeDecodeError:
        raise NoAnswerError("the reply is not UTF-8 text") from None
    except (ValueError, RecursionError):
        page = re.match(rb"\s*<(!doctype|html)", content, flags=re.IGNORECASE)
        title = page_title(content.decode("utf-8", "replace"))
        titled = f"an HTML page{title and f' ({shortened(title, _EXCERPT)!r})'}"
        raise NoAnswerError(f"the reply is {titled if page else 'not JSON'}") from None
    if not isinstance(reply, dict):
        raise NoAnswerError("the reply is not a JSON object")
    return reply


def page_title(text: str) -> str:
    """The title of an HTML page, if this is one that has one."""
    page = re.search(r"<title[^>]*>(.*?)</title>", text, flags=re.DOTALL | re.IGNORECASE)
    return " ".join(page[1].split()) if page else ""


def usage_of(reply: Mapping[str, Any]) -> dict[str, int] | None:
    """prompt_tokens and completion_tokens as the server counts them; None if it does not."""
    usage = reply.get("usage")
    if not isinstance(usage, dict):
        return None
    counts = {
        name: count
        for name in ("prompt_tokens", "completion_tokens")
        if isinstance(count := usage.get(name), int) and count >= 0
    }
    return counts if len(counts) == 2 else None


def answer_text(reply: Mapping[str, Any]) -> str:
    """What the model said.

    Raises:
        CutOffError: it was cut off.
        BadAnswerError: it refused, was withheld, called a tool, or there is no message.
    """
    try:
        choice = reply["choices"][0]
        message, finish = choice["message"], choice.get("finish_reason")
        content, refusal, calls = (message.get(name) for name in ("content", "refusal", "tool_calls"))
        reasoning = next((said for name in _REASONING if isinstance(said := message.get(name), str)), "")
    except (AttributeError, IndexError, KeyError, TypeError):
        raise NoAnswerError("the reply holds no message") from None
    if refusal:
        raise BadAnswerError(f"the model refused: {' '.join(str(refusal).split())[:200]!r}")
    if finish == "content_filter":
        raise BadAnswerError("the server's content filter withheld the answer")
    if finish == "length":
        raise CutOffError("the answer was cut off")
    if isinstance(content, list):
        # some servers give parts, of which thinking is one kind and text another
        kinds = [part.get("type") if isinstance(part, dict) else None for part in content]
        content = "".join(
            str(part.get("text")) for part, kind in zip(content, kinds, strict=True) if kind in _TEXTS
        )
        if None in kinds:
            raise BadAnswerError("the reply's content is not text")
    if calls and not content:
        raise BadAnswerError("the model called a tool instead of answering")
    if content is not None and not isinstance(content, str):
        raise BadAnswerError("the reply's content is not text")
    # a server that takes an answer for a thought leaves the content empty
    return content if content and content.strip() else reasoning


def parse_answer(text: str) -> SubActions:
    """The sub-actions of an answer.

    The answer is a JSON object with the keys beginning, process and end, or the paper's list of
    three sentences. What servers without structured output add is taken off (``wrappings``): a thought
    before it, and the fence around it with what is said outside that, if there is one fence. Words
    beside an answer without a fence are refused.

    Raises:
        BadAnswerError: the answer is anything else.
    """
    try:
        bare = unwrapped(text)
    except ThoughtError:
        raise BadAnswerError("the answer is a thought without an end") from None
    if not bare:
        raise BadAnswerError("the answer is empty")
    try:
        answer = json.loads(bare)
    except (ValueError, RecursionError):
        raise BadAnswerError(f"the answer is not JSON: {_excerpt(bare)}") from None

    if isinstance(answer, dict):
        lowered = {key.strip().lower(): said for key, said in answer.items()}
        answer = lowered if len(lowered) == len(answer) else answer
        if set(answer) != set(STAGES):
            keys = ", ".join(map(_excerpt, answer)) or "none"
            raise BadAnswerError(
                f"the answer has other keys than {', '.join(STAGES)}: {shortened(keys, _EXCERPT)}"
            )
        answer = [answer[stage] for stage in STAGES]
    if not isinstance(answer, list):
        raise BadAnswerError(f"the answer is neither an object nor a list: {_excerpt(bare)}")
    if [str(each).strip(" .<>").casefold() for each in answer] == [*STAGES]:
        raise BadAnswerError("the answer names the stages and does not describe them")
    try:
        sub_actions = sub_actions_from(answer)
    except ValueError as error:
        raise BadAnswerError(f"the answer {error}") from None
    for stage, sentence in zip(STAGES, sub_actions, strict=True):
        if not any(map(str.isalpha, sentence)):
            raise BadAnswerError(f"the answer has no word in its {stage}")
    return sub_actions


def _excerpt(text: str) -> str:
    return repr(shortened(text, _EXCERPT))
