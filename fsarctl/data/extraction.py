"""Decode every clip of a split into a frame store, and be able to stop at any moment.

Worker processes decode; the main process puts whole shards together, writes them in order, and
after each one adds a line to a journal in ``scratch``. A rerun goes on from the journal, never from
the files alone: presence of a file proves nothing.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from fsarctl.data.clips import Clip
from fsarctl.data.decoders import DecodedClip, decode_clip
from fsarctl.data.decoding import Decode, Failure, decode_all
from fsarctl.data.frame_store import ClipRow, FrameWriter, write_rows
from fsarctl.errors import InputError
from fsarctl.reporting import Reporter

__all__ = ["extract_clips"]


def extract_clips(
    clips: Sequence[Clip],
    folder: Path,
    scratch: Path,
    *,
    frames: int,
    size: int,
    workers: int,
    reporter: Reporter,
    time_limit_s: float,
    title: str = "extract",
    decode: Decode = decode_clip,
) -> list[ClipRow]:
    """Fill ``folder`` with frames.zarr, clips.json and failures.json; returns the rows of clips.json.

    ``frames`` of ``size`` x ``size`` pixels per clip; at most ``time_limit_s`` seconds for each. The
    rows keep the order of ``clips``, and the bytes written depend on nothing but the videos,
    ``frames`` and ``size``. Memory does not grow with the number of clips.

    Raises:
        InputError: there is no clip, or none could be decoded.
    """
    if not clips:
        raise InputError(f"{title}: there are no clips", next_step="Check the dataset's root and splits.")
    scratch.mkdir(parents=True, exist_ok=True)
    journal = _Journal(scratch / "journal.jsonl", clips, frames, size)
    writer = FrameWriter(folder, len(clips), frames, size)
    finished = journal.resume(writer)
    waiting = [shard for shard in range(writer.shards) if shard not in finished]
    done = sum(map(len, finished.values()))
    tasks = [(row, clips[row].path) for shard in waiting for row in writer.rows(shard)]

    with (
        closing(decode_all(tasks, decode, frames, size, min(workers, len(tasks)), time_limit_s)) as answers,
        reporter.task(title, len(clips), "clips", done) as advance,
    ):
        for shard in waiting:
            block = np.zeros((len(writer.rows(shard)), frames, size, size, 3), np.uint8)
            rows: list[ClipRow] = []
            retry = False
            for position, (row, answer) in enumerate(islice(answers, len(block))):
                rows.append(_row(clips[row], answer))
                if isinstance(answer, DecodedClip):
                    block[position] = answer.frames
                else:
                    retry |= answer.retry
                advance(1)
            finished[shard] = rows
            journal.add(shard, rows, writer.write(shard, block), retry)

    table = [row for shard in sorted(finished) for row in finished[shard]]
    if not any(row.valid for row in table):
        raise InputError(
            f"{title}: none of {len(table)} clips could be decoded; "
            f"the first, {table[0].name!r}: {'; '.join(table[0].problems)}",
            next_step="Check that the dataset's root holds videos that a player can show.",
        )
    write_rows(folder, table)
    return table


def _row(clip: Clip, answer: DecodedClip | Failure) -> ClipRow:
    if isinstance(answer, Failure):
        return ClipRow(clip.name, clip.label, False, "", 0, (), (answer.reason,))
    return ClipRow(
        clip.name, clip.label, True, answer.decoder, answer.frame_count, answer.indices, answer.problems
    )


class _Journal:
    """One line per finished shard, on the disk only after the shard is.

    The first line says what is extracted; a journal of something else is not believed. Shards with
    a crash or a time-out are done again: the machine may just have been busy.
    """

    def __init__(self, path: Path, clips: Sequence[Clip], frames: int, size: int) -> None:
        listing = json.dumps([(clip.name, clip.label) for clip in clips]).encode()
        self._path = path
        self._header = {"frames": frames, "size": size, "clips": hashlib.sha256(listing).hexdigest()}

    def resume(self, writer: FrameWriter) -> dict[int, list[ClipRow]]:
        """Rows of the shards that are finished; everything else is removed, here and on disk."""
        finished: dict[int, dict[str, Any]] = {}
        for entry in self._entries():
            if not entry["retry"] and writer.digest(entry["shard"]) == entry["digest"]:
                finished[entry["shard"]] = entry
        writer.sweep(finished)
        fresh = self._path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        _append(fresh, self._header, *(finished[shard] for shard in sorted(finished)))
        fresh.replace(self._path)
        return {shard: [_row_from_json(row) for row in finished[shard]["rows"]] for shard in finished}

    def add(self, shard: int, rows: Sequence[ClipRow], digest: str, retry: bool) -> None:
        """Record a shard whose file is on the disk."""
        entry = {"shard": shard, "digest": digest, "retry": retry, "rows": [asdict(row) for row in rows]}
        _append(self._path, entry)

    def _entries(self) -> Iterator[dict[str, Any]]:
        if not self._path.is_file():
            return
        lines = self._path.read_bytes().split(b"\n")[:-1]  # what follows the last newline is torn
        try:
            header, *entries = map(json.loads, lines)
        except ValueError:  # damaged otherwise: nothing in it is believed
            return
        if header == self._header:
            yield from entries


def _append(path: Path, *entries: object) -> None:
    with path.open("ab") as file:
        file.write(b"".join(json.dumps(entry).encode() + b"\n" for entry in entries))
        file.flush()
        os.fsync(file.fileno())


def _row_from_json(row: dict[str, Any]) -> ClipRow:
    return ClipRow(**{**row, "indices": tuple(row["indices"]), "problems": tuple(row["problems"])})
