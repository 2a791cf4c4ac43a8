"""A file is whole or as it was before."""

import os
import subprocess
from pathlib import Path

import pytest

from fsarctl.artifacts.atomic_write import is_abandoned, replacing, write_whole
from fsarctl.artifacts.process import Process


def test_what_fails_leaves_the_file_as_it_was_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    path.write_text("before")

    def stumble() -> None:
        with replacing(path) as partial:
            partial.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stumble()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_nobody_sees_it_before_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    with replacing(path) as partial:
        partial.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"


def test_what_a_kill_left_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    with replacing(path) as partial:
        pass_by = partial
        partial.write_text("once")
    pass_by.write_text("torn")
    with replacing(path) as partial:
        partial.write_text("again")
    assert path.read_text() == "again"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    with replacing(path, alone=False) as one, replacing(path, alone=False) as two:
        assert one != two
        one.write_text("one")
        two.write_text("two")
    write_whole(path, b"three")
    assert path.read_bytes() == b"three"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_was_writing_is_told_from_what_is_being_written(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        gone = Process.current().mark.replace(str(os.getpid()), str(other.pid), 1)
        other.kill()
    with replacing(tmp_path / "kept.json", alone=False) as partial:
        partial.touch()
        assert not is_abandoned(partial)
        assert is_abandoned(partial.with_name(partial.name.replace(Process.current().mark, gone)))
    elsewhere = gone.rpartition("-")[0] + "-01234567"  # of another machine nothing is known
    assert not is_abandoned(partial.with_name(partial.name.replace(Process.current().mark, elsewhere)))
    for name in (".kept.json.partial", ".kept.json.0123456789.partial", "x", ".a.-.partial"):
        assert not is_abandoned(tmp_path / name)
