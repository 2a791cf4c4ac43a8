"""The memory of input hashes: a file is read once, then recognised by (path, size, mtime).

A folder of files that are one input, such as the frames of a clip, is recognised by the names, sizes and
times of all of them.
"""

import hashlib
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias, TypeVar

from fsarctl.artifacts.atomic_write import following
from fsarctl.artifacts.file_stat import Look
from fsarctl.artifacts.keys import digest_of, file_sha256
from fsarctl.errors import InputError, IntegrityError
from fsarctl.progress import SILENT, Reporter

__all__ = ["BAR_BYTES", "HashMemory", "RESTED_NS"]

Item = TypeVar("Item")

Members: TypeAlias = Callable[[str], Sequence[str]] | None
"""Which files of a folder are one input; None: none is."""

# A file written within the tick of its file system's clock (2 s on FAT) can change again without a
# new mtime. Such a file is hashed every time until it has rested.
RESTED_NS = 2_000_000_000
RECALL_BATCH = 10_000  # below SQLite's limit of 32,766 parameters
REMEMBER_BATCH = 256  # files hashed between two commits: what a kill can cost
SEAL_DIGITS = 16
BAR_BYTES = 256 * 2**20  # roughly a second of hashing: below it, a bar would only flicker


class HashMemory:
    """sha256 of files outside the store, remembered in one SQLite file.

    The memory is an optimisation: when it is lost, damaged, locked or read-only the files are read
    again. ``rehash`` reads every file whatever is remembered.
    """

    def __init__(self, database: Path, reporter: Reporter, *, rehash: bool = False) -> None:
        self._database = database
        self._reporter = reporter
        self._rehash = rehash

    def sha256(
        self,
        paths: Iterable[str],
        seen: Mapping[str, Look] = MappingProxyType({}),
        members: Members = None,
    ) -> dict[str, str]:
        """The sha256 of the content of each path; what is ``seen`` already is not looked at again.

        Of a folder it is that of the names and digests of its ``members``.

        Raises:
            InputError: a path is missing, unreadable or not a file.
            IntegrityError: a file changed while it was being read.
        """
        stats = {path: seen.get(path) or _look(path, members) for path in paths}
        now = time.time_ns()
        remembered = {} if self._rehash else self._recall(list(stats))
        found = {
            path: remembered[path][2]
            for path, facts in stats.items()
            if path in remembered and remembered[path][:2] == (facts.size, facts.stamp)
        }
        unknown = [path for path in stats if path not in found]
        reporter = self._reporter if sum(stats[path].size for path in unknown) >= BAR_BYTES else SILENT
        with reporter.task("hash inputs", len(stats), "file", done=len(found)) as advance:
            for batch in self._hash(unknown, stats, now, members):
                found.update(batch)
                advance(len(batch))
        return found

    def changed(self, before: Mapping[str, str], seen: Mapping[str, Look], members: Members) -> list[str]:
        """Which paths are not there, or have not the content ``before`` any more; path -> sha256.

        What looks as it did when it was ``seen`` is not read.
        """
        changed, doubtful = [], []
        for path in before:
            try:
                look = _look(path, members)
            except InputError:
                changed.append(path)
            else:
                doubtful += [path] if look != seen.get(path) else []
        after = self.sha256(doubtful, members=members)
        return sorted([*changed, *(path for path in doubtful if after[path] != before[path])])

    def _hash(
        self, paths: list[str], stats: dict[str, Look], now: int, members: Members
    ) -> Iterator[dict[str, str]]:
        if not paths:
            return
        with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
            for batch in _batched(paths, REMEMBER_BATCH):
                read = pool.map(lambda path: _read(path, stats[path], members), batch)
                hashed = dict(zip(batch, read, strict=True))
                self._remember(
                    [
                        (os.fsencode(_absolute(path)), stats[path].size, stats[path].stamp, sha256)
                        for path, sha256 in hashed.items()
                        if abs(now - stats[path].newest_ns) > RESTED_NS
                    ]
                )
                yield hashed

    def _recall(self, paths: list[str]) -> dict[str, tuple[int, int, str]]:
        by_name = {os.fsencode(_absolute(path)): path for path in paths}
        remembered: dict[str, tuple[int, int, str]] = {}
        if not self._database.exists():
            return remembered
        try:
            with closing(self._connect()) as connection:
                for batch in _batched(list(by_name), RECALL_BATCH):
                    marks = ",".join("?" * len(batch))
                    rows = connection.execute(
                        f"SELECT path, size, mtime_ns, sha256, seal FROM digests WHERE path IN ({marks})",
                        batch,
                    )
                    for *row, seal in rows:
                        if seal != _seal(*row):
                            raise LookupError("a row is not the one that was written")
                        name, size, mtime, sha256 = row
                        remembered[by_name[name]] = (size, mtime, sha256)
        except sqlite3.OperationalError as error:
            if "decode" in str(error):  # text that is none; else it is locked, or cannot be opened
                self._forget()
        except (sqlite3.DatabaseError, LookupError, TypeError, UnicodeDecodeError):
            self._forget()
            return {}
        return remembered

    def _remember(self, rows: list[tuple[bytes, int, int, str]]) -> None:
        if not rows:
            return
        try:
            self._database.parent.mkdir(parents=True, exist_ok=True)
            with following(self._database.parent), closing(self._connect()) as connection, connection:
                connection.execute("DROP TABLE IF EXISTS files")  # that of an earlier version, without seals
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS digests (path BLOB PRIMARY KEY, size INTEGER NOT NULL,"
                    " mtime_ns INTEGER NOT NULL, sha256 TEXT NOT NULL, seal TEXT NOT NULL) WITHOUT ROWID"
                )
                sealed = [(*row, _seal(*row)) for row in rows]
                connection.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?, ?)", sealed)
        except (OSError, sqlite3.OperationalError):
            pass
        except sqlite3.DatabaseError:
            self._forget()

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._database, timeout=10)

    def _forget(self) -> None:
        self._reporter.note(f"The hash memory {self._database} is damaged; inputs are hashed again.")
        try:
            self._database.unlink(missing_ok=True)
        except OSError:
            return


