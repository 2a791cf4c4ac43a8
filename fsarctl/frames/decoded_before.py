"""Frames that an earlier extraction decoded, found again by the bytes of the video that they came from.

So adding ten videos to ten thousand decodes ten, whatever names, classes and order they have now.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fsarctl.artifacts.unfinished.journal import file_crc32c
from fsarctl.artifacts.unit import Earlier
from fsarctl.frames.frame_store import ARRAY, ClipRow, is_as_written
from fsarctl.frames.journal import read_journal, row_from_json
from fsarctl.frames.shards import CLIPS_PER_SHARD, ClipShards, shard_number, shard_path

__all__ = ["DecodedBefore", "find_decoded"]


class EarlierStore:
    """The array of an earlier extraction, opened when its first clip is read.

    ``checksums``: CRC-32C of the shards' files, of unfinished work; finished ones are in a manifest.
    """

    def __init__(self, folder: Path, checksums: Mapping[Path, str] | None = None) -> None:
        self.folder = folder
        self._checksums = checksums

    @cached_property
    def shards(self) -> ClipShards:
        return ClipShards(self.folder / ARRAY, self._is_usable)

    @cached_property
    def _written(self) -> Callable[[Path], bool]:
        if (checksums := self._checksums) is None:
            return is_as_written(self.folder)
        return lambda shard: file_crc32c(shard) == checksums[shard]

    def _is_usable(self, shard: Path) -> bool:
        """Whether clips of a shard whose own checksums agree are what their rows say.

        They are in a shard that is as it was written, and in one where other clips are damaged, which is why
        it is not. Where every checksum agrees, and yet it is another shard, clips have changed places.
        """
        if self._written(shard):
            return True
        plain = ClipShards(self.folder / ARRAY)
        clip = np.empty(plain.shape[1:], np.uint8)
        first = shard_number(shard) * CLIPS_PER_SHARD
        try:
            for row in range(first, min(first + CLIPS_PER_SHARD, plain.shape[0])):
                plain.read(row, clip)
        except ValueError:
            return True
        return False


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
    places: Iterable[tuple[Path, Path | None] | Earlier],
    settings: Mapping[str, object],
    videos: Collection[str],
) -> dict[str, DecodedBefore]:
    """Rows of earlier extractions with the same ``settings``, by the SHA-256 of their video.

    Earlier ``places`` win. A failure is found again like a clip, unless another run may have better luck.
    """
    found: dict[str, DecodedBefore] = {}
    wanted = set(videos) - {""}
    for place in (Earlier(*each) for each in places):
        store, rows = _finished(place, settings) if place.scratch is None else _unfinished(place, settings)
        for number, row in rows:
            known = found.get(row.video)
            if row.video in wanted and not row.retry and (known is None or row.valid > known.row.valid):
                found[row.video] = DecodedBefore(store, number, row)
        if len(found) == len(wanted) and all(each.row.valid for each in found.values()):
            break
    return found


Rows: TypeAlias = Sequence[tuple[int, ClipRow]]


def _finished(place: Earlier, settings: Mapping[str, object]) -> tuple[EarlierStore, Rows]:
    store = EarlierStore(place.folder)
    try:
        decoding = json.loads((place.folder / "decoding.json").read_text(encoding="utf-8"))
        if decoding["settings"] != dict(settings):
            return store, []
        clips = json.loads((place.folder / "clips.json").read_text(encoding="utf-8"))
        rows = [row_from_json(clip | made) for clip, made in zip(clips, decoding["clips"], strict=True)]
    except (OSError, ValueError, KeyError, TypeError):
        return store, []  # of an older version, or it cannot be read: nothing to be had
    return store, list(enumerate(rows))


def _unfinished(place: Earlier, settings: Mapping[str, object]) -> tuple[EarlierStore, Rows]:
    assert place.scratch is not None
    try:
        header, shards, _ = read_journal(place.scratch, place.of)
    except OSError:  # another user's: nothing to be had
        return EarlierStore(place.folder, {}), []
    if header.get("settings") != dict(settings):
        return EarlierStore(place.folder, {}), []
    checksums = {shard_path(place.folder / ARRAY, each.shard): each.checksum for each in shards}
    rows = [numbered for each in shards for numbered in enumerate(each.rows, each.shard * CLIPS_PER_SHARD)]
    return EarlierStore(place.folder, checksums), rows
