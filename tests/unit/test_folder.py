"""root/<class>/<clip>, with the names that people give."""

import os
import unicodedata
from pathlib import Path

import pytest

from fsarctl.config import DatasetConfig
from fsarctl.data.clips import Clip
from fsarctl.data.dataset import Dataset
from fsarctl.data.folder import open_folder
from fsarctl.errors import InputError


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
    assert list(found) == ["test"]
    assert [(clip.name, clip.label) for clip in found["test"]] == [
        ("a/x.webm", "a"),
        ("b/1.AVI", "b"),
        ("b/2.mp4", "b"),
    ]
    assert all(clip.path == tmp_path / clip.name for clip in found["test"])


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
