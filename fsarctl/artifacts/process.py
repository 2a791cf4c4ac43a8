"""Which process holds something: its host, its number, and when it started, since numbers come back."""

import hashlib
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

__all__ = ["Process"]


@dataclass(frozen=True)
class Process:
    """A process of some machine.

    ``started``: in clock ticks since that machine did, "" where it does not say. ``system`` tells apart
    machines, and what runs apart on one (containers, restarts), of one name.
    """

    host: str
    number: int
    started: str
    system: str

    @classmethod
    def current(cls) -> "Process":
        """This one."""
        return cls(platform.node(), os.getpid(), _started(os.getpid()), _system())

    @classmethod
    def of(cls, fields: Mapping[str, object]) -> "Process":
        """What ``fields`` gave.

        Raises:
            KeyError, TypeError, ValueError: they are not those of a process.
        """
        return cls(
            str(fields["host"]), int(str(fields["number"])), str(fields["started"]), str(fields["system"])
        )

    @property
    def fields(self) -> dict[str, str | int]:
        """It as JSON."""
        return asdict(self)

    @property
    def mark(self) -> str:
        """It as a part of a file's name."""
        return f"{self.number}-{self.started}-{_digest(self.system)}"

    @classmethod
    def has_ended(cls, mark: str) -> bool:
        """Whether the process of a ``mark`` ran here and does not run any more.

        Raises:
            ValueError: it is no mark.
        """
        number, started, _ = mark.split("-")
        return cls.was_here(mark) and not cls("", int(number), started, _system()).is_alive

    @staticmethod
    def was_here(mark: str) -> bool:
        """Whether the process of a ``mark`` is one that this process can see, or could.

        Raises:
            ValueError: it is no mark.
        """
        _, _, system = mark.split("-")
        return system == _digest(_system())

    @property
    def is_here(self) -> bool:
        """Whether this process can see it."""
        return self.system == _system()

    @property
    def is_alive(self) -> bool:
        """Whether it still runs; asked only of one that ``is_here``."""
        try:
            os.kill(self.number, 0)
        except ProcessLookupError:
            return False
        except PermissionError:  # another user's
            pass
        started = _started(self.number)
        return started != ENDED and (not started or not self.started or started == self.started)

    def __str__(self) -> str:
        return f"process {self.number} on {self.host}"


ENDED = "ended"


def _started(number: int) -> str:
    """Field 22 of /proc/NUMBER/stat; ``ENDED`` for a process that only waits to be buried."""
    try:
        after_name = (
            Path(f"/proc/{number}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2]
        )
    except OSError:
        return ""
    fields = after_name.split()
    return ENDED if fields[0] == "Z" else fields[19]


def _digest(system: str) -> str:
    return hashlib.sha256(system.encode()).hexdigest()[:8]


@cache
def _system() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - it is no path
    except OSError:
        return platform.node()
