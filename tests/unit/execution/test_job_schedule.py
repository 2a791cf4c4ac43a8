"""What is due, in which order, and who makes it; the engine is played by this process."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from fsarctl.artifacts import Build, Files, Parts, Store, Unit
from fsarctl.artifacts.command import Command, Option
from fsarctl.artifacts.hashes import HashMemory
from fsarctl.artifacts.process import Process
from fsarctl.datasets.findings import Findings
from fsarctl.errors import FsarctlError, InputError, UpstreamError
from fsarctl.execution.engine import Ended, Heard, Need, Task
from fsarctl.execution.job_schedule import Goal, Planned, Scheduler, planning
from fsarctl.progress import SILENT

MACHINE = (Option("--device", ("cpu",)),)


@dataclass
class House:
    """Frames, trainings and evaluations of some shots, and what was made where, and said."""

    store: Store
    broken: set[str] = field(default_factory=set)
    here: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    units: dict[str, Unit] = field(default_factory=dict)
    beside: bool = False

    def unit(
        self, stage: str, shot: int, apart: bool, adapted: bool = False, parts: int = 0, **inputs: Unit
    ) -> Unit:
        slot = f"{stage} {shot} {'adapted' if adapted else ''}".rstrip()

        def left(given: Build) -> list[int]:
            return [number for number in range(parts) if not (given.scratch / str(number)).exists()]

        def begin(given: Build) -> Callable[[int], None]:
            return lambda number: (given.scratch / str(number)).write_text(f"{slot} {number};") and None

        def build(given: Build) -> None:
            if slot in self.broken:
                raise InputError(f"{slot} cannot be")
            if not self.beside:
                self.here.append(slot)
            make = begin(given)
            for number in left(given):
                make(number)
            (given.folder / "made").write_text(slot)
            (given.folder / "parts").write_text(
                "".join((given.scratch / str(n)).read_text() for n in range(parts))
            )

        command = Command(stage, (Option("--shots", (str(shot),), several=True),))
        config = {"shot": shot, "adapted": adapted}
        divides = Parts(left, begin) if parts else None
        unit = Unit(stage, 1, slot, command, config, build, inputs, apart=apart, parts=divides)
        return self.units.setdefault(slot, unit)

    def chain(self, shot: int, frames: Unit) -> list[Unit]:
        train = self.unit("train", shot, True, frames=frames)
        frozen = self.unit("eval", shot, True, frames=frames)
        return [train, frozen, self.unit("eval", shot, True, adapted=True, frames=frames, adapters=train)]

    def note(self, message: str) -> None:
        self.said.append(message)

    def task(self, *given: Any, **__: Any) -> Any:
        self.said.append(f"bar: {given[0]}, {given[1]} {given[2]}s")
        return SILENT.task("", 0, "")


class Played:
    """An engine that makes what it is given in this process, the first one first."""

    goes_on = False

    def __init__(self, house: House, jobs: int = 2, is_elsewhere: bool = False) -> None:
        self.house, self.jobs, self.is_elsewhere = house, jobs, is_elsewhere
        self.waiting: list[Task] = []
        self.given: list[list[str]] = []
        self.needs: list[Need] = []
        self.signs: list[str] = []
        self.over = 0

    def tasks_of(self, parts: int) -> int:
        return 2

    def begin(self, heard: Heard) -> None:
        self.heard = heard

    def start(self, tasks: Sequence[Task]) -> None:
        self.given.append([f"{each.title} {[*each.parts]}" if each.parts else each.title for each in tasks])
        assert all(each.arguments[-2:] == ("--device", "cpu") for each in tasks)
        self.needs += [each.need for each in tasks]
        self.waiting += map(Task.parse, (each.text for each in tasks))

    def ended(self) -> list[tuple[Task, Ended]]:
        task = self.waiting.pop(0)
        sign = Path(task.place.sign)
        self.signs.append(sign.name if sign.is_file() else "")
        unit = next(
            each for each in self.house.units.values() if self.house.store.state(each).key == task.key
        )
        self.house.beside = True
        ended = Ended()
        try:
            if task.parts and unit.parts:
                with self.house.store.parts(unit) as build:
                    make = unit.parts.begin(build)
                    for part in task.parts:
                        make(part)
                        self.heard(task, {"part": part})
            else:
                self.house.store.realise(unit)
        except FsarctlError as error:
            ended = Ended(error.exit_code, error.message, error.next_step)
        self.house.beside = False
        return [(task, ended)]

    def end(self) -> None:
        self.over += 1


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(Store(tmp_path / "cache"))


def scheduler(house: House, engine: Played | None = None) -> Scheduler:
    return Scheduler(house.store, engine, lambda verb: MACHINE, house)


def test_what_is_due_runs_as_soon_as_what_it_reads_is_there(house: House) -> None:
    frames = house.unit("extract", 0, apart=False)
    units = [frames, *house.chain(1, frames), *house.chain(5, frames)]
    engine = Played(house)
    outcomes = scheduler(house, engine).make(units)
    assert house.here == ["extract 0"]
    assert engine.given == [
        ["eval 5", "train 5", "eval 1", "train 1"],
        ["eval 5 adapted"],
        ["eval 1 adapted"],
    ]
    assert engine.over == 1
    assert len(engine.signs) == 6
    assert all(Process.current().mark in sign for sign in engine.signs), "gc sees when it has ended"
    assert [each.unit.slot for each in outcomes if each.made] == [unit.slot for unit in units]
    assert not any(each.made for each in scheduler(house, engine).make(units))
    assert len(engine.given) == 3


def test_the_engine_is_at_work_while_something_is_made_here(house: House) -> None:
    engine = Played(house)
    at_work: list[int] = []

    def build(given: Build) -> None:
        at_work.append(len(engine.waiting))
        (given.folder / "made").touch()

    described = replace(house.unit("describe", 1, False), build=build)
    scheduler(house, engine).make([described, house.unit("train", 1, True)])
    assert at_work == [1]


def test_without_an_engine_all_is_made_here(house: House) -> None:
    units = house.chain(1, house.unit("extract", 0, apart=False))
    assert all(each.made for each in scheduler(house).make(units))
    assert len(house.here) == 4


def test_the_first_failure_ends_a_run(house: House) -> None:
    frames = house.unit("extract", 0, apart=False)
    house.broken = {"train 5"}
    engine = Played(house)
    with pytest.raises(FsarctlError, match="train 5 cannot be") as raised:
        scheduler(house, engine).make([*house.chain(1, frames), *house.chain(5, frames)])
    assert raised.value.exit_code == InputError.exit_code
    assert engine.over == 1


def test_what_is_asked_for_alone_needs_its_upstream(house: House) -> None:
    unit = house.chain(1, house.unit("extract", 0, apart=False))[0]
    with pytest.raises(UpstreamError, match="needs extract 0"):
        scheduler(house, Played(house)).make([unit], upstream=False)


def test_a_unit_is_divided_where_more_can_work_than_there_are_units(house: House, tmp_path: Path) -> None:
    frames = house.unit("extract", 0, apart=False, parts=3)
    scores = house.unit("eval", 1, True, parts=3, frames=frames)
    engine = Played(house, jobs=4, is_elsewhere=True)
    engine.goes_on = True
    scheduler(house, engine).make([scores])
    assert engine.given == [
        ["extract 0 [0, 1]", "extract 0 [2]"], ["extract 0"], ["eval 1 [0, 1]", "eval 1 [2]"], ["eval 1"],
    ]  # fmt: skip
    assert all(engine.signs), "what is elsewhere finds a file that was written here"
    assert not any(Process.current().mark in sign for sign in engine.signs), "what goes on needs it"
    assert not list((tmp_path / "cache").glob(".seen*"))
    assert house.said == ["bar: extract 0, 3 parts", "bar: eval 1, 3 parts"]

    alone = House(Store(tmp_path / "alone"))
    whole = alone.unit("eval", 1, True, parts=3, frames=alone.unit("extract", 0, apart=False, parts=3))
    scheduler(alone).make([whole])
    assert [each.digest for each in alone.store.artifacts()] == [
        each.digest for each in house.store.artifacts()
    ]


def test_units_that_are_divided_take_turns(house: House) -> None:
    """So that each has workers of its own, where an engine lets them go on with what they have loaded."""
    frames = house.unit("extract", 0, apart=False)
    units = [house.unit("eval", shot, True, parts=3, frames=frames) for shot in (1, 5)]
    engine = Played(house, jobs=4)
    scheduler(house, engine).make(units)
    assert engine.given[0] == ["eval 5 [0, 1]", "eval 1 [0, 1]", "eval 5 [2]", "eval 1 [2]"]
    assert set(engine.needs) == {Need(cores=1, gpus=1)}, "each block has a GPU, if there are any"


def test_parts_that_are_there_are_not_made_again(house: House) -> None:
    unit = house.unit("eval", 1, True, parts=5)
    assert unit.parts is not None
    with house.store.parts(unit) as build:
        for part in (0, 3):
            unit.parts.begin(build)(part)
    engine = Played(house, jobs=4)
    scheduler(house, engine).make([unit])
    assert engine.given == [["eval 1 [1, 2]", "eval 1 [4]"], ["eval 1"]]


@pytest.mark.parametrize("beside", [False, True])
def test_goals_that_fail_take_no_other_with_them(house: House, beside: bool) -> None:
    frames = house.unit("extract", 0, apart=False)
    goals = [Goal(f"sweep: {shot}-shot", house.chain(shot, frames)[-1]) for shot in (1, 3, 5)]
    house.broken = {"train 3"}
    engine = Played(house) if beside else None
    assert scheduler(house, engine).attempt(goals) == {"sweep: 3-shot": "train 3 cannot be"}
    assert "failed: sweep: 3-shot: train 3 cannot be" in house.said
    if engine:
        first = [f"sweep: {shot}-shot" for shot in (5, 3, 1)]
        assert engine.given == [first, ["sweep: 5-shot"], ["sweep: 1-shot"]]
    done = [house.store.state(goal.unit).name for goal in goals]
    assert done == ["done", "waiting", "done"]
    house.broken, house.said = set(), []
    assert scheduler(house, engine).attempt(goals) == {}
    assert scheduler(house, engine).attempt(goals) == {}
    assert house.said[-1] == "nothing to do: 3 runs up to date"


def test_what_fails_here_takes_no_goal_of_an_engine_with_it(house: House) -> None:
    """Of three goals one needs a description that nobody answers for; it is asked for once."""

    def refuse(_: Build) -> None:
        house.here.append("refused")
        raise InputError("nobody answers")

    described = replace(house.unit("describe", 3, False), build=refuse)
    goals = [Goal(f"{shot}-shot", house.unit("train", shot, True)) for shot in (1, 5)]
    goals[1:1] = [
        Goal(name, house.unit("eval", shot, True, texts=described)) for name, shot in [("3", 3), ("4", 4)]
    ]
    engine = Played(house)
    assert scheduler(house, engine).attempt(goals) == {"3": "nobody answers", "4": "nobody answers"}
    assert house.here == ["refused"]
    assert [house.store.state(goal.unit).name for goal in goals] == ["done", "waiting", "waiting", "done"]
    with pytest.raises(InputError, match="nobody answers"):
        scheduler(house, engine).make([goal.unit for goal in goals])


def test_goals_are_looked_at_once(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many read the same files: to ask for each file anew was most of a large sweep's time."""
    (tmp_path / "clip").write_text("a clip")
    asked: list[list[str]] = []
    sha256 = HashMemory.sha256

    def counted(self: HashMemory, paths: Iterable[str], *rest: Any, **more: Any) -> dict[str, str]:
        asked.append(named := [*paths])
        return sha256(self, named, *rest, **more)

    monkeypatch.setattr(HashMemory, "sha256", counted)
    for count in (2, 12):
        units = [house.unit("train", count * 100 + shot, True) for shot in range(count)]
        goals = [
            Goal(unit.slot, replace(unit, inputs={"clips": Files({"clip": tmp_path / "clip"})}))
            for unit in units
        ]
        asked.clear()
        scheduler(house)._hopeless(goals)
        assert len([paths for paths in asked if paths]) == 1


def test_a_bug_in_one_goal_is_said_and_the_others_are_made(house: House) -> None:
    def stumble(_: Build) -> None:
        raise ZeroDivisionError("once more")

    good = house.unit("train", 1, True)
    bad = replace(house.unit("train", 3, True), build=stumble)
    failures = scheduler(house).attempt([Goal("bad", bad), Goal("good", good)])
    assert failures == {"bad": "ZeroDivisionError: once more"}
    assert house.store.find(good) is not None


def test_in_a_worker_nothing_is_made_but_known(house: House) -> None:
    frames = house.unit("extract", 0, apart=False)
    train = house.chain(1, frames)[0]
    with planning(SILENT, Findings()):
        with pytest.raises(Planned) as planned:
            scheduler(house).make([train])
        with pytest.raises(Planned):
            scheduler(house).attempt([Goal("train", train)])
    assert house.here == []
    key = house.store.state(frames).key
    assert planned.value.find("extract", key or "") is frames
    assert planned.value.find("train", key or "") is None
    assert planned.value.is_waiting("train")
    house.store.realise(frames)
    assert planned.value.find("train", house.store.state(train).key or "") is train
