"""Extraction over and over: only what is new is decoded, and the bytes are those of a start from nothing."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from notes import Notes

from fsarctl.artifacts import Artifact, Store, Unit
from fsarctl.artifacts.command import Command, Option
from fsarctl.artifacts.unit import Build
from fsarctl.config.tables import ExtractConfig
from fsarctl.datasets.clips import Clip
from fsarctl.frames.frame_store import FrameStore
from fsarctl.stages import extract
from fsarctl.video.container.demuxing import UnreadableVideoError
from fsarctl.video.decoder_protocol import DecodedClip
from fsarctl.video.processes.decoding_pool import Decode, Failure
from fsarctl.video.processes.decoding_pool import _attempt as attempt

T, S = 2, 24


def marked(path: Path, frames: int, size: int, resize: str = "squash") -> DecodedClip:
    """Frames of noise seeded by the file's first number; leaves a mark beside the file."""
    text = path.read_text()
    with (path.parent.parent / "marks").open("a") as marks:
        marks.write(f"{text}\n")
    if text.startswith("broken"):
        raise UnreadableVideoError("it is broken")
    if text.startswith("busy"):
        raise UnreadableVideoError("no answer", retry=True)
    pictures = np.random.default_rng(int(text)).integers(0, 256, (frames, size, size, 3), np.uint8)
    return DecodedClip(pictures, "noise", tuple(range(frames)), frames)


def here(
    tasks: Sequence[tuple[int, Path]],
    decode: Decode,
    frames: int,
    size: int,
    workers: int,
    time_limit_s: float,
) -> Iterator[tuple[int, DecodedClip | Failure]]:
    """``decode_all`` without its processes, whose start would be most of the time of these tests."""
    for row, path in tasks:
        yield row, attempt(decode, path, frames, size)


@pytest.fixture(autouse=True)
def _decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsarctl.frames.extraction.decode_clip", marked)
    monkeypatch.setattr("fsarctl.frames.extraction.decode_all", here)


class Folder:
    """A dataset of text files, and a store for its frames."""

    def __init__(self, at: Path) -> None:
        self.videos, self.notes = at / "videos", Notes()
        self.store = Store(at / "cache", reporter=self.notes)
        self._at = at

    def add(self, label: str, *texts: str | int) -> None:
        (self.videos / label).mkdir(parents=True, exist_ok=True)
        for text in texts:
            (self.videos / label / f"{text}.mp4").write_text(str(text))

    def unit(self, split: str = "test", classes: str = "", **options: object) -> Unit:
        paths = sorted(p for p in self.videos.rglob("*.mp4") if not classes or p.parent.name in classes)
        clips = [Clip(f"{p.parent.name}/{p.name}", p.parent.name, str(p)) for p in paths]
        size = options.pop("size", S)
        videos = extract.Videos.look(clips)
        return extract.unit("mine", split, videos, ExtractConfig(frames=T), size, workers=1, **options)  # type: ignore[arg-type]

    def extract(
        self, split: str = "test", classes: str = "", **options: object
    ) -> tuple[Artifact, list[str]]:
        """The artifact, and what was decoded for it."""
        (self._at / "videos" / "marks").unlink(missing_ok=True)
        artifact = self.store.realise(self.unit(split, classes, **options))
        return artifact, self.decoded()

    def decoded(self) -> list[str]:
        marks = self.videos / "marks"
        return sorted(marks.read_text().split()) if marks.exists() else []

    def from_nothing(self, split: str = "test", classes: str = "") -> dict[str, bytes]:
        """What an extraction without any past would hold."""
        store = Store(self._at / "fresh")
        found = contents(store.realise(self.unit(split, classes)))
        shutil.rmtree(self._at / "fresh")
        return found


def contents(artifact: Artifact) -> dict[str, bytes]:
    return {name: (artifact.path / name).read_bytes() for name in artifact.manifest.files}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path)
    made.add("b", *range(100, 120))
    made.add("d", *range(200, 215))
    return made


