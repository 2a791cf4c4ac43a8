"""Splits of classes: by a file, and by lot."""

from pathlib import Path

import pytest

from fsarctl.config.dataset_table import DatasetConfig
from fsarctl.config.setting_field import SPLITS
from fsarctl.datasets.class_splits import draw_splits, read_split_file, split_classes
from fsarctl.errors import InputError


def test_the_usual_ratio_of_a_hundred_classes() -> None:
    drawn = draw_splits("mine", [f"class {n}" for n in range(100)], (0.64, 0.12, 0.24), 0)
    assert {split: len(labels) for split, labels in drawn.items()} == {"train": 64, "val": 12, "test": 24}


def test_the_lot_depends_on_the_seed_and_on_no_order() -> None:
    classes = [f"class {n}" for n in range(40)]
    first = draw_splits("mine", classes, (6, 2, 2), 0)
    assert draw_splits("mine", reversed(classes), (0.6, 0.2, 0.2), 0) == first  # type: ignore[arg-type]
    others = [draw_splits("mine", classes, (6, 2, 2), seed) for seed in range(1, 6)]
    assert all(other != first for other in others)
    novel = {label for other in others for label in other["test"]}
    assert len(novel) > 20


def test_a_new_class_moves_few_others() -> None:
    classes = [f"class {n}" for n in range(1000)]
    before = draw_splits("mine", classes, (6, 2, 2), 0)
    after = draw_splits("mine", [*classes, "one more"], (6, 2, 2), 0)
    moved = sum(len(set(before[split]) - set(after[split])) for split in SPLITS)
    assert moved <= 2


def test_a_share_of_nothing_makes_no_split() -> None:
    assert draw_splits("mine", ["a", "b"], (0, 0, 1), 0) == {"test": ["a", "b"]}
    with pytest.raises(InputError, match="2 classes cannot be shared among 3 splits"):
        draw_splits("mine", ["a", "b"], (1, 1, 1), 0)


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "splits.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("header", ["", "class,split\n", "Class, Split\n", "\ufeffclass,split\r\n"])
def test_a_split_file_is_read_with_and_without_a_header(tmp_path: Path, header: str) -> None:
    text = (
        f"{header}waving one hand,train\n\"bow, then kneel\",test\n\n 'it''s' 🕺 , validation\n../../x,TEST\n"
    )
    assert read_split_file(write(tmp_path, text)) == {
        "train": ["waving one hand"],
        "test": ["bow, then kneel", "../../x"],
        "val": ["'it''s' 🕺"],
    }


def test_a_thousand_classes(tmp_path: Path) -> None:
    lines = [f"class {n},{SPLITS[n % 3]}" for n in range(1000)]
    read = read_split_file(write(tmp_path, "\n".join(lines)))
    assert [len(read[split]) for split in SPLITS] == [334, 333, 333]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,train\nb\n", "line 2: 'b' is not a class and one of train, val, test"),
        ("a,train\nb,dev\n", "line 2: 'b,dev'"),
        ("a,train,3\n", "line 1"),
        (",train\n", "line 1"),
        ('a,train\n"b,test\n', "line 2"),
        ("", "names no class"),
        ("class,split\n", "names no class"),
        (b"a\0b", "binary"),
        (b"a\xff,train", "not UTF-8"),
    ],
)
def test_a_split_file_that_is_none_is_refused_with_its_line(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_split_file(write(tmp_path, content))
    assert "splits.csv" in caught.value.message


def test_a_split_file_names_classes_that_are_there_once(tmp_path: Path) -> None:
    config = DatasetConfig(root="clips", split_file="splits.csv")

    def split(text: str) -> dict[str, list[str]]:
        write(tmp_path, text)
        return split_classes("mine", config, tmp_path, ["wave", "jump", "né"])

    assert split("jump,train\nne\u0301,test\n") == {"train": ["jump"], "test": ["né"]}
    with pytest.raises(
        InputError, match=r"'train' names 'jumping', but no such class has videos.*'jump'"
    ) as caught:
        split("jumping,train\n")
    assert "splits.csv" in caught.value.next_step
    with pytest.raises(InputError, match="'jump' stands 2 times, in train and test"):
        split("jump,train\njump,test\n")
    (tmp_path / "splits.csv").unlink()
    with pytest.raises(InputError, match="there is no split file"):
        split_classes("mine", config, tmp_path, ["wave"])
