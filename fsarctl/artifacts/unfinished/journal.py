"""What an unfinished build has finished so far: a sealed line for each unit, on disk after its files are.

A line says which files of the build's folder came of it, with their CRC-32C, and what else is known. What has
no line is not finished, though its files be there; what has one is believed as far as seal and files agree.
Several processes at one build have a file each for what they finish, which is read as if its lines were here.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import google_crc32c

from fsarctl.artifacts.atomic_write import remove, replacing, sync_file
from fsarctl.artifacts.refusals import content_of
from fsarctl.artifacts.unfinished.sealed import require_sealed, sealed_json
from fsarctl.progress import Reporter, counted

__all__ = ["JOURNAL", "Entry", "Journal", "file_crc32c", "is_within", "note_lost"]

JOURNAL = "journal.jsonl"
APART = "journal-{}.jsonl"
READ_BYTES = 2**22


@dataclass(frozen=True)
class Entry:
    """One line. ``files``: name within the folder -> CRC-32C in hexadecimal. ``facts``: JSON."""

    files: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def is_whole(self, folder: Path) -> bool:
        """Whether all of its files are in ``folder`` with the bytes that they had."""
        return all(file_crc32c(folder / name) == checksum for name, checksum in self.files.items())


class Journal:
    """The journal in ``scratch``, of the build ``of``."""

    def __init__(self, scratch: Path, of: str) -> None:
        self.path = scratch / JOURNAL
        self._of = f"{of} {JOURNAL}"

    def read(self) -> tuple[list[Entry], int]:
        """The lines that are whole, and how many are not; what a kill has left of the last one is no line.

        Raises:
            OSError: there is a journal, and it cannot be read.
        """
        entries, lost = [], 0
        for path in (self.path, *self._apart()):
            with suppress(FileNotFoundError):
                try:
                    whole, damaged = _whole(content_of(path), self._of)
                except IsADirectoryError:
                    whole, damaged = [], 1
                entries += whole
                lost += damaged
        return entries, lost

    def begin(self, entries: Iterable[Entry]) -> None:
        """Write it anew, with these lines alone."""
        with replacing(self.path, alone=False) as partial:  # a kill leaves the one or the other
            partial.write_bytes(self._lines(entries))
            if self.path.is_dir() and not self.path.is_symlink():  # whose place no file can take
                remove(self.path)
        for path in self._apart():
            remove(path)

    def add(self, entry: Entry) -> None:
        """One line more; its files are on the disk already."""
        with self.path.open("ab") as file:
            file.write(self._lines([entry]))
        sync_file(self.path)

    def add_apart(self, name: str, entries: Iterable[Entry]) -> None:
        """Lines that others may be adding at the same time; all those of one ``name`` are the same."""
        with replacing(self.path.with_name(APART.format(name)), alone=False) as partial:
            partial.write_bytes(self._lines(entries))

    def read_apart(self, name: str) -> list[Entry]:
        """What was added apart under this name, and is whole."""
        try:
            content = self.path.with_name(APART.format(name)).read_bytes()
        except FileNotFoundError:
            return []
        return _whole(content, self._of)[0]

    def _apart(self) -> list[Path]:
        return sorted(self.path.parent.glob(APART.format("*")))

    def _lines(self, entries: Iterable[Entry]) -> bytes:
        return b"".join(
            sealed_json({"files": each.files, "facts": each.facts}, self._of) + b"\n" for each in entries
        )


def _whole(content: bytes, of: str) -> tuple[list[Entry], int]:
    """The lines of a journal that are whole, and how many are not."""
    lines = content.split(b"\n")[:-1]
    entries = []
    for line in lines:
        try:
            require_sealed(line, of)
            entries.append(_entry(json.loads(line)))
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return entries, len(lines) - len(entries)


def _entry(line: Any) -> Entry:
    """A line's entry.

    Raises:
        ValueError, KeyError, TypeError: it is of another kind, or of files elsewhere.
    """
    files, facts = line["files"], line["facts"]
    if not (isinstance(files, dict) and isinstance(facts, dict) and all(map(is_within, files))):
        raise ValueError("no entry of a journal")
    return Entry(files, facts)


def note_lost(lost: int, title: str, reporter: Reporter) -> None:
    """Say how many lines of a journal, or what they tell of, are damaged, if any."""
    if lost:
        parts = counted(lost, "part")
        reporter.note(f"DAMAGED: {title}: {parts} of the unfinished work; made again.")


def file_crc32c(path: Path) -> str:
    """CRC-32C of a file, in hexadecimal; "" when there is none, or a folder."""
    whole = 0
    try:
        with path.open("rb") as file:
            while content := file.read(READ_BYTES):
                whole = google_crc32c.extend(whole, content)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return ""
    return f"{whole:08x}"


def is_within(name: str) -> bool:
    """Whether a name is that of a file of the folder that it stands for, or of one in it."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in name
