"""fsarctl data ls, data check and init, as a user types them."""

import json
import tomllib
from pathlib import Path

import pytest
from typed import type_in
from video_kinds import PLAIN
from video_zoo import without_sync_table, write

from fsarctl.config.settings import load_settings
from fsarctl.datasets.benchmark_splits.split_lists import load_split_lists

FILE = """
[datasets.mine]
root = "clips"
[datasets.k100]
kind = "benchmark"
name = "kinetics100"
root = "kinetics"
[model]
strategy = "frozen"
[eval]
dataset = "mine"
way = 2
shots = [1, 3]
[describe]
missing = "label"
"""


def plant(root: Path, contents: dict[str, bytes]) -> None:
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two classes of four clips, and 12 videos of Kinetics-100's test split."""
    (tmp_path / "fsarctl.toml").write_text(FILE)
    plant(
        tmp_path / "clips",
        {f"{c}/{n}.mp4": f"{c}{n}".encode() for c in ("wave [x]", "bow") for n in range(4)},
    )
    videos = [video for label, video in load_split_lists("kinetics100")["test"] if label == "busking"][:12]
    plant(tmp_path / "kinetics", {f"busking/{video}.mp4": video.encode() for video in videos})
    return tmp_path


def test_ls_lists_kinds_classes_and_clips(project: Path) -> None:
    lines = type_in(project, "data", "ls").stdout.splitlines()
    assert lines[0].split() == ["dataset", "kind", "split", "classes", "clips"]
    assert lines[1].split() == ["mine", "folder", "test", "2", "8"]
    assert [line.split() for line in lines[2:]] == [
        ["k100", "benchmark", "train", "0", "0"],
        ["val", "0", "0"],
        ["test", "1", "12"],
    ]
    found = json.loads(type_in(project, "data", "ls", "--json").stdout)
    assert found["schema"] == "fsarctl.data/1"
    assert found["datasets"][0] == {
        "name": "mine",
        "kind": "folder",
        "root": "clips",
        "error": None,
        "left_out": [],
        "splits": [{"split": "test", "classes": 2, "clips": 8}],
    }


def test_ls_says_what_cannot_be_read_and_lists_the_rest(project: Path) -> None:
    done = type_in(project, "data", "ls", "--set", "datasets.mine.root=gone")
    assert "gone is not there" in done.stderr
    assert "k100" in done.stdout


def test_check_says_that_all_is_well(project: Path) -> None:
    done = type_in(project, "data", "check", "mine")
    assert "enough for the episodes" in done.stderr
    assert done.stdout.splitlines()[1].split() == ["mine", "test", "2", "8", "8", "0", "0", "4", "bow"]


def test_check_names_everything_that_is_wrong(project: Path) -> None:
    (project / "clips/bow/0.mp4").write_bytes(b"")
    (project / "clips/bow/1.mp4").write_bytes((project / "clips/wave [x]/2.mp4").read_bytes())
    (project / "clips/bow/gone.mp4").symlink_to(project / "nowhere")
    done = type_in(project, "data", "check", "mine", expect=3)
    for line in (
        "the file is empty  bow/0.mp4",
        "mine/test: classes too small: bow (3 of 4)",
        "mine: the same content in several classes: bow/1.mp4 = wave [x]/2.mp4",
        "mine: passed over: bow/gone.mp4 (a link that leads nowhere)",
    ):
        assert line in done.stdout
    assert "class 'bow' has 3 usable clips, and 3 shot + 1 query need 4" in done.stderr
    assert "next:" in done.stderr
    # One shot is possible.
    type_in(project, "data", "check", "mine", "--shots", "1", "2")


def test_files_that_are_no_videos_are_counted_wherever_videos_are_looked_at(project: Path) -> None:
    for name in ("1.jpg", "2.jpg", "sound.wav"):
        (project / "clips/bow" / name).write_bytes(b"x")
    words = "3 files not taken for videos: 2 .jpg (bow/1.jpg), 1 .wav (bow/sound.wav)"
    assert f"mine: {words}" in type_in(project, "data", "check", "mine").stdout
    assert f"mine: {words}" in type_in(project, "data", "ls").stderr
    assert f"mine: {words}" in type_in(project, "extract", "--dry-run").stderr
    assert words in type_in(project, "init", "clips", "--dry-run").stderr
    (dataset, *_) = json.loads(type_in(project, "data", "ls", "--json").stdout)["datasets"]
    assert dataset["left_out"][0] == {"ending": ".jpg", "files": 2, "such_as": "bow/1.jpg"}
    (dataset,) = json.loads(type_in(project, "data", "check", "mine", "--json").stdout)["datasets"]
    assert [each["files"] for each in dataset["left_out"]] == [2, 1]


