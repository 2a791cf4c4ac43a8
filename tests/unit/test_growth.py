"""What is done for each label, clip, file or event does not grow with how many there are.

Counted in executed lines, so that no clock has a say: of four times as many, about four times the work.
"""

import json
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typed import type_in

from fsarctl.artifacts.cache_layout import files_of
from fsarctl.artifacts.sharing import leases
from fsarctl.cli import spot
from fsarctl.config.dataset_table import DatasetConfig
from fsarctl.config.tables import DescribeConfig
from fsarctl.datasets.clips import Clip
from fsarctl.datasets.kinds import open_dataset
from fsarctl.datasets.labels.spelling import nearest_labels
from fsarctl.datasets.lists.on_disk import _without_beginnings
from fsarctl.datasets.lists.rows import Row
from fsarctl.errors import UsageError, nearest
from fsarctl.frames.extraction import NOTHING_KNOWN, _Work
from fsarctl.predict.event_rules import EventRules
from fsarctl.predict.events import events_of
from fsarctl.predict.windows import Windows, WindowSize
from fsarctl.report.timeline import TimelineEvent, TimelineVideo, _lanes
from fsarctl.results import average_precision
from fsarctl.results.average_precision import TimedLabel, mean_average_precision
from fsarctl.stages import describe

TIMES = 4
MOST = 1.5 * TIMES
"""How much more work may be done then; where each is compared with all it is 16 times as much."""


class Word(str):
    """Text that is compared in Python, so that a search through a list of it is counted."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other)


def work(act: Callable[[], object]) -> int:
    """How many lines of Python are executed, each as often as it is."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event in ("line", "call")
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        act()
    finally:
        sys.settrace(before)
    return count


def grown(act: Callable[[int], object], size: int) -> float:
    """How much more is done of ``TIMES`` as much."""
    act(2)  # what is imported or remembered at the first time
    return work(lambda: act(TIMES * size)) / work(lambda: act(size))


def words(count: int) -> list[str]:
    return [f"label number {number}" for number in range(count)]


