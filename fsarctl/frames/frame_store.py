"""The frames of a split on disk: one Zarr array, and beside it one row of facts per clip.

    frames.zarr   (N, T * C, S, S, 3) uint8; chunk = one clip, shard = 16 clips, CRC-32C on every chunk
    clips.json    N rows, in the order of the array: what training and evaluation read
    decoding.json N rows: which video (SHA-256), which decoder, and what it remarked
    failures.json name, label and reason of the rows that are not valid; their frames are zeros

T segments, and of each C candidates, evenly spaced, in the order of time; C is odd, so that the middle
one is the segment's middle. The last two files say how the frames were had: another decoder that gives
the same pixels changes nothing for what reads the first two.

Of a finished artifact each shard is compared with the manifest before its first clip is read.

Shards are written whole and once: clip by clip is 5 to 20 times slower and, from two writers, loses
clips. A shard that is not there would read as zeros, so the reader asks for the file first.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fsarctl.artifacts.atomic_write import remove, sync_folder, write_synced
from fsarctl.artifacts.keys import file_sha256
from fsarctl.artifacts.manifest import MANIFEST, read_manifest
from fsarctl.artifacts.refusals import is_refused
from fsarctl.artifacts.unfinished.journal import file_crc32c
from fsarctl.errors import IntegrityError
from fsarctl.frames.shards import CLIPS_PER_SHARD, ClipShards, layout, shard_path, write_shard, zarr_loaded

__all__ = ["ARRAY", "ClipRow", "FrameStore", "FrameWriter", "is_as_written", "write_rows"]

ARRAY, HEAD = "frames.zarr", "zarr.json"

Candidates: TypeAlias = NDArray[np.int64]

READ_BY_STAGES = ("name", "label", "valid", "frame_count", "indices")
ABOUT_DECODING = ("video", "decoder", "problems", "retry")


@dataclass(frozen=True)
class ClipRow:
    """What is known about one row of the array.

    ``indices``: the frames taken, of ``frame_count``. ``video``: the file's SHA-256. A row that is not
    ``valid`` has no decoder and no frames; its ``problems`` are the reason, and ``retry`` says whether
    another run may have better luck.
    """

    name: str
    label: str
    valid: bool
    decoder: str
    frame_count: int
    indices: tuple[int, ...]
    problems: tuple[str, ...]
    video: str = ""
    retry: bool = False


class FrameStore:
    """Frames of the clips of one split, by row.

    ``names``, ``labels``, ``valid``: one entry per row. ``classes``: the labels, sorted, each once.
    ``frames``: T. ``candidates``: C. ``size``: S, pixels. Opening reads clips.json and no frames.

    Raises:
        IntegrityError: the folder does not hold a whole extract artifact.
        OSError: it cannot be read, such as for want of permission.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / ARRAY
        try:
            rows = json.loads((folder / "clips.json").read_text(encoding="utf-8"))
            self.names: tuple[str, ...] = tuple(row["name"] for row in rows)
            self.labels: tuple[str, ...] = tuple(row["label"] for row in rows)
            self.valid: tuple[bool, ...] = tuple(row["valid"] for row in rows)
            if not all(isinstance(word, str) for word in (*self.names, *self.labels)):
                raise ValueError("clips.json names something else than clips")
            self._shards = ClipShards(self.path, is_as_written(folder))
            clips, kept, self.size = self._shards.shape[:3]
            self.candidates: int = self._shards.attributes["candidates"]
            self.frames: int = kept // self.candidates
        except Exception as error:  # whatever a damaged file makes of itself
            if is_refused(error):
                raise
            raise _damaged(f"the extracted frames in {folder} cannot be opened ({error})") from error
        if clips != len(self.names):
            raise _damaged(f"{folder} has frames of {clips} clips, but clips.json names {len(self.names)}")
        self.classes: tuple[str, ...] = tuple(sorted(set(self.labels)))
        self._rows: dict[str, list[int]] = {label: [] for label in self.classes}
        for row, label in enumerate(self.labels):
            if self.valid[row]:
                self._rows[label].append(row)

    def __len__(self) -> int:
        return len(self.names)

    def rows_of(self, label: str) -> list[int]:
        """The rows of a class that have frames, in order.

        Raises:
            KeyError: no clip has this label.
        """
        return list(self._rows[label])

    def read(self, rows: Sequence[int], candidates: Candidates | None = None) -> NDArray[np.uint8]:
        """Frames of these rows, in the order asked: (len(rows), T, S, S, 3) uint8, RGB.

        ``candidates`` (len(rows), T), 0 to C - 1, chooses one frame of each segment; None: the middle.

        Raises:
            ValueError: a row has no frames (its video failed), or is not in the store.
            IntegrityError: a clip is gone, or its bytes and their checksum disagree.
            OSError: a file cannot be read, such as for want of permission.
        """
        out = np.empty((len(rows), self.frames, self.size, self.size, 3), np.uint8)
        places = self.places(len(rows), candidates)
        clip = np.empty((self.frames * self.candidates, *out.shape[2:]), np.uint8)
        for position, row in enumerate(rows):
            if self.candidates == 1:
                self._read_into(out[position], int(row))
            else:
                self._read_into(clip, int(row))
                out[position] = clip[places[position]]
        return out

    def read_all_candidates(self, rows: Sequence[int]) -> NDArray[np.uint8]:
        """All that is kept of these rows, (len(rows), T * C, S, S, 3).

        Raises:
            ValueError, IntegrityError: as ``read``.
        """
        out = np.empty((len(rows), self.frames * self.candidates, self.size, self.size, 3), np.uint8)
        for position, row in enumerate(rows):
            self._read_into(out[position], int(row))
        return out

    def places(self, clips: int, candidates: Candidates | None) -> Candidates:
        """(clips, T) positions along the stored time axis of the chosen, or the middle, candidates."""
        if candidates is None:
            candidates = np.full((clips, self.frames), self.candidates // 2, np.int64)
        return np.arange(self.frames) * self.candidates + candidates

    def _read_into(self, out: NDArray[np.uint8], row: int) -> None:
        if not 0 <= row < len(self.names) or not self.valid[row]:
            raise ValueError(f"row {row} of {self.folder} has no frames")
        try:
            self._shards.read(row, out)
        except ValueError as error:
            what = f"the frames of {self.names[row]!r} in {self.folder}"
            raise _damaged(f"{what} are {error}") from error


def is_as_written(folder: Path) -> Callable[[Path], bool]:
    """Tells of the file of a shard whether it is the manifest's; of any, where the work is not finished.

    Raises:
        ValueError: the manifest is damaged.
        OSError: it cannot be read.
    """
    if not (folder / MANIFEST).exists():
        return lambda shard: True
    files = read_manifest(folder).files

    def check(shard: Path) -> bool:
        written = files.get(f"{ARRAY}/{shard.name}")
        return written is not None and file_sha256(shard) == written.sha256

    return check


class FrameWriter:
    """Writes the array of ``clips`` rows into ``folder``/frames.zarr, a whole shard at a time.

    An array with the same head, byte by byte, that an interrupted run left there is gone on with.
    """

    def __init__(self, folder: Path, clips: int, frames: int, size: int, candidates: int = 1) -> None:
        self._path = folder / ARRAY
        self._shape = (clips, frames * candidates, size, size, 3)
        self._attributes: dict[str, Any] = {"candidates": candidates}
        self.shards = -(-clips // CLIPS_PER_SHARD)
        head = self._head()
        left = self._path / HEAD
        if not left.is_file() or left.read_bytes() != head:  # a power cut can leave it empty
            shutil.rmtree(self._path, ignore_errors=True)
            self._path.mkdir()
            write_synced(left, head)

    def _head(self) -> bytes:
        """The bytes of the array's zarr.json: of an array in memory, which zarr writes alike."""
        made: dict[str, Any] = {}
        shape, attributes = self._shape, self._attributes
        zarr_loaded().create_array(
            made, shape=shape, **layout(shape[1:]), fill_value=0, attributes=attributes
        )
        head: bytes = made[HEAD].to_bytes()
        return head

    def rows(self, shard: int) -> range:
        """The rows that a shard holds."""
        return range(shard * CLIPS_PER_SHARD, min((shard + 1) * CLIPS_PER_SHARD, self._shape[0]))

    def write(self, shard: int, block: NDArray[np.uint8]) -> str:
        """Write all rows of a shard, (rows, T * C, S, S, 3); on return they are on the disk.

        Returns the checksum of the shard's file.

        Raises:
            ValueError: the block has another shape.
        """
        expected = (len(self.rows(shard)), *self._shape[1:])
        if block.shape != expected or block.dtype != np.uint8:
            raise ValueError(f"shard {shard} holds uint8 of {expected}, not {block.dtype} of {block.shape}")
        checksum = write_shard(shard_path(self._path, shard), block)
        sync_folder(self._path)
        return checksum

    def checksum(self, shard: int) -> str:
        """CRC-32C of a shard's file; "" when there is none."""
        return file_crc32c(shard_path(self._path, shard))

    def sweep(self, keep: Iterable[int]) -> None:
        """Remove what an interrupted run left: half-written files, and shards not in ``keep``."""
        kept = {shard_path(self._path, shard).name for shard in keep} | {HEAD}
        for entry in list(self._path.iterdir()):
            if entry.name not in kept:
                remove(entry)


def write_rows(folder: Path, rows: Sequence[ClipRow], settings: Mapping[str, object] | None = None) -> None:
    """Write clips.json, decoding.json, and failures.json for the rows without frames.

    ``settings`` is what the frames depend on beside the videos; it stands in decoding.json.
    """
    table = [asdict(row) for row in rows]
    failures = [
        {"name": row.name, "label": row.label, "reason": "; ".join(row.problems), "retry": row.retry}
        for row in rows
        if not row.valid
    ]
    decoding = _lines([{name: row[name] for name in ABOUT_DECODING} for row in table])
    head = json.dumps(dict(settings or {}), sort_keys=True)
    contents = {
        "clips.json": _lines([{name: row[name] for name in READ_BY_STAGES} for row in table]),
        "decoding.json": f'{{"settings": {head}, "clips": {decoding}}}',
        "failures.json": _lines(failures),
    }
    for name, content in contents.items():
        (folder / name).write_text(f"{content}\n", encoding="utf-8")


def _lines(items: Sequence[object]) -> str:
    """A JSON list, one item a line: 70,000 rows stay readable, and differences stay small."""
    lines = ",\n".join(json.dumps(item, ensure_ascii=False) for item in items)
    return f"[\n{lines}\n]" if items else "[]"


def _damaged(message: str) -> IntegrityError:
    return IntegrityError(
        message, next_step="Run `fsarctl cache verify`, which moves them away, then `fsarctl run`."
    )
