"""Speed is measured elsewhere; here each benchmark is run once, small, to see that it works."""

import math
import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
import torch

from fsarctl.video.decode_clip import decode_clip

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
Run: TypeAlias = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run benchmarks as if there were no GPU; gives the exit code and what was printed and said."""

    def of(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(sys, "argv", ["run.py", *words])
        monkeypatch.setattr(sys, "path", [*sys.path])
        try:
            runpy.run_path(str(BENCHMARKS / "run.py"), run_name="__main__")
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        return code, *capsys.readouterr()

    return of


@pytest.mark.slow
@pytest.mark.benchmark
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("extraction", "geometric mean of the five: two workers; one"),
        ("command_line", "fsarctl status, 300 clips"),
        ("precision", "shapes, predictions that are the same"),
        ("images", "340 x 256: images/s; torchvision"),
        ("many", "cache verify, a third damaged"),
        ("sweeping", "tiny, a fixed crop of a clip in training: row 'Task-Adapter++'; the first"),
        ("starting", "predict, tiny; import open_clip"),
        ("engines", "1,000: "),
        pytest.param("growth", "episodes of known clips, 32 -> 128", marks=pytest.mark.long),
    ],
)
def test_a_benchmark_of_processes_runs(run: Run, name: str, said: str) -> None:
    code, printed, _ = run("--quick", name)
    assert code == 0
    assert said in printed


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("evaluation", "tiny L = 2: GFLOP an episode"),
        ("spotting", "tiny L = 2: GFLOP a window"),
        pytest.param(
            "gpu", "training steps, bf16: GFLOP each", marks=[pytest.mark.slow, pytest.mark.benchmark]
        ),
        pytest.param(
            "training", "kept prefixes: GFLOP a step", marks=[pytest.mark.slow, pytest.mark.benchmark]
        ),
    ],
)
def test_a_benchmark_runs(run: Run, name: str, said: str) -> None:
    code, printed, _ = run("--quick", name)
    assert code == 0
    (line,) = [line for line in printed.splitlines() if said in line]
    # Operations are counted, not timed, so this does not depend on how busy the machine is.
    assert float(re.split(r"\s{2,}", line)[3]) > 1.5


@pytest.mark.parametrize("name", ["H.264, GOP 12", "VP9", "MPEG-4 in AVI"])
def test_what_extraction_is_compared_with_gives_the_same_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from practice import bare_decord, bare_pyav
    from videos import KINDS, make_video

    path = make_video(tmp_path / f"v{KINDS[name].ending}", KINDS[name], 40)
    kept = decode_clip(path, 8, 257).frames
    for loop in (bare_pyav, bare_decord):
        assert np.array_equal(loop(path, 8, 257), kept)


def test_the_page_at_scale_has_what_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from at_scale import JOBS, Figures, known, saturated, tables, total

    page = (BENCHMARKS.parents[1] / "docs" / "scale.md").read_text(encoding="utf-8")
    for table in tables():
        assert table in page, "python tests/benchmarks/at_scale.py"
    pairs = [len({one, other}) for one in range(3) for other in range(3)]
    assert known(2, clips=3) == pytest.approx(sum(pairs) / len(pairs))
    free = dict.fromkeys(Figures.__dataclass_fields__, 0.0) | {"bandwidth": math.inf, "names": math.inf}
    work = {"decode": 650_000, "episode": 12 * 10_000, "step": 1_000 * 10_000}
    for job, (cost, count) in zip(JOBS.values(), work.items(), strict=True):
        figures = Figures(**free | {cost: 1.0})
        for workers in (1, 4):  # which divide all of it
            assert total(job(figures, workers))[0] == pytest.approx(count / workers / 3600, rel=1e-3)
    slow = Figures(**free | {"decode": 1.0, "frames": 1.0, "bandwidth": 1 / 64})
    assert saturated(JOBS["decoding Kinetics-700, 650,000 clips"], Figures(**free | {"decode": 1.0})) == (
        0,
        "",
    )
    assert saturated(JOBS["decoding Kinetics-700, 650,000 clips"], slow)[0] == 1, "its bytes take 64 s a clip"


def test_without_a_gpu_its_benchmark_says_so(run: Run) -> None:
    code, printed, _ = run("gpu")
    assert code == 1
    assert "no GPU here" in printed
    assert len(printed.splitlines()) == 3, "the machine, an empty line, and why"


def test_an_unknown_benchmark_is_named(run: Run) -> None:
    code, _, said = run("speed")
    assert code == 2
    assert "'speed'" in said