def test_adding_decodes_what_was_added_wherever_it_sorts(folder: Folder) -> None:
    _, decoded = folder.extract()
    assert len(decoded) == 35
    folder.add("a", 300)
    folder.add("b", 99, 150)
    folder.add("e", 301)
    artifact, decoded = folder.extract()
    assert decoded == ["150", "300", "301", "99"]
    assert contents(artifact) == folder.from_nothing()
    facts = artifact.manifest.provenance["facts"]
    assert (facts["decoded"], facts["copied"]) == (4, 35)  # type: ignore[index, call-overload]
    assert folder.notes.said == [
        "extract mine/test: the frames of 35 of 39 clips were decoded before and are copied;"
        " 4 clips are decoded now"
    ]
    store = FrameStore(artifact.path)
    expected = np.random.default_rng(150).integers(0, 256, (T, S, S, 3), np.uint8)
    assert np.array_equal(store.read([store.names.index("b/150.mp4")])[0], expected)


def test_removing_renaming_moving_and_relabelling_decode_nothing(folder: Folder) -> None:
    folder.extract()
    (folder.videos / "b" / "100.mp4").unlink()
    (folder.videos / "b" / "101.mp4").rename(folder.videos / "b" / "zebra.mp4")
    (folder.videos / "b" / "102.mp4").rename(folder.videos / "d" / "102.mp4")
    (folder.videos / "d").rename(folder.videos / "another")
    artifact, decoded = folder.extract()
    assert decoded == []
    assert contents(artifact) == folder.from_nothing()
    assert "another/102.mp4" in FrameStore(artifact.path).names


def test_a_class_may_change_splits(folder: Folder) -> None:
    folder.extract("train", "bd")
    artifact, decoded = folder.extract("test", "d")
    assert decoded == []
    assert contents(artifact) == folder.from_nothing("test", "d")


@pytest.mark.parametrize("options", [{"size": S + 8}, {"candidates": 3}])
def test_other_settings_decode_everything(folder: Folder, options: dict[str, object]) -> None:
    folder.extract()
    assert len(folder.extract(**options)[1]) == 35


def test_a_changed_video_is_decoded(folder: Folder) -> None:
    folder.extract()
    (folder.videos / "b" / "103.mp4").write_text("777")
    artifact, decoded = folder.extract()
    assert decoded == ["777"]
    assert contents(artifact) == folder.from_nothing()


def test_what_failed_is_copied_unless_it_was_bad_luck(folder: Folder) -> None:
    folder.add("b", "broken", "busy")
    folder.extract()
    folder.add("b", 400)
    artifact, decoded = folder.extract()
    assert decoded == ["400", "busy"]
    assert contents(artifact) == folder.from_nothing()


def test_a_damaged_row_is_decoded_again_and_said(folder: Folder) -> None:
    before, _ = folder.extract()
    row = FrameStore(before.path).names.index("b/105.mp4")
    pixels = FrameStore(before.path).read([row]).tobytes()
    shard = before.path / "frames.zarr" / "c.0.0.0.0.0"
    content = bytearray(shard.read_bytes())
    content[content.index(pixels) + 7] ^= 1
    shard.chmod(0o644)
    shard.write_bytes(content)
    folder.add("b", 400)
    artifact, decoded = folder.extract()
    assert decoded == ["105", "400"]
    assert contents(artifact) == folder.from_nothing()
    assert f"1 clips could not be copied from {before.path}, which is damaged" in folder.notes.said[-1]
    assert "cache verify" in folder.notes.said[-1]


@pytest.mark.parametrize(
    "gone", ["frames.zarr/c.1.0.0.0.0", "frames.zarr/zarr.json", "decoding.json", "clips.json"]
)
def test_half_an_artifact_is_no_source(folder: Folder, gone: str) -> None:
    before, _ = folder.extract()
    (before.path / gone).unlink()
    folder.add("b", 400)
    artifact, decoded = folder.extract()
    assert "400" in decoded
    assert len(decoded) > 10
    assert contents(artifact) == folder.from_nothing()