@pytest.fixture
def taken_apart(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that were taken apart to look for the nearest."""
    names: list[str] = []
    real = nearest._pairs

    def count(name: str) -> set[str]:
        names.append(name)
        return real(name)

    monkeypatch.setattr(nearest, "_pairs", count)
    return names


@pytest.mark.parametrize("size", [60, 240])
def test_each_label_is_taken_apart_once(size: int, taken_apart: list[str]) -> None:
    labels = words(size)
    asked = [f"{label}x" for label in labels]
    assert nearest_labels(asked, labels).keys() == set(asked)
    assert len(taken_apart) == 2 * size


@pytest.mark.parametrize("size", [60, 240])
def test_names_of_no_class_are_looked_for_where_they_are_shown(
    size: int, taken_apart: list[str], tmp_path: Path
) -> None:
    for label in words(size):
        (tmp_path / "videos" / label).mkdir(parents=True)
        (tmp_path / "videos" / label / "1.mp4").touch()
    misspelt = {f"{label}x": "a name" for label in words(size)}
    config = DatasetConfig(kind="folder", root="videos", names=misspelt)
    (remark,) = open_dataset("mine", config, tmp_path).remarks
    assert remark.endswith(f"'label number 2x' (did you mean 'label number 2'?) and {size - 3} more")
    assert len(taken_apart) == size + 3


def test_corrections_of_no_label_take_each_label_apart_once(tmp_path: Path, taken_apart: list[str]) -> None:
    (tmp_path / "fsarctl.toml").write_text('[datasets.mine]\nkind = "folder"\nroot = "gone"\n')
    (tmp_path / "labels.txt").write_text("\n".join(words(60)))
    edits = {label: ["A.", "B.", "C."] for label in ("unlike any", *(f"{word}x" for word in words(9)))}
    (tmp_path / "edited-descriptions.json").write_text(json.dumps(edits))
    said = type_in(tmp_path, "fsarctl describe --labels labels.txt --show").stderr
    assert "'label number 2x' (did you mean 'label number 2'?) and 6 more, in neither labels.txt nor" in said
    assert len(taken_apart) == 60 + 10


def test_beginnings_of_other_machines() -> None:
    def act(count: int) -> None:
        there = [f"/videos/{number}.mp4" for number in range(count)]
        rows = [Row(number + 1, f"/disk/{number}/{number}.mp4", "a label") for number in range(count)]
        disk: Any = SimpleNamespace(base="/videos", find={path: path for path in there}.get)
        assert _without_beginnings(rows, disk) == (there, "/disk/0")

    assert grown(act, 200) < MOST


def test_files_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [Word(f"{number}.bin") for number in range(TIMES * 100)]
    for name in names:
        (tmp_path / name).touch()

    def act(count: int) -> None:
        listed: list[tuple[str, list[str], list[Word]]] = [(str(tmp_path), [], names[:count])]
        monkeypatch.setattr("fsarctl.artifacts.cache_layout.os.walk", lambda *_, **__: listed)
        assert len(files_of(tmp_path)) == count

    assert grown(act, 100) < MOST


def test_what_a_lease_reads_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named: list[Path] = []

    def name_of(path: Path) -> str:
        named.append(path)
        return path.name

    monkeypatch.setattr(leases, "name_of", name_of)
    monkeypatch.setattr(leases, "write_whole", lambda path, content: None)
    artifacts = [tmp_path / f"{number}" for number in range(20)]
    lease = leases.Lease(tmp_path / "lease.json")
    for count in range(20):  # as what is made is read by what is made after it
        lease.take(f"unit {count}", artifacts[: count + 1])
    lease.end()
    assert named == artifacts


def test_labels_that_are_asked_about(tmp_path: Path) -> None:
    (tmp_path / "ask.txt").write_text("{label}\n")
    config = DescribeConfig(source="openai", model="m", template="ask.txt", files=())

    def act(count: int) -> None:
        labels: list[str] = [Word(word) for word in words(count)]
        names = dict.fromkeys(labels, "a name")
        unit = describe.unit(labels, config, slot="s", records=tmp_path, root=tmp_path, names=names)
        assert unit.config["names"] == names

    assert grown(act, 100) < MOST


def test_a_shard_of_frames_does_not_look_at_the_others() -> None:
    def of_shard(count: int) -> int:
        clips = [Clip(f"{number}", "a label", f"{number}.mp4") for number in range(count)]
        every = _Work.of_rows(clips, range(count), NOTHING_KNOWN, {})
        assert [*every.of(range(16, 32)).fresh] == [*range(16, 32)]
        return work(lambda: every.of(range(16, 32)))

    assert of_shard(200) == of_shard(50)


@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_events_that_share_no_time(overlap: float) -> None:
    def act(count: int) -> None:
        windows = Windows.over([WindowSize(Fraction(1), Fraction(1))], 8, Fraction(2 * count), Fraction(0))
        confidences = np.tile([[0.9], [0.1]], (count, 1))
        rules = EventRules(overlap=overlap)
        assert len(events_of(confidences, windows, ["a"], rules, 2.0 * count)) == count

    assert grown(act, 100) < MOST


@pytest.mark.parametrize("classes", [1, 400])
def test_events_that_are_measured(classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(average_precision, "DRAWS", 1)

    def act(count: int) -> None:
        true = [TimedLabel(2.0 * n, 2.0 * n + 1, f"{n % classes}") for n in range(count)]
        found = [each._replace(score=0.5) for each in true]
        (measured,) = mean_average_precision(found, true, (0.5,))
        assert measured.value == 1.0

    assert grown(act, 100) < MOST


def test_lanes_of_a_timeline() -> None:
    def act(count: int) -> None:
        events = [TimelineEvent(n, n + 1, f"{n}", 0.5) for n in range(count)]
        labels = [*words(count - 1), "0"]
        video = TimelineVideo("v", "v", count, labels, np.full((count, 1), np.nan), events)
        assert _lanes(video, 0.5)["left_out"] == max(0, count - 40)

    assert grown(act, 400) < MOST


def test_videos_that_are_measured(tmp_path: Path) -> None:
    def act(count: int) -> None:
        names = [Word(word) for word in words(count - 1)] + ["label number 0"]
        files: Any = [SimpleNamespace(path=SimpleNamespace(name=name)) for name in names]
        with pytest.raises(UsageError, match="'label number 0' is there twice"):
            spot._true_events(tmp_path, SimpleNamespace(), files)  # type: ignore[arg-type]

    assert grown(act, 100) < MOST
