"""Files that commands leave where the user wants them."""

import os
from pathlib import Path

import pytest

from fsarctl.cli.terminal.files import Kind, begins, writing
from fsarctl.errors import InputError

KIND = Kind("text", begins("before"))


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("before")
    link.symlink_to(real)
    with writing(link, KIND) as path:
        path.write_text("after")
    assert link.is_symlink()
    assert real.read_text() == "after"
    assert sorted(tmp_path.iterdir()) == [link, real]


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for place in (pipe, tmp_path):
        with pytest.raises(InputError, match="is no file"), writing(place, KIND) as path:
            path.write_text("")
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("before")
    with pytest.raises(ValueError, match="halfway"):
        _stop_halfway(place)
    assert place.read_text() == "before"
    assert list(tmp_path.iterdir()) == [place]


def _stop_halfway(place: Path) -> None:
    with writing(place, KIND) as path:
        path.write_text("half")
        raise ValueError("halfway")