def _seal(*row: object) -> str:
    """What binds a digest to the path, size and time that it is of."""
    return hashlib.sha256(repr(row).encode()).hexdigest()[:SEAL_DIGITS]


def _absolute(path: str) -> str:
    return path if path.startswith("/") else os.path.abspath(path)  # noqa: PTH100 - os.path is 20 x faster


def _look(path: str, members: Members) -> Look:
    try:
        seen = os.stat(path)  # noqa: PTH116
        if members is not None and stat.S_ISDIR(seen.st_mode):
            return Look.of_folder(path, members(path))
    except OSError as error:
        raise InputError(
            f"The input file {path} cannot be read: {error.strerror}.",
            next_step="Put it back or make it readable, or correct the dataset's root in fsarctl.toml.",
        ) from error
    if not stat.S_ISREG(seen.st_mode):
        raise InputError(f"The input {path} is not a regular file.", next_step="Name a file in its place.")
    return Look.of_file(seen)


def _read(path: str, before: Look, members: Members) -> str:
    try:
        if members is not None and os.path.isdir(path):  # noqa: PTH112
            sha256 = digest_of({name: file_sha256(f"{path}/{name}") for name in members(path)})
        else:
            sha256 = file_sha256(path)
    except OSError as error:
        raise InputError(
            f"The input file {path} cannot be read: {error.strerror}.", next_step="Make it readable."
        ) from error
    if _look(path, members) != before:
        raise IntegrityError(
            f"The input file {path} changed while it was being read.",
            next_step="Wait until nothing writes to it, then run the same command again.",
        )
    return sha256


def _batched(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch
