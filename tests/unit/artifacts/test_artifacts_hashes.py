"""The memory of input hashes: right answers always, few reads where possible."""

import hashlib
import os
import random
import sqlite3
import time
from pathlib import Path

import pytest

from fsarctl.artifacts import Files
from fsarctl.artifacts import hashes as module
from fsarctl.artifacts.hashes import HashMemory
from fsarctl.artifacts.snapshot import Snapshot
from fsarctl.errors import InputError, IntegrityError
from fsarctl.progress import SILENT

HOUR = 3600


@pytest.fixture
def reads(monkeypatch):
    """The paths whose content was read."""
    seen = []
    real = module.file_sha256

    def count(path):
        seen.append(Path(path).name)
        return real(path)

    monkeypatch.setattr(module, "file_sha256", count)
    return seen


@pytest.fixture
def files(tmp_path):
    """Three files that have rested for an hour."""
    paths = []
    for name in ("a", "b", "c\udce9 ' \u65e5"):  # not all file names are text
        path = tmp_path / name
        path.write_bytes(os.fsencode(name))
        rest(path)
        paths.append(str(path))
    return paths


def rest(path, age=HOUR):
    moment = time.time() - age
    os.utime(path, (moment, moment))


def memory(tmp_path, **options):
    return HashMemory(tmp_path / "cache" / "hashes.sqlite", SILENT, **options)


def truth(paths):
    return {path: hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths}


def test_a_rested_file_is_read_once(tmp_path, files, reads):
    assert memory(tmp_path).sha256(files) == truth(files)
    assert len(reads) == 3
    assert memory(tmp_path).sha256(files) == truth(files)
    assert len(reads) == 3


@pytest.mark.parametrize("how", ["size", "mtime"])
def test_another_size_or_mtime_is_another_file(tmp_path, files, reads, how):
    memory(tmp_path).sha256(files)
    Path(files[1]).write_bytes(b"bb" if how == "size" else b"B")
    rest(files[1], age=HOUR if how == "size" else HOUR / 2)
    reads.clear()
    assert memory(tmp_path).sha256(files) == truth(files)
    assert reads == ["b"]


def test_rehash_reads_everything(tmp_path, files, reads):
    memory(tmp_path).sha256(files)
    kept = Path(files[0]).stat()
    Path(files[0]).write_bytes(b"A")
    os.utime(files[0], ns=(kept.st_atime_ns, kept.st_mtime_ns))
    assert memory(tmp_path).sha256(files) != truth(files), "same size, same mtime: taken for the same file"
    reads.clear()
    assert memory(tmp_path, rehash=True).sha256(files) == truth(files)
    assert len(reads) == 3
    assert memory(tmp_path).sha256(files) == truth(files), "and what was read is remembered"


def test_a_fresh_file_is_never_taken_on_trust(tmp_path, reads):
    path = tmp_path / "fresh"
    path.write_bytes(b"one")
    kept = path.stat()
    memory(tmp_path).sha256([str(path)])
    path.write_bytes(b"two")
    os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))  # a clock too coarse to tell the two apart
    assert memory(tmp_path).sha256([str(path)]) == truth([str(path)])
    assert len(reads) == 2


def test_a_file_that_changes_while_it_is_read_is_an_error(tmp_path, files, monkeypatch):
    def read(path):
        rest(path, age=0)
        return "0" * 64

    monkeypatch.setattr(module, "file_sha256", read)
    with pytest.raises(IntegrityError, match="changed while it was being read"):
        memory(tmp_path).sha256(files)


def test_relative_and_absolute_paths_are_one_memory(tmp_path, files, reads, monkeypatch):
    memory(tmp_path).sha256(files)
    monkeypatch.chdir(tmp_path)
    assert list(memory(tmp_path).sha256(["a"]).values()) == list(truth(files[:1]).values())
    assert len(reads) == 3


def test_a_damaged_memory_is_forgotten_aloud(tmp_path, files, reads):
    database = tmp_path / "cache" / "hashes.sqlite"
    database.parent.mkdir()
    database.write_bytes(b"this is no database" * 100)
    said = []
    reporter = type("Loud", (type(SILENT),), {"note": lambda _, message: said.append(message)})()
    assert HashMemory(database, reporter).sha256(files) == truth(files)
    assert "is damaged" in said[0]
    reads.clear()
    assert memory(tmp_path).sha256(files) == truth(files)
    assert reads == []


def test_a_memory_with_a_flipped_bit_costs_time_only(tmp_path, files):
    memory(tmp_path).sha256(files)
    database = tmp_path / "cache" / "hashes.sqlite"
    whole = database.read_bytes()
    row = whole.index(os.fsencode(tmp_path))  # most of the file is empty
    places = [*range(row - 40, row + 300, 7), *random.Random(0).sample(range(len(whole)), 30)]
    for place in places:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        database.write_bytes(flipped)
        assert memory(tmp_path).sha256(files) == truth(files), place


def test_a_memory_that_cannot_be_written_costs_time_only(tmp_path, files):
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert memory(tmp_path).sha256(files) == truth(files)


def test_a_memory_that_another_process_has_locked_costs_time_only(tmp_path, files, monkeypatch):
    memory(tmp_path).sha256(files[:1])
    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path, **_: real(path, timeout=0))
    holder = real(tmp_path / "cache" / "hashes.sqlite", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        assert memory(tmp_path).sha256(files) == truth(files)
    finally:
        holder.close()


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
def test_what_is_no_file_is_refused_by_name(tmp_path, kind):
    path = tmp_path / "clip.mp4"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(InputError, match=r"clip\.mp4"):
        memory(tmp_path).sha256([str(path)])


def test_a_folder_is_its_members_names_and_bytes(tmp_path: Path) -> None:
    """Whatever is written, renamed, added or taken away is noticed, and what is no member is not."""
    folder = tmp_path / "clip"
    folder.mkdir()
    for name, content in (("1.jpg", b"one"), ("2.jpg", b"two"), ("Thumbs.db", b"x")):
        (folder / name).write_bytes(content)
        os.utime(folder / name, ns=(10**18, 10**18))

    def members(path: str) -> list[str]:
        return sorted(each.name for each in Path(path).glob("*.jpg"))

    def now(**options: bool) -> str:
        return memory(tmp_path, **options).sha256([str(folder)], members=members)[str(folder)]

    seen = [now()]
    (folder / "Thumbs.db").unlink()
    assert now() == seen[0]
    for change in (
        lambda: (folder / "2.jpg").rename(folder / "3.jpg"),
        lambda: (folder / "2.jpg").write_bytes(b"2"),
        lambda: (folder / "1.jpg").write_bytes(b"eno"),
        lambda: (folder / "3.jpg").unlink(),
    ):
        change()
        seen.append(now())
        assert seen[-1] == now(rehash=True)
    assert len({*seen}) == 5
    (folder / "2.jpg").unlink()
    os.utime(folder / "1.jpg", ns=(10**18, 10**18))
    remembered = now()
    (folder / "1.jpg").write_bytes(b"two")
    os.utime(folder / "1.jpg", ns=(10**18, 10**18))
    assert now() == remembered != now(rehash=True), "same name, size and time: taken for the same"
    with pytest.raises(InputError, match="is not a regular file"):
        memory(tmp_path).sha256([str(folder)])


def test_inputs_that_are_gone_lend_their_listing_to_no_others(tmp_path, files):
    """Each ``Files`` here may lie in memory where the one before it lay."""
    look = Snapshot(memory(tmp_path), lambda stage, key: None, lambda stage: {})
    for path in files:
        assert look.listing(Files({"clip": path})) == {"clip": truth([path])[str(path)]}
