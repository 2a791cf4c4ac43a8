"""Progress where there is no terminal: a line now and then, which promises nothing that is not known."""

import re

import pytest

from fsarctl.cli.terminal import console


def test_time_left_is_told_once_something_is_done(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "PLAIN_SECONDS", 0)
    with console.make_reporter(bars=False).task("spot", 47, "window") as advance:
        advance(0)
        advance(1, "loss 0.5")
    first, second, last = capsys.readouterr().err.splitlines()
    assert first == "spot: 0 of 47 windows"
    assert re.fullmatch(r"spot: 1 of 47 windows, about \d+ s left, loss 0\.5", second)
    assert last.startswith("spot: 1 window in ")
