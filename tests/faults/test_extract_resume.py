"""kill -9 in the middle of an extraction, then again: the artifact is that of a quiet run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import stand_in_decoders
from stand_in_decoders import clips_in, extract, slow

from fsarctl.frames.shards import CLIPS_PER_SHARD

CLIPS = 70
EXTRACTING = [sys.executable, stand_in_decoders.__file__, "slow"]


def plant(folder: Path) -> Path:
    folder.mkdir()
    for number in range(CLIPS):
        (folder / f"{number:03}.txt").touch()
    return folder


def decoded(folder: Path) -> list[int]:
    marks = [(folder / f"{number:03}.decoded") for number in range(CLIPS)]
    return [len(mark.read_text()) if mark.exists() else 0 for mark in marks]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def finished_shards(at: Path) -> int:
    journal = at / "scratch" / "journal.jsonl"
    return journal.read_bytes().count(b"\n") - 1 if journal.exists() else 0


def test_an_interrupted_run_is_gone_on_with_and_changes_no_byte(tmp_path: Path) -> None:
    quiet, disturbed = plant(tmp_path / "quiet"), plant(tmp_path / "disturbed")
    extract(slow, clips_in(quiet), tmp_path / "a")
    for kills, how in ((1, signal.SIGKILL), (2, signal.SIGINT), (3, signal.SIGKILL)):
        process = subprocess.Popen(
            [*EXTRACTING, str(disturbed), str(tmp_path / "b")], stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + 300
        while finished_shards(tmp_path / "b") < kills:
            assert time.monotonic() < end
            assert process.poll() is None
            time.sleep(0.005)
        os.kill(process.pid, how)
        assert process.wait(300) != 0
    (tmp_path / "b" / "artifact" / "frames.zarr" / "c.9.0.0.0.0.deadbeef.partial").write_bytes(
        b"half a shard"
    )
    kept = finished_shards(tmp_path / "b") * CLIPS_PER_SHARD
    before = decoded(disturbed)
    extract(slow, clips_in(disturbed), tmp_path / "b")
    assert decoded(disturbed)[:kept] == before[:kept]
    assert [now - then for now, then in zip(decoded(disturbed)[kept:], before[kept:], strict=True)] == [1] * (
        CLIPS - kept
    )
    assert contents(tmp_path / "b" / "artifact") == contents(tmp_path / "a" / "artifact")


def test_copying_is_gone_on_with_too(tmp_path: Path) -> None:
    quiet, disturbed = plant(tmp_path / "quiet"), plant(tmp_path / "disturbed")
    extract(slow, clips_in(quiet)[5:55], tmp_path / "past")
    extract(slow, clips_in(quiet), tmp_path / "a")
    line = [*EXTRACTING, str(disturbed), str(tmp_path / "b"), str(tmp_path / "past")]
    process = subprocess.Popen(line, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 300
    while finished_shards(tmp_path / "b") < 2:
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.002)
    process.kill()
    process.wait(300)
    extract(slow, clips_in(disturbed), tmp_path / "b", tmp_path / "past")
    assert decoded(disturbed)[5:55] == [0] * 50
    assert decoded(disturbed)[:5] == [1] * 5  # in a shard that was finished
    assert all(decoded(disturbed)[55:])
    assert contents(tmp_path / "b" / "artifact") == contents(tmp_path / "a" / "artifact")
