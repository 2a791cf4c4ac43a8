"""What an engine is: whoever makes units, or parts of them, elsewhere than in this process.

A unit travels as data: the words that plan it, its key, and which parts of it are meant. A worker plans it
anew, makes what is meant where everybody sees it, in the store, and says how that ended. Nothing else is
passed between them; no frames, no weights. An engine writes no results and knows no state: what is not
there is made again, by whomever, to the same bytes.
"""

import hashlib
import json
import os
import platform
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from fsarctl.errors import ConfigError, FsarctlError
from fsarctl.errors.addresses import public_address

__all__ = ["WORKER", "Ended", "Engine", "Heard", "Need", "Place", "Task", "divided", "versions"]

WORKER = "fsarctl.cli.worker"
"""The module that is a worker: ``python -m`` reads a task a line on stdin, see ``worker_process``."""

PATIENCE_S = 10.0
"""For a file that was written elsewhere to be seen."""


@dataclass(frozen=True)
class Need:
    """What a task keeps busy while it is made; ``gpus``: of those that there are, if any."""

    cores: int = 1
    memory_gib: float = 2.0
    gpus: int = 0


@dataclass(frozen=True)
class Place:
    """Where a command was typed, so that its words mean the same elsewhere.

    ``environment``: what of it are settings of fsarctl. ``sign``: a file in the store that was written there,
    and is looked for before anything else is done. ``told``: the SHA-256 of what is in it.
    """

    directory: str
    environment: Mapping[str, str] = field(default_factory=dict)
    versions: str = ""
    host: str = ""
    sign: str = ""
    told: str = ""

    @classmethod
    def here(cls) -> "Place":
        """This process'. No login, and no token, is passed on."""
        settings = {
            name: public_address(value) if name.endswith("BASE_URL") else value
            for name, value in os.environ.items()
            if _travels(name)
        }
        return cls(str(Path.cwd()), settings, versions(), platform.node())

    @contextmanager
    def signed(self, cache: Path, told: bytes, *, lasting: bool = False) -> Iterator["Place"]:
        """It with a sign in the store ``cache``, which is there while this lasts, and is what is ``told``.

        Where this process is killed, ``fsarctl cache gc`` removes it, unless it is ``lasting``.

        Raises:
            InputError: it cannot be written.
        """
        from fsarctl.artifacts.atomic_write import storage_errors
        from fsarctl.artifacts.cache_layout import SIGN
        from fsarctl.artifacts.process import Process

        maker = "" if lasting else f"{Process.current().mark}."
        sign = cache / f"{SIGN}{maker}{uuid.uuid4().hex}"
        try:
            with storage_errors(cache):
                cache.mkdir(parents=True, exist_ok=True)
                sign.write_bytes(told)
            yield replace(self, sign=str(sign), told=hashlib.sha256(told).hexdigest())
        finally:
            with suppress(OSError):
                sign.unlink()

    def read(self) -> bytes | None:
        """What was told; None where that cannot be read any more, or is something else."""
        try:
            content = Path(self.sign).read_bytes()
        except OSError:
            return None
        return content if hashlib.sha256(content).hexdigest() == self.told else None

    def enter(self) -> None:
        """Be there, with this process.

        Raises:
            ConfigError: what is installed here is another version, or what is written there is not seen here.
        """
        host = platform.node()
        if self.versions != (own := versions()):
            raise ConfigError(
                f"{host} has {own}, and {self.host} has {self.versions}",
                next_step="Install the same versions on every machine.",
            )
        if self.sign and not _is_seen(Path(self.sign)):
            raise ConfigError(
                f"{host} does not see {Path(self.sign).parent} of {self.host}, where results are kept",
                next_step="Put it on a file system that all nodes see: --cache FOLDER (docs/cluster.md).",
            )
        try:
            os.chdir(self.directory)
        except OSError as error:
            raise ConfigError(
                f"{host} does not see {self.directory} of {self.host}: {error.strerror}",
                next_step="Put the project on a file system that all nodes see (docs/cluster.md).",
            ) from None
        for name in filter(_travels, [*os.environ]):
            del os.environ[name]
        os.environ.update(self.environment)


