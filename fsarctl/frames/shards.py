"""The shards of a Zarr array, written and read straight from their files.

zarr makes the array and is what other programs read it with. It takes 2 ms a clip each way, most of it for
copies and its own threads, where the disk and the checksum take 0.3 to 0.7; so here the two steps of Zarr's
sharding format are taken directly: a chunk ends with its CRC-32C, and the index at the end of the shard says
where each chunk is. The bytes are those that zarr writes.
"""

import atexit
import os
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from fsarctl.artifacts.atomic_write import replacing

__all__ = [
    "CLIPS_PER_SHARD",
    "ClipShards",
    "layout",
    "shard_number",
    "shard_path",
    "write_shard",
    "zarr_loaded",
]

CLIPS_PER_SHARD = 16

PLACE = struct.Struct("<QQ")  # of a chunk in its shard: the first byte, and how many
CHECKSUM = struct.Struct("<I")
INDEX_BYTES = PLACE.size * CLIPS_PER_SHARD + CHECKSUM.size
NOTHING_THERE = PLACE.pack(2**64 - 1, 2**64 - 1)


@cache
def zarr_loaded() -> Any:
    """zarr, imported where an array is made or opened: most commands start faster without it."""
    import zarr
    import zarr.core.sync

    # At exit zarr closes its event loop, and on a busy machine complains with a traceback where the loop's
    # thread takes over 0.2 s to end. It is a daemon, and the process ends anyway.
    atexit.unregister(zarr.core.sync.cleanup_resources)
    return zarr


def layout(clip: tuple[int, ...]) -> dict[str, Any]:
    """How zarr is to store clips of this shape: a chunk each, in shards, uncompressed, with checksums."""
    return {
        "chunks": (1, *clip),
        "shards": (CLIPS_PER_SHARD, *clip),
        "compressors": (zarr_loaded().codecs.Crc32cCodec(),),
        "dtype": np.dtype(np.uint8),
        "chunk_key_encoding": {"name": "default", "separator": "."},
    }


def shard_path(array: Path, shard: int) -> Path:
    """The file of a shard within the array's directory."""
    return array / f"c.{shard}.0.0.0.0"


def shard_number(path: Path) -> int:
    """Which shard a file is."""
    return int(path.name.split(".")[1])


def write_shard(path: Path, clips: NDArray[np.uint8]) -> str:
    """Write the file of a shard that holds ``clips``, (rows, ...); on return its bytes are on the disk.

    Its name is the last thing that it gets, so a shard is whole or not there. Returns ``file_crc32c``.
    """
    index = bytearray()
    whole = start = 0
    with replacing(path, alone=False) as partial, partial.open("wb") as file:
        for clip in clips:
            pixels = np.ravel(clip)
            checksum = CHECKSUM.pack(google_crc32c.value(pixels))
            file.writelines((pixels.data, checksum))
            whole = google_crc32c.extend(google_crc32c.extend(whole, pixels), checksum)
            index += PLACE.pack(start, clip.nbytes + CHECKSUM.size)
            start += clip.nbytes + CHECKSUM.size
        index += NOTHING_THERE * (CLIPS_PER_SHARD - len(clips))
        index += CHECKSUM.pack(google_crc32c.value(bytes(index)))
        file.write(index)
    return f"{google_crc32c.extend(whole, bytes(index)):08x}"


class ClipShards:
    """The clips of an array at ``path`` with the layout of :func:`layout`; opening reads no clip.

    ``shape``: (N, ...), of which the first is the clip's row. ``attributes``: what else was noted. A chunk's
    checksum says that its bytes are those of some clip; whose they are says ``is_whole``, which is asked
    about the file of each shard before the first clip of it is read.

    Raises:
        ValueError: it is no such array.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path, is_whole: Callable[[Path], bool] = lambda _: True) -> None:
        try:
            array = zarr_loaded().open_array(path, mode="r")
            _require_layout(array)
        except (OSError, ValueError):
            raise
        except Exception as error:  # zarr raises many types for what it did not write
            raise ValueError(f"{type(error).__name__}: {error}") from error
        self._path = path
        self._is_whole = is_whole
        self._known: set[int] = set()
        self.shape: tuple[int, ...] = array.shape
        self.attributes: dict[str, Any] = dict(array.attrs)

    def read(self, row: int, out: NDArray[np.uint8]) -> None:
        """One clip, its checksum verified, into ``out``, which is contiguous.

        Raises:
            ValueError: it is gone or damaged; the message says which.
            OSError: its file cannot be read.
        """
        shard, place = divmod(row, CLIPS_PER_SHARD)
        path = shard_path(self._path, shard)
        try:
            if shard not in self._known and not self._is_whole(path):
                raise ValueError(f"damaged (shard {shard} is not the one that was written)")
            self._known.add(shard)
            file = path.open("rb")
        except FileNotFoundError:
            raise ValueError(f"gone (shard {shard})") from None
        with file:
            end = os.fstat(file.fileno()).st_size - INDEX_BYTES
            if end < 0:
                raise ValueError(f"damaged (shard {shard} is too short)")
            file.seek(end)
            index = file.read(INDEX_BYTES)
            _check(index[: -CHECKSUM.size], index[-CHECKSUM.size :])
            start, size = PLACE.unpack_from(index, place * PLACE.size)
            if size != out.nbytes + CHECKSUM.size or start + size > end:
                raise ValueError(f"damaged (bytes {start} to {start + size} are noted for it)")
            file.seek(start)
            file.readinto(out.data)
            _check(out.reshape(-1), file.read(CHECKSUM.size))


def _require_layout(array: Any) -> None:
    """Refuse an array whose bytes are elsewhere, or mean something else, than ``read`` takes for granted.

    Raises:
        ValueError: it was not written with ``layout``.
    """
    wanted = layout(array.shape[1:])
    for name in ("chunks", "shards", "compressors", "dtype"):
        if getattr(array, name) != wanted[name]:
            raise ValueError(f"its {name} are {getattr(array, name)}, not {wanted[name]}")
    stored: Any = array.metadata
    (sharding,) = stored.codecs
    codec = zarr_loaded().codecs
    plain = (codec.BytesCodec, codec.Crc32cCodec)
    codecs = (tuple(map(type, sharding.codecs)), tuple(map(type, sharding.index_codecs)))
    keys = stored.chunk_key_encoding.encode_chunk_key((1, 0))
    if codecs != (plain, plain) or sharding.index_location.value != "end" or keys != "c.1.0":
        raise ValueError("its shards are encoded otherwise")


def _check(content: "bytes | NDArray[np.uint8]", checksum: bytes) -> None:
    if CHECKSUM.pack(google_crc32c.value(content)) != checksum:
        raise ValueError("damaged (its checksum is another)")
