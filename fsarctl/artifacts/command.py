"""Commands as data: what makes an artifact, put into words only when somebody reads or runs it."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace

__all__ = ["Command", "Option", "joined", "words"]


@dataclass(frozen=True)
class Option:
    """``--name value ...``; without a name, plain words.

    ``several``: commands that differ in these values alone are one command with all of them.
    """

    name: str
    values: tuple[str, ...] = ()
    several: bool = False


@dataclass(frozen=True)
class Command:
    """``fsarctl verb ...``."""

    verb: str
    options: tuple[Option, ...] = ()

    def __str__(self) -> str:
        return shlex.join(["fsarctl", *self.arguments])

    @property
    def arguments(self) -> list[str]:
        """The words after ``fsarctl``."""
        return [self.verb, *words(self.options)]

    def with_options(self, *options: Option) -> "Command":
        """The same with more options."""
        return replace(self, options=(*self.options, *options))

    def values(self, name: str) -> list[str]:
        """All values of one option."""
        return [value for each in self.options if each.name == name for value in each.values]

    @classmethod
    def parse(cls, line: str) -> "Command":
        """What a manifest's line says; which options gather is not written there."""
        _, verb, *rest = shlex.split(line)
        options: list[Option] = []
        for word in rest:
            if word.startswith("--"):
                options.append(Option(word))
            else:
                last = options.pop() if options else Option("")
                options.append(replace(last, values=(*last.values, word)))
        return cls(verb, tuple(options))


def words(options: Iterable[Option]) -> list[str]:
    """Options as words of a command line."""
    return [word for each in options for word in ([each.name] * bool(each.name) + list(each.values))]


def joined(commands: Iterable[Command]) -> list[Command]:
    """Each command once; those that differ only in the values of an option that takes several become one.

    >>> shots = [Command("train", (Option("--shots", (shot,), several=True),)) for shot in "13"]
    >>> [str(each) for each in joined(shots)]
    ['fsarctl train --shots 1 3']
    """
    gathered: dict[Command, dict[str, dict[str, None]]] = {}
    for command in commands:
        bare = tuple(replace(each, values=()) if each.several else each for each in command.options)
        values = gathered.setdefault(replace(command, options=bare), {})
        for each in command.options:
            if each.several:
                values.setdefault(each.name, {}).update(dict.fromkeys(each.values))
    return [
        replace(
            bare,
            options=tuple(
                replace(each, values=tuple(values[each.name])) if each.several else each
                for each in bare.options
            ),
        )
        for bare, values in gathered.items()
    ]
