"""Leases: which artifacts a running build reads, so that `gc` leaves them.

A lease is one small file. It says which process holds it, what for, and what it reads; its time of change is
the holder's heartbeat. Nothing waits for a lease, and no result depends on one: it only spares work. The
lease of a process that is gone is void: at once where that can be seen, else when its heart has not beaten
for ``SILENT_S``.
"""

import json
import os
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fsarctl.artifacts.atomic_write import write_whole
from fsarctl.artifacts.process import Process
from fsarctl.progress import Reporter

__all__ = ["Lease", "Leases"]

BEAT_S = 20.0
SILENT_S = 600.0
"""On another machine; long, since a busy file server may hold a beat back for minutes."""


class Lease:
    """What one build reads; a file from the first artifact on, gone when the build is."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reads: set[str] = set()
        self._what = ""
        self._ended = threading.Event()

    def take(self, what: str, artifacts: Iterable[Path]) -> None:
        """Read these artifacts too, from now on, to make ``what``."""
        names = {_name(path) for path in artifacts}
        if what == self._what and names <= self._reads:
            return
        first = not self._what
        self._reads |= names
        self._what = what
        self._write()
        if first:
            threading.Thread(target=self._beat, daemon=True).start()

    def end(self) -> None:
        """Read none any more."""
        self._ended.set()
        with suppress(OSError):  # it could not be written either
            self._path.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            with suppress(OSError):
                try:
                    os.utime(self._path)
                except FileNotFoundError:  # taken for dead, as a machine that slept is
                    self._write()

    def _write(self) -> None:
        fields = {"what": self._what, "reads": sorted(self._reads), **Process.current().fields}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self._path, json.dumps(fields, indent=1).encode())


class Leases:
    """Those of one store, in ``folder``."""

    def __init__(self, folder: Path, reporter: Reporter) -> None:
        self._folder = folder
        self._reporter = reporter

    @contextmanager
    def hold(self) -> Iterator[Lease]:
        """A lease that reads nothing yet."""
        lease = Lease(self._folder / f"{uuid.uuid4().hex}.json")
        try:
            yield lease
        finally:
            lease.end()

    def readers(self) -> dict[str, str]:
        """ "stage/key" -> who reads it, and what for. The leases of the dead are removed, and it is said."""
        found: dict[str, str] = {}
        paths = sorted(self._folder.glob("*.json"))
        now = self._now() if paths else 0.0
        for path in paths:
            try:
                silent_s = now - path.stat().st_mtime
                fields = json.loads(path.read_bytes())
                process = Process.of(fields)
                what, reads = str(fields["what"]), [str(name) for name in fields["reads"]]
            except FileNotFoundError:
                continue  # its build has just ended
            except (OSError, ValueError, KeyError, TypeError) as error:
                self._reporter.note(f"The lease {path} is void: it cannot be read ({type(error).__name__}).")
                continue
            dead = not process.is_alive if process.is_here else silent_s > SILENT_S
            if dead:
                path.unlink(missing_ok=True)
                self._reporter.note(f"The lease of {process} (to make {what}) is void: it is gone.")
                continue
            found.update(dict.fromkeys(reads, f"{process}, which makes {what}"))
        return found

    def _now(self) -> float:
        """The time by the clock of the file system, which is the one that beats are told by."""
        probe = self._folder / f".{uuid.uuid4().hex}"
        try:
            probe.touch()
            return probe.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)


def _name(artifact: Path) -> str:
    return f"{artifact.parent.name}/{artifact.name}"
