"""``fsarctl describe`` with a file that is no label list: nothing is asked, and what the error says works."""

import shlex
from pathlib import Path

import pytest
from loopback_server import loopback
from typed import type_in

FILE = """
[datasets.shapes]
kind = "shapes"
[describe]
source = "openai"
model = "m"
template = "ask.txt"
base_url = "{url}"
[model]
backbone = "tiny"
weights = "shipped"
text_layers = 2
"""
TABLES = {
    "my labels.csv": ("id,name\n0,abseiling\n1,air drumming\n", "commas", "name"),
    "annotations.csv": (
        'label,youtube_id,time_start,time_end,split\n"abseiling",id0,1,11,train\n'
        '"air drumming",id1,1,11,train\n',
        "commas",
        "label",
    ),
    "labels.json": ('{\n "abseiling": 0,\n "air drumming": 1\n}\n', "JSON object", "key"),
    "classInd.txt": ("1 abseiling\n2 air drumming\n", "numbered list", "2"),
    "labels.txt": ("# mine\nabseiling\nair drumming\n", "comments", "1"),
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "ask.txt").write_text("{label}\n")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def typed(project: Path, command: str, expect: int = 0) -> str:
    """Type a command line; what it says on stderr."""
    return type_in(project, command, expect=expect, OPENAI_API_KEY="sk-test").stderr


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_refused_before_the_first_request_and_the_advised_command_works(
    name: str, project: Path
) -> None:
    text, kind, column = TABLES[name]
    (project / name).write_text(text)
    with loopback() as server:
        (project / "fsarctl.toml").write_text(FILE.replace("{url}", server.url))
        said = " ".join(typed(project, f"fsarctl describe --labels {shlex.quote(name)}", expect=3).split())
        assert not server.requests
        assert kind in said
        advised = said.partition("Name the column of the labels: ")[2].partition(";")[0]
        assert advised.endswith(f" --column {column}")

        typed(project, f"{advised} --dry-run")
        assert not server.requests
        typed(project, advised)
        assert sorted(server.prompts) == ["abseiling", "air drumming"]


def test_the_command_of_what_was_made_names_the_column(project: Path) -> None:
    (project / "t.csv").write_text(TABLES["my labels.csv"][0])
    with loopback() as server:
        (project / "fsarctl.toml").write_text(FILE.replace("{url}", server.url))
        typed(project, "fsarctl describe --labels t.csv --column name --cache made")
    (manifest,) = (project / "made").rglob("manifest.json")
    assert "fsarctl describe --labels t.csv --column name" in manifest.read_text()


def test_a_column_without_a_file_is_a_mistake(project: Path) -> None:
    (project / "fsarctl.toml").write_text(FILE.replace("{url}", "http://127.0.0.1:9/v1"))
    assert "--labels FILE" in typed(project, "fsarctl describe --column name", expect=2)
