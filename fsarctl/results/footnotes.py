"""Marks beside numbers, and what stands at them below a table: [a], [b] and so on."""

from collections.abc import Mapping
from string import ascii_lowercase

__all__ = ["Footnotes"]


class Footnotes:
    """The footnotes of one table, each text once, in the order in which they are asked for.

    ``texts`` begins with those that are there: mark -> text.
    """

    def __init__(self, texts: Mapping[str, str] | None = None) -> None:
        self.texts: dict[str, str] = dict(texts or {})

    def mark(self, text: str) -> str:
        """The mark of a footnote that says this."""
        for mark, known in self.texts.items():
            if known == text:
                return mark
        number = len(self.texts)
        letter = ascii_lowercase[number % len(ascii_lowercase)]
        mark = letter * (1 + number // len(ascii_lowercase))
        self.texts[mark] = text
        return mark
