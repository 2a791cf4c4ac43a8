"""Why an answer is outdated: every difference named once, long listings by their first few names."""

from pathlib import Path

import pytest

from fsarctl.artifacts import Files, Store, Unit
from fsarctl.artifacts.command import Command
from fsarctl.artifacts.keys import file_sha256


def leave_nothing(_):
    pass


def unit(config=None, files=None, version=1, stage="extract"):
    inputs = {"videos": Files(files)} if files is not None else {}
    return Unit(stage, version, "slot", Command("extract"), config or {}, leave_nothing, inputs)


@pytest.fixture
def why(tmp_path):
    """What `why` says of one unit when another was realised before it."""
    store = Store(tmp_path / "cache")

    def compare(old, new):
        store.realise(old)
        state = store.state(new)
        assert state.name == "stale"
        return [(change.field, change.old, change.new) for change in state.why]

    return compare


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"lr": 0.1}, {"lr": 0.2}, [("config.lr", 0.1, 0.2)]),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 2}}}, [("config.a.b.c", 1, 2)]),
        ({}, {"seed": 0}, [("config.seed", None, 0)]),
        ({"seed": 0}, {}, [("config.seed", 0, None)]),
        ({"x": 1, "y": True}, {"x": 1.0, "y": 1}, [("config.x", 1, 1.0), ("config.y", True, 1)]),
        ({"shots": (1, 3)}, {"shots": (1, 3, 5)}, [("config.shots", [1, 3], (1, 3, 5))]),
        ({"a": {"b": 1}}, {"a": None}, [("config.a", {"b": 1}, None)]),
        ({"same": [1], "lr": 1}, {"lr": 2, "same": (1,)}, [("config.lr", 1, 2)]),
    ],
)
def test_configuration_field_by_field(why, old, new, expected):
    found = why(unit(old), unit(new))
    assert found == expected
    assert [type(change[1]) for change in found] == [type(change[1]) for change in expected]


def test_a_long_list_of_labels_names_what_came_and_went(why):
    labels = [f"label {number}" for number in range(100)]
    assert why(unit({"labels": labels[:-1]}), unit({"labels": [*labels[1:], "juggling"]})) == [
        ("config.labels", "99 entries", "100 entries: 2 added, 1 removed, 0 changed"),
        ("config.labels[juggling]", None, "juggling"),
        ("config.labels[label 99]", None, "label 99"),
        ("config.labels[label 0]", "label 0", None),
    ]


def test_labels_in_another_order_are_shown_as_they_are(why):
    labels = [f"{number}" for number in range(9)]
    assert why(unit({"labels": labels}), unit({"labels": labels[::-1]})) == [
        ("config.labels", labels, labels[::-1])
    ]


def test_the_version(why):
    assert why(unit(), unit(version=2)) == [("version", 1, 2)]


def test_files_by_name(why, tmp_path: Path):
    old = {}
    for number in range(20):
        old[f"clip {number:02}"] = path = tmp_path / f"{number}.mp4"
        path.write_bytes(b"%d" % number)
    new = dict(old)
    for number in range(8):
        del new[f"clip {number:02}"]
    changed = tmp_path / "changed.mp4"
    changed.write_bytes(b"changed")
    new["clip 10"] = changed
    new["another"] = changed
    old_sha, new_sha = file_sha256(old["clip 10"])[:12], file_sha256(changed)[:12]
    assert why(unit(files=old), unit(files=new)) == [
        ("inputs.videos", "20 files", "13 files: 1 added, 8 removed, 1 changed"),
        ("inputs.videos[another]", None, new_sha),
        *[(f"inputs.videos[clip {n:02}]", file_sha256(old[f"clip {n:02}"])[:12], None) for n in range(5)],
        ("inputs.videos[clip 10]", old_sha, new_sha),
    ]


def test_an_input_that_came_or_went(why, tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"x")
    (change,) = why(unit(), unit(files={"clip": path}))
    assert change[0] == "inputs.videos"
    assert change[1] is None


def test_the_newest_answer_is_what_is_compared(tmp_path):
    store = Store(tmp_path)
    for lr in (3, 1, 2):
        store.realise(unit({"lr": lr}))
    assert [str(change) for change in store.state(unit({"lr": 9})).why] == ["config.lr: 2 -> 9"]
    assert store.state(unit({"lr": 9}, stage="train")).name == "missing"


def test_a_long_value_is_cut_where_it_is_shown(tmp_path):
    store = Store(tmp_path)
    store.realise(unit({"template": "x" * 200}))
    (change,) = store.state(unit({"template": None})).why
    assert str(change) == f'config.template: "{"x" * 56}... -> nothing'
    assert change.old == "x" * 200
