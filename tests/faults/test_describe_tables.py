"""``fsarctl describe`` with a file that is no label list: nothing is asked, and what the error says works."""

import shlex
import sys
from pathlib import Path

import pytest
from loopback_server import loopback

from fsarctl.cli import main

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
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def typed(command: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a command line in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_refused_before_the_first_request_and_the_advised_command_works(
    name: str, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text, kind, column = TABLES[name]
    (project / name).write_text(text)
    with loopback() as server:
        (project / "fsarctl.toml").write_text(FILE.replace("{url}", server.url))
        assert typed(f"fsarctl describe --labels {shlex.quote(name)}", monkeypatch) == 3
        assert not server.requests
        said = " ".join(capsys.readouterr().err.split())
        assert kind in said
        advised = said.partition("Name the column of the labels: ")[2].partition(";")[0]
        assert advised.endswith(f" --column {column}")

        assert typed(f"{advised} --dry-run", monkeypatch) == 0
        assert not server.requests
        assert typed(advised, monkeypatch) == 0
        assert sorted(server.prompts) == ["abseiling", "air drumming"]


def test_the_command_of_what_was_made_names_the_column(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "t.csv").write_text(TABLES["my labels.csv"][0])
    with loopback() as server:
        (project / "fsarctl.toml").write_text(FILE.replace("{url}", server.url))
        assert typed("fsarctl describe --labels t.csv --column name --cache made", monkeypatch) == 0
    (manifest,) = (project / "made").rglob("manifest.json")
    assert "fsarctl describe --labels t.csv --column name" in manifest.read_text()


def test_a_column_without_a_file_is_a_mistake(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "fsarctl.toml").write_text(FILE.replace("{url}", "http://127.0.0.1:9/v1"))
    assert typed("fsarctl describe --column name", monkeypatch) == 2
    assert "--labels FILE" in capsys.readouterr().err
