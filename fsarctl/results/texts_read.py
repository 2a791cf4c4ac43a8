"""Which text of the classes the models of a comparison read: what a gain over the frozen one may be about."""

from typing import Literal, NamedTuple, TypeAlias

__all__ = ["TextKind", "TextsRead"]

TextKind: TypeAlias = Literal["sub-actions", "label"] | None

WORDS = {
    "sub-actions": "three sub-actions of each class",
    "label": "the label of each class alone",
    None: "no text",
}


class TextsRead(NamedTuple):
    """What the frozen model and the method beside it read of each class."""

    frozen: TextKind
    method: TextKind

    def words(self, frozen: str, method: str) -> str:
        """A sentence, with what the two are called."""
        if self.frozen == self.method:
            return f"{frozen} and {method} read {WORDS[self.frozen]}"
        return f"{frozen} reads {WORDS[self.frozen]}, {method} {WORDS[self.method]}"
