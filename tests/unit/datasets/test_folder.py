"""root/<class>/<clip>, with the names that people give."""

import os
import unicodedata
from pathlib import Path

import pytest

from fsarctl.config.dataset_table import DatasetConfig
from fsarctl.datasets.clips import Clip
from fsarctl.datasets.dataset import Dataset
from fsarctl.datasets.folder import open_folder
from fsarctl.errors import ConfigError, InputError


def plant(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def scan(root: Path, splits: dict[str, list[str]] | None = None, **settings: object) -> dict[str, list[Clip]]:
    return {split: list(clips) for split, clips in look(root, splits=splits or {}, **settings).clips.items()}


def look(root: Path, **settings: object) -> Dataset:
    return open_folder("mine", DatasetConfig(root=str(root), **settings), Path("/"))  # type: ignore[arg-type]


def test_without_splits_every_class_is_a_test_class(tmp_path: Path) -> None:
    plant(
        tmp_path,
        "b/2.mp4",
        "b/1.AVI",
        "a/x.webm",
        "a/notes.txt",
        "a/.hidden.mp4",
        ".git/z.mp4",
        "empty/x.txt",
    )
    found = scan(tmp_path)
    assert look(tmp_path).remarks == ("no class, since hidden or without a video: .git, empty",)
    assert list(found) == ["test"]
    assert [(clip.name, clip.label) for clip in found["test"]] == [
        ("a/x.webm", "a"),
        ("b/1.AVI", "b"),
        ("b/2.mp4", "b"),
    ]
    assert all(clip.path == tmp_path / clip.name for clip in found["test"])


def test_what_is_no_class_is_said_where_classes_stand(tmp_path: Path) -> None:
    plant(tmp_path, "train/a/deep/1.mp4", "train/e/x.txt", "test/b/1.mp4", "cache/CACHEDIR.TAG")
    assert look(tmp_path).remarks == ("no class, since hidden or without a video: train/e",)


def test_a_home_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="whose home is '~nobody-of-that-name/x'"):
        open_folder("mine", DatasetConfig(root="~nobody-of-that-name/x"), tmp_path)


def test_a_name_that_no_disk_can_hold_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not there"):
        look(tmp_path / ("x" * 300))


def test_classes_go_where_the_splits_say(tmp_path: Path) -> None:
    plant(tmp_path, "a/1.mp4", "b/1.mp4", "c/1.mp4", "d/1.mp4")
    found = scan(tmp_path, {"train": ["c", "a"], "test": ["b"]})
    assert {split: [clip.name for clip in clips] for split, clips in found.items()} == {
        "train": ["a/1.mp4", "c/1.mp4"],
        "test": ["b/1.mp4"],
    }


@pytest.mark.parametrize(
    "label", ["pouring water", 'it\'s "quoted"', "né", "🕺 dance", "a,b;c", "%20", "日本語"]
)
def test_any_name_is_a_label(tmp_path: Path, label: str) -> None:
    plant(tmp_path, f"{label}/the clip.mp4")
    (clip,) = scan(tmp_path, {"test": [label]})["test"]
    assert (clip.label, clip.name) == (label, f"{label}/the clip.mp4")
    assert clip.path.is_file()


def test_names_are_the_same_whatever_the_file_system_composes(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "né")
    plant(tmp_path, f"{decomposed}/é.mp4")
    (clip,) = scan(tmp_path, {"test": ["né"]})["test"]
    assert (clip.label, clip.name) == ("né", "né/é.mp4")
    assert clip.path.is_file()


def test_two_names_that_compose_alike_are_refused(tmp_path: Path) -> None:
    plant(tmp_path, "a/é.mp4", f"a/{unicodedata.normalize('NFD', 'é')}.mp4")
    with pytest.raises(InputError, match="same name once normalised"):
        scan(tmp_path)


def test_a_name_that_is_not_text_is_refused(tmp_path: Path) -> None:
    plant(tmp_path, "a/1.mp4")
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/a/\xff.mp4"))).touch()
    with pytest.raises(InputError, match="not valid UTF-8"):
        scan(tmp_path)


def test_nested_and_linked_videos_are_found_and_loops_are_not_followed(tmp_path: Path) -> None:
    plant(tmp_path, "root/a/deep/er/1.mp4", "elsewhere/2.mp4", "elsewhere/b/3.mp4", "root/a/like.mp4/4.mp4")
    (tmp_path / "root/a/2.mp4").symlink_to(tmp_path / "elsewhere/2.mp4")
    (tmp_path / "root/a/loop").symlink_to(tmp_path / "root")
    (tmp_path / "root/b").symlink_to(tmp_path / "elsewhere/b")
    names = [clip.name for clip in scan(tmp_path / "root")["test"]]
    assert names == ["a/2.mp4", "a/deep/er/1.mp4", "a/like.mp4/4.mp4", "b/3.mp4"]


def test_an_unknown_class_brings_the_nearest(tmp_path: Path) -> None:
    plant(tmp_path, "waving/1.mp4", "jumping/1.mp4")
    with pytest.raises(InputError, match=r"'train' names 'wavin'.*'waving'") as caught:
        scan(tmp_path, {"train": ["wavin"], "test": ["jumping"]})
    assert "datasets.mine.splits" in caught.value.next_step


def test_a_class_without_videos_is_unknown(tmp_path: Path) -> None:
    plant(tmp_path, "waving/1.mp4", "empty/readme.txt")
    with pytest.raises(InputError, match="'empty', but no such class has videos"):
        scan(tmp_path, {"test": ["empty"]})


@pytest.mark.parametrize("splits", [{"train": ["a"], "test": ["a"]}, {"test": ["a", "a"]}])
def test_a_class_stands_in_one_split_once(tmp_path: Path, splits: dict[str, list[str]]) -> None:
    plant(tmp_path, "a/1.mp4")
    with pytest.raises(InputError, match="class 'a' stands 2 times"):
        scan(tmp_path, splits)


def test_a_split_without_classes_is_refused(tmp_path: Path) -> None:
    plant(tmp_path, "a/1.mp4")
    with pytest.raises(InputError, match="split 'val' names no class"):
        scan(tmp_path, {"val": [], "test": ["a"]})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("gone", "is not there"),
        ("file.mp4", "is not a directory"),
        ("none", "has no videos"),
        ("loose", "but 2 lie in it directly"),
    ],
)
def test_a_root_without_videos_says_what_to_set(tmp_path: Path, given: str, message: str) -> None:
    plant(tmp_path, "file.mp4", "none/a/x.txt", "loose/1.mp4", "loose/2.mp4")
    with pytest.raises(InputError, match=message) as caught:
        scan(tmp_path / given)
    assert "datasets.mine.root" in caught.value.next_step


def test_directories_named_like_splits_are_splits(tmp_path: Path) -> None:
    plant(tmp_path, "train/a/1.mp4", "train/b/deep/1.mp4", "Validation/c/1.mp4", "test/d/1.mp4", "notes.txt")
    found = scan(tmp_path)
    assert {split: [(clip.label, clip.name) for clip in clips] for split, clips in found.items()} == {
        "train": [("a", "train/a/1.mp4"), ("b", "train/b/deep/1.mp4")],
        "val": [("c", "Validation/c/1.mp4")],
        "test": [("d", "test/d/1.mp4")],
    }


def test_split_directories_that_share_a_class_are_refused_or_merged(tmp_path: Path) -> None:
    plant(tmp_path, "train/a/1.mp4", "train/b/1.mp4", "test/a/2.mp4")
    with pytest.raises(
        InputError, match="class 'a' is in more than one of the directories test, train"
    ) as caught:
        scan(tmp_path)
    assert "split_ratio" in caught.value.next_step
    found = scan(tmp_path, split_ratio=(0, 0, 1))
    assert [clip.name for clip in found["test"]] == ["test/a/2.mp4", "train/a/1.mp4", "train/b/1.mp4"]


def test_a_class_named_train_is_a_class_where_it_holds_videos(tmp_path: Path) -> None:
    plant(tmp_path, "train/1.mp4", "test/a/1.mp4")
    assert [clip.label for clip in scan(tmp_path)["test"]] == ["test", "train"]


def test_a_thousand_classes_and_a_lot(tmp_path: Path) -> None:
    plant(tmp_path, *(f"class {n:03}/{clip}.mp4" for n in range(1000) for clip in "ab"))
    found = scan(tmp_path, split_ratio=(0.6, 0.2, 0.2))
    assert {split: len(clips) for split, clips in found.items()} == {"train": 1200, "val": 400, "test": 400}


def test_a_split_file_beside_the_project_file(tmp_path: Path) -> None:
    plant(tmp_path, "clips/a/1.mp4", "clips/b/1.mp4", "clips/c/1.mp4", "clips/loose.mp4")
    (tmp_path / "splits.csv").write_text("class,split\nb,train\na,test\n")
    config = DatasetConfig(root="clips", split_file="splits.csv")
    found = open_folder("mine", config, tmp_path)
    assert {split: found.labels(split) for split in found.clips} == {"train": ["b"], "test": ["a"]}
    assert found.remarks == (
        "videos in the root itself, and so in no class: 1",
        "classes in no split: c",
    )


def test_what_is_no_video_is_said_and_does_not_stop(tmp_path: Path) -> None:
    plant(tmp_path, "a/1.mp4", "b/1.mp4")
    (tmp_path / "a/2.mp4").symlink_to(tmp_path / "gone.mp4")
    os.mkfifo(tmp_path / "b/2.mp4")
    found = look(tmp_path)
    assert [clip.name for clip in found.clips["test"]] == ["a/1.mp4", "b/1.mp4"]
    assert found.summary() == "passed over: a/2.mp4 (a link that leads nowhere), b/2.mp4 (not a file)"
