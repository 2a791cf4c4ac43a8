"""``--shots 1 3 5``: an option that takes every word up to the next option.

Typer's own options take one value, or repeat. The command class here rewrites the words before they
are parsed, so that ``--shots 1 3 5`` becomes ``--shots 1 --shots 3 --shots 5``; help, completion and
type errors stay Typer's.
"""

from collections.abc import Collection
from typing import Any

from typer.core import TyperCommand

from fsarctl.errors import UsageError

__all__ = ["VARIADIC", "VariadicCommand", "spread", "usage_of"]

VARIADIC = {
    "--shots": "numbers, e.g. 1 3 5",
    "--seeds": "numbers, e.g. 0 1 2",
    "--rows": "names of rows",
    "--length": "numbers of seconds, e.g. 2 4.5",
}
"""Each with what may follow it."""


def spread(words: list[str], options: Collection[str] = frozenset(VARIADIC)) -> list[str]:
    """Rewrite the words after each of the variadic ``options`` into repeated options.

    Raises:
        UsageError: nothing follows the option.
    """
    rewritten: list[str] = []
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if word == "--":
            return [*rewritten, word, *words[position:]]
        if word not in options:
            rewritten.append(word)
            continue
        values = []
        while position < len(words) and not _is_option(words[position]):
            values.append(words[position])
            position += 1
        if not values:
            raise UsageError(
                f"{word} needs one or more {VARIADIC[word].partition(',')[0]}",
                next_step=f"What follows {word}: {VARIADIC[word]}.",
            )
        for value in values:
            rewritten += [word, value]
    return rewritten


def _is_option(word: str) -> bool:
    # A negative number is a value, to be refused as one rather than as an unknown option.
    return word.startswith("-") and not word[1:2].isdigit()


class VariadicCommand(TyperCommand):
    """A command some of whose options are variadic: those in ``VARIADIC`` that may be repeated."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Spread the variadic options, then parse as usual."""
        repeated = {word for each in self.params if getattr(each, "multiple", False) for word in each.opts}
        return super().parse_args(ctx, spread(args, repeated & VARIADIC.keys()))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ARG002 - as Typer has it
        """What follows the command's name in its usage line, whatever brackets Typer would add of its own."""
        arguments = [each for each in self.params if each.param_type_name == "argument"]
        return ["[OPTIONS]", *map(usage_of, arguments)]


def usage_of(argument: Any) -> str:
    """An argument as the usage line has it: in brackets if it may be left out."""
    name: str = (argument.metavar or argument.name.upper()).strip("[]. ").removesuffix("]")
    name += "..." if argument.nargs == -1 else ""
    return name if argument.required else f"[{name}]"
