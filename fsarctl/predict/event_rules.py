"""The rules by which scores become events: the command line reads them, and loads no numpy for it."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["EventRules", "Join"]

Join = Literal["peak", "run"]


@dataclass(frozen=True)
class EventRules:
    """How events are made of scores.

    ``smooth``: each window's confidences become the mean over so many windows of its size, around it.
    ``threshold``: what a confidence has to reach. ``join``: "peak": an event is a window whose confidence is
    the highest around it, and as long as that window; "run": all windows in a row that reach the threshold
    are one event, however long. ``overlap``: of two events, of whatever classes and sizes, the less confident
    one goes where they share more than this part of the time that both cover (intersection over union).
    """

    smooth: int = 1
    threshold: float = 0.5
    join: Join = "peak"
    overlap: float = 0.0
