"""How the command line talks: data on stdout, everything else on stderr.

All that commands print leaves through here, and what is within it, be it a name, a setting or a server's
words, moves no cursor: control characters, escape sequences and direction marks are as ``shown`` writes them.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any, TextIO

from fsarctl.errors import FsarctlError
from fsarctl.errors.shown import brief, escaped, escaped_json, shown
from fsarctl.progress import Advance, Reporter, counted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

__all__ = [
    "echo",
    "keeping_stdout",
    "make_reporter",
    "named",
    "panel",
    "print_data",
    "print_error",
    "print_json",
    "print_line",
    "print_paragraph",
    "print_table",
    "say",
    "stderr",
    "stdout",
    "styled",
]

PLAIN_SECONDS = 10.0
INDENT = 2
COMMAND = "fsarctl "


_KEPT: list[TextIO] = []
"""The stdout of the command that is at work."""


def stdout() -> TextIO:
    """Where data goes."""
    return _KEPT[-1] if _KEPT else sys.stdout


@contextmanager
def keeping_stdout() -> Iterator[None]:
    """Within, stdout is for what leaves through here: what others' parts print goes to stderr."""
    _KEPT.append(stdout())
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _KEPT.pop()


_ABOVE: "list[Console]" = []
"""Of a panel that is shown."""


def stderr() -> "Console":
    """The console for everything that is not data; on a terminal what it says stands above a panel."""
    from rich.console import Console

    return _ABOVE[0] if _ABOVE and sys.stderr.isatty() else Console(stderr=True, highlight=False)


@contextmanager
def panel() -> "Iterator[Live]":
    """What changes in its place, on a terminal."""
    from rich.console import Console
    from rich.live import Live

    console = Console(file=stdout(), highlight=False)
    with Live(console=console, refresh_per_second=8) as screen:
        _ABOVE.append(console)
        try:
            yield screen
        finally:
            _ABOVE.clear()


def say(message: str) -> None:
    """One plain line on stderr; brackets in it are text, not markup."""
    stderr().print(shown(message), markup=False, soft_wrap=True)


def styled(text: str, style: str = "") -> "Text":
    """A part of a line, or a cell of a table."""
    from rich.text import Text

    return Text(shown(text), style)


def named(name: str, style: str = "") -> "Text":
    """The same, of a name alone."""
    return styled(brief(name), style)


def print_error(error: FsarctlError) -> None:
    """The message, and under it what to do."""
    console = stderr()
    console.print("error:", style="bold red", end=" ")
    console.print(shown(error.message), markup=False, soft_wrap=True)
    if error.next_step:
        console.print("next: ", style="bold", end=" ")
        console.print(shown(error.next_step), markup=False, soft_wrap=True)


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """One JSON document on stdout; what would move a cursor is escaped as JSON does, and reads the same.

    Without ``indent`` it is one line, for readers that take a line at a time.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    stdout().write(escaped_json(text) + "\n")
    stdout().flush()


def echo(*lines: str) -> None:
    """Plain lines on stdout."""
    stdout().write("".join(f"{shown(line)}\n" for line in lines))
    stdout().flush()


def print_data(text: str) -> None:
    """A document on stdout: byte for byte into a pipe or a file, and harmless on a terminal."""
    if stdout().isatty():
        text = "\n".join(escaped(line) for line in text.split("\n"))
    stdout().write(text)


def print_line(text: "Text") -> None:
    """One styled line on stdout, never cut."""
    from rich.console import Console

    Console(file=stdout(), highlight=False).print(text, soft_wrap=True)


def print_paragraph(text: "Text") -> None:
    """A sentence on stdout: lines of a terminal end between words, but a command after a colon is whole."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stdout(), highlight=False)
    if not console.is_terminal:
        print_line(text)
        return
    place = text.plain.find(f": {COMMAND}")
    said, commanded = (text, None) if place < 0 else (text[: place + 1], text[place + 2 :])
    indent = Text(" " * INDENT)
    first, *rest = said.wrap(console, console.width - INDENT) or [said]
    console.print(first)
    for line in rest:
        console.print(indent + line)
    if commanded:
        console.print(indent + commanded, soft_wrap=True)


def print_table(table: "Table") -> None:
    """A table on stdout; piped, it is as wide as it needs to be."""
    from rich.console import Console

    console = Console(file=stdout(), highlight=False)
    if not console.is_terminal:
        console = Console(file=stdout(), highlight=False, width=max(console.width, 160))
    console.print(table)


def make_reporter(*, bars: bool = True) -> Reporter:
    """Progress bars on a terminal; elsewhere a line every ten seconds and one at the end of each task.

    A terminal shows one bar at once: where several threads are at work there must be no ``bars``.
    """
    return _Bars() if bars and stderr().is_terminal else _Lines()


class _Bars:
    def __init__(self) -> None:
        self._console = stderr()

    @contextmanager
    def task(self, description: str, total: int, unit: str, done: int = 0) -> Iterator[Advance]:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.table import Column

        # In a narrow terminal the bar itself gives way, not the numbers.
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[detail]}", style="dim", markup=False),
        )
        with Progress(*columns, console=self._console, transient=True) as progress:
            bar = progress.add_task(shown(description), total=total, completed=done, rate="", detail="")
            pace = _Pace(done)

            def advance(amount: int = 1, detail: str = "") -> None:
                pace.done += amount
                pace.detail = shown(detail) or pace.detail
                progress.update(bar, advance=amount, rate=f"{pace.rate:.3g}/s", detail=pace.detail)

            yield advance
        say(pace.summary(description, unit))

    def note(self, message: str) -> None:
        self._console.print(shown(message), markup=False, soft_wrap=True)


class _Lines:
    @contextmanager
    def task(self, description: str, total: int, unit: str, done: int = 0) -> Iterator[Advance]:
        pace = _Pace(done)
        last = time.monotonic()

        def advance(amount: int = 1, detail: str = "") -> None:
            nonlocal last
            pace.done += amount
            if time.monotonic() - last >= PLAIN_SECONDS:
                last = time.monotonic()
                left = f", about {(total - pace.done) / pace.rate:.0f} s left" if pace.rate else ""
                tail = f", {detail}" if detail else ""
                say(f"{description}: {pace.done} of {counted(total, unit)}{left}{tail}")

        yield advance
        say(pace.summary(description, unit))

    def note(self, message: str) -> None:
        say(message)


class _Pace:
    """How much was done in this process, and how fast."""

    def __init__(self, done: int) -> None:
        self._start, self._before, self.done = time.monotonic(), done, done
        self.detail = ""

    @property
    def rate(self) -> float:
        elapsed = time.monotonic() - self._start
        return (self.done - self._before) / elapsed if elapsed > 0 else 0.0

    def summary(self, description: str, unit: str) -> str:
        elapsed = time.monotonic() - self._start
        return f"{description}: {counted(self.done, unit)} in {elapsed:.1f} s ({self.rate:.4g}/s)"
