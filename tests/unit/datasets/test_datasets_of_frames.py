"""Datasets whose clips are folders of frames: trees, benchmarks, lists, and what lies beside the images."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typed import type_in

from fsarctl.config.dataset_table import DatasetConfig
from fsarctl.datasets.benchmark_splits.split_lists import load_split_lists
from fsarctl.datasets.clip_files import clip_files, open_support_folder
from fsarctl.datasets.dataset import Dataset
from fsarctl.datasets.kinds import open_dataset
from fsarctl.datasets.new_project import project_file
from fsarctl.datasets.video_tree import find_videos, passed_over_words
from fsarctl.errors import InputError


def plant(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def frames(root: Path, *clips: str, count: int = 3, name: str = "img_{:05d}.jpg") -> Path:
    return plant(root, *(f"{clip}/{name.format(number)}" for clip in clips for number in range(1, count + 1)))


def look(project: Path, text: str, file: str = "train.txt", root: str = "frames") -> Dataset:
    (project / file).write_text(text)
    return open_dataset("mine", DatasetConfig(kind="list", file=file, root=root), project)


def test_a_folder_of_numbered_images_is_a_video(tmp_path: Path) -> None:
    frames(tmp_path, "wave/a", "wave/b.avi", "bow/deep/c")
    plant(
        tmp_path,
        "bow/1.mp4",
        "wave/a/Thumbs.db",
        "wave/a/.DS_Store",
        "wave/thumbs/1.jpg",
        "wave/thumbs/2.jpg",
    )
    (tmp_path / "wave/empty").mkdir()
    plant(tmp_path, *(f"bow/timed/{n / 2}.jpg" for n in range(6)))
    plant(tmp_path, "wave/unnumbered/cover.jpg", "wave/unnumbered/back.jpg", "bow/1.jpg", "bow/2.jpg")
    tree = find_videos(tmp_path)
    assert tree.videos == ("bow/1.mp4", "bow/deep/c", "wave/a", "wave/b.avi")
    assert tree.folders == {"bow/deep/c", "wave/a", "wave/b.avi"}
    assert [(each.path, each.reason) for each in tree.passed_over] == [
        ("bow/timed", "its images are not numbered in one way: 0.0.jpg, 0.5.jpg and 4 more"),
        ("wave/empty", "a folder without numbered JPEG, PNG or WebP images"),
        ("wave/unnumbered", "a folder without numbered JPEG, PNG or WebP images"),
    ]
    assert [(each.ending, each.files) for each in tree.left_out] == [(".jpg", 12)]
    assert passed_over_words(tree.passed_over, 3) == (
        "passed over: bow/timed (its images are not numbered in one way: 0.0.jpg, 0.5.jpg and 4 more),"
        " wave/empty, wave/unnumbered (a folder without numbered JPEG, PNG or WebP images)"
    )
    dataset = open_dataset("mine", DatasetConfig(kind="folder", root="."), tmp_path)
    assert dataset.found["test"] == {"bow": 2, "wave": 2}
    assert [clip.name for clip in dataset.clips["test"] if clip.label == "wave"] == ["wave/a", "wave/b.avi"]


def test_images_above_clips_are_no_clip(tmp_path: Path) -> None:
    """Two posters of a class do not hide its clips."""
    frames(frames(tmp_path, "wave", count=2, name="poster{}.jpg"), "wave/a", "wave/b")
    assert find_videos(tmp_path).videos == ("wave/a", "wave/b")
    assert [each.files for each in find_videos(tmp_path).left_out] == [2]


@pytest.mark.parametrize(
    ("benchmark", "where"),
    [
        ("ssv2-small", "20bn-something-something-v2-frames/{video}"),
        ("ucf101", "jpegs_256/{video}"),
        ("hmdb51", "rawframes/{label}/{video}"),
        ("kinetics100", "{label}/{video}"),
    ],
)
def test_frames_of_a_benchmark_are_recognised(benchmark: str, where: str, tmp_path: Path) -> None:
    listed = load_split_lists(benchmark)["test"]
    classes = sorted({label for label, _ in listed})[:2]
    rows = [row for each in classes for row in [row for row in listed if row[0] == each][:12]]
    clips = [where.format(label=label.replace(" ", "_"), video=video) for label, video in rows]
    frames(tmp_path, *clips, count=2, name="{:06d}.jpg")
    frames(tmp_path, *(f"tvl1_flow/u/{video}" for _, video in rows[:3]), count=2, name="frame{:06d}.jpg")
    project = tmp_path / "project"
    project.mkdir()
    written = project_file(tmp_path, project, lambda labels: True, lambda note: None)
    assert f'kind = "benchmark"\nname = "{benchmark}"' in written
    config = DatasetConfig(kind="benchmark", name=benchmark, root=str(tmp_path))  # type: ignore[arg-type]
    found = open_dataset("it", config, project).clips["test"]
    assert {clip.file for clip in found} == {f"{tmp_path}/{clip}" for clip in clips}


LISTS = {
    "TSN": "{root}/wave/a 3 1\n{root}/wave/b 3 1\n{root}/bow/c 3 0\n",
    "mmaction2": "wave/a 3 1\nwave/b 3 1\nbow/c 3 0\n",
    "Task-Adapter++": "/mnt/sdd/frames/wave/a 3 41\n/mnt/sdd/frames/wave/b 3 41\n/mnt/sdd/frames/bow/c 3 7\n",
    "TRX": "wave/a\nwave/b\nbow/c\n",
    "CSV": "wave/a,3,wave\nwave/b,3,wave\nbow/c,3,bow\n",
    "CSV with a header": "frame_dir,total_frames,label\nwave/a,3,wave\nwave/b,3,wave\nbow/c,3,bow\n",
    "of videos": "wave/a.avi wave\nwave/b.avi wave\nbow/c.avi bow\n",
}


@pytest.mark.parametrize("form", LISTS)
def test_lists_of_folders_list_clips(form: str, tmp_path: Path) -> None:
    root = frames(tmp_path / "frames", "wave/a", "wave/b", "bow/c")
    file = "train.csv" if form.startswith("CSV") else "train.txt"
    dataset = look(tmp_path, LISTS[form].format(root=root), file)
    assert dataset.found == {"test": {"bow": 1, "wave": 2}}
    found = [clip.file for clip in dataset.clips["test"]]
    assert found == [f"{root}/bow/c", f"{root}/wave/a", f"{root}/wave/b"]
    assert not any("images than" in remark for remark in dataset.remarks)


def test_other_counts_than_the_list_s_and_folders_without_frames_are_said(tmp_path: Path) -> None:
    frames(tmp_path / "frames", "wave/a", "wave/b", "bow/c")
    (tmp_path / "frames/bow/empty").mkdir()
    dataset = look(tmp_path, "wave/a 0 1\nwave/b 3 1\nbow/c 5 0\nbow/empty 0 0\nbow/gone 4 0\n")
    assert dataset.found["test"] == {"bow": 1, "wave": 2}
    assert (
        "2 folders with another number of images than the list says: wave/a (0 in the list, 3 there),"
        " bow/c (5 in the list, 3 there)"
    ) in dataset.remarks
    assert dataset.missing["test"] == ("bow/bow/empty", "bow/bow/gone")
    assert [each.reason for each in dataset.passed_over] == [
        "a folder without numbered JPEG, PNG or WebP images"
    ]


def test_what_a_user_points_at_may_be_a_folder_of_frames(tmp_path: Path) -> None:
    frames(tmp_path, "clip", "support/bow/1", "support/wave/2")
    plant(tmp_path, "support/wave/3.mp4", "clip/Thumbs.db")
    assert [each.name for each in clip_files([tmp_path / "clip"], pytest.fail)] == [f"{tmp_path}/clip"]
    assert [Path(each.name).name for each in clip_files([tmp_path / "support/wave"], pytest.fail)] == [
        "2",
        "3.mp4",
    ]
    found = open_support_folder(tmp_path / "support")
    assert [(clip.name, clip.label) for clip in found.clips] == [
        ("bow/1", "bow"),
        ("wave/2", "wave"),
        ("wave/3.mp4", "wave"),
    ]
    with pytest.raises(
        InputError, match=r"holds the frames of one clip: img_00001\.jpg and 2 others"
    ) as caught:
        project_file(tmp_path / "support/bow/1", tmp_path, lambda labels: False, print)
    assert caught.value.next_step.endswith(f"fsarctl init {tmp_path}/support")
    plant(tmp_path / "one", "cover.jpg")
    with pytest.raises(InputError, match="there is no video in"):
        clip_files([tmp_path / "one"], pytest.fail)


FILE = """
[datasets.mine]
root = "clips"
[model]
backbone = "tiny"
weights = "shipped"
strategy = "frozen"
text_layers = 2
visual_layers = 2
[extract]
frames = 2
[eval]
dataset = "mine"
way = 2
shots = [1]
episodes = 4
[describe]
missing = "label"
"""


def test_extract_keeps_frames_of_folders_by_their_names_and_bytes(tmp_path: Path) -> None:
    """A second run does nothing; a stray file changes nothing; one image decodes one clip; a move, none."""
    (tmp_path / "fsarctl.toml").write_text(FILE)
    rng = np.random.default_rng(0)
    for label in ("bow", "wave"):
        for clip in "ab":
            folder = tmp_path / f"clips/{label}/{clip}"
            folder.mkdir(parents=True)
            for number in range(4):
                shade = Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8))
                shade.save(folder / f"{number}.png")
                os.utime(folder / f"{number}.png", (10, 10))

    def extracted() -> str:
        return type_in(tmp_path, "extract").stderr

    def keys() -> list[str]:
        listed = json.loads(type_in(tmp_path, "cache", "ls", "--json").stdout)["artifacts"]
        return [each["key"] for each in listed]

    extracted()
    made = keys()
    assert len(made) == 1
    (tmp_path / "clips/bow/a/Thumbs.db").touch()
    extracted()
    assert keys() == made
    shutil.copy(tmp_path / "clips/wave/b/2.png", tmp_path / "clips/bow/a/1.png")
    assert "the frames of 3 of 4 clips were decoded before and are copied; 1 clips are" in extracted()
    (tmp_path / "clips/bow/b").rename(tmp_path / "clips/wave/c")
    frames(tmp_path / "clips", "bow/d", count=1)  # one image alone is no clip
    assert "the frames of 4 of 4 clips were decoded before" in extracted()
    (tmp_path / "clips/wave/a/2.png").unlink()
    for opens in ((), ("--open",)):
        done = type_in(tmp_path, "data", "check", *opens, expect=3)
        assert "1 .jpg (bow/d/img_00001.jpg)" in done.stdout
        assert "1 image of 0 to 3 missing: 2" in done.stdout
