"""What the file system says of an input, without reading it."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["Look"]

STAMP_BYTES = 7  # what a signed integer of SQLite holds without a sign


class Look(NamedTuple):
    """Of a file, or of those files of a folder that are one input.

    ``size``: bytes. ``stamp``: another number whenever something was written, renamed, added or taken away:
    a file's time of change; of a folder, a digest of the names, sizes and times. ``newest_ns``: when the last
    of it was written.
    """

    size: int
    stamp: int
    newest_ns: int

    @classmethod
    def of_file(cls, seen: os.stat_result) -> "Look":
        """Of what ``os.stat`` gave."""
        return cls(seen.st_size, seen.st_mtime_ns, seen.st_mtime_ns)

    @classmethod
    def of_folder(cls, folder: Path | str, names: Sequence[str]) -> "Look":
        """Of these files in a folder.

        Raises:
            OSError: one of them is not there.
        """
        listing = []
        for name in names:
            seen = os.stat(f"{folder}/{name}")  # noqa: PTH116 - of each of many
            listing.append((name, seen.st_size, seen.st_mtime_ns))
        digest = hashlib.sha256(repr(listing).encode("utf-8", "surrogateescape")).digest()
        return cls(
            sum(size for _, size, _ in listing),
            int.from_bytes(digest[:STAMP_BYTES], "big"),
            max((written for _, _, written in listing), default=0),
        )
