"""`fsarctl spot`, as it is typed."""

import csv
import io
import json
import math
import re
from pathlib import Path

import av
import pytest
from typed import type_in
from video_zoo import number_in, write

from fsarctl.datasets.shapes.rendering import render_clip, write_video
from fsarctl.stages.spot import window_sizes

FILE = """
[datasets.shapes]
kind = "shapes"
[model]
backbone = "tiny"
weights = "shipped"
text_layers = 2
"""
LABELS = ("a shape grows", "--help")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Examples of two classes, a video of 8 s, one of half a second, and what is no video."""
    folder = tmp_path_factory.mktemp("spot")
    (folder / "fsarctl.toml").write_text(FILE)
    for label, number in ((LABELS[0], 0), (LABELS[0], 1), (LABELS[1], 2)):
        path = folder / "examples" / label / f"{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, render_clip(LABELS[0], number, 0))
    write(folder / "long.mp4", count=120, rate=15)
    write(folder / "short.mp4", count=8, rate=15)
    (folder / "no.mp4").write_text("no video")
    (folder / "mine.html").write_text("<!doctype html>")
    (folder / "one" / "class").mkdir(parents=True)
    (folder / "one" / "class" / "0.mp4").write_bytes((folder / "short.mp4").read_bytes())
    (folder / "broken" / "a").mkdir(parents=True)
    (folder / "broken" / "b").mkdir(parents=True)
    for label in "ab":
        (folder / "broken" / label / "0.mp4").write_text("no video")
    return folder


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("--support examples", 2, "VIDEO"),
        ("long.mp4", 2, "--support"),
        ("long.mp4 --support examples --stride 0", 2, "--stride is 0"),
        ("long.mp4 --support examples --stride -1", 2, "--stride is -1"),
        ("long.mp4 --support examples --length nan", 2, "--length is nan"),
        ("long.mp4 --support examples --length 2 0", 2, "--length is 0"),
        ("long.mp4 --support examples --length", 2, "e.g. 2 4.5"),
        ("long.mp4 --support examples --length 0.01", 2, "Give 0.05 seconds or more"),
        ("long.mp4 --support examples --length two", 2, "Invalid value for '--length'"),
        ("long.mp4 --support examples --threshold 2", 2, "Invalid value for '--threshold'"),
        ("long.mp4 --support examples --smooth 0", 2, "Invalid value for '--smooth'"),
        ("long.mp4 --support examples --json --format csv", 2, "two layouts"),
        ("long.mp4 --support examples --frozen --shots 1", 2, "Leave out one of them"),
        ("long.mp4 --support one", 3, "one class alone, 'class'"),
        ("long.mp4 --support broken", 3, "no clip of broken can be read"),
        ("long.mp4 --support no.mp4", 3, "Give --length"),
        ("long.mp4 --support no.mp4 --length 2", 3, "no saved support"),
        ("nowhere.mp4 --support examples", 3, "no clip nowhere.mp4"),
        ("rtsp://camera --support examples", 2, "download what is on the network first"),
        ("long.mp4 short.mp4 --support examples --format vtt", 2, "of one video, and there are 2"),
        ("long.mp4 --support examples --html no/page.html", 2, "no folder no for --html"),
        ("long.mp4 --support examples --html examples", 2, "--html examples is a folder"),
        ("long.mp4 --support examples --html short.mp4", 2, "Name it short.html"),
        ("long.mp4 --support examples --html mine.html", 3, "mine.html is there and is no page of events"),
        ("long.mp4 --support examples --clips no.mp4", 2, "--clips no.mp4 is a file"),
        ("long.mp4 --support examples --clips examples", 3, "examples holds --help"),
        ("long.mp4 --support examples --length 2", 4, "or add --frozen"),
    ],
)
def test_what_is_wrong_gives_one_message_and_its_exit_code(
    project: Path, words: str, code: int, says: str
) -> None:
    done = type_in(project, f"fsarctl spot {words}", expect=code)
    assert says in done.stderr
    assert done.stdout == ""


def test_events_as_json_csv_and_table(project: Path) -> None:
    line = "fsarctl spot long.mp4 short.mp4 no.mp4 --support examples --frozen --always --length 2 3"
    line += " --threshold 0.4"
    done = type_in(project, f"{line} --json", expect=7)
    told = json.loads(done.stdout)
    assert told["schema"] == "fsarctl.spot/1"
    assert told["support"]["classes"] == {LABELS[1]: 1, LABELS[0]: 2}
    assert told["windows"] == [
        {"length_s": 2.0, "stride_s": 0.25},
        {"length_s": 3.0, "stride_s": 0.375},
    ]
    assert told["rules"] == {"smooth": 1, "threshold": 0.4, "join": "peak", "overlap": 0.0}
    long, short, no = told["videos"]
    assert (long["duration_s"], long["windows"], long["failure"]) == (8.0, 25 + 14, None)
    assert long["events"]
    for event in long["events"]:
        assert event["class"] in LABELS
        assert event["score"] >= 0.4
        assert event["end_s"] - event["start_s"] in (2.0, 3.0)
    assert short["windows"] == 1
    assert "one window over all of it stands for 2 s and 3 s" in short["remarks"][0]
    assert no["events"] == []
    assert no["failure"].startswith("it is not a video of a known format")
    assert "1 of 3 videos could not be read: no.mp4" in done.stderr

    # The scores are kept: another threshold reads no video.
    (project / "long.mp4").rename(project / "away.mp4")
    (project / "away.mp4").rename(project / "long.mp4")
    again = type_in(project, f"{line} --format csv", expect=7)
    assert "spot long.mp4:" not in again.stderr  # no progress: nothing was done
    rows = list(csv.DictReader(io.StringIO(again.stdout)))
    assert [(row["class"], float(row["start_s"])) for row in rows if row["video"] == "long.mp4"] == [
        (event["class"], event["start_s"]) for event in long["events"]
    ]
    assert rows[-1]["failure"] == no["failure"]

    table = type_in(project, line, expect=7).stdout
    assert "2 classes, 1 to 2 clips each" in table
    assert "each window alone" in table
    assert "0:00.5" in table
    assert "not a video" in table
    assert "score: confidence (softmax, not calibrated, of" in " ".join(table.split())


def test_subtitles_a_page_and_clips(project: Path) -> None:
    line = "fsarctl spot long.mp4 --support examples --frozen --threshold 0 --length 2 3"
    events = json.loads(type_in(project, f"{line} --json").stdout)["videos"][0]["events"]
    assert len(events) > 1
    vtt = type_in(project, f"{line} --format vtt").stdout
    assert vtt.startswith("WEBVTT\n\n1\n00:00:")
    srt = type_in(project, f"{line} --format srt --html page.html --clips cut").stdout
    for text, point in ((vtt, "."), (srt, ",")):
        cues = re.findall(r"(?m)^(\d\d):(\d\d):(\d\d)[.,](\d{3}) --> .*\n(.+) \(\d\.\d\d\)$", text)
        starts = [int(h) * 3600 + int(m) * 60 + int(s) + int(ms) / 1000 for h, m, s, ms, _ in cues]
        assert starts == [event["start_s"] for event in events]
        assert [label for *_, label in cues] == [event["class"] for event in events]
        assert text.count(f"{point}") >= 2 * len(events)
    type_in(project, f"{line} --html page.html")  # its own may be written over
    page = (project / "page.html").read_text(encoding="utf-8")
    assert 'src="long.mp4"' in page
    assert page.count("data-start=") == page.count("data:image/webp") == len(events)
    rows = list(csv.DictReader((project / "cut" / "clips.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["label"] for row in rows] == [event["class"] for event in events]
    for row, event in zip(rows, events, strict=True):
        with av.open(str(project / "cut" / row["path"])) as given:
            shown = [number_in(frame.to_ndarray(format="rgb24")) for frame in given.decode(video=0)]
        first, end = (math.ceil(event[name] * 15 - 1e-6) for name in ("start_s", "end_s"))
        assert shown == list(range(first, end))


def test_true_events_say_how_good_it_is(project: Path) -> None:
    line = "fsarctl spot long.mp4 --support examples --frozen --threshold 0 --length 2 3"
    told = json.loads(type_in(project, f"{line} --json").stdout)
    assert told["average_precision"] is None
    events = told["videos"][0]["events"]
    rows = "".join(f"{each['start_s']},{each['end_s']},{each['class']}\n" for each in events)
    (project / "all.csv").write_text(f"start_s,end_s,class\n{rows}")
    told = json.loads(type_in(project, f"{line} --json --truth all.csv").stdout)
    assert [(each["overlap"], each["value"]) for each in told["average_precision"]] == [
        (0.3, 1.0), (0.5, 1.0), (0.7, 1.0),
    ]  # fmt: skip
    (project / "none.csv").write_text(f"start_s,end_s,class\n7.95,8,{LABELS[0]}\n")
    said = type_in(project, f"{line} --truth none.csv").stdout
    assert f"1 true event, {len(events)} found" in said
    assert "0.0 % [0.0, 0.0] at an overlap of 0.5" in said


def test_python_finds_the_same(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fsarctl import Project
    from fsarctl.progress import SILENT

    line = "fsarctl spot long.mp4 no.mp4 --support examples --frozen --length 2 3 --json"
    told = json.loads(type_in(project, line, expect=7).stdout)["videos"]
    monkeypatch.chdir(project)
    monkeypatch.delenv("FSARCTL_CACHE", raising=False)
    found = Project(project, reporter=SILENT).spot(
        "examples", ["long.mp4", "no.mp4"], lengths=[2, 3], frozen=True
    )
    assert [each.failure or None for each in found] == [each["failure"] for each in told]
    assert [(each.start_s, each.label, round(each.score, 6)) for each in found[0].events] == [
        (each["start_s"], each["class"], each["score"]) for each in told[0]["events"]
    ]
    assert found[0].key == told[0]["key"]  # the command's scores, not others


def test_lengths_are_quartiles_of_the_examples(project: Path) -> None:
    """Of three: halfway between the first two, the second, and halfway between the last two."""
    a, b, c = sorted(len(render_clip(LABELS[0], number, 0)) / 15 for number in range(3))
    told = json.loads(
        type_in(project, "fsarctl spot short.mp4 --support examples --frozen --json --stride 1").stdout
    )
    assert [each["length_s"] for each in told["windows"]] == sorted(
        {round((a + b) / 2, 1), round(b, 1), round((b + c) / 2, 1)}
    )
    assert told["windows"][0]["stride_s"] == 1


def test_windows_start_every_eighth_of_their_length() -> None:
    sizes = window_sizes(Path(), [4, 2, 2], None)
    assert [(float(each.length_s), float(each.stride_s)) for each in sizes] == [(2, 0.25), (4, 0.5)]


def test_what_is_odd_about_the_examples_or_the_windows_is_said(project: Path) -> None:
    odd = project / "odd"
    for label, number in (("a", 0), ("a", 1), ("b", 2)):
        path = odd / label / f"{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(project / "examples" / LABELS[label == "b"] / f"{number}.mp4")
    (odd / "b" / "lost.mp4").symlink_to("nobody.mp4")
    (odd / "_none").symlink_to(odd / "a")
    line = "fsarctl spot short.mp4 --support odd --frozen --length 0.2 0.5 --stride 0.3"
    said = type_in(project, line).stderr
    assert "windows of 0.2 s start every 0.3 s: what is between is not looked at" in said
    assert "b/lost.mp4 (a link that leads nowhere)" in said
    assert "among the negatives" not in said  # such a link is the class that it leads to
    (odd / "_none").unlink()
    said = type_in(project, f"{line} --negatives odd/a").stderr
    assert "warning: 'a/0.mp4', 'a/1.mp4' are among the negatives, too" in said


def test_predict_says_the_command_for_a_clip_that_is_long(project: Path) -> None:
    write(project / "longer.mp4", count=240, rate=15)
    said = type_in(project, "fsarctl predict longer.mp4 --support examples --frozen --always").stderr
    (command,) = re.findall(r"where it shows several actions: (.+)", said)
    assert command == "fsarctl spot longer.mp4 --support examples --frozen --always"
    type_in(project, command)


def test_a_stream_that_ends_before_a_window_is_spoken_of(project: Path) -> None:
    line = "fsarctl watch short.mp4 --support examples --frozen --give-up 0 --length"
    done = type_in(project, f"{line} 5")
    assert "it ended before there was a window of 5 s to be named" in done.stderr
    assert done.stdout == ""
    assert "Give 0.05 seconds or more" in type_in(project, f"{line} 0.001", expect=2).stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--every 1e-17", "Give 0.001 seconds or more"),
        ("--every nan", "--every is nan"),
        ("--seconds 0", "--seconds is 0"),
        ("--seconds 1e11", "--seconds is 1e+11, more than this machine waits"),
        ("--give-up nan", "Invalid value for '--give-up'"),
    ],
)
def test_times_that_cannot_be_kept_are_refused(project: Path, words: str, says: str) -> None:
    assert says in type_in(project, f"fsarctl watch long.mp4 --support examples {words}", expect=2).stderr


def test_a_stream_is_watched_in_windows_as_long_as_the_examples(project: Path) -> None:
    """The median of three, and four answers within it."""
    _, middle, _ = sorted(len(render_clip(LABELS[0], number, 0)) / 15 for number in range(3))
    line = "fsarctl watch long.mp4 --support examples --frozen --give-up 0 --preview 0 --json"
    done = type_in(project, line)
    told = [json.loads(each) for each in done.stdout.splitlines()]
    length_s = round(middle, 1)
    assert {round(each["end_s"] - each["start_s"], 3) for each in told} == {length_s}
    assert told[1]["start_s"] - told[0]["start_s"] == pytest.approx(length_s / 4, abs=1e-3)
    assert "preview: http://127.0.0.1:" in done.stderr


def test_watch_ends_with_ctrl_c_and_does_not_say_that_it_goes_on(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fsarctl.cli.watch._watch", interrupted)
    words = ("watch", "long.mp4", "--support", "examples", "--frozen", "--length", "1", "--give-up", "0")
    assert "interrupted" not in type_in(project, *words, expect=130).stderr
