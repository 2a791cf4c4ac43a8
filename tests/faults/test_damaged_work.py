"""Damage in unfinished work is found where it is read back, said, and made again: no byte of it is kept."""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from built import BuiltOnce, copied
from typed import type_in

from fsarctl.artifacts import Build, Store, Unit
from fsarctl.artifacts.command import Command
from fsarctl.cli.command import session
from fsarctl.errors import IntegrityError
from fsarctl.frames.decoded_before import find_decoded
from fsarctl.frames.frame_store import ClipRow, FrameStore
from fsarctl.frames.journal import row_from_json
from fsarctl.frames.shards import ClipShards
from fsarctl.progress import SILENT

SETTINGS = """
[train]
epochs = 1
episodes = 30
val_episodes = 5
shots = [1]
[eval]
episodes = 120
shots = [1]
frozen = false
"""


class StopAt:
    """A reporter that presses Ctrl-C when a bar that begins like ``title`` has come so far."""

    def __init__(self, title: str, step: int) -> None:
        self.title, self.step = title, step

    @contextmanager
    def task(self, description: str, total: int, unit: str, done: int = 0) -> Iterator[Callable[..., None]]:
        count = done

        def advance(amount: int = 1, detail: str = "") -> None:
            nonlocal count
            count += amount
            if description.startswith(self.title) and count >= self.step:
                raise KeyboardInterrupt

        yield advance

    def note(self, message: str) -> None:
        SILENT.note(message)


STAGES = {
    "render": ("fsarctl extract --workers 1", "render shapes/train", "render train", 9),
    "extract": ("fsarctl extract --workers 1", "extract shapes/train", "extract shapes/train", 33),
    "train": ("fsarctl train", "train shapes 1-shot", "train shapes 1-shot", 32),
    "evaluate": ("fsarctl eval", "eval shapes 1-shot", "eval shapes 1-shot", 110),
}
"""Stage -> what makes it, the beginning of its slot, and when its bar is stopped."""


@pytest.fixture(scope="module")
def finished(built_once: BuiltOnce, shapes: Path) -> Path:
    def build(folder: Path) -> None:
        copied(shapes, folder)
        with (folder / "fsarctl.toml").open("a") as file:
            file.write(SETTINGS)
        type_in(folder, "fsarctl run")

    return built_once("damaged-work", build)


def artifact_of(project: Path, slot: str) -> Path:
    listing = json.loads(type_in(project, "fsarctl cache ls --json").stdout)["artifacts"]
    (path,) = [Path(each["path"]) for each in listing if each["slot"].startswith(slot)]
    return path


def contents(folder: Path) -> dict[str, bytes]:
    aside = ("manifest.json",)
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in aside
    }


@pytest.fixture(scope="module")
def interrupted(
    finished: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[Path, dict[str, bytes]]]:
    """A project in which the work of a stage stands half done, and what its artifact is to be."""
    made: dict[str, tuple[Path, dict[str, bytes]]] = {}

    def project(stage: str) -> tuple[Path, dict[str, bytes]]:
        if stage not in made:
            folder = copied(finished, tmp_path_factory.mktemp(stage) / "project")
            line, slot, title, step = STAGES[stage]
            expected = contents(artifact_of(folder, slot))
            shutil.rmtree(artifact_of(folder, slot))
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(session, "make_reporter", lambda: StopAt(title, step))
                type_in(folder, line, expect=130)
            assert [*(folder / "cache" / "work" / stage).glob("*/*/*")]
            made[stage] = folder, expected
        return made[stage]

    return project


def files_in(work: Path) -> list[Path]:
    return sorted(path for path in work.rglob("*") if path.is_file() and path.stat().st_size)


