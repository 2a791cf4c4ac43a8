"""Labels that are numbers: what says so, and the file that says what they mean."""

import json
import shutil
from pathlib import Path

import pytest
from typed import type_in

from fsarctl.config.dataset_table import DatasetConfig
from fsarctl.datasets.dataset import Dataset
from fsarctl.datasets.kinds import open_dataset
from fsarctl.datasets.labels.label_map import read_label_map
from fsarctl.datasets.new_project import project_file
from fsarctl.errors import InputError

# What a label map may look like; each gives 0 and 1 these names.
MAPS = {
    "label_map.txt": "bowing low\nwaving\n",
    "classInd.txt": "0 bowing low\n1 waving\n",
    "backwards.txt": "1 waving\n0 bowing low\n",
    "padded.txt": "00 bowing low\n01 waving\n",
    "colons.txt": "0: bowing low\n1: waving\n",
    "labels.csv": "id,name\n0,bowing low\n1,waving\n",
    "quoted.csv": '"name","id"\n"bowing low","0"\n"waving","1"\n',
    "semicolons.csv": "id;name\n0;bowing low\n1;waving\n",
    "annotations.csv": "label,id,start\nwaving,1,3\nbowing low,0,5\nwaving,1,7\n",
    "labels.tsv": "0\tbowing low\n1\twaving\n",
    "numbers_last.txt": "bowing low 0\nwaving 1\n",
    "labels.json": json.dumps({"bowing low": "0", "waving": "1"}),
    "numbers.json": json.dumps({"0": "bowing low", "1": "waving"}),
    "list.json": json.dumps(["bowing low", "waving"]),
    "records.json": json.dumps([{"id": 1, "name": "waving"}, {"id": 0, "name": "bowing low"}]),
    "labels.yaml": "names:\n  0: bowing low\n  1: waving\n",
    "map.pbtxt": 'item {\n  id: 0\n  name: "bowing low"\n}\nitem {\n  id: 1\n  name: "waving"\n}\n',
    "comments.txt": "# by hand\n0 bowing low\n1 waving\n",
}


@pytest.fixture
def place(tmp_path: Path, tiny_video: Path) -> Path:
    for name in ("b1", "b2", "w1", "w2"):
        shutil.copy(tiny_video, tmp_path / f"{name}.mp4")
    (tmp_path / "train_list.txt").write_text("b1.mp4 0\nb2.mp4 0\nw1.mp4 1\nw2.mp4 1\n")
    return tmp_path


def listed(place: Path, **settings: object) -> Dataset:
    config = DatasetConfig(kind="list", file="train_list.txt", **settings)  # type: ignore[arg-type]
    return open_dataset("mine", config, place)


def written(place: Path) -> str:
    """What ``init`` writes beside the clips."""
    return project_file(place, place.parent, lambda labels: False, lambda note: None)


@pytest.mark.parametrize("name", MAPS)
def test_every_shape_of_label_map_names_the_classes(name: str, place: Path) -> None:
    (place / name).write_text(MAPS[name])
    dataset = listed(place, label_map=name)
    assert dataset.found == {"test": {"bowing low": 2, "waving": 2}}
    assert {clip.name: clip.label for clip in dataset.clips["test"]}["bowing low/b1.mp4"] == "bowing low"


def test_numbers_without_a_map_are_remarked_on_with_the_file_that_may_be_it(place: Path) -> None:
    (remark,) = listed(place).remarks
    assert remark.startswith("the labels are numbers ('0', '1'), which say nothing of an action")
    assert 'label_map = "classInd.txt" in [datasets.mine]' in remark
    (place / "my_labels.csv").write_text(MAPS["labels.csv"])
    assert 'label_map = "my_labels.csv"' in listed(place).remarks[0]
    assert listed(place, label_map="my_labels.csv").remarks == ()


def test_a_map_without_numbers_says_how_its_lines_were_counted(place: Path) -> None:
    (place / "label_map.txt").write_text(MAPS["label_map.txt"])
    (remark,) = listed(place, label_map="label_map.txt").remarks
    assert remark == "labels by line of label_map.txt, from 0: 0 is 'bowing low', 1 is 'waving'"


@pytest.mark.parametrize("text", ["bowing low\nbowing low\nwaving\n", '["waving", "waving", "bowing low"]'])
def test_labels_that_are_there_twice_count_no_classes(text: str, place: Path) -> None:
    """The second is dropped from a list of labels, and the one after it had its number."""
    (place / "label_map.json").write_text(text)
    with pytest.raises(InputError, match=r"no numbers and labels twice.*repeated"):
        listed(place, label_map="label_map.json")


