"""Reading a model's reply strictly: three good sentences, or a reason why not."""

import json
import re

from fsarctl.data.corpus import STAGES, SubActions, sub_actions_from

__all__ = ["BadAnswerError", "parse_answer"]

_EXCERPT = 60


class BadAnswerError(Exception):
    """A reply that is not three sub-actions; the message says in what way."""


def parse_answer(text: str) -> SubActions:
    """The sub-actions of a reply.

    The reply is a JSON object with the keys beginning, process and end, or the paper's list of
    three sentences. A Markdown fence around it and a <think> block before it are what servers
    without structured output add, and are taken off; anything else around it is refused.

    Raises:
        BadAnswerError: the reply is anything else.
    """
    bare = re.sub(r"\A\s*<think>.*?</think>", "", text, flags=re.DOTALL).strip()
    fenced = re.fullmatch(r"```\w*\s*\n(.*)\n\s*```", bare, flags=re.DOTALL)
    bare = fenced[1] if fenced else bare
    if not bare:
        raise BadAnswerError("the answer is empty")
    try:
        answer = json.loads(bare)
    except (ValueError, RecursionError):
        raise BadAnswerError(f"the answer is not JSON: {_excerpt(bare)}") from None

    if isinstance(answer, dict):
        if set(answer) != set(STAGES):
            keys = ", ".join(map(_excerpt, answer)) or "none"
            raise BadAnswerError(f"the answer has other keys than {', '.join(STAGES)}: {_shortened(keys)}")
        answer = [answer[stage] for stage in STAGES]
    if not isinstance(answer, list):
        raise BadAnswerError(f"the answer is neither an object nor a list: {_excerpt(bare)}")
    try:
        return sub_actions_from(answer)
    except ValueError as error:
        raise BadAnswerError(f"the answer {error}") from None


def _excerpt(text: str) -> str:
    return repr(_shortened(text))


def _shortened(text: str) -> str:
    return text if len(text) <= _EXCERPT else text[:_EXCERPT] + "..."
