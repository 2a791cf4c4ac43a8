"""Leases: which artifacts a running build reads, so that `gc` leaves them, and where it makes its own.

A lease is one small file. It says which process holds it, what for, what it reads, and where it works; its
time of change is the holder's heartbeat. Nothing waits for a lease, and no result depends on one: it only
spares work. The lease of a process that is gone is void: at once where that can be seen, else when its heart
has not beaten for ``SILENT_S``.
"""

import json
import os
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from fsarctl.artifacts.atomic_write import partial_of, write_whole
from fsarctl.artifacts.process import Process
from fsarctl.artifacts.refusals import content_of, is_refused, reading_of
from fsarctl.progress import Reporter

__all__ = ["SILENT_S", "Lease", "Leases", "name_of"]

BEAT_S = 20.0
SILENT_S = 600.0
"""On another machine; long, since a busy file server may hold a beat back for minutes."""


class Lease:
    """What one build reads; a file from the first artifact on, gone when the build is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reads: dict[Path, str] = {}  # artifact -> its name
        self._what = self._makes = ""
        self._ended = threading.Event()

    def take(self, what: str, artifacts: Iterable[Path], work: Path | None = None) -> None:
        """Read these artifacts too, from now on, to make ``what`` in the folder ``work``."""
        more = {path: name_of(path) for path in artifacts if path not in self._reads}
        makes = name_of(work) if work else ""
        if not more and (what, makes) == (self._what, self._makes):
            return
        first = not self._what
        self._what, self._makes = what, makes
        self._reads = self._reads | more  # the heart may be writing the former ones
        self._write()
        if first:
            threading.Thread(target=self._beat, daemon=True).start()

    def end(self) -> None:
        """Read none any more."""
        self._ended.set()
        with suppress(OSError):  # it could not be written either
            self.path.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            with suppress(OSError):
                try:
                    os.utime(self.path)
                except FileNotFoundError:  # taken for dead, as a machine that slept is
                    self._write()

    def _write(self) -> None:
        work = {"what": self._what, "makes": self._makes, "reads": [*self._reads.values()]}
        fields = {**work, **Process.current().fields}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, json.dumps(fields).encode())


class _Held(NamedTuple):
    path: Path
    process: Process
    what: str
    makes: str
    reads: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> "_Held":
        fields = json.loads(content_of(path))
        reads = tuple(str(name) for name in fields["reads"])
        return cls(path, Process.of(fields), str(fields["what"]), str(fields["makes"]), reads)


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
        """ "stage/key" -> who reads it or works there, and what for.

        The leases of the dead are removed, and it is said.

        Raises:
            InputError: a lease cannot be read.
        """
        with reading_of("what a running build reads"):
            return {
                name: f"{held.process}, which makes {held.what}"
                for held in self._held()
                for name in (*held.reads, held.makes)
            }

    def works(self, but: Lease | None = None) -> set[str]:
        """ "stage/place" of where somebody is at work, others than the holder of ``but`` if it is given."""
        mine = but and but.path
        return {held.makes for held in self._held(but_unreadable=True) if held.path != mine}

    def in_hand(self, but: Lease | None = None) -> set[str]:
        """ "stage/key" of what others than the holder of ``but`` make, or read parts of."""
        mine = but and but.path
        held = [each for each in self._held(but_unreadable=True) if each.path != mine]
        return {name for each in held for name in (*each.reads, each.makes)}

    def now(self) -> float:
        """The time by the clock of the file system, which is the one that beats are told by."""
        self._folder.mkdir(parents=True, exist_ok=True)
        probe = partial_of(self._folder / "clock")
        try:
            probe.touch()
            return probe.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)

    def _held(self, *, but_unreadable: bool = False) -> Iterator[_Held]:
        paths = sorted(self._folder.glob("*.json"))
        now = self.now() if paths else 0.0
        for path in paths:
            try:
                silent_s = now - path.stat().st_mtime
                held = _Held.read(path)
            except FileNotFoundError:
                continue  # its build has just ended
            except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
                if is_refused(error):  # it holds, whatever it says
                    if but_unreadable:
                        continue
                    raise
                self._reporter.note(
                    f"The lease {path} holds no longer: it cannot be read ({type(error).__name__})."
                )
                continue
            if not held.process.is_alive if held.process.is_here else silent_s > SILENT_S:
                with suppress(PermissionError):  # who may not remove it need not
                    path.unlink(missing_ok=True)
                self._reporter.note(f"{held.process} (to make {held.what}) is gone, and its lease with it.")
                continue
            yield held


def name_of(folder: Path) -> str:
    """ "stage/key" of an artifact, finished or not."""
    return f"{folder.parent.name}/{folder.name}"
