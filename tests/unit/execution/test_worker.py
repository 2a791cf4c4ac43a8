"""What a worker asks of the file system for its part, and what it notices, as this process plays both."""

import builtins
import io
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from typed import type_in

from fsarctl.artifacts import Store
from fsarctl.cli.worker import Worker
from fsarctl.execution import engines
from fsarctl.execution.engine import Ended, Task
from fsarctl.frames import extraction
from fsarctl.video.decoder_protocol import DecodedClip
from fsarctl.video.processes.decoding_pool import Failure

FILE = """
[datasets.mine]
kind = "folder"
root = "videos"
splits = { train = ["a"], val = ["b"], test = ["c"] }
[model]
backbone = "tiny"
weights = "shipped"
[describe]
missing = "label"
[extract]
frames = 2
size = 16
"""


class OneWorker:
    """An engine: one worker makes all tasks; ``before`` is called with one that is about to be made."""

    is_elsewhere, goes_on, jobs = True, False, 100

    def __init__(self, before: Callable[[Task], None]) -> None:
        self._before = before
        self._worker = Worker(lambda line: None)
        self._waiting: list[Task] = []

    def tasks_of(self, parts: int) -> int:
        return parts

    def begin(self, heard: object) -> None: ...

    def start(self, tasks: Sequence[Task]) -> None:
        self._waiting += tasks

    def ended(self) -> list[tuple[Task, Ended]]:
        task = self._waiting.pop(0)
        self._before(task)
        return [(task, self._worker.perform(task.text))]

    def end(self) -> None: ...


CALLS = [
    *((os, name) for name in ("stat", "lstat", "access", "scandir", "listdir")),
    (io, "open"),
    (builtins, "open"),
]


@contextmanager
def asked(root: Path) -> Iterator[Counter[str]]:
    """How often the file system is asked for which paths below ``root``, while this lasts."""
    paths: Counter[str] = Counter()

    def counting(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any, **more: Any) -> Any:
            if given and isinstance(given[0], str | os.PathLike):
                path = Path(given[0]).absolute()
                if path.is_relative_to(root):
                    paths[str(path.relative_to(root))] += 1
            return call(*given, **more)

        return counted

    with ExitStack() as stack:
        for module, name in CALLS:
            stack.enter_context(mock.patch.object(module, name, counting(getattr(module, name))))
        yield paths


def decode_all(tasks: Sequence[tuple[int, Path]], frames: int, size: int, **_: object) -> Iterator[Any]:
    """Noise, by the number that a file holds."""
    for row, path in tasks:
        if not path.exists():
            yield row, Failure("it is not there")
            continue
        noise = np.random.default_rng(int(path.read_text()))
        pictures = noise.integers(0, 256, (frames, size, size, 3), np.uint8)
        yield row, DecodedClip(pictures, "noise", tuple(range(frames)), frames)


@pytest.fixture(autouse=True)
def _decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "decode_all", decode_all)


def planted(folder: Path, clips: int) -> Path:
    """A project of so many training clips, and a few others, written a while ago."""
    for number, label in enumerate("abc"):
        (folder / "videos" / label).mkdir(parents=True)
        for clip in range(clips if label == "a" else 2):
            path = folder / "videos" / label / f"{clip:03}.mp4"
            path.write_text(f"{100 + number}{clip:03}")
            os.utime(path, (1_600_000_000, 1_600_000_000))
    (folder / "fsarctl.toml").write_text(FILE)
    return folder


def found(project: Path) -> dict[str, str]:
    return {f"{e.manifest.slot} {e.key}": e.digest for e in Store(project / "cache").artifacts()}


def by_a_worker(
    monkeypatch: pytest.MonkeyPatch,
    project: Path,
    before: Callable[[Task], None] = lambda task: None,
    expect: int = 0,
) -> str:
    """Have a worker extract; what was said."""
    monkeypatch.setattr(engines, "engine_of", lambda *_: OneWorker(before))
    return type_in(project, "extract", "--workers", "1", expect=expect).stderr


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is made of 20 clips without an engine."""
    project = planted(tmp_path_factory.mktemp("alone"), 20)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(extraction, "decode_all", decode_all)
        type_in(project, "extract", "--workers", "1")
    return found(project)


def test_a_worker_looks_at_the_clips_of_its_part_and_at_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alone: dict[str, str]
) -> None:
    calls = []
    for clips in (20, 80):
        project = planted(tmp_path / str(clips), clips)

        def before(task: Task, project: Path = project) -> None:
            if task.parts == (0,):
                with asked(project) as paths:
                    assert not Worker(lambda line: None).perform(task.text).exit_code
                videos = {path for path in paths if path.startswith("videos")}
                assert videos == {f"videos/a/{clip:03}.mp4" for clip in range(16)}
                calls.append(paths.total())

        by_a_worker(monkeypatch, project, before)
    assert calls[0] == calls[1] < 200
    assert found(tmp_path / "20") == alone


def nothing(path: Path) -> None:
    path.unlink()


def other(path: Path) -> None:
    path.write_text("999999")


@pytest.mark.parametrize(("change", "when"), [(nothing, (0,)), (other, (0,)), (other, ())])
def test_a_clip_that_changes_before_it_is_decoded_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None], when: tuple[int, ...]
) -> None:
    """By the worker of its part; and one of a part that was made before, when the whole is made."""
    project = planted(tmp_path, 20)
    begun: list[tuple[str, tuple[int, ...]]] = []

    def before(task: Task) -> None:
        begun.append((task.title, task.parts))
        if task.title == "extract mine/train" and task.parts == when:
            change(project / "videos" / "a" / "003.mp4")

    said = by_a_worker(monkeypatch, project, before, expect=5)
    assert "Input files changed while extract mine/train was being made: a/003.mp4" in said
    assert not [slot for slot in found(project) if "train" in slot]
    assert (("extract mine/train", ()) in begun) == (when == ())


def test_a_copy_of_a_clip_is_as_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alone: dict[str, str]
) -> None:
    """A node may have its own, with the same bytes and another time."""
    project = planted(tmp_path, 20)
    by_a_worker(monkeypatch, project, lambda task: (project / "videos" / "a" / "003.mp4").touch())
    assert found(project) == alone


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"{}")])
def test_who_cannot_read_what_is_known_looks_itself(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[Path], object],
    alone: dict[str, str],
) -> None:
    project = planted(tmp_path, 20)
    monkeypatch.setattr("fsarctl.execution.engine._is_seen", lambda sign: True)

    def before(task: Task) -> None:
        if Path(task.place.sign).exists():
            damage(Path(task.place.sign))

    by_a_worker(monkeypatch, project, before)
    assert found(project) == alone
