"""A signal to the command alone or to its whole group: all its processes go, and nothing of them stays."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest
import typer
from typed import plain_environment

from fsarctl.artifacts.process import Process
from fsarctl.cli.terminal.signals import ending_by_signals
from fsarctl.video.processes.worker_pool import sweep

PROJECT = """
[datasets.a]
kind = "shapes"
clips_per_class = 400
[datasets.b]
kind = "shapes"
clips_per_class = 401
"""
# As `fsarctl run --jobs 2` runs trainings; these begin sooner, and their workers have processes of their own.
COMMANDS = """
import sys
from unittest import mock
from fsarctl.cli import entry
from fsarctl.cli.command.session import Session
from fsarctl.execution.engine import Place, Task
from fsarctl.execution.local import LocalEngine

def app(**_):
    session = Session.open(None, None, [])
    tasks = []
    for name in "ab":
        rendered = session.pipeline(dataset=name, workers=2).extract()[0]
        words = ("extract", "--dataset", name, "--workers", "2")
        tasks.append(Task(name, rendered.stage, session.store.state(rendered).key, words, Place.here()))
    engine = LocalEngine(2, 8)
    engine.begin(lambda task, message: None)
    try:
        engine.start(tasks)
        for _ in tasks:
            engine.ended()
    finally:
        engine.end()

sys.argv = ["fsarctl"]
with mock.patch("fsarctl.cli._command_tree", lambda: app):
    entry()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it looks for processes in /proc")