def flip(path: Path, dice: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    path.write_bytes(content)


def cut(path: Path, dice: random.Random) -> None:
    path.write_bytes(path.read_bytes()[: dice.randrange(path.stat().st_size)])


def zero(path: Path, dice: random.Random) -> None:
    content = bytearray(path.read_bytes())
    start = dice.randrange(len(content))
    content[start : start + 64] = bytes(len(content[start : start + 64]))
    path.write_bytes(content)


@pytest.mark.slow
@pytest.mark.parametrize("damage", [flip, cut, zero])
@pytest.mark.parametrize("stage", STAGES)
def test_no_damage_in_unfinished_work_reaches_the_artifact(
    interrupted: Callable[[str], tuple[Path, dict[str, bytes]]],
    tmp_path: Path,
    stage: str,
    damage: Callable[[Path, random.Random], None],
) -> None:
    project, expected = interrupted(stage)
    folder = copied(project, tmp_path / "copy")
    (work,) = (folder / "cache" / "work" / stage).iterdir()
    dice = random.Random(f"{stage} {damage.__name__}")
    for path in files_in(work):
        damage(path, dice)
    line, slot, _, _ = STAGES[stage]
    done = type_in(folder, line)
    assert contents(artifact_of(folder, slot)) == expected
    assert "DAMAGED" in done.stderr or damage is cut  # a journal without a whole line is none
    assert not [*(folder / "cache" / "work" / stage).iterdir()]


def swapped(folder: Path, *, within: bool) -> None:
    """Two clips of a frame store change places, with all checksums that zarr knows of."""
    shards = sorted((folder / "frames.zarr").glob("c.*"))
    if not within:
        first, second = (path.read_bytes() for path in shards[:2])
        for path, content in zip(shards[:2], (second, first), strict=True):
            path.chmod(0o644)
            path.write_bytes(content)
        return
    content = shards[0].read_bytes()
    size = int.from_bytes(content[-4 - 16 * 16 + 8 : -4 - 16 * 16 + 16], "little")
    shards[0].chmod(0o644)
    shards[0].write_bytes(content[size : 2 * size] + content[:size] + content[2 * size :])


@pytest.mark.parametrize("within", [True, False])
def test_clips_that_changed_places_in_a_frame_store_are_not_read(
    shapes: Path, tmp_path: Path, within: bool
) -> None:
    folder = copied(shapes, tmp_path / "copy")
    store = artifact_of(folder, "extract shapes/test")
    before = FrameStore(store).read([0, 1])
    swapped(store, within=within)
    assert (ClipShards(store / "frames.zarr").shape)[0] > 16
    with pytest.raises(IntegrityError, match="not the one that was written"):
        FrameStore(store).read([0])
    raw = ClipShards(store / "frames.zarr")
    clip = before[0].copy()
    raw.read(0, clip)
    assert (clip != before[0]).any(), "every other checksum agrees"


def test_clips_that_changed_places_are_not_copied_either(shapes: Path, tmp_path: Path) -> None:
    folder = copied(shapes, tmp_path / "copy")
    store = artifact_of(folder, "extract shapes/val")
    before = FrameStore(store).read(range(16))
    clips = {row.video: at for at, row in enumerate(rows_of(store))}
    swapped(store, within=True)
    settings = json.loads((store / "decoding.json").read_text())["settings"]
    found = find_decoded([(store, None)], settings, set(clips))
    with pytest.raises(ValueError, match="not the one that was written"):
        found[next(iter(clips))].frames()
    flipped = store / "frames.zarr" / "c.1.0.0.0.0"
    flipped.chmod(0o644)
    content = bytearray(flipped.read_bytes())
    content[5] ^= 1
    flipped.write_bytes(content)
    found = find_decoded([(store, None)], settings, set(clips))
    by_row = {at: found[video] for video, at in clips.items()}
    with pytest.raises(ValueError, match="damaged"):
        by_row[16].frames()
    assert by_row[17].frames().shape == before.shape[1:], "one damaged clip leaves the others of its shard"


def rows_of(store: Path) -> list[ClipRow]:
    clips = json.loads((store / "clips.json").read_text())
    made = json.loads((store / "decoding.json").read_text())["clips"]
    return [row_from_json(clip | how) for clip, how in zip(clips, made, strict=True)]


def test_force_starts_from_nothing(tmp_path: Path) -> None:
    """Whatever an interrupted build has left, even if it is whole."""
    seen: list[list[str]] = []

    def build(given: Build) -> None:
        seen.append([path.name for path in given.scratch.iterdir()])
        (given.scratch / "half").write_text("half")
        if len(seen) < 3:
            raise KeyboardInterrupt
        (given.folder / "content").write_text("content")

    unit = Unit("train", 1, "train", Command("train"), {}, build)
    store = Store(tmp_path)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            store.realise(unit)
    store.realise(unit, force=True)
    assert seen == [[], ["half"], []]
