"""kill -9 in the middle of an extraction, then again: the artifact is that of a quiet run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fsarctl.datasets.clips import Clip
from fsarctl.frames.extraction import Sources, extract_clips
from fsarctl.frames.shards import CLIPS_PER_SHARD
from fsarctl.progress import SILENT
from fsarctl.video.decoder import DecodedClip

CLIPS = 70
T, S = 2, 64


def slow(path: Path, frames: int, size: int) -> DecodedClip:
    """Leaves a mark each time a clip is decoded."""
    with path.with_suffix(".decoded").open("a") as marks:
        marks.write("x")
    time.sleep(0.02)
    pictures = np.random.default_rng(int(path.stem)).integers(0, 256, (frames, size, size, 3), np.uint8)
    return DecodedClip(pictures, "slow", tuple(range(frames)), frames)


def run(videos: Path, at: Path, past: Path | None = None, only: slice = slice(None)) -> None:
    (at / "artifact").mkdir(parents=True, exist_ok=True)
    clips = [Clip(path.stem, "a", str(path)) for path in sorted(videos.glob("*.txt"))[only]]
    digests = {clip.name: f"digest of {clip.name}" for clip in clips}
    extract_clips(
        clips,
        at / "artifact",
        at / "scratch",
        frames=T,
        size=S,
        workers=2,
        reporter=SILENT,
        time_limit_s=30,
        decode=slow,
        sources=Sources(digests, {}, [(past / "artifact", None)] if past else []),
    )


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


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_run_is_gone_on_with_and_changes_no_byte(tmp_path: Path, how: signal.Signals) -> None:
    quiet, disturbed = plant(tmp_path / "quiet"), plant(tmp_path / "disturbed")
    run(quiet, tmp_path / "a")
    for kills in (1, 2):
        process = subprocess.Popen(
            [sys.executable, __file__, str(disturbed), str(tmp_path / "b")], stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + 30
        while finished_shards(tmp_path / "b") < kills:
            assert time.monotonic() < end
            assert process.poll() is None
            time.sleep(0.005)
        os.kill(process.pid, how)
        assert process.wait(30) != 0
    (tmp_path / "b" / "artifact" / "frames.zarr" / "c.9.0.0.0.0.deadbeef.partial").write_bytes(
        b"half a shard"
    )
    kept = finished_shards(tmp_path / "b") * CLIPS_PER_SHARD
    before = decoded(disturbed)
    run(disturbed, tmp_path / "b")
    assert decoded(disturbed)[:kept] == before[:kept]
    assert [now - then for now, then in zip(decoded(disturbed)[kept:], before[kept:], strict=True)] == [1] * (
        CLIPS - kept
    )
    assert contents(tmp_path / "b" / "artifact") == contents(tmp_path / "a" / "artifact")


def test_copying_is_gone_on_with_too(tmp_path: Path) -> None:
    quiet, disturbed = plant(tmp_path / "quiet"), plant(tmp_path / "disturbed")
    run(quiet, tmp_path / "past", only=slice(5, 55))
    run(quiet, tmp_path / "a")
    line = [sys.executable, __file__, str(disturbed), str(tmp_path / "b"), str(tmp_path / "past")]
    process = subprocess.Popen(line, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 30
    while finished_shards(tmp_path / "b") < 2:
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.002)
    process.kill()
    process.wait(30)
    run(disturbed, tmp_path / "b", tmp_path / "past")
    assert decoded(disturbed)[5:55] == [0] * 50
    assert decoded(disturbed)[:5] == [1] * 5  # in a shard that was finished
    assert all(decoded(disturbed)[55:])
    assert contents(tmp_path / "b" / "artifact") == contents(tmp_path / "a" / "artifact")


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None)
