"""What is written comes back, and what is gone or changed is an error that names the clip."""

import json
import shutil
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from zarr.codecs import TransposeCodec

from fsarctl.errors import IntegrityError
from fsarctl.frames.frame_store import ClipRow, FrameStore, FrameWriter, write_rows
from fsarctl.frames.shards import CLIPS_PER_SHARD, layout

T, S = 3, 20


def row(number: int, label: str = "waving", valid: bool = True) -> ClipRow:
    if not valid:
        return ClipRow(f"{label}/{number}.mp4", label, False, "", 0, (), ("the file is empty",))
    return ClipRow(f"{label}/{number}.mp4", label, True, "decord", 30, (5, 15, 25), ())


def fill(folder: Path, rows: list[ClipRow], pictures: NDArray[np.uint8]) -> Path:
    writer = FrameWriter(folder, len(rows), T, S)
    for shard in range(writer.shards):
        held = writer.rows(shard)
        writer.write(shard, pictures[held.start : held.stop])
    write_rows(folder, rows)
    return folder


def pictures(clips: int) -> NDArray[np.uint8]:
    return np.random.default_rng(clips).integers(0, 256, (clips, T, S, S, 3), np.uint8)


@pytest.mark.parametrize("clips", [1, CLIPS_PER_SHARD, CLIPS_PER_SHARD + 1, 40])
def test_frames_come_back_in_the_order_asked(tmp_path: Path, clips: int) -> None:
    given = pictures(clips)
    store = FrameStore(fill(tmp_path, [row(i) for i in range(clips)], given))
    order = [*np.random.default_rng(0).permutation(clips).tolist(), 0]
    assert np.array_equal(store.read(order), given[order])
    assert store.read([]).shape == (0, T, S, S, 3)
    assert (store.frames, store.size, len(store)) == (T, S, clips)
    assert len(list((tmp_path / "frames.zarr").glob("c.*"))) == -(-clips // CLIPS_PER_SHARD)


def test_rows_know_their_labels(tmp_path: Path) -> None:
    rows = [row(0, "b"), row(1, "a"), row(2, "b", valid=False), row(3, "b"), row(4, "né 🕺 'x'", valid=False)]
    store = FrameStore(fill(tmp_path, rows, pictures(5)))
    assert store.classes == ("a", "b", "né 🕺 'x'")
    assert store.labels == ("b", "a", "b", "b", "né 🕺 'x'")
    assert store.names[1] == "a/1.mp4"
    assert store.valid == (True, True, False, True, False)
    assert [store.rows_of(label) for label in store.classes] == [[1], [0, 3], []]
    with pytest.raises(KeyError):
        store.rows_of("c")
    failures = json.loads((tmp_path / "failures.json").read_text(encoding="utf-8"))
    assert failures == [
        {"name": "b/2.mp4", "label": "b", "reason": "the file is empty", "retry": False},
        {"name": "né 🕺 'x'/4.mp4", "label": "né 🕺 'x'", "reason": "the file is empty", "retry": False},
    ]


def test_what_stages_read_says_nothing_of_how_the_frames_were_had(tmp_path: Path) -> None:
    for name, decoder in (("a", "decord"), ("b", "pyav")):
        (tmp_path / name).mkdir()
        made = replace(row(0), decoder=decoder, problems=(f"by {decoder}",), video="f00d")
        fill(tmp_path / name, [made], pictures(1))
    assert (tmp_path / "a" / "clips.json").read_bytes() == (tmp_path / "b" / "clips.json").read_bytes()
    decoding = json.loads((tmp_path / "b" / "decoding.json").read_text())
    assert decoding["clips"] == [
        {"video": "f00d", "decoder": "pyav", "problems": ["by pyav"], "retry": False}
    ]


@pytest.mark.parametrize("candidates", [1, 3, 5])
def test_one_candidate_of_each_segment_is_read(tmp_path: Path, candidates: int) -> None:
    clips = 3
    stored = np.random.default_rng(0).integers(0, 256, (clips, T * candidates, S, S, 3), np.uint8)
    FrameWriter(tmp_path, clips, T, S, candidates).write(0, stored)
    write_rows(tmp_path, [row(i) for i in range(clips)])
    store = FrameStore(tmp_path)
    assert (store.frames, store.candidates) == (T, candidates)
    middle = store.read([2, 0])
    for position, clip in enumerate((2, 0)):
        for segment in range(T):
            expected = stored[clip, segment * candidates + candidates // 2]
            assert np.array_equal(middle[position, segment], expected)
    chosen = np.random.default_rng(1).integers(0, candidates, (2, T))
    read = store.read([1, 2], chosen)
    for position, clip in enumerate((1, 2)):
        for segment in range(T):
            expected = stored[clip, segment * candidates + chosen[position, segment]]
            assert np.array_equal(read[position, segment], expected)
    assert np.array_equal(store.read_all_candidates([2, 1]), stored[[2, 1]])


def test_a_writer_does_not_go_on_with_other_candidates(tmp_path: Path) -> None:
    FrameWriter(tmp_path, 20, 3, S, 1).write(1, np.zeros((4, 3, S, S, 3), np.uint8))
    assert FrameWriter(tmp_path, 20, 1, S, 3).checksum(1) == ""


@pytest.mark.parametrize("wrong", [2, 5, -1])
def test_a_row_without_frames_is_never_read(tmp_path: Path, wrong: int) -> None:
    store = FrameStore(fill(tmp_path, [row(0), row(1), row(2, valid=False)], pictures(3)))
    with pytest.raises(ValueError, match="has no frames"):
        store.read([0, wrong])


def test_a_black_clip_is_written_and_read(tmp_path: Path) -> None:
    store = FrameStore(fill(tmp_path, [row(0), row(1)], np.zeros((2, T, S, S, 3), np.uint8)))
    assert not store.read([0, 1]).any()


def test_a_missing_shard_is_not_black_frames(tmp_path: Path) -> None:
    clips = CLIPS_PER_SHARD + 2
    store = FrameStore(fill(tmp_path, [row(i) for i in range(clips)], pictures(clips)))
    (tmp_path / "frames.zarr" / "c.1.0.0.0.0").unlink()
    store.read([0, CLIPS_PER_SHARD - 1])
    with pytest.raises(IntegrityError, match=r"waving/17\.mp4.* are gone") as caught:
        store.read([0, 17])
    assert str(tmp_path) in caught.value.message
    assert caught.value.next_step


def test_a_flipped_bit_names_its_clip_and_spares_the_others(tmp_path: Path) -> None:
    given = pictures(4)
    store = FrameStore(fill(tmp_path, [row(i) for i in range(4)], given))
    shard = tmp_path / "frames.zarr" / "c.0.0.0.0.0"
    content = bytearray(shard.read_bytes())
    content[content.index(given[2].tobytes()) + 100] ^= 1
    shard.write_bytes(content)
    assert np.array_equal(store.read([0, 1, 3]), given[[0, 1, 3]])
    with pytest.raises(IntegrityError, match=r"waving/2\.mp4.* are damaged"):
        store.read([2])


def test_zarr_reads_the_same(tmp_path: Path) -> None:
    """The reader here is its own; any other program's is zarr."""
    store = FrameStore(fill(tmp_path, [row(i) for i in range(20)], pictures(20)))
    array = zarr.open_array(tmp_path / "frames.zarr", mode="r")
    assert np.array_equal(array[:], store.read(range(20)))


@pytest.mark.parametrize("clips", [1, CLIPS_PER_SHARD, CLIPS_PER_SHARD + 3])
def test_zarr_writes_the_same_bytes(tmp_path: Path, clips: int) -> None:
    """The writer here is its own too; a black clip among the others is a chunk like any."""
    given = pictures(clips)
    given[clips // 2] = 0
    fill(tmp_path, [row(i) for i in range(clips)], given)
    array = zarr.create_array(
        tmp_path / "other.zarr",
        shape=given.shape,
        **layout(given.shape[1:]),
        fill_value=0,
        attributes={"candidates": 1},
        config={"write_empty_chunks": True},
    )
    array[:] = given
    ours, theirs = (
        {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()}
        for name in ("frames.zarr", "other.zarr")
    )
    assert ours == theirs


def test_a_block_of_another_shape_is_not_written(tmp_path: Path) -> None:
    writer = FrameWriter(tmp_path, 20, T, S)
    with pytest.raises(ValueError, match="shard 1 holds"):
        writer.write(1, pictures(16))
    with pytest.raises(ValueError, match="not int64"):
        writer.write(1, pictures(4).astype(np.int64))


def test_the_checksum_of_a_shard_is_of_all_its_bytes(tmp_path: Path) -> None:
    writer = FrameWriter(tmp_path, 3, T, S)
    checksum = writer.write(0, pictures(3))
    shard = tmp_path / "frames.zarr" / "c.0.0.0.0.0"
    content = bytearray(shard.read_bytes())
    assert checksum == writer.checksum(0) == f"{google_crc32c.value(bytes(content)):08x}"
    for place in (0, len(content) // 2, -1):
        content[place] ^= 1
        shard.write_bytes(content)
        assert writer.checksum(0) != checksum
        content[place] ^= 1


@pytest.mark.parametrize("from_end", [1, 4, 5, 16 * 16 + 4])
def test_a_flipped_bit_in_the_index_is_found(tmp_path: Path, from_end: int) -> None:
    store = FrameStore(fill(tmp_path, [row(0)], pictures(1)))
    shard = tmp_path / "frames.zarr" / "c.0.0.0.0.0"
    content = bytearray(shard.read_bytes())
    content[-from_end] ^= 1
    shard.write_bytes(content)
    with pytest.raises(IntegrityError, match=r"waving/0\.mp4.* are damaged"):
        store.read([0])


SIDEWAYS = TransposeCodec(order=(0, 1, 3, 2, 4))
AT_THE_START = {"shape": (CLIPS_PER_SHARD, T, S, S, 3), "index_location": "start"}


@pytest.mark.parametrize(
    "change",
    [
        {"compressors": None},
        {"shards": None},
        {"dtype": "uint16"},
        {"filters": [SIDEWAYS]},
        {"shards": AT_THE_START},
        {"chunk_key_encoding": {"name": "default", "separator": "/"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_array_of_another_layout_does_not_open(tmp_path: Path, change: dict[str, Any]) -> None:
    """It could be read wrong without an error."""
    fill(tmp_path, [row(0)], pictures(1))
    shutil.rmtree(tmp_path / "frames.zarr")
    how = {**layout((T, S, S, 3)), "attributes": {"candidates": 1}, **change}
    zarr.create_array(tmp_path / "frames.zarr", shape=(1, T, S, S, 3), **how)
    with pytest.raises(IntegrityError, match=r"cannot be opened \(its (compressors|shards|dtype) are "):
        FrameStore(tmp_path)
    assert FrameWriter(tmp_path, 1, T, S).checksum(0) == "", "nor is it gone on with"


@pytest.mark.parametrize("content", ["", "null", "[]", "{}", '{"zarr_format": 3, "node_type": "array"}'])
def test_a_damaged_description_of_the_array_is_found(tmp_path: Path, content: str) -> None:
    fill(tmp_path, [row(0)], pictures(1))
    (tmp_path / "frames.zarr" / "zarr.json").write_text(content)
    with pytest.raises(IntegrityError, match="cannot be opened"):
        FrameStore(tmp_path)


def test_an_index_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    """Its checksum is right, so it was written like this."""
    store = FrameStore(fill(tmp_path, [row(0)], pictures(1)))
    shard = tmp_path / "frames.zarr" / "c.0.0.0.0.0"
    content = shard.read_bytes()
    index = struct.pack("<QQ", 2**63, T * S * S * 3 + 4) + content[-16 * 16 - 4 + 16 : -4]
    shard.write_bytes(content[: -16 * 16 - 4] + index + struct.pack("<I", google_crc32c.value(index)))
    with pytest.raises(IntegrityError, match="are damaged"):
        store.read([0])


@pytest.mark.parametrize("length", [0, 100, 2000])
def test_a_shortened_shard_is_found(tmp_path: Path, length: int) -> None:
    store = FrameStore(fill(tmp_path, [row(0)], pictures(1)))
    shard = tmp_path / "frames.zarr" / "c.0.0.0.0.0"
    shard.write_bytes(shard.read_bytes()[:length])
    with pytest.raises(IntegrityError):
        store.read([0])


@pytest.mark.parametrize("gone", ["clips.json", "frames.zarr/zarr.json"])
def test_half_an_artifact_does_not_open(tmp_path: Path, gone: str) -> None:
    fill(tmp_path, [row(0)], pictures(1))
    (tmp_path / gone).unlink()
    with pytest.raises(IntegrityError, match="cannot be opened"):
        FrameStore(tmp_path)


def test_rows_and_frames_must_agree(tmp_path: Path) -> None:
    fill(tmp_path, [row(0), row(1)], pictures(2))
    write_rows(tmp_path, [row(0)])
    with pytest.raises(IntegrityError, match=r"frames of 2 clips, but clips\.json names 1"):
        FrameStore(tmp_path)


def test_a_writer_goes_on_where_another_stopped(tmp_path: Path) -> None:
    given = pictures(20)
    first = FrameWriter(tmp_path, 20, T, S)
    checksum = first.write(0, given[:16])
    (tmp_path / "frames.zarr" / "c.1.0.0.0.0.abc.partial").write_bytes(b"half")
    second = FrameWriter(tmp_path, 20, T, S)
    second.sweep([0])
    assert (second.checksum(0), second.checksum(1)) == (checksum, "")
    second.write(1, given[16:])
    write_rows(tmp_path, [row(i) for i in range(20)])
    assert np.array_equal(FrameStore(tmp_path).read(range(20)), given)
    assert sorted(p.name for p in (tmp_path / "frames.zarr").iterdir()) == [
        "c.0.0.0.0.0",
        "c.1.0.0.0.0",
        "zarr.json",
    ]


def test_a_writer_of_another_shape_begins_anew(tmp_path: Path) -> None:
    FrameWriter(tmp_path, 20, T, S).write(1, pictures(4))
    writer = FrameWriter(tmp_path, 20, T, S + 1)
    assert writer.checksum(1) == ""
