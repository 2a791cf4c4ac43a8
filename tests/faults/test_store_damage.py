"""Damage on disk is found, said aloud, moved to quarantine, and never used."""

import errno
import os
import shutil
from pathlib import Path

import pytest
from notes import Notes

from fsarctl.artifacts import Build, Files, Store, Unit, cache_layout
from fsarctl.artifacts.command import Command
from fsarctl.artifacts.manifest import Manifest, ManifestError, parse_manifest


@pytest.fixture
def notes():
    return Notes()


@pytest.fixture
def store(tmp_path, notes):
    return Store(tmp_path / "cache", reporter=notes)


@pytest.fixture
def unit(tmp_path):
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"clip")

    def build(given):
        (given.folder / "frames.zarr").mkdir()
        (given.folder / "frames.zarr" / "0").write_bytes(bytes(range(256)))
        (given.folder / "clips.json").write_text("[]")

    return Unit(
        "extract", 1, "extract k100", Command("extract"), {}, build, {"videos": Files({"clip": clip})}
    )


def writable(path):
    path.chmod(0o644)
    return path


def test_every_flipped_bit_is_found_by_verify(store, unit, notes):
    """One bit at a time, in every file of the artifact, its manifest and its sources included."""
    pristine = store.realise(unit).path
    copy = store.root / "copy"
    shutil.copytree(pristine, copy)
    names = ["clips.json", "frames.zarr/0", "manifest.json", "sources.json"]
    for name in names:
        content = (copy / name).read_bytes()
        for position in range(0, len(content), max(1, len(content) // 16)):
            damaged = bytearray(content)
            damaged[position] ^= 1 << position % 8
            shutil.copytree(copy, pristine) if not pristine.exists() else None
            writable(pristine / name).write_bytes(damaged)
            (verdict,) = store.verify()
            assert verdict.faults, (name, position)
            assert verdict.quarantined is not None
            assert verdict.quarantined.parent == store.root / "quarantine"
            assert (verdict.quarantined / name).read_bytes() == damaged, "kept, not deleted"
            assert notes.said.pop().startswith("DAMAGED: the extract artifact")
    assert store.find(unit) is None
    shutil.copytree(copy, pristine)
    assert [verdict.faults for verdict in store.verify()] == [()]
    assert notes.said == []


def test_every_bit_of_a_manifest_counts(store, unit):
    raw = (store.realise(unit).path / "manifest.json").read_bytes()
    parse_manifest(raw)
    for position in range(len(raw)):
        damaged = bytearray(raw)
        damaged[position] ^= 1 << position % 8
        with pytest.raises(ManifestError):
            parse_manifest(bytes(damaged))


@pytest.mark.parametrize(
    "damage", ["missing file", "size", "no manifest", "manifest", "missing sources", "swapped"]
)
def test_what_a_hit_can_see_counts_as_a_miss_and_is_made_again(store, unit, notes, damage):
    artifact = store.realise(unit)
    path = artifact.path
    if damage == "missing file":
        (path / "frames.zarr" / "0").unlink()
    elif damage == "size":
        writable(path / "clips.json").write_text("[1]")
    elif damage == "no manifest":
        (path / "manifest.json").unlink()
    elif damage == "manifest":
        writable(path / "manifest.json").write_text("{")
    elif damage == "missing sources":
        (path / "sources.json").unlink()
    else:  # a whole artifact, but of another key
        other = Unit("extract", 2, "extract k100", Command("extract"), {}, unit.build)
        shutil.rmtree(path)
        store.realise(other).path.rename(path)
    assert store.find(unit) is None
    assert store.state(unit).name == "missing"
    (note,) = notes.said
    assert note.startswith("DAMAGED")
    (quarantined,) = (store.root / "quarantine").iterdir()
    assert str(quarantined) in note
    again = store.realise(unit)
    assert again.digest == artifact.digest
    assert store.find(unit) == again


def test_a_stray_file_is_found_by_verify_but_a_file_browsers_is_not(store, unit):
    path = store.realise(unit).path
    (path / "frames.zarr" / ".DS_Store").write_text("")
    assert [verdict.faults for verdict in store.verify()] == [()]
    (path / "frames.zarr" / "1").write_text("a chunk that nobody wrote")
    assert [verdict.faults for verdict in store.verify()] == [("frames.zarr/1 does not belong to it",)]


def test_a_file_replaced_by_a_link_is_found_by_verify(store, unit, tmp_path):
    chunk = store.realise(unit).path / "frames.zarr" / "0"
    chunk.rename(tmp_path / "0")
    chunk.symlink_to(tmp_path / "0")
    (verdict,) = store.verify()
    assert verdict.faults[0] == "frames.zarr/0 is a link"


def test_damage_that_cannot_be_moved_is_still_not_used(store, unit, notes, monkeypatch):
    artifact = store.realise(unit)
    (artifact.path / "clips.json").unlink()

    def refuse(*_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "rename", refuse)
    assert store.find(unit) is None
    assert "could not be moved away: Read-only file system" in notes.said[0]
    assert artifact.path.is_dir()


def test_a_damaged_record_that_cannot_be_moved_is_said(store, notes, monkeypatch):
    record = store.root / "records" / "answers" / "0123456789abcdef.json"
    record.parent.mkdir(parents=True)
    record.write_text("{")

    def refuse(*_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "replace", refuse)
    (verdict,) = store.verify()
    assert (verdict.slot, verdict.quarantined) == ("record 0123456789ab", None)
    assert notes.said == [
        f"DAMAGED: {record}: {verdict.faults[0]}. It could not be moved away: Read-only file system."
    ]


def test_manifests_are_read_once_however_much_is_stale_or_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a plan of stale units nor a verify that finds damage costs the square of what is there."""

    def chains(number: int, seed: int) -> list[Unit]:
        def fill(given: Build) -> None:
            (given.folder / "content").write_text(given.folder.parent.name)

        def unit(stage: str, at: int, **inputs: Unit) -> Unit:
            return Unit(stage, 1, f"{stage} {at}", Command(stage), {"at": at, "seed": seed}, fill, inputs)

        return [unit("train", at, frames=unit("extract", at)) for at in range(number)]

    reads, read = 0, cache_layout.read_manifest

    def counted(folder: Path) -> Manifest:
        nonlocal reads
        reads += 1
        return read(folder)

    listings, listdir = 0, os.listdir

    def listed(folder: str) -> list[str]:
        nonlocal listings
        listings += 1
        return listdir(folder)

    monkeypatch.setattr(cache_layout, "read_manifest", counted)
    monkeypatch.setattr(os, "listdir", listed)
    for number in (3, 12):
        store = Store(tmp_path / str(number))
        store.realise_all(chains(number, 0))
        reads = 0
        states = store.plan(chains(number, 1))
        assert [each.name for each in states] == ["stale", "waiting"] * number
        assert all(each.artifact for each in states)
        assert reads == 2 * number
        for path in (store.root / "artifacts" / "extract").glob("*/content"):
            path.chmod(0o644)
            path.write_text("damaged")
        reads = listings = 0
        assert sum(bool(each.faults) for each in store.verify()) == number
        assert listings < 12, "however many"
        # Each to verify it and for what was made of which; a damaged one again, until it is sure and moved.
        assert reads <= 10 * number
