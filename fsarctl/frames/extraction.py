"""Decode every clip of a split into a frame store, and be able to stop at any moment.

Worker processes decode; the main process puts whole shards together, writes them in order, and after
each one adds a line to a journal in ``scratch``. A rerun goes on from the journal, never from the files
alone: presence of a file proves nothing. What an earlier extraction decoded from the same video with the
same settings is copied.
"""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fsarctl.artifacts.unfinished.journal import note_lost
from fsarctl.artifacts.unit import Earlier
from fsarctl.datasets.clips import Clip
from fsarctl.errors import InputError
from fsarctl.frames.decoded_before import DecodedBefore, find_decoded
from fsarctl.frames.frame_store import ClipRow, FrameWriter, write_rows
from fsarctl.frames.journal import FinishedShard, Journal
from fsarctl.frames.shards import CLIPS_PER_SHARD
from fsarctl.progress import Advance, Reporter
from fsarctl.video.decode_clip import decode_clip
from fsarctl.video.decoder_protocol import DecodedClip
from fsarctl.video.processes.decoding_pool import Decode, Failure, decode_all
from fsarctl.video.rotate_and_resize import Resize

__all__ = ["Extraction", "Extractor", "Sources"]

Answer: TypeAlias = tuple[int, DecodedClip | Failure]


@dataclass(frozen=True)
class Sources:
    """What is known of the videos before any is opened.

    ``videos``: SHA-256 of each file, by clip name. ``unreadable``: why a file cannot even be read, by
    clip name. ``earlier``: extractions to copy from, see ``find_decoded``.
    """

    videos: Mapping[str, str]
    unreadable: Mapping[str, str]
    earlier: Sequence[tuple[Path, Path | None] | Earlier] = ()


NOTHING_KNOWN = Sources({}, {})


@dataclass(frozen=True)
class Extraction:
    """What came of it: the rows of clips.json, and of how many clips this run decoded or copied frames."""

    rows: tuple[ClipRow, ...]
    decoded: int
    copied: int


