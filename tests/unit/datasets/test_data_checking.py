"""What `fsarctl data check` finds: every fault is planted here."""

import hashlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from video_kinds import PLAIN
from video_zoo import without_sync_table, write

from fsarctl.config.dataset_table import DatasetConfig
from fsarctl.datasets.checking import DatasetCheck, Opened, check_dataset, open_all
from fsarctl.datasets.episode_size import EpisodeSize, SmallClass
from fsarctl.datasets.kinds import open_dataset
from fsarctl.errors import InputError
from fsarctl.progress import SILENT


class Hashes:
    """Counts what is read."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __call__(self, paths: Iterable[str]) -> dict[str, str]:
        self.read += paths
        return {path: hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in self.read}


def plant(root: Path, contents: dict[str, bytes]) -> None:
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def check(
    root: Path, *sizes: EpisodeSize, hashes: Hashes | None = None, opened: Opened | None = None
) -> DatasetCheck:
    dataset = open_dataset("mine", DatasetConfig(root=str(root)), Path("/"))
    return check_dataset(
        "mine", dataset, {"test": sizes} if sizes else {}, hashes or Hashes(), opened or Opened({})
    )


def test_empty_files_are_unreadable_and_do_not_count(tmp_path: Path) -> None:
    plant(tmp_path, {"a/1.mp4": b"x", "a/2.mp4": b"", "a/3.mp4": b"y", "b/1.mp4": b"z", "b/2.mp4": b"zz"})
    (split,) = check(tmp_path, EpisodeSize("eval", way=2, shot=1, query=1)).splits
    assert (split.classes, split.expected, split.found) == (2, 5, 5)
    assert [(each.name, each.reason) for each in split.unreadable] == [("a/2.mp4", "the file is empty")]
    assert split.smallest == ("a", 2)
    assert split.refusals == ()
    (split,) = check(tmp_path, EpisodeSize("eval", way=2, shot=2, query=1)).splits
    assert split.small_classes == (SmallClass("a", 2, 3), SmallClass("b", 2, 3))
    ((message, step),) = split.refusals
    assert message.startswith("mine/test: class 'a' has 2 usable clips, and 2 shot + 1 query need 3")
    assert "fewer shots" in step


def test_too_few_classes_are_refused_once_for_all_shots(tmp_path: Path) -> None:
    plant(tmp_path, {f"{label}/{n}.mp4": b"x" for label in "ab" for n in range(9)})
    sizes = [EpisodeSize("eval", way=5, shot=shot, query=1) for shot in (5, 1, 3)]
    (split,) = check(tmp_path, *sizes).splits
    assert [message for message, _ in split.refusals] == [
        "mine/test has 2 classes, fewer than the 5 of a 5-way episode"
    ]


def test_the_same_file_under_two_classes_is_found(tmp_path: Path) -> None:
    same, other = os.urandom(9000), os.urandom(9000)
    plant(
        tmp_path,
        {
            "a/1.mp4": same,
            "b/renamed.avi": same,
            "c/x/2.mp4": same,
            "a/alike.mp4": other[:-1] + b"1",
            "b/alike.mp4": other[:-1] + b"2",
            "a/begins otherwise.mp4": b"1" + other,
            "b/begins otherwise.mp4": b"2" + other,
            "a/twice.mp4": b"twice in one class",
            "a/twice more.mp4": b"twice in one class",
            "b/empty.mp4": b"",
            "c/empty.mp4": b"",
        },
    )
    os.link(tmp_path / "c/x/2.mp4", tmp_path / "c/linked.mp4")
    hashes = Hashes()
    (group,) = check(tmp_path, hashes=hashes).duplicates
    assert [clip.name for clip in group] == ["a/1.mp4", "b/renamed.avi", "c/linked.mp4", "c/x/2.mp4"]
    # Only what has the same size and the same end is read whole.
    assert {Path(path).name for path in hashes.read} == {
        "1.mp4",
        "renamed.avi",
        "2.mp4",
        "linked.mp4",
        "begins otherwise.mp4",
        "twice.mp4",
        "twice more.mp4",
    }
    (copies,) = check(tmp_path).copies
    assert [clip.name for clip in copies] == ["a/twice more.mp4", "a/twice.mp4"]


def test_a_file_that_is_gone_since_the_scan_is_unreadable(tmp_path: Path) -> None:
    plant(tmp_path, {"a/1.mp4": b"x", "b/1.mp4": b"y"})
    dataset = open_dataset("mine", DatasetConfig(root=str(tmp_path)), Path("/"))
    (tmp_path / "a/1.mp4").unlink()
    found = check_dataset("mine", dataset, {}, Hashes(), Opened({}))
    assert [each.reason for each in found.splits[0].unreadable] == ["no such file or directory"]


def test_what_could_not_be_opened_counts_as_unreadable(tmp_path: Path) -> None:
    plant(tmp_path, {"a/1.mp4": b"x", "b/1.mp4": b"y"})
    (split,) = check(tmp_path, opened=Opened({"b/1.mp4": "it is not a video"})).splits
    assert [(each.name, each.reason) for each in split.unreadable] == [("b/1.mp4", "it is not a video")]


def test_a_split_that_is_asked_for_and_not_there_is_refused(tmp_path: Path) -> None:
    plant(tmp_path, {"a/1.mp4": b"x", "b/1.mp4": b"y"})
    dataset = open_dataset("mine", DatasetConfig(root=str(tmp_path)), Path("/"))
    found = check_dataset("mine", dataset, {"train": [EpisodeSize("train", 2, 1, 1)]}, Hashes(), Opened({}))
    assert found.splits[-1].split == "train"
    assert found.splits[-1].refusals[0][0] == "mine/train has no class with a clip"


def test_opening_tells_videos_from_other_files(tmp_path: Path, tiny_video: Path) -> None:
    content = tiny_video.read_bytes()
    plant(
        tmp_path,
        {
            "a/good.mp4": content,
            "a/text.mp4": b"not a video at all",
            "b/cut.mp4": content[: len(content) // 2],
            "b/good.mkv": content,
        },
    )
    dataset = open_dataset("mine", DatasetConfig(root=str(tmp_path)), Path("/"))
    clips = dataset.clips["test"]
    opened = open_all(clips, workers=1, time_limit_s=30, reporter=SILENT)
    failed = opened.failed
    assert opened.other_in_decord is None
    assert failed.keys() == {"a/text.mp4", "b/cut.mp4"}
    assert "not a video" in failed["a/text.mp4"]
    assert open_all([], workers=1, time_limit_s=30, reporter=SILENT) == Opened({})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_unreadable(tmp_path: Path) -> None:
    plant(tmp_path, {"a/1.mp4": b"x", "b/1.mp4": b"y"})
    (tmp_path / "a/1.mp4").chmod(0)
    (split,) = check(tmp_path).splits
    assert [each.reason for each in split.unreadable] == ["permission denied"]


def test_clips_that_decord_gives_otherwise_are_named(tmp_path: Path) -> None:
    """By the sort of video that it was seen to be wrong on, and one that it was right on."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    write(tmp_path / "a" / "plain.mp4", **PLAIN)
    without_sync_table(write(tmp_path / "b" / "lying.mp4", **PLAIN))
    (tmp_path / "b" / "text.mp4").write_text("not a video at all")
    dataset = open_dataset("mine", DatasetConfig(root=str(tmp_path)), Path("/"))
    clips = dataset.clips["test"]
    opened = open_all(clips, workers=2, time_limit_s=30, reporter=SILENT, against_decord=8)
    assert opened.failed.keys() == {"b/text.mp4"}
    assert opened.other_in_decord.keys() == {"b/lying.mp4"}
    assert "other frames of 8" in opened.other_in_decord["b/lying.mp4"]
    found = check_dataset("mine", dataset, {}, Hashes(), opened)
    assert [each.name for each in found.other_in_decord] == ["b/lying.mp4"]


def test_without_decord_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "decord", None)
    with pytest.raises(InputError, match="decord is not installed here") as refusal:
        open_all([], workers=1, time_limit_s=30, reporter=SILENT, against_decord=8)
    assert "pip install decord" in refusal.value.next_step
