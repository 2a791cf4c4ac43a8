"""Lists as other projects write them: found on this disk, or refused with the line and the reason.

Their lines are shaped like those of TRX, HyRSM, SlowFast, mmaction2, VideoMAE, Kinetics, SSv2, UCF101 and
HMDB51; the clips are empty files.
"""

import gzip
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from fsarctl.config.dataset_table import DatasetConfig
from fsarctl.datasets.dataset import Dataset
from fsarctl.datasets.kinds import open_dataset
from fsarctl.datasets.new_project import project_file
from fsarctl.errors import InputError

TWO = ("bow/a 1.avi", "bow/2.avi", "wave/3.avi")
CLASSES = {"bow": {"bow/a 1.avi", "bow/2.avi"}, "wave": {"wave/3.avi"}}
HEADED = "{header}\nbow/a 1.avi,bow\nbow/2.avi,bow\nwave/3.avi,wave\n"


def plant(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def look(project: Path, text: str, file: str, root: str = "videos", **settings: object) -> Dataset:
    (project / file).parent.mkdir(exist_ok=True)
    (project / file).write_text(text, encoding="utf-8")
    config = DatasetConfig(kind="list", file=file, root=root, **settings)  # type: ignore[arg-type]
    return open_dataset("mine", config, project)


def found(dataset: Dataset, root: Path) -> Mapping[str, set[str]]:
    """Label -> the files of its clips, within the root."""
    classes: dict[str, set[str]] = {}
    for clip in dataset.clips["test"]:
        classes.setdefault(clip.label, set()).add(clip.path.relative_to(root).as_posix())
    return classes


FORMS = {
    "TRX, without endings": ("testlist03.txt", "bow/a 1\nbow/2\nwave/3\n"),
    "UCF101's test list": ("testlist01.txt", "bow/a 1.avi\nbow/2.avi\nwave/3.avi\n"),
    "UCF101's training list": ("trainlist01.txt", "bow/a 1.avi 1\nbow/2.avi 1\nwave/3.avi 2\n"),
    "HyRSM": ("test.txt", "test0//bow/a 1.avi\ntest0//bow/2.avi\ntest1//wave/3.avi\n"),
    "SlowFast": ("train.csv", "bow/a 1.avi 0\nbow/2.avi 0\nwave/3.avi 1\n"),
    "SlowFast, of another machine": ("a.csv", "/x/y/bow/a 1.mp4 0\n/x/y/bow/2.mp4 0\n/x/y/wave/3.mp4 1"),
    "VideoMAE's SSv2": ("val.csv", "/data/y/bow/a 1 62 40\n/data/y/bow/2 58 40\n/data/y/wave/3 49 7\n"),
    "mmaction2, rawframes": ("train.txt", "bow/a 1 163 1\nbow/2 122 1\nwave/3 9 0\n"),
    "semicolons": ("clips.csv", "bow/a 1.avi;bow\nbow/2.avi;bow\nwave/3.avi;wave\n"),
    "semicolons and a header": ("c.txt", "Video;Class\nbow/a 1.avi;bow\nbow/2.avi;bow\nwave/3.avi;wave\n"),
    "tabs in .csv": ("clips.csv", "bow/a 1.avi\tbow\nbow/2.avi\tbow\nwave/3.avi\twave\n"),
    "video,label": ("clips.csv", HEADED.format(header="video,label")),
    "filename,class": ("clips.csv", HEADED.format(header="filename,class")),
    "Video Path,Action Name": ("clips.csv", HEADED.format(header="Video Path,Action Name")),
    "name, path, label": (
        "test.csv",
        "clip_name,clip_path,label\nx,bow/a 1.avi,bow\ny,bow/2.avi,bow\nz,wave/3.avi,wave\n",
    ),
    "number and name": (
        "l.csv",
        "path,label,class_name\nbow/a 1.avi,0,bow\nbow/2.avi,0,bow\nwave/3.avi,1,wave\n",
    ),
    "Windows": ("clips.csv", "videos\\bow\\a 1.avi,bow\nvideos\\bow\\2.avi,bow\nvideos\\wave\\3.avi,wave\n"),
    "Windows, with a drive": ("c.txt", "D:\\bow\\a 1.avi 0\r\nD:\\bow\\2.avi 0\r\nD:\\wave\\3.avi 1\r\n"),
    "another ending": ("c.csv", "bow/a 1.mp4,bow\nbow/2.mp4,bow\nwave/3.mp4,wave\n"),
    "a prefix of the benchmark": (
        "c.csv",
        "hmdb51_org/bow/a 1.avi,hmdb51_bow\nhmdb51_org/bow/2.avi,hmdb51_bow\n"
        "hmdb51_org/wave/3.avi,hmdb51_wave\n",
    ),
    "JSON records": (
        "c.json",
        json.dumps([{"video": path, "label": path.partition("/")[0]} for path in TWO]),
    ),
    "pairs in JSON": ("c.json", json.dumps([[path, path.partition("/")[0]] for path in TWO])),
    "each label's videos in JSON": ("c.json", json.dumps({"bow": list(TWO[:2]), "wave": list(TWO[2:])})),
    "Excel says the delimiter": (
        "c.csv",
        "sep=;\r\n" + HEADED.format(header="video,label").replace(",", ";"),
    ),
    "a comma at each end": ("c.csv", "".join(f"{path},{path.partition('/')[0]},\n" for path in TWO)),
    "a JSON mapping": ("c.json", json.dumps({path: path.partition("/")[0] for path in TWO})),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_lists_the_same_clips(form: str, tmp_path: Path) -> None:
    plant(tmp_path / "videos", *TWO, "wave/other.avi")
    file, text = FORMS[form]
    dataset = look(tmp_path, text, f"lists/{file}")
    assert found(dataset, tmp_path / "videos") == CLASSES
    assert not any(dataset.missing.values())


@pytest.mark.parametrize("between", [";", "\t", ","])
def test_numbers_of_clips_and_words_are_a_table_in_any_dialect(between: str, tmp_path: Path) -> None:
    """Jester's and SSv1's lists: a folder of frames that is a number, and the label's words."""
    plant(tmp_path / "videos", "1001/00001.jpg", "1001/00002.jpg", "1002.webm", "1003.webm")
    labels = {"1001": "Swiping Left", "1002": "Swiping Left", "1003": "No gesture"}
    text = "".join(f"{clip}{between}{label}\n" for clip, label in labels.items())
    assert found(look(tmp_path, text, "jester-v1-train.csv"), tmp_path / "videos") == {
        "Swiping Left": {"1001", "1002.webm"},
        "No gesture": {"1003.webm"},
    }


def test_a_split_and_a_number_before_the_path_are_the_class_where_no_folder_is(tmp_path: Path) -> None:
    plant(tmp_path / "videos", "a.webm", "b.webm", "c.webm")
    hyrsm = "test0//videos/a.avi\ntest0//videos/b.avi\ntest1//videos/c.avi\n"
    trx = "test0/a\ntest0/b\ntest1/c\n"
    for text in (hyrsm, trx):
        dataset = look(tmp_path, text, "test.txt")
        assert found(dataset, tmp_path / "videos") == {"0": {"a.webm", "b.webm"}, "1": {"c.webm"}}
        assert "the labels are numbers" in dataset.remarks[-1]
    (tmp_path / "names.txt").write_text("0 bowing low\n1 waving\n")
    assert set(look(tmp_path, trx, "test.txt", label_map="names.txt").found["test"]) == {
        "bowing low",
        "waving",
    }
    both = look(tmp_path, "train0//a.avi\ntest0//b.avi\n", "all.txt")
    assert {split: dict(labels) for split, labels in both.found.items()} == {
        "train": {"train0": 1},
        "test": {"test0": 1},
    }


def test_kinetics_official_csv_names_films_and_seconds(tmp_path: Path) -> None:
    films = {"-_abcdefghi": "busking", "abcdefghij_": "busking", "12345678901": "dancing ballet"}
    names = [f"{label}/{film}_000012_000022.mp4" for film, label in films.items()]
    plant(tmp_path / "videos", *names, "busking/-_abcdefghi_000050_000060.mp4")
    rows = "".join(f'"{label}",{film},12,22,validate,0\n' for film, label in films.items())
    text = (
        "label,youtube_id,time_start,time_end,split,is_cc\n" + rows + "busking,lost0000000,0,10,validate,0\n"
    )
    dataset = look(tmp_path, text, "val.csv")
    assert found(dataset, tmp_path / "videos") == {"busking": {*names[:2]}, "dancing ballet": {names[2]}}
    assert dataset.missing["test"] == ("busking/lost0000000_000000_000010",)
    assert "its column split shares out clips, not classes" in dataset.remarks[0]
    records = {
        film: {"annotations": {"label": label, "segment": [12.0, 22.0]}, "subset": "validate", "url": "x"}
        for film, label in films.items()
    }
    assert found(look(tmp_path, json.dumps(records), "val.json"), tmp_path / "videos") == found(
        dataset, tmp_path / "videos"
    )
    with pytest.raises(InputError, match=r"test\.csv, line 1: .* names no column of labels"):
        look(tmp_path, "youtube_id,time_start,time_end,split\nabc,1,11,test\n", "test.csv")
    with pytest.raises(InputError, match="line 3: 'busking,x,y,11' is not youtube_id, time_start"):
        look(tmp_path, "label,youtube_id,time_start,time_end\nbusking,x,1,11\nbusking,x,y,11\n", "v.csv")


def test_ssv2_json_has_numbers_and_templates(tmp_path: Path) -> None:
    plant(tmp_path / "videos", "78687.webm", "0/42326.webm")
    records = [
        {"id": "78687", "label": "holding potato", "template": "Holding [something]"},
        {"id": "42326", "label": "poking", "template": "Poking a hole into [something soft]"},
    ]
    dataset = look(tmp_path, json.dumps(records), "train.json")
    assert found(dataset, tmp_path / "videos") == {
        "Holding something": {"78687.webm"},
        "Poking a hole into something soft": {"0/42326.webm"},
    }
    with pytest.raises(InputError, match="JSON list, which names videos and no labels: id") as caught:
        look(tmp_path, json.dumps([{"id": "1"}, {"id": "2"}]), "test.json")
    assert "often not published" in caught.value.next_step
    with pytest.raises(InputError, match="in which nothing names videos and their labels"):
        look(tmp_path, json.dumps({"Holding something": "0", "Poking something": "1"}), "labels.json")
    with pytest.raises(InputError, match="entry 2: '3,' is not a path and a label"):
        look(tmp_path, json.dumps([{"id": "1", "label": "x"}, {"id": "3", "label": ""}]), "x.json")


def test_hmdb51_split_files_are_read_together(tmp_path: Path) -> None:
    plant(tmp_path / "videos", "brush_hair/A_b_0.avi", "brush_hair/C_b_1.avi", "wave/[D]_w_2.avi")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/wave_test_split1.txt").write_text("[D]_w_2.avi 0 \n")
    (tmp_path / "lists/wave_test_split2.txt").write_text("other.avi 1\n")
    dataset = look(tmp_path, "A_b_0.avi 1 \nC_b_1.avi 2 \n", "lists/brush_hair_test_split1.txt")
    assert found(dataset, tmp_path / "videos") == {
        "brush hair": {"brush_hair/A_b_0.avi", "brush_hair/C_b_1.avi"},
        "wave": {"wave/[D]_w_2.avi"},
    }
    with pytest.raises(InputError, match=r"but a list of some, brush_hair_test_split1\.txt") as caught:
        project_file(tmp_path / "lists", tmp_path, lambda labels: False, print)
    assert f"fsarctl init {tmp_path}/lists/brush_hair_test_split1.txt --root FOLDER" in caught.value.next_step
    with pytest.raises(InputError, match=r"line 1: 'A_b_0\.avi 7' is not a video and 0, 1 or 2"):
        look(tmp_path, "A_b_0.avi 7\n", "lists/brush_hair_test_split1.txt")


def test_how_clips_were_found_is_said(tmp_path: Path) -> None:
    plant(tmp_path / "videos", *TWO)
    said = look(tmp_path, "/data/x/bow/2.avi,bow\n/data/x/wave/3.avi,wave\n", "c.csv").remarks
    assert said == (f"its paths begin with /data/x, which is left out: {tmp_path}/videos stands for it",)
    plant(tmp_path / "flat/deep", "v_bow_1.avi", "v_wave_1.avi")
    columns = "path,label,class_name\ndeep/v_bow_1.avi,0,bowing\ndeep/v_wave_1.avi,1,waving\n"
    assert set(look(tmp_path, columns, "c.csv", root="flat").found["test"]) == {"bowing", "waving"}
    said = look(tmp_path, "bow/v_bow_1.avi\nwave/v_wave_1.avi\n", "c.txt", root="flat").remarks
    assert said == (f"2 paths of it found by the file's name alone under {tmp_path}/flat",)
    said = look(tmp_path, "bow/2.avi 4\nwave/3.avi 7\n", "c.txt").remarks
    assert said == ("the labels are numbers, and each has a folder of its own: 4 is 'bow', 7 is 'wave'",)
    said = look(tmp_path, "bow/2.avi,ucf101_bow\nwave/3.avi,ucf101_wave\n", "c.csv").remarks
    assert said == ("all labels begin with ucf101_, which is left out",)


def test_a_name_that_several_files_have_is_guessed_at_for_none(tmp_path: Path) -> None:
    """Two files of one name are two clips; only a folder named like the class tells which is meant."""
    plant(tmp_path / "videos", "x/1.avi", "y/1.avi", "wave/2.avi", "z/2.avi")
    dataset = look(tmp_path, "1.avi,bow\n2.avi,wave\n", "c.csv")
    assert found(dataset, tmp_path / "videos") == {"wave": {"wave/2.avi"}}
    assert dataset.missing["test"] == ("bow/1.avi",)
    plant(tmp_path / "flat", "1.avi")
    with pytest.raises(InputError, match="none of the 2 videos"):  # neither is the other's
        look(tmp_path, "/a/bow/1.avi,bow\n/a/wave/1.avi,wave\n", "c.csv", root="flat")


def test_a_list_of_each_split_makes_one_dataset(tmp_path: Path) -> None:
    """As TRX, HyRSM and Task-Adapter++ have them; lists that share classes are no few-shot splits."""
    plant(tmp_path / "videos", *(f"{label}/{n}.avi" for label in "abcdef" for n in (1, 2)))
    lists = tmp_path / "lists"
    for split, labels in {"train": "ab", "val": "cd", "test": "ef"}.items():
        listed = [(number, f"{label}/{n}") for number, label in enumerate(labels) for n in (1, 2)]
        plant(lists, f"{split}list03.txt", f"{split}.txt", f"{split}_few_shot.txt")
        (lists / f"{split}list03.txt").write_text("".join(f"{path}\n" for _, path in listed))
        first = "abcdef".index(labels[0])
        (lists / f"{split}.txt").write_text(
            "".join(f"/x/{path} 0 {first + number}\n" for number, path in listed)
        )
        (lists / f"{split}_few_shot.txt").write_text(
            "".join(f"{split}{n}//{path}.avi\n" for n, path in listed)
        )
    for file in ("{split}list03.txt", "{split}.txt", "{split}_few_shot.txt"):
        config = DatasetConfig(kind="list", file=f"lists/{file}", root="videos")
        found = open_dataset("mine", config, tmp_path).found
        assert {split: "".join(labels) for split, labels in found.items()} == {
            "train": "ab",
            "val": "cd",
            "test": "ef",
        }
        for split in ("train", "test"):
            place = lists / file.replace("{split}", split)
            text = project_file(place, tmp_path, lambda labels: False, lambda note: None, tmp_path / "videos")
            assert f'file = "lists/{file}"' in text
    plant(tmp_path / "flat", "x.avi", "y.avi")
    for split in ("train", "test"):
        (lists / f"{split}_few_shot.txt").write_text(f"{split}0//x.avi\n{split}1//y.avi\n")
    (lists / "val_few_shot.txt").unlink()
    config = DatasetConfig(kind="list", file="lists/{split}_few_shot.txt", root="flat")
    assert set(open_dataset("mine", config, tmp_path).found["train"]) == {"train0", "train1"}
    for split in ("train", "test"):
        (lists / f"{split}list03.txt").write_text("a/1 1\na/2 1\nb/1 2\nb/2 2\n")
    (lists / "vallist03.txt").unlink()
    text = project_file(lists / "testlist03.txt", tmp_path, lambda labels: False, print, tmp_path / "videos")
    assert 'file = "lists/testlist03.txt"' in text
    # UCF101's: numbers in one, none in the other, and the same classes.
    (lists / "testlist03.txt").write_text("a/1\nb/2\n")
    text = project_file(lists / "trainlist03.txt", tmp_path, lambda labels: False, print, tmp_path / "videos")
    assert 'file = "lists/trainlist03.txt"' in text
    with pytest.raises(InputError, match="class 'a' is in train on line 1 and in test") as caught:
        open_dataset("m", DatasetConfig(kind="list", file="lists/{split}list03.txt", root="videos"), tmp_path)
    assert "they share out clips, not classes" in caught.value.next_step
    with pytest.raises(InputError, match="with train, val or test for"):
        open_dataset("m", DatasetConfig(kind="list", file="no{split}.txt", root="videos"), tmp_path)


def test_activitynet_s_form_has_labels_in_a_database(tmp_path: Path) -> None:
    plant(tmp_path / "videos", "bow/v_bow_1.avi", "wave/v_wave_1.avi")

    def database(*labels: str) -> str:
        entries = {
            f"v_{label}_1": {"subset": "training", "annotations": {"label": label}} for label in labels
        }
        return json.dumps({"labels": list(labels), "database": entries})

    dataset = look(tmp_path, database("bow", "wave"), "ucf101_01.json")
    assert found(dataset, tmp_path / "videos") == {"bow": {"bow/v_bow_1.avi"}, "wave": {"wave/v_wave_1.avi"}}
    assert dataset.remarks == ("its column subset shares out clips, not classes, and is not used",)
    several = {"x": {"annotations": [{"label": "bow"}, {"label": "wave"}]}}
    with pytest.raises(InputError, match="entry 1: 'x' has several labels, and a clip is of one class"):
        look(tmp_path, json.dumps({"version": "1.3", "database": several}), "anet.json")
    with pytest.raises(InputError, match="entry 2: 'v__1' has no label in its annotations"):
        look(tmp_path, database("bow", ""), "x.json")


def test_a_packed_list_is_refused_with_the_command_that_unpacks_it(tmp_path: Path) -> None:
    plant(tmp_path / "videos", *TWO)
    packed = tmp_path / "my list.csv.gz"
    packed.write_bytes(gzip.compress(HEADED.format(header="path,label").encode()))
    config = DatasetConfig(kind="list", file=packed.name, root="videos")
    with pytest.raises(InputError, match="is compressed by gzip, not a list file") as caught:
        open_dataset("mine", config, tmp_path)
    subprocess.run(caught.value.next_step.partition(" unpacks it.")[0], shell=True, check=True)
    unpacked = open_dataset("mine", replace(config, file="my list.csv"), tmp_path)
    assert found(unpacked, tmp_path / "videos") == CLASSES


REFUSED = [
    ("a.csv", "video,duration\nbow/2.avi,3\n", "line 1: 'video,duration' names no column of labels"),
    ("a.txt", "bow/2.avi 0 1 4\n", "line 1: 'bow/2.avi 0 1 4' has several numbers after its path"),
    ("a.txt", "bow/2 0 163 4\n", "line 1: 'bow/2 0 163 4' has several numbers after its path"),
    ("a.txt", "bow/2.avi 0\nbow/a 1.avi\n", "line 2: 'bow/a 1.avi' is not the path of a video and a label"),
    (
        "a.txt",
        "bow/2 163 0\nbow/2 1 0\nbow/3 4\n",
        "line 3: 'bow/3 4' is a path and a label, and line 1 a path and two",
    ),
    ("a.txt", "bow/2.avi\nloose.avi\n", "line 2: 'loose.avi' is not the path of a video and a label"),
    ("a.txt", "# bow/2.avi 0\n", "line 1: '# bow/2.avi 0' is a comment, and a list has none"),
    ("a.txt", "bow/2\nhttps://x.org/bow/2\n", "line 2: 'https://x.org/bow/2' is not"),
    ("a.csv", "wave,wave/3.avi\nbow,bow/2.avi\n", "line 1: 'wave,wave/3.avi' has its path last"),
    ("a.csv", "bow/2.avi,bow,3,1\n", "line 1: 'bow/2.avi,bow,3,1' has 4 columns: name them in a first line"),
    ("a.csv", "Datei;Klasse\nbow/2.avi;bow\n", "line 1: 'Datei;Klasse' is neither a video nor the header"),
    ("a.json", '{"train": ["bow/2.avi"], "test": ["wave/3.avi"]}', "nothing names videos and their labels"),
    ("a.json", '{"a": [1, 2}', "a.json is JSON or program text that cannot be read"),
]


@pytest.mark.parametrize(("file", "text", "message"), REFUSED)
def test_what_is_not_understood_is_refused_with_its_line(
    file: str, text: str, message: str, tmp_path: Path
) -> None:
    plant(tmp_path / "videos", *TWO)
    with pytest.raises(InputError) as caught:
        look(tmp_path, text, file)
    assert message in caught.value.message
    assert caught.value.next_step


def test_a_path_of_a_thousand_folders_is_missing_and_costs_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every ending of it would be looked for, and kept: all memory for a line of 300 kB."""
    plant(tmp_path / "videos", *TWO)
    looks: list[object] = []
    monkeypatch.setattr(os, "scandir", lambda path, look=os.scandir: looks.append(path) or look(path))
    with pytest.raises(InputError, match="none of the 1 videos") as caught:
        look(tmp_path, f"wave{'/a' * 5000}/none.avi\n", "long.txt")
    assert len(looks) < 20
    assert len(str(caught.value)) < 600
    with pytest.raises(InputError, match="is not the path of a video and a label") as caught:
        look(tmp_path, f"{'a' * 5000}\n", "long.txt")
    assert len(str(caught.value)) < 600
