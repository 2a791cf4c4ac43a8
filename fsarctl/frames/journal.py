"""What an extraction has finished so far, shard by shard, on disk only after the shard is.

The first line says what is extracted; a journal of something else is not believed. Shards with a crash
or a time-out are done again: the machine may just have been busy.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fsarctl.artifacts.unfinished import journal
from fsarctl.artifacts.unfinished.journal import Entry
from fsarctl.datasets.clips import Clip
from fsarctl.frames.frame_store import ARRAY, ClipRow, FrameWriter
from fsarctl.frames.shards import shard_path

__all__ = ["FinishedShard", "Journal", "read_journal", "row_from_json"]


@dataclass(frozen=True)
class FinishedShard:
    """One line: which shard, the CRC-32C of its file, and its rows."""

    shard: int
    checksum: str
    rows: tuple[ClipRow, ...]

    @property
    def entry(self) -> Entry:
        """It as the journal keeps it."""
        file = shard_path(Path(ARRAY), self.shard).as_posix()
        return Entry({file: self.checksum}, {"shard": self.shard, "rows": [asdict(row) for row in self.rows]})

    @classmethod
    def of(cls, entry: Entry) -> "FinishedShard":
        """What ``entry`` gave.

        Raises:
            ValueError, KeyError, TypeError: it was no such line.
        """
        (checksum,) = entry.files.values()
        rows = tuple(map(row_from_json, entry.facts["rows"]))
        return cls(int(entry.facts["shard"]), checksum, rows)


class Journal:
    """The journal of one extraction: ``clips`` in their order, decoded with ``settings``.

    ``of``: the build that it belongs to.
    """

    def __init__(
        self, scratch: Path, clips: Sequence[Clip], settings: Mapping[str, object], of: str = ""
    ) -> None:
        listing = json.dumps([(clip.name, clip.label) for clip in clips]).encode()
        self._scratch, self._of = scratch, of
        self._journal = journal.Journal(scratch, of)
        self._header = {"settings": dict(settings), "clips": hashlib.sha256(listing).hexdigest()}

    def resume(self, writer: FrameWriter) -> tuple[dict[int, tuple[ClipRow, ...]], int]:
        """Rows of the shards that are finished, and how many are damaged.

        All else is removed, here and on disk.
        """
        finished, lost = self._finished(writer)
        writer.sweep(finished)
        self._journal.begin(
            [Entry(facts=self._header), *(finished[shard].entry for shard in sorted(finished))]
        )
        return {shard: each.rows for shard, each in finished.items()}, lost

    def left(self, writer: FrameWriter) -> list[int]:
        """Shards that are not finished; nothing is removed."""
        finished, _ = self._finished(writer)
        return [shard for shard in range(writer.shards) if shard not in finished]

    def _finished(self, writer: FrameWriter) -> tuple[dict[int, FinishedShard], int]:
        header, shards, damaged = read_journal(self._scratch, self._of)
        believed = [each for each in shards if header == self._header]
        whole = [each for each in believed if writer.checksum(each.shard) == each.checksum]
        finished = {each.shard: each for each in whole if not any(row.retry for row in each.rows)}
        return finished, damaged + len(believed) - len(whole)

    def add(self, shard: FinishedShard) -> None:
        """Record a shard whose file is on the disk."""
        self._journal.add(shard.entry)

    def has(self, shard: int, writer: FrameWriter) -> bool:
        """Whether another has recorded this shard apart, and its file is whole."""
        entries = self._journal.read_apart(_name(shard))
        return entries[:1] == [Entry(facts=self._header)] and any(
            writer.checksum(shard) in each.files.values() for each in entries[1:]
        )

    def add_apart(self, shard: FinishedShard) -> None:
        """The same, where others may be recording theirs."""
        self._journal.add_apart(_name(shard.shard), [Entry(facts=self._header), shard.entry])


def _name(shard: int) -> str:
    return f"{shard:08d}"


def read_journal(scratch: Path, of: str = "") -> tuple[Mapping[str, Any], list[FinishedShard], int]:
    """What the journal in ``scratch`` is of, what was finished, and how many of its lines are damaged."""
    entries, damaged = journal.Journal(scratch, of).read()
    headers = [each.facts for each in entries if not each.files]
    finished = []
    for each in entries:
        try:
            finished += [FinishedShard.of(each)] if each.files else []
        except (ValueError, KeyError, TypeError):  # of another version
            damaged += 1
    return (headers[0] if headers else {}), finished, damaged


def row_from_json(row: Mapping[str, Any]) -> ClipRow:
    """A row as JSON keeps it."""
    return ClipRow(**{**row, "indices": tuple(row["indices"]), "problems": tuple(row["problems"])})
