"""Progress bars for a notebook, or a script in a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from fsarctl.errors.shown import shown
from fsarctl.progress import Advance

__all__ = ["Bars"]


class Bars:
    """A :class:`~fsarctl.progress.Reporter` by tqdm: a widget in a notebook, a line in a terminal."""

    @contextmanager
    def task(self, description: str, total: int, unit: str, done: int = 0) -> Iterator[Advance]:
        """A bar of ``total`` units."""
        from tqdm.auto import tqdm

        with tqdm(desc=description, total=total, unit=unit, initial=done) as bar:

            def advance(amount: int = 1, detail: str = "") -> None:
                if detail:
                    bar.set_postfix_str(detail, refresh=False)
                bar.update(amount)

            yield advance

    def note(self, message: str) -> None:
        """A line of its own, between the bars."""
        from tqdm.auto import tqdm

        tqdm.write(shown(message), file=sys.stderr)