class Extractor:
    """What fills ``folder`` with frames.zarr, clips.json, decoding.json and failures.json, shard by shard.

    ``frames`` segments of ``candidates`` frames, ``size`` x ``size`` pixels, per clip; at most
    ``time_limit_s`` seconds for each. ``settings`` are what the frames depend on beside the videos, for
    the record and for finding them again. The rows keep the order of ``clips``, and the bytes written
    depend on nothing but the videos, their names and labels, and the settings. Memory does not grow with
    the number of clips. ``of``: the build that ``scratch`` belongs to. ``require_unchanged`` is told the
    names of clips that were decoded for a shard, before it counts; it raises where they are not what was
    planned.

    Raises:
        InputError: there is no clip, or none could be decoded.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        folder: Path,
        scratch: Path,
        *,
        frames: int,
        size: int,
        workers: int,
        reporter: Reporter,
        time_limit_s: float,
        candidates: int = 1,
        resize: Resize = "squash",
        title: str = "extract",
        sources: Sources = NOTHING_KNOWN,
        settings: Mapping[str, object] | None = None,
        decode: Decode | None = None,
        of: str = "",
        require_unchanged: Callable[[Sequence[str]], None] = lambda names: None,
    ) -> None:
        if not clips:
            raise InputError(f"{title}: there are no clips", next_step="Check the dataset's root and splits.")
        scratch.mkdir(parents=True, exist_ok=True)
        self._made_with: dict[str, object] = {
            **{"frames": frames, "candidates": candidates, "size": size, "resize": resize},
            **(settings or {}),
        }
        self._clips, self._folder, self._sources = clips, folder, sources
        self._workers, self._reporter, self._title = workers, reporter, title
        self._require_unchanged = require_unchanged
        self._writer = FrameWriter(folder, len(clips), frames, size, candidates)
        self._journal = Journal(scratch, clips, self._made_with, of)
        self._decode = partial(
            decode_all,
            decode=decode or partial(decode_clip, resize=resize),
            frames=frames * candidates,
            size=size,
            time_limit_s=time_limit_s,
        )
        self._blocks = np.empty((CLIPS_PER_SHARD, frames * candidates, size, size, 3), np.uint8)

    def left(self) -> list[int]:
        """Which shards are not finished."""
        return self._journal.left(self._writer)

    def make(self, shard: int) -> None:
        """One shard, while others may make others; nothing if it is there."""
        if self._journal.has(shard, self._writer):
            return
        mine = self._every.of(self._writer.rows(shard))
        with closing(self._answers([*mine.fresh.items()])) as answers:
            made = self._made(shard, mine, answers, Counter(), lambda amount=1, detail="": None)
        self._require_unchanged([self._clips[row].name for row in mine.fresh])
        self._journal.add_apart(made)

    def extract(self) -> Extraction:
        """All that is not finished, and the tables."""
        finished, lost = self._journal.resume(self._writer)
        note_lost(lost, self._title, self._reporter)
        waiting = [shard for shard in range(self._writer.shards) if shard not in finished]
        todo = [row for shard in waiting for row in self._writer.rows(shard)]
        work = _Work.of_rows(self._clips, todo, self._sources, self._made_with)
        if work.copies:
            self._reporter.note(
                f"{self._title}: the frames of {len(work.copies)} of {len(self._clips)} clips were decoded"
                f" before and are copied; {len(work.fresh)} clips are decoded now"
            )
        damaged: Counter[Path] = Counter()
        done = len(self._clips) - len(todo)
        with (
            closing(self._answers([*work.fresh.items()])) as answers,
            self._reporter.task(self._title, len(self._clips), "clip", done) as advance,
        ):
            for shard in waiting:
                made = self._made(shard, work, answers, damaged, advance)
                finished[shard] = made.rows
                self._journal.add(made)
        for place, count in damaged.items():
            self._reporter.note(
                f"{self._title}: {count} clips could not be copied from {place}, which is damaged, and were"
                " decoded again; `fsarctl cache verify` moves it away"
            )

        table = [row for shard in sorted(finished) for row in finished[shard]]
        if not any(row.valid for row in table):
            raise InputError(
                f"{self._title}: none of {len(table)} clips could be decoded; "
                f"the first, {table[0].name!r}: {'; '.join(table[0].problems)}",
                next_step="Check that the dataset's root holds videos that a player can show.",
            )
        write_rows(self._folder, table, self._made_with)
        again = damaged.total()
        return Extraction(tuple(table), len(work.fresh) + again, len(work.copies) - again)

    @cached_property
    def _every(self) -> "_Work":
        """Of all rows, where single shards are asked for."""
        return _Work.of_rows(self._clips, range(len(self._clips)), self._sources, self._made_with)

    def _answers(self, tasks: Sequence[tuple[int, Path]]) -> Generator[Answer, None, None]:
        return self._decode(tasks, workers=min(self._workers, len(tasks)))

    def _made(
        self,
        shard: int,
        work: "_Work",
        answers: Iterator[Answer],
        damaged: "Counter[Path]",
        advance: Advance,
    ) -> FinishedShard:
        """A shard, whose file is on the disk; ``answers`` go on with its first row that is decoded."""
        rows = self._writer.rows(shard)
        block = self._blocks[: len(rows)]
        made, broken = work.known(rows, block, advance)
        damaged.update(work.copies[row].folder for row in broken)
        fresh = islice(answers, len(rows) - len(made) - len(broken))
        made |= _take(fresh, rows.start, block, advance)
        with closing(self._answers(work.tasks(broken))) as again:
            made |= _take(again, rows.start, block, advance)
        named = tuple(work.named(row, made[row]) for row in rows)
        return FinishedShard(shard, self._writer.write(shard, block), named)


@dataclass(frozen=True)
class _Work:
    """Where each row that is not finished comes from: an earlier extraction, a decoder, or nowhere."""

    clips: Sequence[Clip]
    sources: Sources
    copies: Mapping[int, DecodedBefore]
    fresh: Mapping[int, Path]

    @classmethod
    def of_rows(
        cls, clips: Sequence[Clip], todo: Sequence[int], sources: Sources, made_with: Mapping[str, object]
    ) -> "_Work":
        readable = [row for row in todo if clips[row].name not in sources.unreadable]
        videos = {row: sources.videos.get(clips[row].name, "") for row in readable}
        before = find_decoded(sources.earlier, made_with, set(videos.values()))
        copies = {row: before[video] for row, video in videos.items() if video in before}
        return cls(clips, sources, copies, {row: clips[row].path for row in readable if row not in copies})

    def of(self, rows: range) -> "_Work":
        """Of these rows alone."""
        copies = {row: self.copies[row] for row in rows if row in self.copies}
        fresh = {row: self.fresh[row] for row in rows if row in self.fresh}
        return replace(self, copies=copies, fresh=fresh)

    def tasks(self, rows: Sequence[int]) -> list[tuple[int, Path]]:
        return [(row, self.clips[row].path) for row in rows]

    def known(
        self, rows: range, block: NDArray[np.uint8], advance: Advance
    ) -> tuple[dict[int, ClipRow], list[int]]:
        """Rows that need no decoder, their frames put into ``block``; and rows whose copy is damaged."""
        made: dict[int, ClipRow] = {}
        damaged: list[int] = []
        for row in rows:
            if reason := self.sources.unreadable.get(self.clips[row].name):
                made[row] = _row(Failure(reason))
                block[row - rows.start] = 0
            elif before := self.copies.get(row):
                try:
                    block[row - rows.start] = before.frames() if before.row.valid else 0
                except ValueError:
                    damaged.append(row)
                    continue
                made[row] = before.row
            else:
                continue
            advance(1)
        return made, damaged

    def named(self, row: int, made: ClipRow) -> ClipRow:
        """The row under today's name and label."""
        clip = self.clips[row]
        return replace(made, name=clip.name, label=clip.label, video=self.sources.videos.get(clip.name, ""))


def _take(
    answers: Iterable[Answer],
    start: int,
    block: NDArray[np.uint8],
    advance: Advance,
) -> dict[int, ClipRow]:
    """Rows that were decoded, their frames put into ``block``, which begins at row ``start``."""
    made: dict[int, ClipRow] = {}
    for row, answer in answers:
        made[row] = _row(answer)
        block[row - start] = answer.frames if isinstance(answer, DecodedClip) else 0
        advance(1)
    return made


def _row(answer: DecodedClip | Failure) -> ClipRow:
    """What is known of a clip, but for its name and label."""
    if isinstance(answer, Failure):
        return ClipRow("", "", False, "", 0, (), (answer.reason,), retry=answer.retry)
    return ClipRow("", "", True, answer.decoder, answer.frame_count, answer.indices, answer.problems)
