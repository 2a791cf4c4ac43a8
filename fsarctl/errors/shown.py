"""Words of others (labels, names, paths, settings, what a server says) as a terminal or a page may have them.

A control character, an escape sequence or a direction mark in them could move the cursor, forge a line, or
turn what stands around it. They are shown as Python writes them, and names that are longer than any label by
their beginning.
"""

import re
import unicodedata

__all__ = ["brief", "escaped", "escaped_json", "shown", "without_marks"]

SHOWN = 60
"""Characters that are shown of what is longer than ``LONGEST``."""
LONGEST = 300
JOINERS = {"\N{ZERO WIDTH JOINER}", "\N{ZERO WIDTH NON-JOINER}"}
"""What scripts and pictures are spelt with."""
HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode's categories of what is not there to be seen: controls, formats, halves of pairs, ends of lines."""

_LONG = re.compile(
    r"(?<!\w)'(?=\S)[^'\n]{LONG,}'|(?<!\w)\"(?=\S)[^\"\n]{LONG,}\"|[^,:;.'\"()\[\]/\n]{LONG,}".replace(
        "LONG", str(LONGEST + 1)
    )
)
"""What is in quotes, or of one piece as names are; a path has parts. What is between two names is none."""
_NOT_ASCII = re.compile(r"[^ -~]")
_NOT_ASCII_LINES = re.compile(r"[^ -~\n]")


def shown(text: str) -> str:
    r"""One line, escaped, in which names that are longer than any label are shortened.

    >>> print(shown("a\x1b[31mb\u202ec"))
    a\x1b[31mb\u202ec
    """
    return escaped(_LONG.sub(_beginning, text) if len(text) > LONGEST else text)


def brief(name: str) -> str:
    """A name by itself: whole up to what a label may have, else its first 60 characters and their number."""
    return name if len(name) <= LONGEST else _cut(name)


def escaped(text: str) -> str:
    """The text, with what cannot be seen of it as an escape of Python's."""
    return _NOT_ASCII.sub(lambda found: repr(found[0])[1:-1] if _is_hidden(found[0]) else found[0], text)


def without_marks(value: object) -> object:
    """What a template prints: of text the controls and direction marks are shown, not followed."""
    return "\n".join(map(escaped, value.split("\n"))) if type(value) is str else value


def escaped_json(document: str) -> str:
    """A document of the same values; what cannot be seen, which is within quotes, is escaped as JSON does."""
    return _NOT_ASCII_LINES.sub(_json_escape, document)


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in HIDDEN and character not in JOINERS


def _json_escape(found: re.Match[str]) -> str:
    if not _is_hidden(found[0]):
        return found[0]
    units = found[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[place : place + 4]}" for place in range(0, len(units), 4))


def _beginning(long: re.Match[str]) -> str:
    quote = long[0][0] if long[0][0] in "\"'" else ""
    return _cut(long[0][1:-1] if quote else long[0], quote)


def _cut(name: str, quote: str = "") -> str:
    return f"{quote}{name[:SHOWN]}{quote}... ({len(name):,} characters)"