@dataclass(frozen=True)
class Task:
    """Make the artifact of a ``key``, or with ``parts`` these parts of it.

    ``arguments`` are the words after ``fsarctl`` of a command that plans it, among other things. ``title`` is
    what messages call it.
    """

    title: str
    stage: str
    key: str
    arguments: tuple[str, ...]
    place: Place
    parts: tuple[int, ...] = ()
    need: Need = Need()

    @property
    def text(self) -> str:
        """It as one line of JSON, for a worker."""
        return json.dumps(asdict(self), ensure_ascii=True)

    @classmethod
    def parse(cls, text: str) -> "Task":
        """What ``text`` gave."""
        fields: dict[str, Any] = json.loads(text)
        return cls(
            fields["title"],
            fields["stage"],
            fields["key"],
            tuple(fields["arguments"]),
            Place(**fields["place"]),
            tuple(fields["parts"]),
            Need(**fields["need"]),
        )


@dataclass(frozen=True)
class Ended:
    """How a task ended: an exit code of fsarctl, and if that is not 0, what is so and what to do.

    ``lost``: the worker is gone, and nobody knows; another try may end otherwise.
    """

    exit_code: int = 0
    error: str = ""
    next_step: str = ""
    lost: bool = False

    def require_success(self) -> None:
        """Pass on a failure.

        Raises:
            FsarctlError: with its exit code.
            KeyboardInterrupt: it was interrupted.
        """
        if self.exit_code == 128 + 2:
            raise KeyboardInterrupt
        if self.exit_code:
            raise _TaskError(self)


class Heard(Protocol):
    """Hears what a worker says while it is at a task: see ``fsarctl.execution.display``. From any thread."""

    def __call__(self, task: Task, message: Mapping[str, Any]) -> None: ...


class Engine(Protocol):
    """Makes tasks, each by one worker at a time; a worker that is lost is the engine's to replace.

    It may begin a task twice, also at once. ``jobs``: about how many tasks are made at a time, when as many
    are given; units are divided for so many.
    """

    @property
    def jobs(self) -> int: ...

    @property
    def is_elsewhere(self) -> bool:
        """Whether its workers are on other machines, which may not see what this one sees."""

    @property
    def goes_on(self) -> bool:
        """Whether what it has begun goes on though this process is killed."""

    def tasks_of(self, parts: int) -> int:
        """Into how many tasks so many parts of one unit are best put."""

    def require(self) -> None:
        """Refuse at once a machine from which no task can be begun; it readies nothing.

        Raises:
            FsarctlError: what it takes is not there.
        """

    def begin(self, heard: Heard) -> None:
        """Ready what is needed before the first task.

        Raises:
            FsarctlError: there is nothing to begin with.
        """

    def start(self, tasks: Sequence[Task]) -> None:
        """Take these on; returns at once."""

    def ended(self) -> list[tuple[Task, Ended]]:
        """Wait until at least one that was started has ended, and give those that have."""

    def end(self) -> None:
        """End what is under way, and give back what was taken; called once, whatever happened."""


class _TaskError(FsarctlError):
    """A task failed in a worker, which said why."""

    def __init__(self, ended: Ended) -> None:
        super().__init__(ended.error, next_step=ended.next_step)
        self.exit_code = ended.exit_code


def versions() -> str:
    """What has to be the same on every machine for the same bytes."""
    from importlib.metadata import version

    return f"fsarctl {version('fsarctl')}, torch {version('torch')}"


def divided(task: Task, parts: Sequence[int], count: int) -> list[Task]:
    """At most ``count`` tasks that make these parts together, consecutive ones each."""
    size = -(-len(parts) // count)
    return [replace(task, parts=tuple(parts[start : start + size])) for start in range(0, len(parts), size)]


def _travels(name: str) -> bool:
    return name.startswith("FSARCTL_") and name != "FSARCTL_TOKEN"


def _is_seen(sign: Path, wait: Callable[[float], None] | None = None) -> bool:
    """Whether a file that was written on another machine is seen here; it may take a while."""
    import time

    end = time.monotonic() + PATIENCE_S
    while not sign.exists():
        if time.monotonic() > end:
            return False
        (wait or time.sleep)(0.2)
    return True