def test_a_number_that_the_map_lacks_is_refused(place: Path) -> None:
    (place / "train_list.txt").write_text("b1.mp4 1\nw1.mp4 2\n")
    (place / "label_map.txt").write_text(MAPS["label_map.txt"])
    with pytest.raises(InputError, match="no label for 2; it has 0 to 1, counted from 0") as refused:
        listed(place, label_map="label_map.txt")
    assert "awk '{print NR, $0}'" in refused.value.next_step
    (place / "map.json").write_text('["bowing low", "waving"]')
    with pytest.raises(InputError, match="no label for 2; it has 0 to 1, counted from 0") as refused:
        listed(place, label_map="map.json")
    assert "awk" not in refused.value.next_step, "it would number the lines of JSON"
    (place / "classInd.txt").write_text(MAPS["classInd.txt"])
    with pytest.raises(InputError, match=r"no label for 2; it has 0 to 1$"):
        listed(place, label_map="classInd.txt")


def test_a_number_with_two_labels_is_refused(tmp_path: Path) -> None:
    (tmp_path / "map.csv").write_text("id,name\n0,bowing\n0,waving\n")
    with pytest.raises(InputError, match="the number 0 to 'bowing' and to 'waving'"):
        read_label_map(tmp_path / "map.csv")


def test_splits_may_name_classes_by_number_or_label(place: Path) -> None:
    (place / "classInd.txt").write_text(MAPS["classInd.txt"])
    splits = {"train": ("0",), "test": ("waving",)}
    assert listed(place, label_map="classInd.txt", splits=splits).found == {
        "train": {"bowing low": 2},
        "test": {"waving": 2},
    }


def test_directories_may_be_numbers(tmp_path: Path, tiny_video: Path) -> None:
    for number in ("0", "01"):
        (tmp_path / "clips" / number).mkdir(parents=True)
        for clip in ("a.mp4", "b.mp4"):
            shutil.copy(tiny_video, tmp_path / "clips" / number / clip)
    (tmp_path / "clips" / "labels.csv").write_text(MAPS["labels.csv"])
    config = DatasetConfig(kind="folder", root="clips", label_map="clips/labels.csv")
    dataset = open_dataset("mine", config, tmp_path)
    assert dataset.found == {"test": {"bowing low": 2, "waving": 2}}
    assert [clip.name for clip in dataset.clips["test"]] == ["0/a.mp4", "0/b.mp4", "01/a.mp4", "01/b.mp4"]
    (plain,) = open_dataset("mine", DatasetConfig(kind="folder", root="clips"), tmp_path).remarks
    assert "the labels are numbers ('0', '01')" in plain
    assert 'label_map = "clips/labels.csv"' in written(tmp_path / "clips")


@pytest.mark.parametrize("name", ["classInd.txt", "label_map.txt", "labels.csv", "labels.json"])
def test_init_writes_the_map_that_lies_beside(name: str, place: Path) -> None:
    assert '# label_map = "classInd.txt"  # the labels are numbers' in written(place / "train_list.txt")
    (place / "class_notes.txt").write_text("nothing of the kind\n")
    (place / name).write_text(MAPS[name])
    text = written(place / "train_list.txt")
    assert f'\nlabel_map = "{name}"  # what the numbers mean' in text


def test_other_labels_have_no_remark_and_no_map(place: Path) -> None:
    (place / "classInd.txt").write_text(MAPS["classInd.txt"])
    (place / "train_list.txt").write_text("b1.mp4 5 minute run\nb2.mp4 5 minute run\nw1.mp4 2\nw2.mp4 2\n")
    assert listed(place).remarks == ()
    assert "label_map" not in written(place / "train_list.txt")


def test_commands_call_the_classes_by_their_labels(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")

    def typed(*words: str) -> str:
        done = type_in(place, *words)
        return done.stdout + done.stderr

    typed("init", "train_list.txt")
    assert "the labels are numbers ('0', '1')" in typed("data", "check")
    (place / "classInd.txt").write_text(MAPS["classInd.txt"])
    typed("init", "train_list.txt", "--force")
    assert "the labels are numbers" not in typed("data", "check")
    shown = json.loads(typed("describe", "--show", "--json"))["descriptions"]
    assert [each["label"] for each in shown] == ["bowing low", "waving"]
