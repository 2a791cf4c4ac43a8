"""What is due, in which order, in which process; the processes are played by this one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from fsarctl.artifacts import Build, Store, Unit
from fsarctl.artifacts.command import Command, Option
from fsarctl.errors import FsarctlError, InputError
from fsarctl.execution import job_schedule
from fsarctl.execution.job_schedule import Goal, Scheduler
from fsarctl.execution.local import Ended

MACHINE = (Option("--device", ("cpu",)),)


@dataclass
class House:
    """Frames, trainings and evaluations of some shots, and what was run and said."""

    store: Store
    broken: set[str] = field(default_factory=set)
    waves: list[list[str]] = field(default_factory=list)
    here: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    units: dict[Command, list[Unit]] = field(default_factory=dict)
    _beside: bool = False

    def unit(self, stage: str, shot: int, apart: bool, adapted: bool = False, **inputs: Unit) -> Unit:
        slot = f"{stage} {shot} {'adapted' if adapted else ''}".rstrip()

        def build(given: Build) -> None:
            if slot in self.broken:
                raise InputError(f"{slot} cannot be")
            (given.folder / "made").write_text(slot)
            if not self._beside:
                self.here.append(slot)

        command = Command(stage, (Option("--shots", (str(shot),), several=True),))
        config = {"shot": shot, "adapted": adapted}
        unit = Unit(stage, 1, slot, command, config, build, inputs, apart=apart)
        self.units.setdefault(command, []).append(unit)
        return unit

    def chain(self, shot: int, frames: Unit) -> list[Unit]:
        train = self.unit("train", shot, True, frames=frames)
        frozen = self.unit("eval", shot, True, frames=frames)
        return [train, frozen, self.unit("eval", shot, True, adapted=True, frames=frames, adapters=train)]

    def run(
        self, commands: Mapping[Command, str], jobs: int, reporter: Any, options: Any
    ) -> dict[Command, Ended]:
        assert jobs == 2
        assert options == MACHINE
        self.waves.append([str(command) for command in commands])
        self._beside = True
        ended = {}
        for command in commands:
            try:
                self.store.realise_all(self.units[command], upstream=False)
                ended[command] = Ended(0, "")
            except FsarctlError as error:
                ended[command] = Ended(error.exit_code, error.message)
        self._beside = False
        return ended

    def note(self, message: str) -> None:
        self.said.append(message)

    def task(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("nothing here takes long")


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    house = House(Store(tmp_path / "cache"))
    monkeypatch.setattr(job_schedule, "run_commands", house.run)
    return house


@pytest.fixture
def scheduler(house: House) -> Callable[[int], Scheduler]:
    return lambda jobs: Scheduler(house.store, jobs, MACHINE, house)  # type: ignore[arg-type]


def test_trainings_run_beside_each_other_and_evaluations_after_them(house: House, scheduler: Any) -> None:
    frames = house.unit("extract", 0, apart=False)
    units = [frames, *house.chain(1, frames), *house.chain(5, frames)]
    outcomes = scheduler(2).make(units)
    assert house.here == ["extract 0"]
    # The frozen evaluation has the command of the other one, and so is not due before.
    assert house.waves == [
        ["fsarctl train --shots 5", "fsarctl train --shots 1"],
        ["fsarctl eval --shots 5", "fsarctl eval --shots 1"],
    ]
    assert [each.unit.slot for each in outcomes if each.made] == [unit.slot for unit in units]
    assert not any(each.made for each in scheduler(2).make(units))
    assert len(house.waves) == 2


def test_one_job_needs_no_other_process(house: House, scheduler: Any) -> None:
    units = house.chain(1, house.unit("extract", 0, apart=False))
    assert all(each.made for each in scheduler(1).make(units))
    assert house.waves == []


def test_the_first_failure_ends_a_run(house: House, scheduler: Any) -> None:
    frames = house.unit("extract", 0, apart=False)
    house.broken = {"train 5"}
    with pytest.raises(FsarctlError, match="fsarctl train --shots 5 ended with exit code 3"):
        scheduler(2).make([*house.chain(1, frames), *house.chain(5, frames)])
    assert len(house.waves) == 1


@pytest.mark.parametrize("jobs", [1, 2])
def test_goals_that_fail_take_no_other_with_them(house: House, scheduler: Any, jobs: int) -> None:
    frames = house.unit("extract", 0, apart=False)
    alone = Option("--set", ("eval.frozen=false",))
    goals = []
    for shot in (1, 3, 5):
        unit = house.chain(shot, frames)[-1]
        command = unit.command.with_options(alone)
        house.units[command] = [unit]
        goals.append(Goal(f"sweep: {shot}-shot", unit, command))
    house.broken = {"train 3"}
    assert scheduler(jobs).attempt(goals) == {"sweep: 3-shot": "train 3 cannot be"}
    assert "failed: sweep: 3-shot: train 3 cannot be" in house.said
    if jobs == 2:
        assert house.waves == [
            [f"fsarctl train --shots {shot}" for shot in (5, 3, 1)],
            [f"fsarctl eval --shots {shot} --set eval.frozen=false" for shot in (5, 1)],
        ]
        assert house.said[:2] == ["train: 3 to do, 2 at a time", "eval: 2 to do, 2 at a time"]
    done = [house.store.state(goal.unit).name for goal in goals]
    assert done == ["done", "waiting", "done"]
    house.broken, house.said = set(), []
    assert scheduler(jobs).attempt(goals) == {}
    assert scheduler(jobs).attempt(goals) == {}
    assert house.said[-1] == "nothing to do: 3 runs up to date"


def test_a_bug_in_one_goal_is_said_and_the_others_are_made(house: House, scheduler: Any) -> None:
    def stumble(_: Build) -> None:
        raise ZeroDivisionError("once more")

    good = house.unit("train", 1, True)
    bad = replace(house.unit("train", 3, True), build=stumble)
    failures = scheduler(1).attempt([Goal("bad", bad), Goal("good", good)])
    assert failures == {"bad": "ZeroDivisionError: once more"}
    assert house.store.find(good) is not None
