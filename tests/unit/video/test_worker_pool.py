"""Worker processes: the folder for what is temporary, and the signal that ended one."""

import json
import signal
import tempfile
import threading
from pathlib import Path

import pytest

from fsarctl.artifacts.process import Process
from fsarctl.video.processes import worker_pool
from fsarctl.video.processes.worker_pool import temporary_folder


def test_what_others_left_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    swept: list[int] = []
    monkeypatch.setattr(worker_pool, "LEFT_BEHIND", set())
    monkeypatch.setattr(worker_pool, "sweep", lambda: swept.append(1))
    assert temporary_folder() == temporary_folder()
    assert len(swept) == 1


def test_two_threads_leave_the_temporary_folder_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second asks while the first is at it, and goes last."""
    monkeypatch.setattr(worker_pool, "LONGEST_FOLDER_OF_A_SOCKET", 0)
    monkeypatch.setattr(tempfile, "tempdir", "/elsewhere")
    entered, leave = threading.Event(), threading.Event()

    def second() -> None:
        with worker_pool._short_temporary_folder():
            entered.set()
            leave.wait(60)

    thread = threading.Thread(target=second)
    with worker_pool._short_temporary_folder():
        thread.start()
        entered.wait(0.1)
    leave.set()
    thread.join()
    assert tempfile.tempdir == "/elsewhere"


def test_whose_it_is_is_written_into_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_pool, "LEFT_BEHIND", set())
    worker_pool._sign(tmp_path)
    note = tmp_path / worker_pool.OWNER
    assert json.loads(note.read_text(encoding="utf-8")) == Process.current().fields
    note.write_text("another's")
    worker_pool._sign(tmp_path)
    assert note.read_text() == "another's"


@pytest.mark.parametrize(
    ("exit_code", "waits"), [(-signal.SIGTERM, True), (None, True), (1, False), (-9, False)]
)
def test_a_signal_to_the_whole_group_is_waited_for(
    exit_code: int | None, waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(worker_pool.time, "sleep", slept.append)
    worker_pool.await_own_signal(exit_code)
    assert bool(slept) == waits
