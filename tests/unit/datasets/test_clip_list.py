"""A list file as a dataset: the forms that people write, and what is refused with its line."""

import os
from pathlib import Path

import pytest

from fsarctl.config.dataset_table import DatasetConfig
from fsarctl.datasets.dataset import Dataset
from fsarctl.datasets.kinds import open_dataset
from fsarctl.errors import InputError


def plant(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def look(project: Path, text: str, file: str = "clips.csv", **settings: object) -> Dataset:
    (project / file).write_text(text, encoding="utf-8")
    return open_dataset("mine", DatasetConfig(kind="list", file=file, **settings), project)  # type: ignore[arg-type]


def rows(dataset: Dataset) -> dict[str, list[tuple[str, str]]]:
    return {split: [(c.label, c.name) for c in clips] for split, clips in dataset.clips.items()}


VIDEOS = ("a/1.mp4", "a/my clip.avi", "b/2.mp4")
EXPECTED = {
    "test": [
        ("jump", "jump/b/2.mp4"),
        ("wave, 🕺", "wave, 🕺/a/1.mp4"),
        ("wave, 🕺", "wave, 🕺/a/my clip.avi"),
    ]
}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("clips.csv", 'a/1.mp4,"wave, 🕺"\na/my clip.avi,"wave, 🕺"\nb/2.mp4,jump\n'),
        (
            "clips.csv",
            '\ufeffPath, Label\r\na/1.mp4,"wave, 🕺"\r\n\r\na/my clip.avi,"wave, 🕺"\r\nb/2.mp4,jump',
        ),
        ("x.csv", 'id,label,path\n7,"wave, 🕺",a/1.mp4\n8,"wave, 🕺",a/my clip.avi\n9,jump,b/2.mp4\n'),
        ("clips.tsv", "a/1.mp4\twave, 🕺\na/my clip.avi\twave, 🕺\nb/2.mp4\tjump\n"),
        ("clips.txt", "a/1.mp4 wave, 🕺\na/my clip.avi   wave, 🕺\n\nb/2.mp4 jump\n"),
        ("list", "a/1.mp4\twave, 🕺\na/my clip.avi\twave, 🕺\nb/2.mp4\tjump\n"),
    ],
)
def test_the_forms_of_a_list_are_one(tmp_path: Path, file: str, text: str) -> None:
    plant(tmp_path, *VIDEOS)
    found = look(tmp_path, text, file)
    assert rows(found) == EXPECTED
    assert all(clip.path.is_file() for clip in found.clips["test"])


def test_numbers_are_labels_like_any_other(tmp_path: Path) -> None:
    plant(tmp_path, "1.mp4", "2.mp4")
    assert rows(look(tmp_path, "1.mp4 0\n2.mp4 12\n", "train.txt")) == {
        "test": [("0", "0/1.mp4"), ("12", "12/2.mp4")]
    }


def test_paths_start_from_the_root_if_there_is_one(tmp_path: Path) -> None:
    plant(tmp_path, "videos/a/1.mp4", "lists/a/1.mp4")
    (tmp_path / "lists/c.csv").write_text("a/1.mp4,wave\n")
    config = DatasetConfig(kind="list", file="lists/c.csv", root="videos")
    (clip,) = open_dataset("mine", config, tmp_path).clips["test"]
    assert (clip.path, clip.name) == (tmp_path / "videos/a/1.mp4", "wave/a/1.mp4")
    (clip,) = open_dataset("mine", DatasetConfig(kind="list", file="lists/c.csv"), tmp_path).clips["test"]
    assert clip.path == tmp_path / "lists/a/1.mp4"


def test_where_absolute_paths_lead_enters_no_name(tmp_path: Path) -> None:
    names = []
    for place in ("one", "another/disk"):
        plant(tmp_path / place, "x/1.mp4", "y/1.mp4")
        paths = [f"{tmp_path / place}/x/1.mp4", f"{tmp_path / place}/z/../y/1.mp4"]
        (tmp_path / "project").mkdir(exist_ok=True)
        found = look(tmp_path / "project", f"{paths[0]},wave\n{paths[1]},wave\n")
        names.append(rows(found)["test"])
    assert names[0] == names[1] == [("wave", "wave/x/1.mp4"), ("wave", "wave/y/1.mp4")]


