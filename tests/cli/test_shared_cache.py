"""`fsarctl cache gc` where two projects share a cache."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typed import type_in

FILE = """
[datasets.clips]
kind = "folder"
root = "clips"
[describe]
missing = "label"
[model]
backbone = "tiny"
weights = "random"
strategy = "frozen"
score = "text"
"""
Typed = Callable[..., tuple[str, str]]


@pytest.fixture
def typed(tmp_path: Path) -> Typed:
    """Types words in the project of some name; gives what stands on stdout and on stderr."""

    def run(project: str, *words: str) -> tuple[str, str]:
        done = type_in(tmp_path / project, *words, FSARCTL_CACHE=str(tmp_path / "cache"))
        return done.stdout, done.stderr

    return run


def project(folder: Path, label: str) -> None:
    (folder / "clips" / "test" / label).mkdir(parents=True)
    (folder / "clips" / "test" / label / "1.mp4").write_bytes(b"not looked into")
    (folder / "fsarctl.toml").write_text(FILE)


def artifacts(typed: Typed) -> set[str]:
    return {each["key"] for each in json.loads(typed("a", "cache", "ls", "--json")[0])["artifacts"]}


def test_gc_in_one_project_leaves_the_other_s_and_says_so(tmp_path: Path, typed: Typed) -> None:
    for name in ("a", "b"):
        project(tmp_path / name, f"waving {name}")
        typed(name, "describe")
    before = artifacts(typed)
    assert len(before) == 2
    (tmp_path / "a" / "clips" / "test" / "waving a").rename(tmp_path / "a" / "clips" / "test" / "drinking")
    typed("a", "describe")
    document = json.loads(typed("a", "cache", "gc", "--yes", "--json")[0])
    assert [each["why"] for each in document["removed"]] == ["the settings have changed since"]
    (kept,) = document["kept"]
    assert f"the project {tmp_path / 'b'} (" in kept["whom"]
    assert artifacts(typed) & before == {key for key in before if key[:20] == Path(kept["path"]).name}
    assert "nothing to do" in typed("b", "describe")[1]

    shutil.rmtree(tmp_path / "b")
    said = typed("a", "cache", "gc", "--yes")
    assert "kept: 1 folder" in said[1]
    assert "--forget" in said[1]
    out, err = typed("a", "cache", "gc", "--yes", "--forget", str(tmp_path / "b"))
    assert "no setting asks for it" in out or "the settings have changed since" in out
    assert re.search(r"1 folder, \d+ bytes was removed", err)
    assert len(artifacts(typed)) == 1
