"""What a training run came to, line by line: for the train artifact, and for whoever watches.

Two kinds of lines, with losses and accuracies (0 to 1) of the training episodes since the line before or,
at the end of an epoch, of the whole epoch::

    {"kind": "interval", "step": 6, "epoch": 1, "loss": 1.52, "accuracy": 0.43}
    {"kind": "epoch", "step": 60, "epoch": 1, "loss": 1.2, "accuracy": 0.6, "val_accuracy": 0.7, "kept": true}

``step`` counts training episodes, ``kept`` says that this epoch is the best on validation so far. There are
no times in it: the bytes are the same however often the run was interrupted.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from fsarctl.artifacts.refusals import reading

__all__ = ["ADAPTERS", "LOG", "Line", "TrainingLog", "Watch", "read_log", "write_log"]

Line: TypeAlias = Mapping[str, Any]
Watch: TypeAlias = Callable[[Line], None]

ADAPTERS = "adapters.safetensors"
"""The trained weights, in the same artifact."""
LOG = "log.jsonl"
LONGEST_INTERVAL = 100
LINES_AN_EPOCH = 10


@dataclass
class TrainingLog:
    """The lines so far, and where within the present epoch the last one ended."""

    lines: list[Line] = field(default_factory=list)
    step: int = 0
    loss_sum: float = 0.0
    correct: int = 0

    def interval(
        self, step: int, loss_sum: float, correct: int, *, episodes: int, queries: int
    ) -> Line | None:
        """The line that is due after training episode ``step``, if one is.

        ``loss_sum`` and ``correct`` are the epoch's so far, ``episodes`` an epoch's and ``queries`` an
        episode's.
        """
        every = max(1, min(LONGEST_INTERVAL, episodes // LINES_AN_EPOCH))
        within = (step - 1) % episodes + 1
        if within % every and within != episodes:
            return None
        count = step - self.step
        line = {
            "kind": "interval",
            "step": step,
            "epoch": (step - 1) // episodes + 1,
            "loss": (loss_sum - self.loss_sum) / count,
            "accuracy": (correct - self.correct) / (count * queries),
        }
        ended = within == episodes
        self.step, self.loss_sum, self.correct = step, 0.0 if ended else loss_sum, 0 if ended else correct
        self.lines.append(line)
        return line

    def epoch(self, **numbers: Any) -> Line:
        """The line of a finished epoch."""
        line = {"kind": "epoch", "step": self.step, **numbers}
        self.lines.append(line)
        return line


def write_log(folder: Path, lines: Iterable[Line]) -> None:
    """Write log.jsonl."""
    text = "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines)
    (folder / LOG).write_text(text, encoding="utf-8")


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Read what ``write_log`` wrote.

    Raises:
        IntegrityError: it is something else.
    """
    with reading(folder / LOG):
        lines = [json.loads(line) for line in (folder / LOG).read_text(encoding="utf-8").splitlines()]
        if not all(isinstance(line, dict) and {"kind", "step", "epoch"} <= line.keys() for line in lines):
            raise ValueError("a line of it is none of a log")
    return lines