def test_interrupted_work_of_other_clips_is_a_source_too(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsarctl.frames.extraction as extraction

    class Stopped(extraction.Journal):
        def add(self, shard: extraction.FinishedShard) -> None:
            super().add(shard)
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(extraction, "Journal", Stopped)
        with pytest.raises(KeyboardInterrupt):
            folder.extract()
    folder.add("a", 300)
    artifact, decoded = folder.extract()
    assert len(decoded) == 36 - 16
    assert contents(artifact) == folder.from_nothing()


def test_force_decodes_everything_and_again_what_had_bad_luck(folder: Folder) -> None:
    folder.add("b", "broken", "busy")
    first, _ = folder.extract()
    unit = folder.unit()
    (folder.videos / "marks").unlink()
    [outcome] = folder.store.realise_all([unit], again=[unit])
    assert (folder.decoded(), outcome.made) == (["busy"], True)
    assert contents(outcome.artifact) == contents(first)
    (folder.videos / "marks").unlink()
    folder.store.realise_all([unit], force=True)
    assert len(folder.decoded()) == 37


def test_the_hint_names_the_command_and_more_time(folder: Folder) -> None:
    assert extract.retry_hint(folder.extract()[0], Command("extract")) == ""
    folder.add("b", "broken", "busy")
    hint = extract.retry_hint(
        folder.extract(time_limit_s=30)[0], Command("extract", (Option("--dataset", ("mine",)),))
    )
    assert hint == (
        "extract mine/test: 1 of its failures may be bad luck (out of time, or the decoder crashed)."
        " To try it again, with more time: fsarctl extract --dataset mine --retry --time-limit 120"
    )


def test_clips_that_were_rendered_are_known_by_their_bytes_too(folder: Folder) -> None:
    def rendered(*texts: str) -> Unit:
        def build(given: Build) -> None:
            rows = [f'{{"name": "{t}", "label": "x", "file": "v/{t}.mp4"}}' for t in texts]
            (given.folder / "clips.json").write_text(f"[{','.join(rows)}]")
            (given.folder / "v").mkdir()
            for text in texts:
                (given.folder / "v" / f"{text}.mp4").write_text(text)

        upstream = Unit("render", 1, "render mine/test", Command("extract"), {"n": list(texts)}, build)
        return extract.unit("mine", "test", upstream, ExtractConfig(frames=T), S, workers=1)

    folder.store.realise_all([rendered("1", "2")])
    artifact = folder.store.realise_all([rendered("0", "1", "2")])[-1].artifact
    facts = artifact.manifest.provenance["facts"]
    assert (facts["decoded"], facts["copied"]) == (1, 2)  # type: ignore[index, call-overload]


def test_gc_keeps_what_can_be_copied_from_until_it_was(folder: Folder) -> None:
    before, _ = folder.extract()
    folder.add("b", 400)
    assert folder.store.gc([folder.unit()], dry_run=True) == []
    folder.extract()
    assert [removal.path for removal in folder.store.gc([folder.unit()], dry_run=True)] == [before.path]


def test_another_decoder_with_the_same_pixels_changes_nothing_downstream(folder: Folder) -> None:
    first, _ = folder.extract()

    def other() -> Iterator[Artifact]:
        store = Store(folder.store.root.parent / "other")
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("fsarctl.frames.extraction.decode_clip", renamed)
            yield store.realise(folder.unit())

    second = next(other())
    assert contents(first)["decoding.json"] != contents(second)["decoding.json"]
    assert first.digest == second.digest
    assert set(first.manifest.aside) == {"decoding.json", "failures.json"} < set(first.manifest.files)


def renamed(path: Path, frames: int, size: int, resize: str = "squash") -> DecodedClip:
    clip = marked(path, frames, size)
    return DecodedClip(clip.frames, "a newer one", clip.indices, clip.frame_count, ("remarks",))


def test_files_that_cannot_be_opened_are_rows_of_the_failure_list(folder: Folder) -> None:
    os.mkfifo(folder.videos / "b" / "fifo.mp4")
    (folder.videos / "b" / "link.mp4").symlink_to("nowhere")
    (folder.videos / "b" / "directory.mp4").mkdir()
    artifact, decoded = folder.extract()
    assert len(decoded) == 35
    failures = json.loads((artifact.path / "failures.json").read_text())
    assert [(each["name"], each["reason"]) for each in failures] == [
        ("b/directory.mp4", "it is a folder without numbered JPEG, PNG or WebP images"),
        ("b/fifo.mp4", "it is not a file but a FIFO"),
        ("b/link.mp4", "it cannot be opened: No such file or directory"),
    ]
    (folder.videos / "b" / "nowhere").write_text("9")  # mended: another key, and one clip to decode
    artifact, decoded = folder.extract()
    assert decoded == ["9"]
    assert len(json.loads((artifact.path / "failures.json").read_text())) == 2


FILE = """
[datasets.mine]
kind = "folder"
root = "videos"
[extract]
frames = 2
size = 24
"""


def test_a_rerun_looks_at_each_video_once(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is most of what a rerun over 100,000 clips does."""
    from typer.testing import CliRunner

    from fsarctl.cli.app import app

    (folder.videos.parent / "fsarctl.toml").write_text(FILE)
    asked = ["extract", "--dataset", "mine", "--project", str(folder.videos.parent)]
    for video in folder.videos.rglob("*.mp4"):
        os.utime(video, (0, 0))  # what was written just now is read each time
    assert CliRunner().invoke(app, asked, catch_exceptions=False).exit_code == 0
    looked: Counter[str] = Counter()
    ask = os.stat

    def counting(path: Any, **how: Any) -> os.stat_result:
        looked[str(path)] += 1
        return ask(path, **how)

    monkeypatch.setattr(os, "stat", counting)
    assert "nothing to do" in CliRunner().invoke(app, asked, catch_exceptions=False).stderr
    videos = {path: count for path, count in looked.items() if path.endswith(".mp4")}
    assert len(videos) == 35
    assert set(videos.values()) == {1}


def test_the_command_line_names_bad_luck_and_tries_it_again(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from fsarctl.cli.app import app

    project = folder.videos.parent
    (project / "fsarctl.toml").write_text(FILE)
    folder.add("b", "busy")

    def typed(line: str) -> tuple[str, str]:
        (folder.videos / "marks").unlink(missing_ok=True)
        asked = ["extract", "--dataset", "mine", "--project", str(project), *line.split()]
        done = CliRunner().invoke(app, asked, catch_exceptions=False)
        assert done.exit_code == 0
        return done.stdout, done.stderr

    hint = f"fsarctl extract --dataset mine --project {project} --retry --time-limit 40"
    assert hint in typed("--time-limit 10")[1]
    assert len(folder.decoded()) == 36
    out, err = typed("")  # a plain rerun does no work, and says it again
    assert hint in err
    assert "nothing to do" in err
    assert folder.decoded() == []
    assert "would be tried again" in typed("--retry --dry-run")[1]
    assert folder.decoded() == []
    monkeypatch.setattr("fsarctl.frames.extraction.decode_clip", recovered)
    out, err = typed("--retry --time-limit 40 --json")
    assert folder.decoded() == ["busy"]
    assert "--retry" not in err
    [artifact] = json.loads(out)["artifacts"]
    assert (artifact["made"], artifact["facts"]["failures"]) == (True, 0)
    assert "nothing to do" in typed("--retry")[1]


def recovered(path: Path, frames: int, size: int, resize: str = "squash") -> DecodedClip:
    if path.stem == "busy":
        with (path.parent.parent / "marks").open("a") as marks:
            marks.write("busy\n")
        return DecodedClip(np.zeros((frames, size, size, 3), np.uint8), "noise", (0,) * frames, 1)
    return marked(path, frames, size)
