"""What a user points at: a support folder, and clips to classify. No video is opened."""

from pathlib import Path

import pytest
from notes import Notes

from fsarctl.datasets.clip_files import clip_files, open_support_folder
from fsarctl.errors import InputError


def plant(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_a_class_is_a_folder_with_any_number_of_clips(tmp_path: Path) -> None:
    names = ["b b/2.mp4", "b b/deep/1.AVI", 'it\'s "a" 🕺, [x]/x.webm', "b b/notes.txt", ".git/z.mp4"]
    found = open_support_folder(plant(tmp_path, *names, "empty/readme.txt", "loose.mp4"))
    assert [(clip.name, clip.label) for clip in found.clips] == [
        ("b b/2.mp4", "b b"),
        ("b b/deep/1.AVI", "b b"),
        ('it\'s "a" 🕺, [x]/x.webm', 'it\'s "a" 🕺, [x]'),
    ]
    assert all(clip.path == tmp_path / clip.name for clip in found.clips)
    assert found.empty == ("empty",)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ([], "no class folder with a video"),
        (["1.mp4", "2.mp4"], "no class folder with a video, but 2 videos beside it"),
        (["a/notes.txt", "b/.hidden.mp4"], "no class folder with a video"),
        (["a/1.mp4", "a/2.mp4", "b/notes.txt"], "one class alone, 'a'"),
        (["_none/1.mp4"], "no class folder with a video but _none, which is none"),
    ],
)
def test_what_is_no_support_is_refused(tmp_path: Path, names: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says) as raised:
        open_support_folder(plant(tmp_path, *names))
    assert "a folder for each class" in raised.value.next_step


def test_links_that_lead_nowhere_are_said(tmp_path: Path) -> None:
    plant(tmp_path, "a/1.mp4", "b/1.mp4")
    (tmp_path / "a" / "2.mp4").symlink_to("nobody.mp4")
    (tmp_path / "b" / "2.mp4").symlink_to("1.mp4")
    found = open_support_folder(tmp_path)
    assert [clip.name for clip in found.clips] == ["a/1.mp4", "b/1.mp4", "b/2.mp4"]
    assert [(each.path, each.reason) for each in found.passed_over] == [
        ("a/2.mp4", "a link that leads nowhere")
    ]
    for each in ("a/1.mp4", "b/1.mp4"):
        (tmp_path / each).unlink()
    with pytest.raises(InputError, match=r"passed over: a/2.mp4, b/2.mp4 \(a link that leads nowhere\)"):
        open_support_folder(tmp_path)


def test_a_support_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere is not there"):
        open_support_folder(tmp_path / "nowhere")


def test_clips_are_files_as_named_and_videos_of_folders_each_once(tmp_path: Path) -> None:
    plant(tmp_path, "new/2.mp4", "new/1.mp4", "new/deep/3.mov", "new/notes.txt", "odd.dat")
    paths = [
        tmp_path / "odd.dat",
        tmp_path / "new/2.mp4",
        tmp_path / "new",
        tmp_path / "new" / ".." / "odd.dat",
    ]
    found = clip_files(paths, pytest.fail)
    assert [Path(each.name).relative_to(tmp_path).as_posix() for each in found] == [
        "odd.dat",
        "new/2.mp4",
        "new/1.mp4",
        "new/deep/3.mov",
    ]
    assert all(Path(each.name) == each.path for each in found)


@pytest.mark.parametrize(("name", "says"), [("nowhere.mp4", "no clip"), ("empty", "no video in")])
def test_clips_that_are_not_there_are_refused(tmp_path: Path, name: str, says: str) -> None:
    plant(tmp_path, "empty/notes.txt", "1.mp4")
    with pytest.raises(InputError, match=f"{says} .*{name}"):
        clip_files([tmp_path / "1.mp4", tmp_path / name], pytest.fail)


def test_what_is_no_clip_in_a_folder_of_clips_is_said(tmp_path: Path) -> None:
    plant(tmp_path, "new/1.mp4", "new/notes.txt")
    (tmp_path / "new" / "2.mp4").symlink_to("nobody.mp4")
    with pytest.raises(InputError, match=r"no clip .*2.mp4: it is a link that leads nowhere"):
        clip_files([tmp_path / "new" / "2.mp4"], pytest.fail)
    notes = Notes()
    (found,) = clip_files([tmp_path / "new"], notes.note)
    assert Path(found.name) == tmp_path / "new" / "1.mp4"
    assert notes.said == [f"warning: passed over: {tmp_path}/new/2.mp4 (a link that leads nowhere)"]
    (tmp_path / "new" / "1.mp4").unlink()
    plant(tmp_path, "new/1.jpg")
    with pytest.raises(
        InputError,
        match=r"no video in .*new \(passed over: .*2.mp4 \(a link .*\); 1 file not taken for a video",
    ):
        clip_files([tmp_path / "new"], pytest.fail)
