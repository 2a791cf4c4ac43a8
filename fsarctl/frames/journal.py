"""What an extraction has finished so far, shard by shard, on disk only after the shard is.

The first line says what is extracted; a journal of something else is not believed. Shards with a crash
or a time-out are done again: the machine may just have been busy.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fsarctl.datasets.clips import Clip
from fsarctl.frames.frame_store import ClipRow, FrameWriter

__all__ = ["FinishedShard", "Journal", "read_journal", "row_from_json"]

NAME = "journal.jsonl"


@dataclass(frozen=True)
class FinishedShard:
    """One line: which shard, the CRC-32C of its file, and its rows."""

    shard: int
    checksum: str
    rows: tuple[ClipRow, ...]


class Journal:
    """The journal of one extraction: ``clips`` in their order, decoded with ``settings``."""

    def __init__(self, scratch: Path, clips: Sequence[Clip], settings: Mapping[str, object]) -> None:
        listing = json.dumps([(clip.name, clip.label) for clip in clips]).encode()
        self._path = scratch / NAME
        self._header = {"settings": dict(settings), "clips": hashlib.sha256(listing).hexdigest()}

    def resume(self, writer: FrameWriter) -> dict[int, tuple[ClipRow, ...]]:
        """Rows of the shards that are finished; everything else is removed, here and on disk."""
        header, shards = read_journal(self._path.parent)
        finished = {
            each.shard: each
            for each in (shards if header == self._header else [])
            if not any(row.retry for row in each.rows) and writer.checksum(each.shard) == each.checksum
        }
        writer.sweep(finished)
        fresh = self._path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        _append(fresh, self._header, *(asdict(finished[shard]) for shard in sorted(finished)))
        fresh.replace(self._path)
        return {shard: each.rows for shard, each in finished.items()}

    def add(self, shard: FinishedShard) -> None:
        """Record a shard whose file is on the disk."""
        _append(self._path, asdict(shard))


def read_journal(scratch: Path) -> tuple[dict[str, Any], list[FinishedShard]]:
    """The first line of the journal in ``scratch`` and what was finished; nothing if it is not whole."""
    try:
        lines = (scratch / NAME).read_bytes().split(b"\n")[:-1]  # what follows the last newline is torn
        header, *entries = map(json.loads, lines)
        return header, [
            FinishedShard(entry["shard"], entry["checksum"], tuple(map(row_from_json, entry["rows"])))
            for entry in entries
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return {}, []


def row_from_json(row: Mapping[str, Any]) -> ClipRow:
    """A row as JSON keeps it."""
    return ClipRow(**{**row, "indices": tuple(row["indices"]), "problems": tuple(row["problems"])})


def _append(path: Path, *entries: object) -> None:
    with path.open("ab") as file:
        file.write(b"".join(json.dumps(entry).encode() + b"\n" for entry in entries))
        file.flush()
        os.fsync(file.fileno())
