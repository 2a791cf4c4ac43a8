"""What the Slurm engine makes of what becomes of its jobs; Slurm is played by this process."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from fsarctl.config.tables import SlurmConfig
from fsarctl.errors import ConfigError
from fsarctl.execution import slurm
from fsarctl.execution.engine import Ended, Need, Place, Task
from fsarctl.execution.slurm import Call, Record, SlurmEngine, jobs_under_way, name_of_log, records

TASK = Task("eval mine 1-shot frozen", "evaluate", "0123456789abcdef", ("eval",), Place("/"))


class PlayedSlurm:
    """Numbers jobs from 1; what is ``gone`` is in no queue, with a state in the accounts."""

    def __init__(self) -> None:
        self.arrays: list[list[Call]] = []
        self.needs: list[Need] = []
        self.gone: dict[str, str] = {}
        self.cancelled: list[str] = []
        self.answers = True
        self.left: dict[str, str] = {}

    def require(self) -> None: ...

    def most_in_array(self) -> int:
        return 2

    def submit(self, calls: Sequence[Call], need: Need) -> list[str]:
        first = 1 + sum(map(len, self.arrays))
        self.arrays.append([*calls])
        self.needs.append(need)
        return [str(number) for number in range(first, first + len(calls))]

    def alive(self) -> dict[str, str] | None:
        submitted = [str(1 + number) for number in range(sum(map(len, self.arrays)))]
        running = {job: "RUNNING" for job in submitted if job not in self.gone}
        return {**running, **self.left} if self.answers else None

    def state(self, job: str) -> str:
        return self.gone[job]

    def cancel(self, jobs: Sequence[str]) -> None:
        self.cancelled += jobs

    def say(self, job: int, ended: Ended) -> None:
        """What a job writes last."""
        call = [call for array in self.arrays for call in array][job - 1]
        Path(f"{call.log}.ended.json").write_text(json.dumps(asdict(ended)))


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> PlayedSlurm:
    monkeypatch.setattr(slurm, "LOOK_S", 0.0)
    monkeypatch.setattr(slurm, "ASK_S", 0.0)
    return PlayedSlurm()


@pytest.fixture
def begun(played: PlayedSlurm, tmp_path: Path) -> Callable[[], tuple[SlurmEngine, list[str]]]:
    def begin() -> tuple[SlurmEngine, list[str]]:
        engine = SlurmEngine(SlurmConfig(array=8), 5, tmp_path, played)  # type: ignore[arg-type]
        said: list[str] = []
        engine.begin(lambda task, message: said.append(message["note"]))
        return engine, said

    return begin


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"memory_gib": float("inf")}, "slurm.memory_gib is inf; it must be 0 or more"),
        ({"options": {"bad key": "x"}}, "slurm.options has 'bad key'; it must be a long option of sbatch"),
        ({"options": {"array": "0-9"}}, "slurm.options has 'array'; it must be a long option of sbatch"),
        ({"options": {"cpus_per_task": "2"}}, "slurm.options has 'cpus_per_task'; it must be a long"),
        ({"partition": "gpu\n#SBATCH --time=1"}, "slurm has a line break"),
        ({"options": {"comment": "a\nb"}}, "slurm has a line break"),
    ],
)
def test_what_would_make_another_job_of_it_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        SlurmConfig(**settings)


def test_arrays_are_of_what_asks_for_the_same_and_cut_at_their_most(played: PlayedSlurm, begun: Any) -> None:
    engine, _ = begun()
    parts = [replace(TASK, parts=(number,)) for number in range(3)]
    engine.start([*parts, replace(TASK, key="fedcba9876543210", need=Need(gpus=1))])
    assert [len(array) for array in played.arrays] == [2, 1, 1]
    assert [need.gpus for need in played.needs] == [0, 0, 1]
    assert Task.parse(played.arrays[1][0].text) == parts[2]
    assert [engine.tasks_of(each) for each in (3, 100)] == [3, 8]
    played.say(2, Ended())
    played.say(4, Ended(3, "no such thing", "Do another"))
    ended = {task.key: task.parts for task, each in engine.ended() if not each.exit_code}
    assert ended == {TASK.key: (1,)}
    engine.end()
    assert sorted(played.cancelled) == ["1", "3"], "what is under way"


def test_only_jobs_that_have_said_something_are_looked_at(
    played: PlayedSlurm, begun: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, _ = begun()
    engine.start([replace(TASK, parts=(number,)) for number in range(6)])
    asked: list[str] = []
    end = SlurmEngine._end
    monkeypatch.setattr(SlurmEngine, "_end", lambda self, job: asked.append(job) or end(self, job))
    played.say(4, Ended())
    assert [task.parts for task, _ in engine.ended()] == [(3,)]
    assert asked == ["4"]


def test_a_failure_says_its_job_and_log(played: PlayedSlurm, begun: Any) -> None:
    engine, _ = begun()
    engine.start([TASK])
    played.say(1, Ended(3, "the loss is nan", "Lower train.lr"))
    [(_, ended)] = engine.ended()
    assert ended.error.startswith("the loss is nan (job 1, log: ")
    assert ended.error.endswith("/logs/slurm/eval-mine-1-shot-frozen-01234567.log)")
    assert (ended.exit_code, ended.next_step) == (3, "Lower train.lr")


def test_a_job_that_is_gone_without_a_word_is_submitted_again_three_times_at_most(
    played: PlayedSlurm, begun: Any
) -> None:
    engine, said = begun()
    engine.start([TASK])
    played.gone = {"1": "NODE_FAIL", "2": "TIMEOUT", "3": "FAILED"}
    [(_, ended)] = engine.ended()
    assert len(said) == 2
    assert said[0] == "job 1 ended (NODE_FAIL) before eval mine 1-shot frozen was there; once more"
    assert "job 3, at eval mine 1-shot frozen, ended (FAILED); it has not begun to write" in ended.error
    assert "nodes see this folder" in ended.next_step
    assert ended.lost


def test_what_a_job_printed_that_did_not_begin_is_said(
    played: PlayedSlurm, begun: Any, tmp_path: Path
) -> None:
    """A line of `setup` that fails, for one."""
    engine, _ = begun()
    out = tmp_path / slurm.LOGS / "submitit" / "3_0_log.out"
    out.parent.mkdir()
    out.write_text("100.sh: line 15: module: command not found\n\n")
    engine.start([TASK])
    played.gone = {"1": "FAILED", "2": "FAILED", "3": "FAILED"}
    [(_, ended)] = engine.ended()
    assert f"and printed '100.sh: line 15: module: command not found' ({out})" in ended.error
    assert "setup" in ended.next_step


@pytest.mark.parametrize(
    ("state", "words"), [("OUT_OF_MEMORY", "ran out of memory"), ("CANCELLED", "was cancelled")]
)
def test_what_another_try_does_not_mend_is_not_tried_again(
    played: PlayedSlurm, begun: Any, state: str, words: str
) -> None:
    engine, said = begun()
    engine.start([TASK])
    played.gone = {"1": state}
    [(_, ended)] = engine.ended()
    assert words in ended.error
    assert (len(played.arrays), said) == (1, [])


def test_while_slurm_does_not_answer_nothing_is_lost(
    played: PlayedSlurm, begun: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, said = begun()
    engine.start([TASK])
    played.answers, played.gone = False, {"1": "FAILED"}
    looks: list[float] = []

    def look(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 20:
            played.say(1, Ended())

    monkeypatch.setattr(slurm.time, "sleep", look)
    assert [ended.exit_code for _, ended in engine.ended()] == [0]
    assert said == []


def test_a_command_that_was_killed_goes_on_with_the_jobs_that_it_left(
    played: PlayedSlurm, begun: Any, tmp_path: Path
) -> None:
    first, _ = begun()
    done = replace(TASK, parts=(2,))
    first.start([replace(TASK, parts=(0,)), replace(TASK, parts=(1,)), done])
    played.say(3, Ended())
    played.gone = {"2": "NODE_FAIL"}
    second, said = begun()
    assert [each.job for each in records(tmp_path)] == ["1", "3"], "of the living"
    second.start([replace(TASK, parts=(0,)), replace(TASK, parts=(1,))])
    assert said == ["job 1, submitted before, is at eval mine 1-shot frozen"]
    assert [len(array) for array in played.arrays] == [2, 1, 1]


def test_jobs_are_not_forgotten_because_slurm_does_not_answer(
    played: PlayedSlurm, begun: Any, tmp_path: Path
) -> None:
    engine, _ = begun()
    engine.start([TASK])
    before = records(tmp_path)
    assert [each.job for each in before] == ["1"]
    played.answers = False  # and the command was killed, without an end
    again, _ = begun()
    assert records(tmp_path) == before
    again.start([TASK])
    assert len(played.arrays) == 1, "it is at work already"


def test_jobs_are_listed_as_they_stand(
    played: PlayedSlurm, begun: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    engine, _ = begun()
    engine.start([TASK, replace(TASK, parts=(7, 8))])
    played.say(1, Ended())
    with (tmp_path / slurm.LOGS / slurm.JOBS).open("a") as file:
        file.write('{"job": "9", "ti')
    monkeypatch.setattr(slurm, "Slurm", lambda *_: played)
    assert [(job.job, state) for job, state in jobs_under_way(tmp_path)] == [("2", "RUNNING")]
    played.answers = False
    assert [(job.job, state) for job, state in jobs_under_way(tmp_path)] == [("2", "submitted")]


def test_logs_are_named_after_what_is_made() -> None:
    assert name_of_log(replace(TASK, parts=(3, 4, 5))) == "eval-mine-1-shot-frozen-01234567-parts-3-5.log"
    hostile = replace(TASK, title="eval ../../x\n" + "y" * 500)
    name = name_of_log(hostile)
    assert "/" not in name
    assert len(name) < 120
    assert not Record("1", "", log="nowhere").has_ended
