"""Workers import the script that starts them."""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from made_clips import read_seed

from fsarctl.errors import FsarctlError
from fsarctl.video.processes.decoding_pool import Failure, decode_all
from fsarctl.video.processes.worker_pool import not_kept_alive

SCRIPT = """
import multiprocessing
multiprocessing.get_context("forkserver").Process(target=print).start()
"""
GUARD = 'if __name__ == "__main__":'


def decoded(folder: Path) -> int:
    (folder / "7").write_text("7")
    (answer,) = [answer for _, answer in decode_all([(0, folder / "7")], read_seed, 4, 18, 1, 60)]
    assert not isinstance(answer, Failure)
    return int(np.prod(answer.frames.shape))


def test_a_script_that_asks_nothing_is_named_and_the_next_step_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "mine.py"
    main = ModuleType("__main__")
    main.__file__ = str(script)
    monkeypatch.setitem(sys.modules, "__main__", main)
    script.write_text(SCRIPT)
    with pytest.raises(FsarctlError, match=f"each imports {script}") as caught:
        decoded(tmp_path)
    assert caught.value.next_step == f"Put what mine.py does under `{GUARD}`."
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    script.write_text(f"{GUARD}{SCRIPT}".replace("\n", "\n    "))
    assert decoded(tmp_path) == 4 * 18 * 18 * 3


def test_workers_that_end_otherwise_are_no_script_s_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "mine.py"
    script.write_text(GUARD)
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(script), raising=False)
    error = not_kept_alive(RuntimeError("All workers expired"))
    assert error.message == "the worker processes could not be kept alive (All workers expired)"
    assert error.next_step.startswith("Run it again")
    monkeypatch.delattr(sys.modules["__main__"], "__file__")  # a notebook
    assert not_kept_alive(None).next_step == error.next_step