def test_check_tells_what_is_said_of_clips_by_what_it_is(tmp_path: Path) -> None:
    """A table of a line a reason, where numbers alone make no other; and of what is usable, with a remark."""
    (tmp_path / "fsarctl.toml").write_text(FILE)
    for label in ("bow", "wave"):
        for number in range(4):
            path = tmp_path / f"clips/{label}/{number}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, count=30, muxer={"movflags": "faststart"}, **PLAIN)
    for number, part in enumerate((0.6, 0.7)):
        cut = write(
            tmp_path / f"clips/bow/cut-{number}.mp4", count=90, muxer={"movflags": "faststart"}, **PLAIN
        )
        cut.write_bytes(cut.read_bytes()[: int(cut.stat().st_size * part)])
    last = write(tmp_path / "clips/bow/last.mp4", count=90, muxer={"movflags": "faststart"}, **PLAIN)
    last.write_bytes(last.read_bytes()[:-20])
    (tmp_path / "clips/wave/page.mp4").write_text("<html>no</html>")
    (tmp_path / "clips/wave/empty.mp4").touch()
    lines = type_in(tmp_path, "data", "check", "mine", "--open", "--workers", "1").stdout.splitlines()
    rows = [line.split() for line in lines]
    first = rows.index(["clips", "unreadable,", "since", "such", "as"])
    assert rows[first + 1][:2] == ["2", "truncated:"]
    assert rows[first + 1][-2:] == ["bow/cut-0.mp4,", "bow/cut-1.mp4"]
    assert [row[-1] for row in rows[first + 2 : first + 4]] == ["wave/page.mp4", "wave/empty.mp4"]
    second = rows.index(["clips", "readable,", "but", "such", "as"])
    assert " ".join(rows[second + 1]).startswith("1 its end is missing: ")
    assert rows[second + 1][-1] == "bow/last.mp4"


def test_check_shortens_a_long_row_of_copies(project: Path) -> None:
    for number in range(4):
        for label in ("bow", "wave [x]"):
            (project / f"clips/{label}/{number}.mp4").write_bytes(b"video unavailable")
    shown = type_in(project, "data", "check", "mine").stdout
    assert "bow/0.mp4 = bow/1.mp4 = bow/2.mp4 = bow/3.mp4 = wave [x]/0.mp4 and 3 more" in shown
    document = json.loads(type_in(project, "data", "check", "mine", "--json").stdout)
    assert len(document["datasets"][0]["duplicates"][0]) == 8


def test_check_as_json_has_every_name(project: Path) -> None:
    done = type_in(project, "data", "check", "--json", "--shots", "3", expect=0)
    document = json.loads(done.stdout)
    assert document["schema"] == "fsarctl.data-check/1"
    assert (document["ready"], document["errors"]) == (True, [])
    mine, k100 = document["datasets"]
    assert mine["splits"][0] == {
        "split": "test",
        "classes": 2,
        "expected": 8,
        "found": 8,
        "missing": [],
        "unreadable": [],
        "remarked": [],
        "smallest": {"label": "bow", "clips": 4},
        "empty_classes": [],
        "small_classes": [],
        "groups": None,
        "undescribed": ["bow", "wave [x]"],
        "foreign": "",
        "too_long": [],
    }
    test = k100["splits"][2]
    assert (test["classes"], test["expected"], test["found"]) == (24, 2400, 12)
    assert len(test["missing"]) == 2388
    assert len(test["empty_classes"]) == 23
    # A dataset that is named is asked for what eval --dataset would ask.
    refused = json.loads(type_in(project, "data", "check", "k100", "--json", expect=3).stdout)
    assert refused["errors"][0]["message"] == "k100/test has 1 class, fewer than the 2 of a 2-way episode"
    said = type_in(project, "data", "check", "k100", expect=3).stderr
    assert "Add classes: an episode has two or more." in said  # a way of 2 is the least


