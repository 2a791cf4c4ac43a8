"""``data check`` on a folder with one file of each of 80 kinds: a table that a person understands."""

import json
import re
from pathlib import Path

import pytest
from one_of_each import GOOD, UNREADABLE, make
from rich.cells import cell_len
from typed import type_in


@pytest.mark.slow
def test_each_kind_is_named_once_and_no_word_is_cut(tmp_path: Path) -> None:
    make(tmp_path / "clips")
    assert sum(path.is_file() or path.is_symlink() for path in tmp_path.rglob("*")) >= 80
    type_in(tmp_path, "fsarctl init clips")
    tiny = {"BACKBONE": "tiny", "WEIGHTS": "shipped", "VISUAL_LAYERS": "2", "TEXT_LAYERS": "2"}
    around = {f"FSARCTL_MODEL_{name}": value for name, value in tiny.items()}
    check = ("data", "check", "--open", "--workers", "2")
    (found,) = json.loads(type_in(tmp_path, *check, "--json", **around).stdout)["datasets"]
    (split,) = found["splits"]
    reasons = {each["name"].partition("/")[2]: each["reason"] for each in split["unreadable"]}
    assert reasons.keys() == UNREADABLE.keys()
    assert all(part in reasons[name] for name, part in UNREADABLE.items())
    assert len(GOOD) + len(UNREADABLE) < split["found"]
    assert [len(group) for group in found["copies"]] == [9]
    for columns in (80, 140):
        terminal = {"TTY_COMPATIBLE": "1", "COLUMNS": str(columns), "NO_COLOR": "1"}
        said = type_in(tmp_path, *check, **around, **terminal).stdout
        lines = re.sub(r"\x1b\[[\d;]*m", "", said).splitlines()
        commands = [line for line in lines if line.startswith("  fsarctl ")]
        assert commands == ["  fsarctl describe --edit 'bowing the head' waving"]
        assert max(cell_len(line) for line in lines) <= columns
        rows = [line for line in lines if re.match(r" +1  \S", line)]
        assert len(rows) == len(UNREADABLE)
        text = " ".join(" ".join(lines).split())
        for whole in ("nowhere.mp4 (a link that leads nowhere)", "8 files not taken for videos"):
            assert whole in text
        assert "it is no video, but text" in text
        assert "it is not a video of a known format, but" not in text
