"""``fsarctl describe -o``: what is there already."""

import json
from pathlib import Path

import pytest
from typed import type_in

LINE = "fsarctl describe --labels list.txt --set describe.missing=label -o"
TWO = {"long jump": ["One.", "Two.", "Three."], "high jump": ["Four.", "Five.", "Six."]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "list.txt").write_text("long jump\n")
    (tmp_path / "fsarctl.toml").write_text('[describe]\nfiles = ["read.json"]\n')
    for name in ("read.json", "edited-descriptions.json"):
        (tmp_path / name).write_text(json.dumps(TWO))
    (tmp_path / "notes.md").write_text("- a sentence\n")
    (tmp_path / "facts.json").write_text('{"accuracy": 1}')
    return tmp_path


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("list.txt", "is read by this command"),
        ("./list.txt", "is read by this command"),
        ("link.txt", "is read by this command"),
        ("read.json", "is read by this command"),
        ("edited-descriptions.json", "is read by this command"),
        ("fsarctl.toml", "is where a project has its settings"),
        ("notes.md", "is there and is no file of descriptions"),
        ("facts.json", "is there and is no file of descriptions"),
    ],
)
def test_nothing_else_is_written_over(folder: Path, name: str, says: str) -> None:
    (folder / "link.txt").symlink_to("list.txt")
    before = (folder / name).read_bytes()
    said = " ".join(type_in(folder, f"{LINE} {name}", expect=3).stderr.split())
    assert says in said
    assert "next: Name another with --output" in said
    assert (folder / name).read_bytes() == before
    assert not (folder / "cache").exists()


def test_labels_that_are_a_file_of_descriptions_stay(folder: Path) -> None:
    (folder / "theirs.json").write_text(json.dumps(TWO))
    line = "fsarctl describe --labels theirs.json --column key --set describe.missing=label -o"
    assert "is read by this command" in type_in(folder, f"{line} theirs.json", expect=3).stderr
    type_in(folder, f"{line} made.json")


@pytest.mark.parametrize("name", ["made.json", "made.yaml"])
def test_its_own_and_an_empty_file_are_written_over(folder: Path, name: str) -> None:
    (folder / name).touch()
    for _ in range(2):
        type_in(folder, f"{LINE} {name}")
    assert "long jump" in (folder / name).read_text()