def test_check_names_the_clips_that_decord_gives_otherwise(project: Path) -> None:
    for label in ("bow", "wave [x]"):
        for number in range(4):
            write(project / f"clips/{label}/{number}.mp4", count=20 + number, **PLAIN)
    asked = ("data", "check", "mine", "--decord")
    assert "mine: decord gives the same frames of every clip" in type_in(project, *asked).stdout
    without_sync_table(project / "clips/bow/3.mp4")
    done = type_in(project, *asked)
    assert "mine: 1 of the clips are others in decord: bow/3.mp4 (decord gives " in done.stdout
    found = [
        json.loads(type_in(project, *words, "--json").stdout)["datasets"][0]["other_in_decord"]
        for words in (asked, asked[:3])
    ]
    assert [each["name"] for each in found[0]] == ["bow/3.mp4"]
    assert found[1] is None, "not asked"


def test_check_of_what_is_not_there(project: Path) -> None:
    assert "did you mean k100" in type_in(project, "data", "check", "k10", expect=3).stderr
    done = type_in(project, "data", "check", "--set", "datasets.k100.root=gone", expect=3)
    assert "gone is not there" in done.stderr
    assert "mine" in done.stdout


@pytest.mark.parametrize("command", ["eval", "run", "status", "run --dry-run", "eval --dry-run --json"])
def test_what_cannot_run_is_refused_before_anything_is_made(project: Path, command: str) -> None:
    done = type_in(project, *command.split(), "--shots", "4", expect=3)
    assert "has 4 usable clips, and 4 shot + 1 query need 5" in done.stderr
    assert done.stdout == ""
    assert not (project / "cache" / "artifacts").exists()
    assert "there is no device 'gpu'" in type_in(project, "eval", "--device", "gpu", expect=3).stderr


def test_init_writes_a_file_that_loads_and_never_overwrites(project: Path) -> None:
    before = (project / "fsarctl.toml").read_text()
    assert "--force" in type_in(project, "init", "clips", expect=3).stderr
    printed = type_in(project, "init", "clips", "--dry-run").stdout
    assert (project / "fsarctl.toml").read_text() == before
    type_in(project, "init", "clips", "--force")
    assert (project / "fsarctl.toml").read_text() == printed
    settings = load_settings(project, environment={})
    assert settings.config.datasets["clips"].root == "clips"
    assert settings.config.eval.shots == (1, 3)
    assert settings.config.eval.way == 2
    assert settings.config.model.strategy == "frozen"
    assert "enough" in type_in(project, "data", "check").stderr
    units = json.loads(type_in(project, "run", "--dry-run", "--json").stdout)["units"]
    assert {unit["state"] for unit in units} == {"missing", "waiting"}


def test_init_inside_the_folder_does_not_read_its_own_cache(project: Path) -> None:
    folder = project / "clips"
    type_in(folder, "init")
    assert tomllib.loads((folder / "fsarctl.toml").read_text())["datasets"]["clips"]["root"] == "."
    type_in(folder, "data", "check")
    plant(folder, {"cache/artifacts/render/1.mp4": b"x"})
    assert "clips    test         2" in type_in(folder, "data", "check").stdout


def test_init_recognises_a_benchmark_by_its_names(project: Path) -> None:
    listed = load_split_lists("ucf101")
    videos = [video for rows in listed.values() for _, video in rows[::40]]
    plant(project / "elsewhere", {f"x/{video}.avi": b"x" for video in videos})
    printed = type_in(project, "init", "elsewhere", "--dry-run").stdout
    table = tomllib.loads(printed)
    assert table["datasets"] == {"ucf101": {"kind": "benchmark", "name": "ucf101", "root": "elsewhere"}}
    assert f"# {len(videos)} of its 13,320 videos are there." in printed
    assert table["train"]["dataset"] == table["eval"]["dataset"] == "ucf101"
    assert "strategy" not in table["model"]


