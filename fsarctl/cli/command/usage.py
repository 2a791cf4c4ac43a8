"""What Typer says of words that it does not take: they are escaped, as all that is printed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from typer.core import TyperGroup

from fsarctl.errors.shown import shown

__all__ = ["EscapingGroup"]


class EscapingGroup(TyperGroup):
    """The group of all commands; whatever refuses a word does it within this."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Its own words."""
        with _escaped():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """Those of its commands."""
        with _escaped():
            return super().invoke(ctx)


@contextmanager
def _escaped() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # Typer's own class of errors stands in a private module, and elsewhere from version to version.
        if hasattr(error, "format_message") and isinstance(said := getattr(error, "message", None), str):
            error.message = "\n".join(map(shown, said.split("\n")))  # type: ignore[attr-defined]
        raise
