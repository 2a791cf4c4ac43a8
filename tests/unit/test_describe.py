"""The describe stage on written files: what enters the key, what is missing, and what is written."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fsarctl.artifacts.unit import Build, Unit
from fsarctl.config import DescribeConfig
from fsarctl.data.corpus import load_descriptions
from fsarctl.errors import ConfigError, InputError, UsageError
from fsarctl.reporting import SILENT
from stages import describe

WRITTEN = {
    "somersault backwards": ["Crouch.", "Turn over backwards.", "Land on both feet."],
    "juggling": ["Hold three balls.", "Throw them in turn.", "Catch them all."],
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "mine.json").write_text(json.dumps(WRITTEN))
    return tmp_path


def unit_of(root: Path, labels: list[str], **settings: Any) -> Unit:
    config = DescribeConfig(**{"files": ("mine.json",), **settings})
    return describe.unit(labels, config, slot="describe", records=root / "records", root=root)


def build(unit: Unit, root: Path) -> Path:
    unit.build(Build(root, root, {}, SILENT, lambda name, value: None))
    return root


def test_descriptions_are_written_and_read_back(root: Path) -> None:
    unit = unit_of(root, ["Juggling", "somersault_backwards"])
    folder = build(unit, root)
    assert load_descriptions(folder) == {
        "Juggling": tuple(WRITTEN["juggling"]),
        "somersault_backwards": tuple(WRITTEN["somersault backwards"]),
    }
    labels = json.loads((folder / "descriptions.json").read_bytes())["labels"]
    assert labels["Juggling"] == {
        "beginning": "Hold three balls.",
        "process": "Throw them in turn.",
        "end": "Catch them all.",
    }
    assert (unit.stage, unit.slot, unit.command) == ("describe", "describe", "fsarctl describe")


def test_order_and_repetition_change_neither_key_nor_bytes(root: Path) -> None:
    one = unit_of(root, ["juggling", "somersault backwards"])
    first = (build(one, root) / "descriptions.json").read_bytes()
    two = unit_of(root, ["somersault backwards", "juggling", "somersault backwards"])
    assert json.dumps(one.config) == json.dumps(two.config)
    assert (build(two, root) / "descriptions.json").read_bytes() == first


def test_only_the_found_sentences_enter_the_key(root: Path) -> None:
    before = unit_of(root, ["juggling"]).config
    edited = {**WRITTEN, "somersault backwards": ["A.", "B.", "C."], "more": ["A.", "B.", "C."]}
    (root / "renamed.json").write_text(json.dumps(edited))
    unrelated = {"model": "x", "temperature": 1.0, "base_url": "http://x", "missing": "label"}
    assert unit_of(root, ["juggling"], files=("renamed.json",), **unrelated).config == before
    (root / "mine.json").write_text(json.dumps({"juggling": ["A.", "B.", "C."]}))
    assert unit_of(root, ["juggling"]).config != before


def test_labels_without_a_description_are_named_with_a_way_out(root: Path) -> None:
    with pytest.raises(InputError, match=r"no corpus file describes 7 labels: 'no 0'.* and 2 more") as caught:
        unit_of(root, [f"no {n}" for n in range(7)] + ["juggling"])
    for way in ("describe.files", "openai", 'describe.missing = "label"'):
        assert way in caught.value.next_step


def test_a_label_may_stand_for_itself(root: Path) -> None:
    unit = unit_of(root, ["../../x", "juggling"], missing="label")
    assert load_descriptions(build(unit, root))["../../x"] == ("../../x",) * 3


def test_plan_of_written_descriptions_calls_nobody(root: Path) -> None:
    config = DescribeConfig(files=("mine.json",))
    plan = describe.plan(["juggling"], config, records=root / "records", root=root)
    assert (dict(plan.calls), plan.kept) == ({}, 1)


def test_nothing_to_describe(root: Path) -> None:
    with pytest.raises(InputError, match="no label"):
        unit_of(root, [])


def test_the_question_is_the_key_of_a_language_models_answers(root: Path) -> None:
    def key(labels: list[str], **settings: Any) -> object:
        return unit_of(root, labels, **{"source": "openai", "model": "m", **settings}).config

    (root / "other.txt").write_text("Stages of {label}?")
    assert key(["a", "b"]) == key(["b", "a", "b"], base_url="http://elsewhere/v1", files=(), missing="label")
    assert key(["a"], temperature=0) == key(["a"], temperature=0.0)
    others = [
        key(["a"]),
        key(["a", "b"]),
        key(["a"], model="n"),
        key(["a"], temperature=1.0),
        key(["a"], template="other.txt"),
    ]
    assert len({json.dumps(other) for other in others}) == len(others)


def test_the_shipped_template_asks_as_the_paper_does(root: Path) -> None:
    config = DescribeConfig(source="openai")
    plan = describe.plan(["Long Jump"], config, records=root / "records", root=root)
    prompt = plan.calls["Long Jump"]
    assert prompt.startswith("Given an action label Long Jump, describe three stages of the action.")
    assert "{label}" not in prompt
    for key in ("beginning", "process", "end", "JSON"):
        assert key in prompt


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), (b"\xff", "not UTF-8"), (b"Describe it.", "has no {label}")],
)
def test_a_template_that_cannot_be_used(root: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (root / "ask.txt").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        unit_of(root, ["a"], source="openai", template="ask.txt")


@pytest.mark.parametrize(
    "address", ["localhost:8000", "ftp://x/v1", "http://", "http://x:99999/v1", "http://[x"]
)
def test_an_address_that_is_none(root: Path, address: str) -> None:
    with pytest.raises(ConfigError, match=r"describe\.base_url"):
        unit_of(root, ["a"], source="openai", base_url=address)


def test_concurrency_is_at_least_one(root: Path) -> None:
    with pytest.raises(UsageError, match="concurrency is 0"):
        describe.unit(["a"], DescribeConfig(), slot="s", records=root, root=root, concurrency=0)


def test_importing_the_stage_imports_nothing_heavy() -> None:
    heavy = {"httpx2", "ftfy", "regex", "pydantic", "numpy", "torch", "filelock", "asyncio"}
    code = f"import sys, stages.describe, fsarctl.data.labels; print(*sorted(set(sys.modules) & {heavy!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
