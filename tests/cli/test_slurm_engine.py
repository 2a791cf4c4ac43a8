"""`--engine slurm` on a Slurm of one machine, whose jobs run out of time, give way and die."""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import submitit
from fake_slurm import FakeSlurm, Step, slurm_of_one_machine
from typed import Typed, type_in

from fsarctl.config.tables import SlurmConfig
from fsarctl.execution import slurm
from fsarctl.execution.engine import Need
from fsarctl.execution.slurm_commands import Slurm

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it looks for processes in /proc")

FILE = """
[datasets.clips]
kind = "folder"
root = "clips"
[model]
backbone = "tiny"
weights = "shipped"
strategy = "frozen"
[describe]
missing = "label"
[eval]
way = 2
[execution.slurm]
array = 3
"""


@pytest.fixture
def project(tmp_path: Path, tiny_video: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose test split has three shards."""
    monkeypatch.setattr(slurm, "LOOK_S", 0.05)
    monkeypatch.setattr(slurm, "ASK_S", 0.2)
    folder = tmp_path / "project"
    for split, clips in (("train", 1), ("val", 1), ("test", 20)):
        for label in ("one", "two"):
            place = folder / "clips" / split / f"{split} {label}"
            place.mkdir(parents=True)
            for number in range(clips):
                shutil.copy(tiny_video, place / f"{number:02}.mp4")
    (folder / "fsarctl.toml").write_text(FILE)
    return folder


def test_a_machine_without_slurm_is_refused_before_anything_is_loaded(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsarctl.stages.predict.Setup.ready", lambda *_, **__: pytest.fail("it is loaded"))
    line = "fsarctl predict --support clips/test --frozen --engine slurm clips/test"
    assert "--engine slurm needs sbatch" in type_in(project, line, expect=3, PATH="/nowhere").stderr


def contents(cache: Path) -> dict[str, bytes]:
    paths = [each for each in cache.glob("artifacts/**/*") if each.is_file() and each.name != "manifest.json"]
    return {str(each.relative_to(cache)): each.read_bytes() for each in sorted(paths)}


def typed_on(fake: FakeSlurm, project: Path, line: str, **how: Any) -> Typed:
    return type_in(project, line, PATH=f"{fake.folder / 'bin'}:{os.environ['PATH']}", **how)


def logs(project: Path) -> dict[str, str]:
    return {each.name: each.read_text() for each in (project / "cache/logs/slurm").glob("*.log")}


@pytest.mark.slow
def test_what_runs_out_of_time_gives_way_or_dies_is_made_all_the_same(project: Path, tmp_path: Path) -> None:
    def fate(step: Step) -> str:
        if step.tries > 1 or step.job == "103":
            return ""
        begun = "job 100_0 on" in "".join(logs(project).values())
        return {"100_0": "timeout" if begun else "", "100_1": "preempt", "101": "node_fail"}.get(step.job, "")

    with slurm_of_one_machine(tmp_path / "slurm", fate) as fake:
        said = typed_on(fake, project, "fsarctl extract --engine slurm").stderr
        states, tries = fake.states, {job: step.tries for job, step in fake.steps.items()}
        flags = fake.flags["100"]
    assert "1 artifact made" in said
    assert flags["array"] == "0-1%2", "MaxArraySize is 2, and three jobs are needed"
    assert flags["time"] == "240"
    assert states["100_0"] == "COMPLETED"
    assert tries["100_0"] == 2, "the same job, put into the queue again"
    assert states["101"] == "NODE_FAIL"
    assert "job 101 ended (NODE_FAIL) before extract clips/test was there; once more" in said
    assert not {"FAILED", "TIMEOUT", "CANCELLED"} & {*states.values()}
    names = logs(project)
    ends = sorted(name.partition("-parts-")[2] for name in names)
    assert ends == ["", "0-0.log", "1-1.log", "2-2.log"]
    assert all(name.startswith("extract-clips-test-") for name in names)
    assert "once more" not in typed_on(fake, project, "fsarctl extract --engine slurm").stderr
    type_in(project, "fsarctl extract --cache alone")
    assert contents(project / "cache") == contents(project / "alone")


class OnThisMachine(Slurm):
    """Jobs of submitit's local executor, which sends them the warnings that Slurm would."""

    def __init__(self, folder: Path) -> None:
        super().__init__(SlurmConfig(), 2, folder)
        self.jobs: dict[str, Any] = {}

    def require(self) -> None: ...

    def most_in_array(self) -> int:
        return 1000

    def submit(self, calls: Sequence[Callable[[], None]], need: Need) -> list[str]:
        executor = submitit.LocalExecutor(self._folder / "submitit")
        executor.update_parameters(timeout_min=5)
        jobs = [executor.submit(call) for call in calls]
        self.jobs |= {str(job.job_id): job for job in jobs}
        return [str(job.job_id) for job in jobs]

    def alive(self) -> dict[str, str]:
        return {number: "RUNNING" for number, job in self.jobs.items() if not job.done()}

    def cancel(self, jobs: Sequence[str]) -> None:
        for number in jobs:
            self.jobs[number].cancel()


@pytest.mark.slow
def test_submitits_local_executor_makes_the_same(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[OnThisMachine] = []

    def on_this_machine(config: SlurmConfig, jobs: int, folder: Path) -> OnThisMachine:
        made.append(OnThisMachine(folder))
        return made[-1]

    monkeypatch.setattr(slurm, "Slurm", on_this_machine)
    assert "1 artifact made" in type_in(project, "fsarctl extract --engine slurm").stderr
    type_in(project, "fsarctl extract --cache alone")
    assert contents(project / "cache") == contents(project / "alone")
    [executor] = made
    assert len(executor.jobs) == 4, "three parts, and what puts them together"
    for job in executor.jobs.values():
        job.wait()


@pytest.mark.slow
def test_a_detached_command_is_a_job_that_submits_the_others(project: Path, tmp_path: Path) -> None:
    with slurm_of_one_machine(tmp_path / "slurm", slots=0) as fake:
        said = typed_on(fake, project, "fsarctl extract --engine slurm --detach")
        assert said.stdout == "100\n"
        shown = json.loads(typed_on(fake, project, "fsarctl status --json").stdout)
        assert [each["job"] for each in shown["jobs"]][:1] == ["100"]
        assert shown["jobs"][0]["what"] == "fsarctl extract --engine slurm"
        assert "job 100: fsarctl extract" in typed_on(fake, project, "fsarctl status").stdout
        fake.slots = 3
        end = time.monotonic() + 120
        while fake.states.get("100") != "COMPLETED" and time.monotonic() < end:
            time.sleep(0.05)
        assert fake.states["100"] == "COMPLETED", logs(project)
        assert len(fake.states) > 1
        assert json.loads(typed_on(fake, project, "fsarctl status --json").stdout)["jobs"] == []
    assert "up to date" in type_in(project, "fsarctl extract").stderr


def test_what_slurm_refuses_or_is_not_there_is_said(project: Path, tmp_path: Path) -> None:
    with slurm_of_one_machine(tmp_path / "slurm") as fake:
        words = "fsarctl extract --engine slurm --set execution.slurm.partition=nowhere"
        said = typed_on(fake, project, words, expect=3).stderr
        assert "Slurm refused the jobs: invalid partition specified: nowhere" in said
    said = type_in(project, "fsarctl extract --engine slurm", expect=3).stderr
    assert "needs sbatch" in said
    assert "--detach is for" in type_in(project, "fsarctl extract --detach", expect=2).stderr


def test_little_memory_is_not_all_that_a_node_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which --mem=0 would be."""
    with slurm_of_one_machine(tmp_path / "slurm", slots=0) as fake:
        monkeypatch.setenv("PATH", f"{fake.folder / 'bin'}:{os.environ['PATH']}")
        Slurm(SlurmConfig(memory_gib=0.0001), 1, tmp_path).submit([print], Need())
        asked = json.loads((fake.folder / "jobs" / "100.json").read_text())
    assert asked["flags"]["mem"] == "1M"
