"""Decode every clip of a split into a frame store, and be able to stop at any moment.

Worker processes decode; the main process puts whole shards together, writes them in order, and after
each one adds a line to a journal in ``scratch``. A rerun goes on from the journal, never from the files
alone: presence of a file proves nothing. What an earlier extraction decoded from the same video with the
same settings is copied.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fsarctl.artifacts.journal import note_lost
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
from fsarctl.video.decoding_pool import Decode, Failure, decode_all
from fsarctl.video.rotate_and_resize import Resize

__all__ = ["Extraction", "Sources", "extract_clips"]


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
    candidates: int = 1,
    resize: Resize = "squash",
    title: str = "extract",
    sources: Sources = NOTHING_KNOWN,
    settings: Mapping[str, object] | None = None,
    decode: Decode | None = None,
    of: str = "",
) -> Extraction:
    """Fill ``folder`` with frames.zarr, clips.json, decoding.json and failures.json.

    ``frames`` segments of ``candidates`` frames, ``size`` x ``size`` pixels, per clip; at most
    ``time_limit_s`` seconds for each. ``settings`` are what the frames depend on beside the videos, for
    the record and for finding them again. The rows keep the order of ``clips``, and the bytes written
    depend on nothing but the videos, their names and labels, and the settings. Memory does not grow with
    the number of clips. ``of``: the build that ``scratch`` belongs to.

    Raises:
        InputError: there is no clip, or none could be decoded.
    """
    if not clips:
        raise InputError(f"{title}: there are no clips", next_step="Check the dataset's root and splits.")
    scratch.mkdir(parents=True, exist_ok=True)
    made_with: dict[str, object] = {
        **{"frames": frames, "candidates": candidates, "size": size, "resize": resize},
        **(settings or {}),
    }
    writer = FrameWriter(folder, len(clips), frames, size, candidates)
    journal = Journal(scratch, clips, made_with, of)
    finished, lost = journal.resume(writer)
    note_lost(lost, title, reporter)
    waiting = [shard for shard in range(writer.shards) if shard not in finished]
    todo = [row for shard in waiting for row in writer.rows(shard)]

    work = _Work.of(clips, todo, sources, made_with)
    if work.copies:
        reporter.note(
            f"{title}: the frames of {len(work.copies)} of {len(clips)} clips were decoded before and are"
            f" copied; {len(work.fresh)} clips are decoded now"
        )
    decode_these = partial(
        decode_all,
        decode=decode or partial(decode_clip, resize=resize),
        frames=frames * candidates,
        size=size,
        time_limit_s=time_limit_s,
    )
    damaged: Counter[Path] = Counter()
    blocks = np.empty((CLIPS_PER_SHARD, frames * candidates, size, size, 3), np.uint8)
    with (
        closing(decode_these(work.fresh, workers=min(workers, len(work.fresh)))) as answers,
        reporter.task(title, len(clips), "clip", len(clips) - len(todo)) as advance,
    ):
        for shard in waiting:
            rows = writer.rows(shard)
            block = blocks[: len(rows)]
            made, broken = work.known(rows, block, advance)
            damaged.update(work.copies[row].folder for row in broken)
            fresh = islice(answers, len(rows) - len(made) - len(broken))
            made |= _take(fresh, rows.start, block, advance)
            with closing(decode_these(work.tasks(broken), workers=min(workers, len(broken)))) as again:
                made |= _take(again, rows.start, block, advance)
            finished[shard] = tuple(work.named(row, made[row]) for row in rows)
            journal.add(FinishedShard(shard, writer.write(shard, block), finished[shard]))
    for place, count in damaged.items():
        reporter.note(
            f"{title}: {count} clips could not be copied from {place}, which is damaged, and were decoded"
            " again; `fsarctl cache verify` moves it away"
        )

    table = [row for shard in sorted(finished) for row in finished[shard]]
    if not any(row.valid for row in table):
        raise InputError(
            f"{title}: none of {len(table)} clips could be decoded; "
            f"the first, {table[0].name!r}: {'; '.join(table[0].problems)}",
            next_step="Check that the dataset's root holds videos that a player can show.",
        )
    write_rows(folder, table, made_with)
    again_decoded = damaged.total()
    return Extraction(tuple(table), len(work.fresh) + again_decoded, len(work.copies) - again_decoded)


@dataclass(frozen=True)
class _Work:
    """Where each row that is not finished comes from: an earlier extraction, a decoder, or nowhere."""

    clips: Sequence[Clip]
    sources: Sources
    copies: Mapping[int, DecodedBefore]
    fresh: Sequence[tuple[int, Path]]

    @classmethod
    def of(
        cls, clips: Sequence[Clip], todo: Sequence[int], sources: Sources, made_with: Mapping[str, object]
    ) -> "_Work":
        readable = [row for row in todo if clips[row].name not in sources.unreadable]
        videos = {row: sources.videos.get(clips[row].name, "") for row in readable}
        before = find_decoded(sources.earlier, made_with, set(videos.values()))
        copies = {row: before[video] for row, video in videos.items() if video in before}
        return cls(clips, sources, copies, [(row, clips[row].path) for row in readable if row not in copies])

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
    answers: Iterable[tuple[int, DecodedClip | Failure]],
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
