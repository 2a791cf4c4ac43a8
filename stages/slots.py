"""Slots that are read again: of manifests, which say nowhere else of which split or list an artifact is.

A slot is made for people to read, and says a verb and of what. What is told by a setting or an input is not
read here.
"""

from dataclasses import dataclass

__all__ = ["Slot"]

LIST = "--labels "


@dataclass(frozen=True)
class Slot:
    """``verb`` and what it is done to: "extract" and "shapes/test", "train" and "shapes 1-shot"."""

    verb: str
    of: str

    def __str__(self) -> str:
        return f"{self.verb} {self.of}"

    @classmethod
    def read(cls, slot: str) -> "Slot":
        """What a unit or a manifest calls its slot."""
        verb, _, of = slot.partition(" ")
        return cls(verb, of)

    @classmethod
    def of_split(cls, verb: str, dataset: str, split: str) -> "Slot":
        """Of the clips or the classes of a split."""
        return cls(verb, f"{dataset}/{split}")

    @classmethod
    def of_list(cls, verb: str, name: str) -> "Slot":
        """Of a list of labels that is no dataset's."""
        return cls(verb, LIST + name)

    @property
    def dataset(self) -> str:
        """Of one of a split."""
        return self.of.rpartition("/")[0]

    @property
    def split(self) -> str:
        """Of one of a split."""
        return self.of.rpartition("/")[2]

    @property
    def is_list(self) -> bool:
        """Whether it is of a list of labels."""
        return self.of.startswith(LIST)
