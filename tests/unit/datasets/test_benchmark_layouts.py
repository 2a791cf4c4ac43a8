"""Copies of public benchmarks in the layouts that people have: every id finds its own file."""

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from fsarctl.config.dataset_table import BENCHMARKS, DatasetConfig
from fsarctl.datasets.benchmark import SPELLINGS, match_videos
from fsarctl.datasets.benchmark_splits.split_lists import load_split_lists
from fsarctl.datasets.dataset import Dataset
from fsarctl.datasets.kinds import open_dataset
from fsarctl.errors import InputError

Layout = Callable[[str, str, str], str]
"""(split, label, id) -> path within the root."""


def ids_of(name: str) -> dict[str, str]:
    return {video: label for rows in load_split_lists(name).values() for label, video in rows}


def camel(label: str) -> str:
    return "".join(word.capitalize() for word in label.split())


LAYOUTS: dict[str, dict[str, Layout]] = {
    "hmdb51": {
        "as unpacked": lambda split, label, video: f"{label.replace(' ', '_')}/{video}.avi",
        "packed twice": lambda split, label, video: f"hmdb51_org/{label}/{label}/{video}.avi",
        "special characters replaced": lambda split, label, video: (
            f"{label.replace(' ', '_')}/{re.sub('[^A-Za-z0-9_-]', '_', video)}.mp4"
        ),
        "all replaced": lambda split, label, video: f"{re.sub('[^A-Za-z0-9]', '_', video)}.avi",
        "with spaces": lambda split, label, video: f"{video.replace('_', ' ')}.mkv",
    },
    "ucf101": {
        "as unpacked": lambda split, label, video: f"UCF-101/{camel(label)}/{video}.avi",
        "flat": lambda split, label, video: f"{video}.mp4",
        "lower case": lambda split, label, video: f"{camel(label)}/{video.lower()}.webm",
    },
    "kinetics100": {
        "as downloaded": lambda split, label, video: f"{label}/{video}.mp4",
        "without times": lambda split, label, video: f"train/{label.replace(' ', '_')}/{video[:11]}.mp4",
        "short times": lambda split, label, video: "val/{}_{}_{}.mkv".format(
            video[:11], *(int(part) for part in video[12:].split("_"))
        ),
    },
    "ssv2-small": {
        "as unpacked": lambda split, label, video: f"20bn-something-something-v2/{video}.webm",
        "by split": lambda split, label, video: f"{split}/{label}/{video}.mp4",
    },
    "ssv2-full": {"flat": lambda split, label, video: f"{video}.webm"},
}
CASES = [(name, layout) for name, layouts in LAYOUTS.items() for layout in layouts]


@pytest.mark.parametrize(("name", "layout"), CASES)
def test_every_id_finds_its_file(name: str, layout: str) -> None:
    lists = load_split_lists(name)
    expected = {
        video: LAYOUTS[name][layout](split, label, video)
        for split, rows in lists.items()
        for label, video in rows
    }
    paths = list(expected.values())
    random.Random(0).shuffle(paths)
    found = match_videos(ids_of(name), paths, SPELLINGS[name])
    assert found.files == expected
    assert not found.doubles


def test_a_file_that_two_ids_could_mean_answers_neither() -> None:
    ids = ids_of("hmdb51")
    spelt: dict[str, list[str]] = {}
    for video in ids:
        spelt.setdefault(re.sub("[^A-Z0-9]", "_", video.upper()), []).append(video)
    shared = {video for some in spelt.values() if len(some) > 1 for video in some}
    assert len(shared) == 4  # "Boom_Snap_Clap..." and "boom-snap-clap..."
    found = match_videos(ids, [f"{stem}.avi" for stem in spelt], SPELLINGS["hmdb51"])
    assert ids.keys() - found.files.keys() == shared