def test_init_on_a_list_and_on_odd_names(tmp_path: Path) -> None:
    odd = 'it\'s "odd" \\ 🕺'
    plant(tmp_path, {f"{odd}/{c}/{n}.mp4": b"x" for c in ("{a}", "b # c") for n in range(3)})
    plant(tmp_path, {f"{odd}/alone/1.mp4": b"x"})
    table = tomllib.loads(type_in(tmp_path, "init", odd, "--dry-run").stdout)
    assert table["datasets"] == {
        "it-s-odd": {"kind": "folder", "root": odd, "splits": {"test": ["b # c", "{a}"]}}
    }
    assert table["eval"]["shots"] == [1]
    (tmp_path / "clips.csv").write_text("path,label\n1.mp4,x\n2.mp4,x\n3.mp4,y\n4.mp4,y\n")
    plant(tmp_path, {f"{n}.mp4": b"x" for n in range(1, 5)})
    type_in(tmp_path, "init", "clips.csv")
    assert "clips    test         2         4      4" in type_in(tmp_path, "data", "check").stdout


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ((), "no videos under"),
        (("1.mp4", "2.mp4"), "2 videos under . are in no class directories"),
        (("a/1.mp4", "b/1.mp4"), "no two classes with two videos each"),
        (("a/1.mp4", "a/2.mp4"), "no two classes with two videos each"),
    ],
)
def test_init_says_what_it_needs(tmp_path: Path, names: tuple[str, ...], says: str) -> None:
    plant(tmp_path, dict.fromkeys(names, b"x"))
    done = type_in(tmp_path, "init", expect=3)
    assert says in done.stderr
    assert "next:" in done.stderr
    assert not (tmp_path / "fsarctl.toml").exists()
    assert "is not there" in type_in(tmp_path, "init", "gone", expect=3).stderr


def test_init_on_train_and_test_directories(tmp_path: Path) -> None:
    shared = {f"{split}/{c}/{n}.mp4": b"x" for split in ("train", "test") for c in "ab" for n in range(2)}
    plant(tmp_path / "shared", shared)
    apart = {
        f"{split}/{split}{c}/{n}.mp4": b"x" for split in ("train", "test") for c in "ab" for n in range(2)
    }
    plant(tmp_path / "apart", apart)
    for root, clips in (("shared", "2         8      8"), ("apart", "2         4      4")):
        type_in(tmp_path, "init", root, "--force")
        assert clips in type_in(tmp_path, "data", "check").stdout


def test_check_says_how_many_groups_a_class_has(project: Path) -> None:
    pattern = "datasets.mine.group=(\\d)\\.mp4"
    check = ("data", "check", "mine", "--set", pattern)
    assert "mine/test: groups of a class: 4 in each of 2" in type_in(project, *check).stdout
    told = json.loads(type_in(project, *check, "--json").stdout)
    assert told["datasets"][0]["splits"][0]["groups"] == {"bow": 4, "wave [x]": 4}
    without = json.loads(type_in(project, "data", "check", "mine", "--json").stdout)
    assert without["datasets"][0]["splits"][0]["groups"] is None


def test_check_refuses_a_class_of_one_group(project: Path) -> None:
    done = type_in(project, "data", "check", "mine", "--set", "datasets.mine.group=^(bow|wave)", expect=3)
    assert (
        "class 'bow' has 1 group (of 4 clips), and 3 shot + 1 query that share no group need more"
        in done.stderr
    )
    assert "classes too small: bow (its 1 group cannot be parted)" in done.stdout
    done = type_in(project, "data", "check", "mine", "--set", "datasets.mine.group=([0-2])\\.mp4", expect=3)
    assert "group = '([0-2])\\\\.mp4' gives no group for 'bow/3.mp4' and 1 more" in done.stderr


def test_what_run_refuses_of_descriptions_check_refuses(project: Path) -> None:
    """The clips are enough, and nobody has described the classes."""
    (project / "fsarctl.toml").write_text(FILE.replace('missing = "label"', ""))
    words = ("mine", "--shots", "1")
    checked = type_in(project, "data", "check", *words, expect=3).stderr
    assert "mine/test: no corpus file describes 2 labels: 'bow', 'wave [x]'" in checked
    planned = type_in(project, "run", "--dry-run", "--shots", "1", "--dataset", "mine", expect=3).stderr
    assert "no corpus file describes 2 labels: 'bow', 'wave [x]'" in planned
    assert checked.partition("next:")[2].split("(")[0] == planned.partition("next:")[2].split("(")[0]
    for allowed in ("describe.missing=label", "describe.source=openai"):
        type_in(project, "data", "check", *words, "--set", allowed)
