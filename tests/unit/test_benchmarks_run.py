"""Speed is measured elsewhere; here each benchmark is run once, small, to see that it works."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fsarctl.video.decode import decode_clip

ROOT = Path(__file__).parents[2]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    places = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, str(ROOT / "tests" / "benchmarks" / "run.py"), *words],
        env={**os.environ, "PYTHONPATH": places, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("extraction", "geometric mean of the five: two workers; one"),
        ("command_line", "fsarctl status, 300 clips"),
        ("precision", "shapes, predictions that are the same"),
        ("growth", "episodes of known clips, 32 -> 128"),
    ],
)
def test_a_benchmark_of_processes_runs(name: str, said: str) -> None:
    done = run("--quick", name)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("evaluation", "tiny L = 2: GFLOP an episode"),
        ("gpu", "training steps, bf16: GFLOP each"),
        pytest.param("training", "kept prefixes: GFLOP a step", marks=pytest.mark.slow),
    ],
)
def test_a_benchmark_runs(name: str, said: str) -> None:
    done = run("--quick", name)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if said in line]
    # Operations are counted, not timed, so this does not depend on how busy the machine is.
    assert float(re.split(r"\s{2,}", line)[3]) > 1.5


@pytest.mark.parametrize("name", ["H.264, GOP 12", "VP9", "MPEG-4 in AVI"])
def test_what_extraction_is_compared_with_gives_the_same_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "benchmarks"))
    from practice import bare_decord, bare_pyav
    from videos import KINDS, make_video

    path = make_video(tmp_path / f"v{KINDS[name].ending}", KINDS[name], 40)
    kept = decode_clip(path, 8, 257).frames
    for loop in (bare_pyav, bare_decord):
        assert np.array_equal(loop(path, 8, 257), kept)


def test_without_a_gpu_its_benchmark_says_so() -> None:
    done = run("gpu")
    assert done.returncode == 1
    assert "no GPU here" in done.stdout
    assert len(done.stdout.splitlines()) == 3, "the machine, an empty line, and why"


def test_an_unknown_benchmark_is_named() -> None:
    done = run("speed")
    assert done.returncode == 2
    assert "'speed'" in done.stderr