def test_the_split_column_says_the_splits(tmp_path: Path) -> None:
    plant(tmp_path, *"abcd")
    found = look(tmp_path, "path,label,split\na,x,train\nb,y,Validation\nc,z,test\nd,z,test\n")
    assert {split: len(clips) for split, clips in found.clips.items()} == {"train": 1, "val": 1, "test": 2}
    with pytest.raises(InputError, match="class 'x' is in train on line 1 and in test on line 3") as caught:
        look(tmp_path, "a,x,train\nb,y,test\nc,x,test\n")
    assert "split_ratio" in caught.value.next_step
    with pytest.raises(InputError, match="says itself which split"):
        look(tmp_path, "a,x,train\nb,y,test\n", split_ratio=(1, 0, 1))


def test_settings_split_a_list_without_the_column(tmp_path: Path) -> None:
    plant(tmp_path, *"abc")
    text = "a,x\nb,y\nc,z\n"
    found = look(tmp_path, text, splits={"train": ("x",), "test": ("z",)})
    assert rows(found) == {"train": [("x", "x/a")], "test": [("z", "z/c")]}
    assert {len(clips) for clips in look(tmp_path, text, split_ratio=(1, 1, 1)).clips.values()} == {1}


def test_what_is_listed_and_not_there_is_missing(tmp_path: Path) -> None:
    plant(tmp_path, "a.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    found = look(tmp_path, "a.mp4,x\ngone.mp4,x\npipe.mp4,y\n")
    assert rows(found)["test"] == [("x", "x/a.mp4")]
    assert found.missing["test"] == ("x/gone.mp4", "y/pipe.mp4")
    long = f"{'n' * 300}.mp4"
    assert look(tmp_path, f"a.mp4,x\n{long},x\n").missing["test"] == (f"x/{long}",)
    assert found.empty_classes("test") == ["y"]
    assert found.expected["test"] == {"x": 2, "y": 1}
    assert [each.path for each in found.passed_over] == ["y/pipe.mp4"]
    with pytest.raises(InputError, match=r"none of the 1 videos of .* is there") as caught:
        look(tmp_path, "gone.mp4,x\n")
    assert "datasets.mine.root" in caught.value.next_step


def test_folders_in_a_list_are_called_folders(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.mp4").mkdir()
    plant(tmp_path, "c.mp4")
    found = look(tmp_path, "a.mp4,x\nc.mp4,x\n")
    assert [(each.path, each.reason) for each in found.passed_over] == [
        ("x/a.mp4", "a folder without numbered JPEG, PNG or WebP images")
    ]
    with pytest.raises(InputError, match=r"lists 2 folders, such as .*a\.mp4, without numbered") as caught:
        look(tmp_path, "a.mp4,x\nb.mp4,y\ngone.mp4,y\n")
    assert "folders of frames that are called like img_00001.jpg" in caught.value.next_step


def test_a_clip_may_be_of_two_classes_and_stands_in_each_once(tmp_path: Path) -> None:
    plant(tmp_path, "a.mp4")
    found = look(tmp_path, "a.mp4,x\na.mp4,y\n./a.mp4,x\na.mp4,y\n")
    assert rows(found)["test"] == [("x", "x/a.mp4"), ("y", "y/a.mp4")]
    assert found.remarks == ("lines that repeat an earlier one, and are dropped: 3, 4",)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("c.csv", "a.mp4,x\nb.mp4\n", "line 2: 'b.mp4' is not a path and a label"),
        ("c.csv", "a.mp4,\n", "line 1"),
        ("c.csv", "a.mp4,x,dev\n", "line 1: 'dev' is none of train, val, test"),
        ("c.csv", "path,label,split\na.mp4,x,\n", "line 2: '' is none of"),
        ("c.csv", "a.mp4,x\nb.mp4,y,test\n", "line 2"),
        ("c.txt", "a.mp4 x\nwave b.mp4\n", "line 2: 'wave b.mp4' is not the path of a video and a label"),
        ("c.txt", "\n \n", "lists no video"),
        ("c.csv", "path,label\n", "lists no video"),
    ],
)
def test_what_is_no_list_is_refused_with_its_line(tmp_path: Path, file: str, text: str, message: str) -> None:
    plant(tmp_path, "a.mp4", "b.mp4")
    with pytest.raises(InputError, match=message) as caught:
        look(tmp_path, text, file)
    assert file in caught.value.message
    with pytest.raises(InputError, match=r"there is no list file .*none\.csv"):
        open_dataset("mine", DatasetConfig(kind="list", file="none.csv"), tmp_path)
