"""Extractor and the extract stage on small files; the decoder here reads a number, not a video."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from stand_in_decoders import read_number

from fsarctl.artifacts.command import Command
from fsarctl.artifacts.unit import Build, Files, Unit
from fsarctl.config.tables import ExtractConfig
from fsarctl.datasets.clips import Clip
from fsarctl.errors import InputError
from fsarctl.frames.extraction import Extractor
from fsarctl.frames.frame_store import ClipRow, FrameStore
from fsarctl.progress import Advance
from fsarctl.stages import extract

T, S = 2, 32


class Recorder:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.tasks: list[tuple[str, int, str, int]] = []
        self.advanced = 0
        self.notes: list[str] = []

    @contextmanager
    def task(self, description: str, total: int, unit: str, done: int = 0) -> Iterator[Advance]:
        self.tasks.append((description, total, unit, done))

        def advance(amount: int = 1, detail: str = "") -> None:
            self.advanced += amount

        yield advance

    def note(self, message: str) -> None:
        self.notes.append(message)


def clips(folder: Path, contents: list[str]) -> list[Clip]:
    folder.mkdir(exist_ok=True)
    made = []
    for number, content in enumerate(contents):
        path = folder / f"{number:03}.txt"
        path.write_text(content)
        made.append(Clip(f"c/{number}", f"label {number % 3}", str(path)))
    return made


def run(
    given: list[Clip], at: Path, recorder: Recorder | None = None, workers: int = 2
) -> tuple[ClipRow, ...]:
    (at / "artifact").mkdir(parents=True, exist_ok=True)
    return (
        Extractor(
            given,
            at / "artifact",
            at / "scratch",
            frames=T,
            size=S,
            workers=workers,
            reporter=recorder or Recorder(),
            time_limit_s=30,
            title="extract mine/test",
            decode=read_number,
        )
        .extract()
        .rows
    )


def test_shards_that_others_made_are_those_of_one_process(tmp_path: Path) -> None:
    texts = [str(number) for number in range(40)]
    texts[3], texts[20] = "broken", "surprise"
    given = clips(tmp_path / "in", texts)
    run(given, tmp_path / "alone")
    shared = tmp_path / "shared"
    (shared / "artifact").mkdir(parents=True)
    how: dict[str, Any] = {"frames": T, "size": S, "reporter": Recorder(), "time_limit_s": 30}

    def another() -> Extractor:
        how.update(workers=1, decode=read_number, of="extract/0")
        return Extractor(given, shared / "artifact", shared / "scratch", **how)

    first, second = another(), another()
    assert first.left() == [0, 1, 2]
    second.make(2)
    first.make(0)
    second.make(0)  # at least once is not once
    assert another().left() == [1]
    (shared / "artifact" / "frames.zarr" / ".c.1.0.0.0.0.begun.partial").write_bytes(
        b"by one that was killed"
    )
    extraction = another().extract()
    assert extraction.decoded == 8 + 8, "of shard 1, by the one that puts them together"
    assert contents(shared / "artifact") == contents(tmp_path / "alone" / "artifact")
    assert [path.name for path in (shared / "scratch").iterdir()] == ["journal.jsonl"]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_rows_keep_the_order_of_the_clips_and_failures_their_place(tmp_path: Path) -> None:
    texts = [str(number) for number in range(40)]
    texts[3], texts[20], texts[39] = "broken", "surprise", "shape"
    recorder = Recorder()
    rows = run(clips(tmp_path / "in", texts), tmp_path, recorder)
    assert [row.name for row in rows] == [f"c/{number}" for number in range(40)]
    store = FrameStore(tmp_path / "artifact")
    good = [row for row in range(40) if store.valid[row]]
    assert good == [row for row in range(40) if row not in (3, 20, 39)]
    assert store.read(good)[:, 0, 0, 0, 0].tolist() == good
    failures = json.loads((tmp_path / "artifact" / "failures.json").read_text())
    assert failures == [
        {"name": "c/3", "label": "label 0", "reason": "it is broken", "retry": False},
        {
            "name": "c/20",
            "label": "label 2",
            "reason": "decoding failed: RuntimeError: cannot fathom the video",
            "retry": False,
        },
        {
            "name": "c/39",
            "label": "label 0",
            "reason": "decoding failed: ValueError: the decoder gave uint8 frames of shape (2, 33, 33, 3)",
            "retry": False,
        },
    ]
    assert recorder.tasks == [("extract mine/test", 40, "clip", 0)]
    assert recorder.advanced == 40
    table = json.loads((tmp_path / "artifact" / "clips.json").read_text())
    assert table[0] == {
        "name": "c/0",
        "label": "label 0",
        "valid": True,
        "frame_count": T,
        "indices": [0, 1],
    }
    decoding = json.loads((tmp_path / "artifact" / "decoding.json").read_text())
    assert decoding["settings"] == {"frames": T, "candidates": 1, "size": S, "resize": "squash"}
    assert decoding["clips"][0] == {
        "video": "",
        "decoder": "number",
        "problems": ["a remark"],
        "retry": False,
    }


def test_the_number_of_workers_changes_no_byte(tmp_path: Path) -> None:
    given = clips(tmp_path / "in", [str(number) for number in range(35)])
    run(given, tmp_path / "one", workers=1)
    run(given, tmp_path / "three", workers=3)
    assert contents(tmp_path / "one" / "artifact") == contents(tmp_path / "three" / "artifact")


def test_a_finished_extraction_is_read_from_its_journal(tmp_path: Path) -> None:
    given = clips(tmp_path / "in", [str(number) for number in range(20)])
    first = run(given, tmp_path)
    for clip in given:
        clip.path.unlink()
    recorder = Recorder()
    assert run(given, tmp_path, recorder) == first
    assert recorder.tasks == [("extract mine/test", 20, "clip", 20)]


def test_a_damaged_or_lost_shard_is_decoded_again(tmp_path: Path) -> None:
    given = clips(tmp_path / "in", [str(number) for number in range(40)])
    run(given, tmp_path)
    whole = contents(tmp_path / "artifact")
    shards = tmp_path / "artifact" / "frames.zarr"
    (shards / "c.0.0.0.0.0").write_bytes(b"x" + (shards / "c.0.0.0.0.0").read_bytes()[1:])
    (shards / "c.1.0.0.0.0").unlink()
    recorder = Recorder()
    run(given, tmp_path, recorder)
    assert recorder.tasks[0][3] == 8
    assert contents(tmp_path / "artifact") == whole


def test_a_journal_of_other_clips_is_not_believed(tmp_path: Path) -> None:
    given = clips(tmp_path / "in", [str(number) for number in range(20)])
    run(given, tmp_path)
    renamed = [Clip(f"other/{clip.name}", clip.label, clip.file) for clip in given]
    recorder = Recorder()
    rows = run(renamed, tmp_path, recorder)
    assert recorder.tasks[0][3] == 0
    assert rows[0].name == "other/c/0"


def test_a_torn_last_line_costs_its_shard_alone(tmp_path: Path) -> None:
    given = clips(tmp_path / "in", [str(number) for number in range(40)])
    run(given, tmp_path)
    whole = contents(tmp_path / "artifact")
    journal = tmp_path / "scratch" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])
    recorder = Recorder()
    run(given, tmp_path, recorder)
    assert recorder.tasks[0][3] == 32
    assert contents(tmp_path / "artifact") == whole


def test_nothing_but_failures_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none of 3 clips could be decoded.*'c/0': it is broken"):
        run(clips(tmp_path / "in", ["broken"] * 3), tmp_path)


def test_no_clips_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are no clips"):
        run([], tmp_path)


def video(path: Path, level: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), level, np.uint8), format="rgb24")
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def build(unit: Unit, at: Path, **inputs: Path) -> tuple[Recorder, dict[str, Any]]:
    recorder, facts = Recorder(), {}
    (at / "artifact").mkdir(parents=True)
    unit.build(Build(at / "artifact", at / "scratch", inputs, recorder, facts.__setitem__))
    return recorder, facts


def stage_unit(given: list[Clip] | Unit, **options: Any) -> Unit:
    videos = given if isinstance(given, Unit) else extract.Videos.look(given)
    return extract.unit("mine", "test", videos, ExtractConfig(frames=T), S, workers=2, **options)


def test_the_stage_fills_a_folder_from_videos(tmp_path: Path) -> None:
    given = [Clip(f"a/{n}.mp4", "a", str(video(tmp_path / f"{n}.mp4", n * 60))) for n in range(4)]
    given[2].path.write_text("not a video at all")
    recorder, facts = build(stage_unit(given), tmp_path / "out")
    store = FrameStore(tmp_path / "out" / "artifact")
    levels = store.read([0, 1, 3]).astype(int).mean((1, 2, 3, 4))
    assert np.abs(levels - [0, 60, 180]).max() < 4
    assert facts == {
        "clips": 4,
        "failures": 1,
        "retry": 0,
        "time_limit_s": 60,
        "decoders": {"pyav": 3},
        "decoded": 4,
        "copied": 0,
    }
    assert recorder.notes == [
        "extract mine/test: 1 of 4 clips could not be decoded: "
        "a/2.mp4 (it is not a video of a known format, but text). failures.json lists them."
    ]


def test_strict_fails_and_names_them(tmp_path: Path) -> None:
    given = [Clip(f"a/{n}.mp4", "a", str(video(tmp_path / f"{n}.mp4", 0))) for n in range(6)]
    for clip in given[1:]:
        clip.path.write_bytes(b"")
    with pytest.raises(InputError, match=r"5 of 6 .*a/1\.mp4 \(the file is empty\).*and 2 more") as caught:
        build(stage_unit(given, strict=True), tmp_path / "out")
    assert "--strict" in caught.value.next_step


def test_the_stage_reads_rendered_clips(tmp_path: Path) -> None:
    rendered = tmp_path / "rendered"
    video(rendered / "test" / "a" / "00.mp4", 100)
    (rendered / "clips.json").write_text(
        json.dumps([{"name": "test/a/00", "label": "a", "file": "test/a/00.mp4"}])
    )
    upstream = Unit("render", 1, "render shapes/test", Command("extract"), {}, lambda _: None)
    unit = stage_unit(upstream)
    assert unit.inputs == {"videos": upstream}
    build(unit, tmp_path / "out", videos=rendered)
    assert FrameStore(tmp_path / "out" / "artifact").names == ("test/a/00",)


def test_the_key_holds_what_changes_the_result_and_nothing_else(tmp_path: Path) -> None:
    def fingerprint(given: list[Clip], **options: Any) -> tuple[Any, ...]:
        unit = stage_unit(given, **options)
        files = unit.inputs["videos"]
        assert isinstance(files, Files)
        return unit.stage, unit.version, unit.slot, unit.command, dict(unit.config), sorted(files.paths)

    here = [Clip(f"a/{n}.mp4", "a", str(tmp_path / f"{n}.mp4")) for n in range(2)]
    moved = [Clip(clip.name, clip.label, str(tmp_path / "elsewhere" / clip.name)) for clip in here]
    relabelled = [here[0], Clip("a/1.mp4", "b", here[1].file)]
    base = fingerprint(here)
    assert base[:4] == ("extract", 5, "extract mine/test", Command("extract"))
    assert {name: base[4][name] for name in ("frames", "candidates", "size", "resize")} == {
        "frames": T,
        "candidates": 1,
        "size": S,
        "resize": "squash",
    }
    assert fingerprint(moved) == base
    assert fingerprint(here, candidates=3) != base
    assert fingerprint(here, strict=True, time_limit_s=1) == base
    assert fingerprint(relabelled) != base
    assert fingerprint(here[::-1]) != base
