"""Seals and journals: every bit counts, and so does what the bytes are of."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from notes import Notes
from safetensors.numpy import load_file, save_file

from fsarctl.artifacts.unfinished.journal import Entry, Journal, file_crc32c
from fsarctl.artifacts.unfinished.sealed import (
    EMPTY_SEAL,
    SEAL,
    SealError,
    is_before_seals,
    is_there,
    require_sealed,
    seal_file,
    sealed_json,
)


def test_every_bit_of_a_sealed_document_counts() -> None:
    content = sealed_json({"label": "skiing", "answers": ["a", 'so-called "seal": "0"']}, "a record")
    require_sealed(content, "a record")
    assert json.loads(content)["label"] == "skiing"
    for position in range(len(content)):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[position] ^= 1 << bit
            with pytest.raises(SealError):
                require_sealed(bytes(damaged), "a record")


def test_the_seal_is_what_the_page_says() -> None:
    content = sealed_json({"a": 1}, "of what")
    seal = json.loads(content)[SEAL]
    assert seal[:16] == hashlib.sha256(b"of what").hexdigest()[:16]
    assert seal[16:] == hashlib.sha256(content.replace(seal[16:].encode(), b"0" * 64)).hexdigest()


def test_what_is_of_something_else_or_never_sealed_is_refused() -> None:
    content = sealed_json({"a": 1}, "train/0 checkpoint")
    with pytest.raises(SealError, match="something else"):
        require_sealed(content, "train/1 checkpoint")
    with pytest.raises(SealError, match="no checksum"):
        require_sealed(b'{"a": 1}', "train/0 checkpoint")


def test_a_file_of_an_earlier_version_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    for said in (None, {"epoch": "1"}):
        save_file({"weights": np.arange(6.0)}, path, said)
        assert is_before_seals(path.read_bytes())
        assert not is_before_seals(path.read_bytes()[:-1])
    save_file({"weights": np.arange(6.0)}, path, {SEAL: EMPTY_SEAL})
    seal_file(path, "train 0")
    whole = path.read_bytes()
    for position in range(len(whole)):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[position] ^= 1 << bit
            assert not is_before_seals(bytes(damaged))
    assert not any(is_before_seals(whole[:length]) for length in range(len(whole) + 1))


def test_a_file_of_tensors_stays_one(tmp_path: Path) -> None:
    path, said = tmp_path / "block.safetensors", Notes()
    save_file({"scores": np.arange(600.0)}, path, {SEAL: EMPTY_SEAL, "words": json.dumps({"seal": "none"})})
    seal_file(path, "eval 0")
    whole = path.read_bytes()
    assert load_file(path)["scores"][599] == 599
    assert is_there(path, "eval 0", said, "Again.")
    for position in range(0, len(whole), 97):
        damaged = bytearray(whole)
        damaged[position] ^= 4
        path.write_bytes(damaged)
        assert not is_there(path, "eval 0", said, "Again.")
        assert said.said.pop().endswith(" Again.")
        assert not path.exists()
    assert not is_there(path, "eval 0", said, "Again.")
    assert said.said == [], "what is not there is no damage"


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    (tmp_path / "folder").mkdir()
    for number in range(3):
        (tmp_path / "folder" / f"{number}").write_text(f"shard {number}")
    journal = Journal(tmp_path, "extract/0")
    journal.begin([])
    for number in range(3):
        crc = file_crc32c(tmp_path / "folder" / f"{number}")
        journal.add(Entry({f"{number}": crc}, {"rows": [number]}))
    return journal


def test_a_journal_that_is_begun_anew_is_there_at_every_moment(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill between two steps would lose what is finished."""
    entries, _ = journal.read()
    moments = []

    def looked_at(name: str) -> Callable[..., object]:
        real: Callable[..., object] = getattr(os, name)

        def look(*given: object, **options: object) -> object:
            moments.append(name)
            assert journal.read() == (entries, 0)
            return real(*given, **options)

        return look

    for name in ("unlink", "remove", "replace", "rename", "fsync"):
        monkeypatch.setattr(os, name, looked_at(name))
    journal.begin(entries)
    assert "replace" in moments
    assert journal.read() == (entries, 0)


def test_a_journal_gives_back_what_it_was_told(journal: Journal) -> None:
    entries, lost = journal.read()
    assert [each.facts for each in entries] == [{"rows": [0]}, {"rows": [1]}, {"rows": [2]}]
    assert lost == 0
    folder = journal.path.parent / "folder"
    assert all(each.is_whole(folder) for each in entries)
    (folder / "1").write_text("shard 2")
    (folder / "2").unlink()
    assert [each.is_whole(folder) for each in entries] == [True, False, False]


def test_a_damaged_line_costs_itself_alone(journal: Journal) -> None:
    whole = journal.path.read_bytes()
    start = whole.index(b"\n") + 1
    for position in range(start, whole.index(b"\n", start)):
        damaged = bytearray(whole)
        damaged[position] ^= 1
        journal.path.write_bytes(damaged)
        entries, lost = journal.read()
        assert [each.facts["rows"] for each in entries] == [[0], [2]]
        assert lost >= 1
    journal.path.write_bytes(whole)
    assert Journal(journal.path.parent, "extract/1").read() == ([], 3), "of another build"


@pytest.mark.parametrize("cut", [1, 40])
def test_a_torn_last_line_is_no_line(journal: Journal, cut: int) -> None:
    journal.path.write_bytes(journal.path.read_bytes()[:-cut])
    entries, lost = journal.read()
    assert (len(entries), lost) == (2, 0)


def test_no_journal_is_an_empty_one(tmp_path: Path) -> None:
    assert Journal(tmp_path, "extract/0").read() == ([], 0)


def test_known_checksum(tmp_path: Path) -> None:
    """RFC 3720, B.4: 32 bytes of zeros."""
    (tmp_path / "zeros").write_bytes(bytes(32))
    assert file_crc32c(tmp_path / "zeros") == "8a9136aa"


def test_a_journal_that_cannot_be_read_is_not_taken_for_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Callable[..., bytes]:
        raise PermissionError(13, "Permission denied", str(tmp_path))

    (tmp_path / "journal.jsonl").touch()
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PermissionError):
        Journal(tmp_path, "extract/0").read()
