"""Lists of true events as people write them."""

from pathlib import Path

import pytest

from fsarctl.errors import InputError
from fsarctl.results.true_events import read_true_events

LABELS = ["jump", "--help"]


def test_columns_come_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(
        "\ufeffclass, note,end_s,start_s,video\njump,x,2.5,1,b.mp4\n\n--help,,9,8,clips/a.mp4\n", "utf-8"
    )
    found = read_true_events(path, LABELS, ["a.mp4", "b.mp4"])
    assert found == {"a.mp4": [(8.0, 9.0, "--help", 1.0)], "b.mp4": [(1.0, 2.5, "jump", 1.0)]}
    path.write_text("start_s,end_s,class\n0,1,jump\n")
    assert read_true_events(path, LABELS, ["a.mp4"]) == {"a.mp4": [(0.0, 1.0, "jump", 1.0)]}


@pytest.mark.parametrize(
    ("text", "videos", "says"),
    [
        ("", 1, "has no column start_s, end_s, class"),
        ("start,end,class\n0,1,jump\n", 1, "has no column start_s, end_s"),
        ("start_s,end_s,class\n", 1, "holds no event"),
        ("start_s,end_s,class\n0,1,jump\n", 2, "which of 2 videos"),
        ("start_s,end_s,class\n1,0,jump\n", 1, "line 2 is no event: 1,0,jump"),
        ("start_s,end_s,class\n\n-1,0,jump\n", 1, "line 3 is no event"),
        ("start_s,end_s,class\n0,inf,jump\n", 1, "line 2 is no event"),
        ("start_s,end_s,class\n0:01,0:02,jump\n", 1, "line 2 is no event"),
        ("start_s,end_s,class\n0,1\n", 1, "line 2 is no event"),
        ("start_s,end_s,class\n0,1,run\n", 1, "'run' is no class of the support"),
        ("start_s,end_s,class,video\n0,1,jump,c.mp4\n", 2, "there is no video 'c.mp4'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, videos: int, says: str) -> None:
    path = tmp_path / "events.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        read_true_events(path, LABELS, ["a.mp4", "b.mp4"][:videos])
