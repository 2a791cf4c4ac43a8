"""Frames that an earlier extraction decoded, found again by the bytes of the video that they came from.

So adding ten videos to ten thousand decodes ten, whatever names, classes and order they have now.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fsarctl.frames.frame_store import ClipRow
from fsarctl.frames.journal import read_journal, row_from_json
from fsarctl.frames.shards import CLIPS_PER_SHARD, ClipShards

__all__ = ["DecodedBefore", "find_decoded"]


class EarlierStore:
    """The array of an earlier extraction, opened when its first clip is read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def shards(self) -> ClipShards:
        return ClipShards(self.folder / "frames.zarr")


@dataclass(frozen=True)
class DecodedBefore:
    """One row of an earlier extraction."""

    store: EarlierStore
    place: int
    row: ClipRow

    @property
    def folder(self) -> Path:
        return self.store.folder

    def frames(self) -> NDArray[np.uint8]:
        """All that is kept of the clip, (T * C, S, S, 3), its checksum verified.

        Raises:
            ValueError: it is gone or damaged.
        """
        try:
            shards = self.store.shards
            frames = np.empty(shards.shape[1:], np.uint8)
            shards.read(self.place, frames)
            return frames
        except OSError as error:
            raise ValueError(f"gone ({error})") from error


def find_decoded(
    places: Sequence[tuple[Path, Path | None]], settings: Mapping[str, object], videos: Collection[str]
) -> dict[str, DecodedBefore]:
    """Rows of earlier extractions with the same ``settings``, by the SHA-256 of their video.

    ``places`` are finished artifacts (folder, None) or interrupted work (folder, its scratch folder);
    earlier ones win. A failure is found again like a clip, unless another run may have better luck.
    """
    found: dict[str, DecodedBefore] = {}
    wanted = set(videos) - {""}
    for folder, scratch in places:
        store = EarlierStore(folder)
        rows = _finished(folder, settings) if scratch is None else _unfinished(scratch, settings)
        for place, row in rows:
            known = found.get(row.video)
            if row.video in wanted and not row.retry and (known is None or row.valid > known.row.valid):
                found[row.video] = DecodedBefore(store, place, row)
        if len(found) == len(wanted) and all(each.row.valid for each in found.values()):
            break
    return found


def _finished(folder: Path, settings: Mapping[str, object]) -> Iterator[tuple[int, ClipRow]]:
    try:
        decoding = json.loads((folder / "decoding.json").read_text(encoding="utf-8"))
        if decoding["settings"] != dict(settings):
            return
        clips = json.loads((folder / "clips.json").read_text(encoding="utf-8"))
        rows = [row_from_json(clip | made) for clip, made in zip(clips, decoding["clips"], strict=True)]
    except (OSError, ValueError, KeyError, TypeError):
        return  # of an older version, or damaged: nothing to be had
    yield from enumerate(rows)


def _unfinished(scratch: Path, settings: Mapping[str, object]) -> Iterator[tuple[int, ClipRow]]:
    header, shards = read_journal(scratch)
    if header.get("settings") != dict(settings):
        return
    for each in shards:
        yield from enumerate(each.rows, each.shard * CLIPS_PER_SHARD)
