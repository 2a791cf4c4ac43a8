"""What the workers of an engine say, as one progress display: a bar for each unit that is made now."""

from collections.abc import Mapping
from contextlib import ExitStack
from threading import Lock
from typing import Any

from fsarctl.execution.engine import Task
from fsarctl.progress import Advance, Reporter

__all__ = ["Display"]


class Display:
    """Passes on what is heard of tasks, from any thread; ``prefixed``: remarks begin with a task's title."""

    def __init__(self, reporter: Reporter, *, prefixed: bool) -> None:
        self._reporter = reporter
        self._prefixed = prefixed
        self._lock = Lock()
        self._bars: dict[tuple[str, str], tuple[ExitStack, Advance]] = {}
        self._parts: dict[str, set[int]] = {}

    def open(self, task: Task, parts: int, slot: str) -> None:
        """A bar for a unit that is made in so many parts."""
        self._parts[task.key] = set()
        self._open((task.key, ""), slot, parts, "part", 0)

    def close(self, task: Task) -> None:
        """All its parts are there."""
        self._close((task.key, ""))

    def heard(self, task: Task, message: Mapping[str, Any]) -> None:
        """What a worker says while it is at ``task``; see ``worker_process``."""
        with self._lock:
            if "note" in message:
                self._reporter.note(f"{task.title}: {message['note']}" if self._prefixed else message["note"])
            elif "part" in message:
                self._part(task.key, message["part"])
            elif task.parts:
                return  # within a part, which has the bar of its unit
            elif "open" in message:
                told = (message["description"], message["total"], message["unit"], message["done"])
                self._open((task.key, str(message["open"])), *told)
            elif "advance" in message:
                bar = self._bars.get((task.key, str(message["advance"])))
                if bar:
                    bar[1](message["amount"], message["detail"])
            elif "close" in message:
                self._close((task.key, str(message["close"])))

    def end(self) -> None:
        """Close every bar."""
        with self._lock:
            for bar in [*self._bars]:
                self._close(bar)

    def _part(self, key: str, part: int) -> None:
        seen, bar = self._parts.get(key, set()), self._bars.get((key, ""))
        if bar and part not in seen:  # it may be made twice
            seen.add(part)
            bar[1](1)

    def _open(self, name: tuple[str, str], description: str, total: int, unit: str, done: int) -> None:
        self._close(name)  # of a worker that was lost
        stack = ExitStack()
        self._bars[name] = stack, stack.enter_context(self._reporter.task(description, total, unit, done))

    def _close(self, name: tuple[str, str]) -> None:
        bar = self._bars.pop(name, None)
        if bar:
            bar[0].close()
