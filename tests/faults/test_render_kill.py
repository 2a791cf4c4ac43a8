"""Rendering processes end with the process that started them, and a kill of one is no bug report."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from pathlib import Path

import pytest

from fsarctl.datasets.shapes import rendering as rendering_module
from fsarctl.errors import FsarctlError
from fsarctl.progress import SILENT

CODE = """
import sys
from pathlib import Path
from fsarctl.datasets.shapes.rendering import render_split
from fsarctl.errors import FsarctlError
from fsarctl.progress import SILENT
if __name__ == "__main__":
    try:
        render_split(Path(sys.argv[1]), "test", 200, 0, 2, SILENT)
    except FsarctlError as error:
        sys.exit(error.message)
"""


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def rendering_under(pid: int) -> list[int]:
    """The workers: children of the fork server, which is one of this process, beside the resource tracker."""
    return [worker for child in children(pid) for worker in children(child)]


def wait_for(condition: Callable[[], object], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)


@pytest.fixture
def rendering(tmp_path: Path) -> subprocess.Popen[str]:
    script = tmp_path / "render.py"
    script.write_text(CODE)
    (tmp_path / "out").mkdir()
    words = [sys.executable, str(script), str(tmp_path / "out")]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: [*(tmp_path / "out").rglob("*.mp4")])
    return process


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="finds processes in /proc")
def test_workers_end_with_their_parent(rendering: subprocess.Popen[str]) -> None:
    workers = [*children(rendering.pid), *rendering_under(rendering.pid)]
    assert len(workers) >= 4
    rendering.kill()
    rendering.communicate()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), seconds=10)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="finds processes in /proc")
def test_a_killed_worker_is_said_plainly(rendering: subprocess.Popen[str]) -> None:
    for worker in rendering_under(rendering.pid):  # one that has nothing to do yet is replaced without a word
        os.kill(worker, signal.SIGKILL)
    _, said = rendering.communicate(timeout=60)
    assert said.strip() == "a process that renders videos was killed"


@pytest.mark.parametrize(
    ("script", "words", "step"),
    [
        ("if __name__ == '__main__': render()", "could not be kept alive", "goes on where it stopped"),
        ("render()", "each imports .*, which starts workers itself", 'under `if __name__ == "__main__":`'),
    ],
)
def test_workers_that_cannot_begin_are_no_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str, step: str
) -> None:
    """As those of a script that does not guard what it does when it is imported."""
    (tmp_path / "script.py").write_text(script)
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(tmp_path / "script.py"), raising=False)

    class Broken:
        def schedule(self, *_: object, **__: object) -> None:
            raise BrokenProcessPool("All workers expired")

    monkeypatch.setattr(rendering_module, "worker_pool", lambda workers: nullcontext(Broken()))
    with pytest.raises(FsarctlError, match=words) as caught:
        rendering_module.render_split(tmp_path, "test", 9, 0, 2, SILENT)
    assert step in caught.value.next_step
