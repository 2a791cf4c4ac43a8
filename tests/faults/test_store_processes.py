"""Two processes asked for the same key: one works, the other waits and then hits."""

import signal
import subprocess
import sys
import textwrap
import time

import pytest

from fsarctl.artifacts import Store, Unit
from fsarctl.artifacts.command import Command
from fsarctl.errors import LockError

CHILD = textwrap.dedent(
    """
    import os, sys, time
    from contextlib import contextmanager
    from pathlib import Path
    from fsarctl.artifacts import Store, Unit
    from fsarctl.artifacts.command import Command

    root = Path(sys.argv[1])

    class Loud:
        @contextmanager
        def task(self, description, total, unit, done=0):
            yield lambda amount=1, detail="": None
        def note(self, message):
            print(message, flush=True)

    def build(given):
        (root / f"build {os.getpid()}").touch()
        deadline = time.monotonic() + 300
        while not (root / "go").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        (given.folder / "frames").write_text("frames")

    unit = Unit("extract", 1, "extract k100", Command("extract"), {}, build)
    print(Store(root / "cache", reporter=Loud()).realise(unit).digest)
    """
)


@pytest.fixture
def start(tmp_path):
    started = []

    def child():
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, encoding="utf-8"
        )
        started.append(process)
        return process

    yield child
    for process in started:
        process.kill()
        process.communicate()


def builds(tmp_path):
    return list(tmp_path.glob("build *"))


def until(condition):
    end = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def test_one_works_the_others_wait_and_hit(tmp_path, start):
    maker = start()
    until(lambda: builds(tmp_path))
    waiters = [start(), start()]
    for waiter in waiters:
        assert waiter.stdout.readline().startswith(f"Process {maker.pid} on ")
    (tmp_path / "go").touch()
    digests = {process.communicate(timeout=300)[0].strip() for process in [maker, *waiters]}
    assert len(digests) == 1
    assert len(builds(tmp_path)) == 1


def test_a_lock_dies_with_its_process(tmp_path, start):
    maker = start()
    until(lambda: builds(tmp_path))
    waiter = start()
    assert "is making extract k100; waiting for it." in waiter.stdout.readline()
    maker.send_signal(signal.SIGKILL)
    until(lambda: len(builds(tmp_path)) == 2)
    (tmp_path / "go").touch()
    waiter.communicate(timeout=300)
    assert waiter.returncode == 0


def test_patience_ends_in_an_error(tmp_path, start):
    unit = Unit("extract", 1, "extract k100", Command("extract"), {}, print)
    maker = start()
    until(lambda: builds(tmp_path))
    with pytest.raises(LockError, match=f"Process {maker.pid} on .* is making extract k100") as error:
        Store(tmp_path / "cache", patience_s=0.2).realise(unit)
    assert error.value.exit_code == 6


def test_gc_leaves_what_another_process_is_making(tmp_path, start):
    start()
    until(lambda: builds(tmp_path))
    assert Store(tmp_path / "cache").gc([]) == []
    assert len(list((tmp_path / "cache" / "work").glob("*/*/folder"))) == 1