@pytest.mark.parametrize(
    ("blow", "group", "code"),
    [
        (signal.SIGINT, False, 130),
        pytest.param(signal.SIGTERM, True, 143, marks=pytest.mark.slow),
        (signal.SIGKILL, False, -signal.SIGKILL),
    ],
)
def test_all_processes_end_and_leave_nothing(
    tmp_path: Path,
    blow: signal.Signals,
    group: bool,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    (tmp_path / "fsarctl.toml").write_text(PROJECT)
    temporary = Path(mkdtemp(prefix="fsarctl-", dir="/tmp"))  # else no socket fits into it
    request.addfinalizer(lambda: shutil.rmtree(temporary))
    with subprocess.Popen(
        [sys.executable, "-c", COMMANDS],
        cwd=tmp_path,
        env=plain_environment(TMPDIR=str(temporary)),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as command:
        try:
            _wait_for(lambda: len([*tmp_path.glob("cache/work/render/*/folder/*/*/00.mp4")]) >= 2)
            assert len(_of_session(command.pid)) == 1 + 2 * (1 + 4)  # a tracker, a fork server, two workers
            assert len([*temporary.glob("pymp-*/fsarctl.json")]) == 2
            (os.killpg if group else os.kill)(command.pid, blow)
            _wait_for(lambda: not _of_session(command.pid), limit_s=20)
        finally:
            for process in [command.pid, *_of_session(command.pid)]:
                os.kill(process, signal.SIGKILL)
        assert command.stderr is not None
        said = command.stderr.read()
    assert command.returncode == code
    assert "Traceback" not in said
    assert "leaked" not in said
    assert "bug" not in said
    if blow == signal.SIGKILL:  # what it had no time for is done by the next
        monkeypatch.setattr("tempfile.tempdir", str(temporary))
        left = {*temporary.glob("pymp-*")}
        sweep()
        assert not left & {*temporary.glob("pymp-*")}
    else:
        assert [*temporary.glob("pymp-*")] == []


@pytest.fixture(autouse=True)
def not_under_nohup() -> Iterator[None]:
    """Where the tests run under ``nohup``, too, SIGHUP is not ignored by what they start."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("blow", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
@pytest.mark.parametrize("by", [KeyboardInterrupt, typer.Abort, None])
def test_the_exit_code_names_the_first_signal_whatever_becomes_of_it(
    blow: signal.Signals, code: int, by: type[BaseException] | None
) -> None:
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    with pytest.raises(SystemExit) as ended, ending_by_signals():  # noqa: PT012
        try:
            signal.raise_signal(blow)
        except KeyboardInterrupt:
            if blow != signal.SIGINT:
                signal.raise_signal(signal.SIGTERM)  # does nothing any more
            meanwhile = signal.getsignal(signal.SIGTERM)
            if by:  # Click's own at a question
                raise by from None
    assert ended.value.code == code
    # Were it SIG_IGN, Python would say "ignored due to race condition" of one that a thread is just hearing.
    assert callable(meanwhile)
    assert before == {each: signal.getsignal(each) for each in before}


def ended_after(folder: Path, app: str) -> "subprocess.CompletedProcess[str]":
    """A process that is ``fsarctl`` with ``app`` for its commands."""
    (folder / "command.py").write_text(f"""
import atexit, signal, sys, threading, time
from unittest import mock
from fsarctl.cli import entry

{app}

sys.argv = ["fsarctl"]
with mock.patch("fsarctl.cli._command_tree", lambda: app):
    entry()
""")
    return subprocess.run(
        [sys.executable, "-m", "command"],
        cwd=folder,
        capture_output=True,
        text=True,
        env=plain_environment(),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        check=False,
    )


def test_an_interrupt_within_exec_ends_with_its_own_code_too(tmp_path: Path) -> None:
    """Python takes the end of such a module for a death by SIGINT; dataclasses are made with ``exec``."""
    done = ended_after(
        tmp_path,
        """
def app(**_):
    try:
        exec("signal.raise_signal(signal.SIGINT)")
    except KeyboardInterrupt:
        print("interrupted")
        sys.exit(130)
""",
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "interrupted\n", "")


def test_the_end_waits_for_threads_and_takes_no_library_apart(tmp_path: Path) -> None:
    done = ended_after(
        tmp_path,
        """
class Library:
    def __del__(self, say=print):
        say("taken apart")

library = Library()
atexit.register(print, "at exit")

def works():
    time.sleep(0.2)
    print("thread")

def app(**_):
    threading.Thread(target=works).start()
    threading.Thread(target=time.sleep, args=[60], daemon=True).start()
    sys.exit("words")
""",
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "thread\nat exit\n", "words\n")


def test_what_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ending_by_signals():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_does_not_end_is_cut_off_with_its_last_words() -> None:
    busy = """
import threading
from fsarctl.cli.terminal import signals
signals.GRACE_S = 0.1
signals.LAST_WORDS.append("interrupted")
with signals.ending_by_signals():
    lock = threading.Lock()
    lock.acquire()
    kill = threading.Timer(0.2, lambda: signals.os.kill(signals.os.getpid(), signals.signal.SIGTERM))
    while True:
        try:
            if not kill.ident:
                kill.start()
            lock.acquire(timeout=60)
        except KeyboardInterrupt:
            pass
"""
    done = subprocess.run([sys.executable, "-c", busy], check=False, timeout=300, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (143, b"interrupted\n")
    # A terminal gets the cursor back that a bar has hidden, and the words are on a line of their own.
    for term, said in (("xterm", b"\x1b[?25h\r\ninterrupted\r\n"), ("dumb", b"interrupted\r\n")):
        terminal, end = os.openpty()
        try:
            environment = plain_environment(TERM=term)
            subprocess.run(
                [sys.executable, "-c", busy], check=False, timeout=300, stderr=end, env=environment
            )
            assert os.read(terminal, 1000) == said
        finally:
            os.close(terminal)
            os.close(end)


def test_a_folder_of_a_living_process_is_not_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "pymp-of-another-program").mkdir()
    (tmp_path / "pymp-of-this").mkdir()
    (tmp_path / "pymp-of-this/fsarctl.json").write_text(json.dumps(Process.current().fields))
    sweep()
    assert len([*tmp_path.iterdir()]) == 2
    monkeypatch.setattr(Process, "is_alive", property(lambda _: False))
    sweep()
    assert [each.name for each in tmp_path.iterdir()] == ["pymp-of-another-program"]


def _wait_for(condition: "object", limit_s: float = 240) -> None:
    end = time.monotonic() + limit_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def _of_session(number: int) -> list[int]:
    """The processes of a session that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session, *_ = stat.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if int(session) == number and state != "Z":
            found.append(int(stat.parent.name))
    return found