def plant(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def look(root: Path, name: str) -> Dataset:
    config = DatasetConfig(kind="benchmark", name=name, root=str(root))  # type: ignore[arg-type]
    return open_dataset("mine", config, Path("/"))


def some(name: str, split: str, classes: int, clips: int) -> list[tuple[str, str]]:
    """The first ids of the first classes."""
    by_class: dict[str, list[str]] = {}
    for label, video in load_split_lists(name)[split]:
        by_class.setdefault(label, []).append(video)
    return [(label, video) for label in sorted(by_class)[:classes] for video in by_class[label][:clips]]


def test_missing_videos_and_classes_are_counted_and_named(tmp_path: Path) -> None:
    there = some("kinetics100", "test", 3, 4)
    plant(tmp_path, *(f"{label}/{video}.mp4" for label, video in there), "playing/another_one.mp4")
    found = look(tmp_path, "kinetics100")
    assert [(clip.label, clip.name) for clip in found.clips["test"]] == sorted(
        (label, f"{label}/{video}") for label, video in there
    )
    assert found.labels("test") == ["blasting sand", "busking", "cutting watermelon"]
    assert found.found["test"]["busking"] == 4
    assert found.expected["test"]["busking"] == 100
    assert len(found.missing["test"]) == 2400 - 12
    assert len(found.empty_classes("test")) == 21
    assert found.clips["train"] == ()
    assert found.summary().startswith("12 of 10,000 videos are there; classes without any: ")


def test_a_clip_is_the_same_whatever_the_layout(tmp_path: Path) -> None:
    rows = some("hmdb51", "train", 4, 5)
    names = []
    for layout in ("as unpacked", "all replaced", "with spaces"):
        plant(tmp_path / layout, *(LAYOUTS["hmdb51"][layout]("train", *row) for row in rows))
        clips = look(tmp_path / layout, "hmdb51").clips["train"]
        names.append([(clip.name, clip.label) for clip in clips])
    assert names[0] == names[1] == names[2]
    assert len(names[0]) == 20


def test_of_two_files_the_same_one_is_taken_and_it_is_said(tmp_path: Path) -> None:
    label, video = some("ucf101", "test", 1, 1)[0]
    paths = (f"0/{video}.mp4", f"{camel(label)}/{video}.avi", f"z/{video.upper()}.avi")
    for order in (paths, paths[::-1]):
        root = tmp_path / str(order == paths)
        plant(root, *order)
        found = look(root, "ucf101")
        # The closest spelling first, and of those the one in its class's directory.
        assert found.clips["test"][0].path == root / paths[1]
        assert f"of {paths[1]} and {paths[0]}, the first is used" in found.remarks[0]
        assert "1 video is there more than once" in found.summary()


def test_other_seconds_of_a_film_are_another_video(tmp_path: Path) -> None:
    _, video = some("kinetics100", "val", 1, 1)[0]
    plant(tmp_path, f"{video[:11]}_000777_000787.mp4")
    with pytest.raises(InputError, match=r"none of the 10,000 videos of kinetics100 .* holds other videos"):
        look(tmp_path, "kinetics100")


def test_youtube_ids_differ_by_case() -> None:
    labels = {"AAAAAAAAAAA_000001_000011": "x", "aaaaaaaaaaa_000001_000011": "y"}
    paths = ["aaaaaaaaaaa.mp4", "AAAAAAAAAAA_1_11.mp4"]
    found = match_videos(labels, paths, SPELLINGS["kinetics100"])
    assert found.files == {
        "AAAAAAAAAAA_000001_000011": "AAAAAAAAAAA_1_11.mp4",
        "aaaaaaaaaaa_000001_000011": "aaaaaaaaaaa.mp4",
    }


def test_linked_directories_are_followed(tmp_path: Path) -> None:
    rows = some("ssv2-small", "test", 2, 3)
    plant(tmp_path / "disk", *(f"{video}.webm" for _, video in rows))
    (tmp_path / "root").mkdir()
    (tmp_path / "root/videos").symlink_to(tmp_path / "disk")
    assert len(look(tmp_path / "root", "ssv2-small").clips["test"]) == 6


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_root_without_its_videos_says_so(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="which holds no video") as caught:
        look(tmp_path, name)
    assert "datasets.mine.root" in caught.value.next_step
    with pytest.raises(InputError, match="is not there"):
        look(tmp_path / "gone", name)
