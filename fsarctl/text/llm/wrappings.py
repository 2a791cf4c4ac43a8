"""What models and servers put around an answer: thoughts, channels, fences, tags, and marks nobody sees.

Only what is a wrapping by its form is taken off. Words beside an answer are not: they may take it back.
"""

import re

__all__ = ["ThoughtError", "unwrapped"]

_BLANK = " \t\r\n\v\f\0\xa0\xad\u180e\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u2060"
_OPEN, _CLOSE = r"[<\[({◁⟨‹«【]\s*[|｜]?\s*", r"\s*[|｜]?\s*[>\])}▷⟩›»】]"
_THOUGHTS = "think|thought|reason|reflect|analysis|scratchpad|monologue|inner_[ps]|details"
_THINKING = rf"[\w:]*?(?:{_THOUGHTS})[\w▁]*"
_BEGIN = re.compile(rf"{_OPEN}{_THINKING}[^<>\[\]]*?{_CLOSE}", re.I)
_END = re.compile(
    rf"{_OPEN}(?:/\s*{_THINKING}|end[\w▁]*?{_THINKING}|inner_suffix){_CLOSE}|<unused95>|<channel\|>", re.I
)
_CHANNEL = re.compile(
    r"<\|channel\|>\s*(\w+)[^|]*?(?:<\|constrain\|>\s*\w*\s*)?<\|message\|>(.*?)(?=<\||\Z)", re.S
)
_CHANNELS_WITHOUT_MARKS = re.compile(
    r"\A\s*(?:assistant)?\s*analysis.*assistant\s*final\s*(?:json)?\s*", re.S
)
_MARK = (
    r"<[|｜][^<>|｜\n]{1,40}[|｜]>|</?s>|\[/?(?:INST|EOS|BOS)\]"
    r"|<(?:eos|eot|bos|pad|(?:start|end)_of_\w+|turn\|)>"
)
"""Of turns, and of a text's beginning and end."""
_MARKS = re.compile(rf"\A(?:(?:{_MARK})\s*(?:assistant\b|model\b)?\s*)+")
_FENCE = re.compile(r"(`{3,}+|~{3,}+|'{3}|\"{3})[ \t]*+[^\n`~{\[]{0,80}+\s*+([\[{].*?)\1", re.S)
_HALF_FENCE = re.compile(
    r"\A(?:(?:`{3,}|~{3,})\s*\w*\s*|json5?\b\s*:?\s*|`)(?=[{\[])|(?<=[}\]])\s*(?:`|`{3,}|~{3,})\Z", re.I
)
"""Where a server stops at the fence's end, or leaves out its begin."""
_NAMED = r"(?:\w*_)?(?:answer|response|output|final|result|solution|json|code)"
_TAG = re.compile(rf"<[|｜]?({_NAMED})[|｜]?>(.*?)<[|｜]?(?:/|end_(?:of_)?){_NAMED}[|｜]?>", re.S | re.I)


LONGEST = 8_000
"""Characters at the end of an answer that are looked at; some wrappings take the square of them to find."""


class ThoughtError(Exception):
    """A thought, and no answer after it."""


def unwrapped(text: str) -> str:
    """An answer without its wrappings.

    Raises:
        ThoughtError: there is but a thought.
    """
    bare = _stripped(text.replace("\ufeff", ""))
    if len(bare) > LONGEST:  # a thought and its end, or nothing that is meant to be read
        start, bare = bare[:LONGEST], bare[-LONGEST:]
        if _BEGIN.match(start) and not _END.search(bare):
            raise ThoughtError
    bare = _final(bare)
    thoughts = [*_END.finditer(bare)]
    bare = _stripped(bare[thoughts[-1].end() :] if thoughts else bare)
    bare = _stripped(_MARKS.sub("", bare))
    if _BEGIN.match(bare):
        raise ThoughtError
    if bare.startswith(">"):  # a quotation
        bare = re.sub(r"(?m)^> ?", "", bare)
    for wrapping in (_TAG, _FENCE):
        found = wrapping.findall(bare)
        if len(found) == 1:  # of several it is not known which
            bare = _stripped(found[0][1])
    bare = _stripped(re.split(_MARK, bare, maxsplit=1)[0])
    return _HALF_FENCE.sub("", bare)


def _final(text: str) -> str:
    """What is said in the final channel, where there are channels.

    Raises:
        ThoughtError: there is none.
    """
    said = _CHANNEL.findall(text)
    if not said:
        return _CHANNELS_WITHOUT_MARKS.sub("", text)
    final = [words for channel, words in said if channel == "final"]
    if not final:
        raise ThoughtError
    return str(final[-1])


def _stripped(text: str) -> str:
    return text.strip(_BLANK)
