"""Clips of events: an earlier cut of the same videos is replaced, and nothing else ever."""

import csv
from pathlib import Path

import pytest
from video_zoo import write

from fsarctl.errors import InputError
from fsarctl.predict import event_clips
from fsarctl.predict.event_clips import CLIP_LIST, cut_events
from fsarctl.predict.events import Event
from fsarctl.progress import SILENT


@pytest.fixture
def video(tmp_path: Path) -> Path:
    write(tmp_path / "a.mp4", count=40, rate=10)
    return tmp_path / "a.mp4"


def event(start_s: float, label: str = "bow") -> Event:
    return Event(start_s, start_s + 0.5, label, 0.9)


def listed(folder: Path) -> list[str]:
    """What clips.csv lists, which is all that is there."""
    rows = csv.DictReader((folder / CLIP_LIST).read_text(encoding="utf-8").splitlines())
    names = [row["path"] for row in rows]
    assert sorted([*names, CLIP_LIST]) == sorted(each.name for each in folder.iterdir())
    return names


def test_an_earlier_cut_is_replaced(video: Path, tmp_path: Path) -> None:
    cut_events([(video, [event(0), event(1), event(2, "wave")])], tmp_path / "cut", SILENT)
    assert listed(tmp_path / "cut") == ["0001-bow.mp4", "0002-bow.mp4", "0003-wave.mp4"]
    for events in ([event(1.5, "wave")], []):
        cut_events([(video, events)], tmp_path / "cut", SILENT)
        assert listed(tmp_path / "cut") == ["0001-wave.mp4"][: len(events)]
    (tmp_path / "cut" / ".DS_Store").touch()
    assert cut_events([(video, [])], tmp_path / "cut", SILENT) == []


def test_after_a_kill_the_same_command_goes_on(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [event(0), event(1), event(2)]
    done: list[Path] = []

    def cut(path: Path, start_s: float, end_s: float, target: Path) -> str:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(target)
        target.write_bytes(b"half of the work")
        return "encoded"

    with monkeypatch.context() as patched:
        patched.setattr(event_clips, "cut_out", cut)
        with pytest.raises(KeyboardInterrupt):
            cut_events([(video, events)], tmp_path / "cut", SILENT)
    assert all(each.exists() for each in done)
    cut_events([(video, events[:1])], tmp_path / "cut", SILENT)
    assert listed(tmp_path / "cut") == ["0001-bow.mp4"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("0001-bow.mp4", "mine", "holds 0001-bow.mp4"),
        ("notes.txt", "mine", "holds notes.txt"),
        (CLIP_LIST, "path,label\n0001-bow.mp4,bow\n", "holds clips.csv"),
        (CLIP_LIST, f"{','.join(event_clips.COLUMNS)}\n../a.mp4,bow,b.mp4,0,1,1,copied\n", "clips of b.mp4"),
        (CLIP_LIST, f"{','.join(event_clips.COLUMNS)}\n../a.mp4\n", "clips of "),
    ],
)
def test_what_is_not_of_the_same_videos_stays(
    video: Path, tmp_path: Path, name: str, content: str, says: str
) -> None:
    folder = tmp_path / "cut"
    folder.mkdir()
    (folder / name).write_text(content)
    with pytest.raises(InputError, match=says) as raised:
        cut_events([(video, [event(0)])], folder, SILENT)
    assert "--clips" in raised.value.next_step
    assert [(each.name, each.read_text()) for each in folder.iterdir()] == [(name, content)]
    assert video.exists()


def test_a_list_leads_nowhere_else(video: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    folder.mkdir()
    (folder / CLIP_LIST).write_text(
        f"{','.join(event_clips.COLUMNS)}\n../a.mp4,bow,a.mp4,0,1,1,copied\n{video},bow,a.mp4,0,1,1,copied\n"
    )
    cut_events([(video, [event(0)])], folder, SILENT)
    assert video.exists()
    assert listed(folder) == ["0001-bow.mp4"]
