"""What runs beside what on one machine, and what a lost worker costs; the processes are played."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fsarctl.config.tables import ExecutionConfig
from fsarctl.errors import ConfigError, FsarctlError
from fsarctl.execution import engine as engine_module
from fsarctl.execution import local
from fsarctl.execution.engine import Ended, Need, Place, Task, divided
from fsarctl.execution.engines import engine_of
from fsarctl.execution.local import LocalEngine, gpus_here

TASK = Task("train", "train", "a", ("train",), Place("/"), need=Need(1, 1.0, 0))


class Played:
    """A worker whose tasks end when the test says so; ``begun``: (key, its environment) in order."""

    begun: list[tuple[str, Mapping[str, str]]]
    goes: dict[str, threading.Event]
    ends: dict[str, list[Ended]]
    changed: threading.Condition

    def __init__(self, more: Mapping[str, str]) -> None:
        self.more = more

    def perform(self, task: Task, heard: Callable[[Mapping[str, Any]], None]) -> Ended:
        with Played.changed:
            Played.begun.append((task.key, self.more))
            Played.changed.notify_all()
        Played.goes.setdefault(task.key, threading.Event()).wait(300)
        return (Played.ends.get(task.key) or [Ended()]).pop(0)

    def stop(self) -> list[Any]:
        for event in Played.goes.values():
            event.set()
        return []

    def close(self) -> None: ...


@pytest.fixture(autouse=True)
def played(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "WorkerProcess", Played)
    Played.begun, Played.goes, Played.ends, Played.changed = [], {}, {}, threading.Condition()


def tasks(*keys: str, **need: Any) -> list[Task]:
    for key in keys:
        Played.goes[key] = threading.Event()
    return [replace(TASK, key=key, need=replace(TASK.need, **need)) for key in keys]


def running(count: int) -> list[str]:
    """The keys that were begun, once there are so many."""
    with Played.changed:
        assert Played.changed.wait_for(lambda: len(Played.begun) >= count, 300)
        return sorted(key for key, _ in Played.begun)


def at_work(engine: LocalEngine) -> list[str]:
    """What was handed out and has not ended."""
    return sorted(hand.task.key for hand in engine._hands if hand.task)


def through(engine: LocalEngine, key: str) -> Ended:
    Played.goes[key].set()
    [(task, ended)] = engine.ended()
    assert task.key == key
    return ended


def begun(engine: LocalEngine) -> LocalEngine:
    engine.begin(lambda task, message: None)
    return engine


def test_two_trainings_on_two_gpus_and_never_two_on_one_unless_asked() -> None:
    engine = begun(LocalEngine(4, 8, ["0", "1"], memory_gib=100))
    engine.start([*tasks("a", "b", "c", gpus=1), *tasks("d")])
    assert at_work(engine) == ["a", "b", "d"]
    running(3)
    seen = dict(Played.begun)
    assert {seen["a"]["CUDA_VISIBLE_DEVICES"], seen["b"]["CUDA_VISIBLE_DEVICES"]} == {"0", "1"}
    assert seen["d"]["CUDA_VISIBLE_DEVICES"] == "", "it needs none, and takes none"
    assert not through(engine, "a").exit_code
    assert at_work(engine) == ["b", "c", "d"]
    running(4)
    assert dict(Played.begun)["c"] == seen["a"]
    engine.end()
    shared = begun(LocalEngine(4, 8, ["0"], beside=2, memory_gib=100))
    shared.start(tasks("e", "f", "g", gpus=1))
    assert at_work(shared) == ["e", "f"]
    shared.end()


def test_cores_and_memory_are_shared_and_what_is_too_large_runs_alone() -> None:
    engine = begun(LocalEngine(4, 4, memory_gib=10))
    engine.start([*tasks("wide", cores=3), *tasks("x", "y"), *tasks("large", memory_gib=50)])
    assert at_work(engine) == ["wide", "x"], "of four cores and ten GiB"
    through(engine, "x")
    assert at_work(engine) == ["wide", "y"]
    through(engine, "wide")
    assert at_work(engine) == ["y"], "the large one waits until nothing else runs"
    through(engine, "y")
    assert at_work(engine) == ["large"]
    through(engine, "large")
    engine.end()


def test_a_lost_worker_is_replaced_once() -> None:
    said: list[str] = []
    engine = LocalEngine(1, 1, memory_gib=10)
    engine.begin(lambda task, message: said.append(message["note"]))
    lost = Ended(1, "a worker ended by signal 9", lost=True)
    Played.ends = {"a": [lost, Ended()], "b": [lost, lost], "c": [Ended(3, "wrong")]}
    for key in "abc":
        engine.start(tasks(key))
        ended = through(engine, key)
        assert ended.exit_code == {"a": 0, "b": 1, "c": 3}[key]
    assert [key for key, _ in Played.begun] == ["a", "a", "b", "b", "c"]
    assert said == ["a worker ended by signal 9; it is begun again"] * 2
    engine.end()


def test_a_worker_is_given_more_of_what_it_has_loaded() -> None:
    engine = begun(LocalEngine(2, 2, memory_gib=10))
    engine.start(tasks("a", "b"))
    running(2)
    first, second = engine._hands
    by_key = {hand.last: hand for hand in (first, second)}
    through(engine, "a")
    through(engine, "b")
    engine.start([replace(each, parts=(1,)) for each in tasks("b")])
    running(3)
    assert by_key["b"].task is not None
    engine.end()


@pytest.mark.parametrize(("device", "gpus"), [("cpu", []), ("cuda:1", ["cuda:1"]), ("mps", [])])
def test_gpus_of_a_device(device: str, gpus: list[str]) -> None:
    assert gpus_here(device) == gpus


def test_parts_are_divided_evenly_and_all_of_them() -> None:
    for count, most in ((7, 3), (3, 7), (1, 1), (100, 32)):
        given = divided(TASK, range(count), most)
        assert len(given) <= most
        assert [part for each in given for part in each.parts] == [*range(count)]


def test_a_place_that_is_not_the_same_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "PATIENCE_S", 0.0)
    monkeypatch.setenv("FSARCTL_TOKEN", "secret")
    monkeypatch.setenv("FSARCTL_DESCRIBE_BASE_URL", "https://me:secret@host/v1?key=secret")
    monkeypatch.setenv("FSARCTL_EVAL_SEED", "3")
    monkeypatch.chdir(tmp_path)
    here = Place.here()
    task = replace(TASK, place=here, parts=(1, 2))
    assert Task.parse(task.text) == task
    assert "secret" not in task.text
    assert here.environment["FSARCTL_EVAL_SEED"] == "3"
    with here.signed(tmp_path / "cache", b"what is known") as signed:
        monkeypatch.setenv("FSARCTL_EVAL_SHOTS", "[9]")
        signed.enter()
        assert "FSARCTL_EVAL_SHOTS" not in engine_module.os.environ, "of the worker's own machine"
        assert engine_module.os.environ["FSARCTL_TOKEN"] == "secret"
        assert signed.read() == b"what is known"
        Path(signed.sign).write_bytes(b"something else")
        assert signed.read() is None
    assert signed.read() is None, "it is gone"
    for other, said in (
        (replace(signed, host="a"), "does not see .*cache of a, where results are kept"),
        (replace(here, versions="fsarctl 9, torch 8", host="a"), "and a has fsarctl 9, torch 8"),
        (replace(here, directory=str(tmp_path / "gone")), "does not see .*gone"),
    ):
        with pytest.raises(ConfigError, match=said):
            other.enter()


def test_an_engine_without_its_extra_names_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for name in ("ray", "slurm"):
        with pytest.raises(ConfigError, match=f"--engine {name} needs") as raised:
            engine_of(name, ExecutionConfig(), 0, "cpu", 2, tmp_path)
        assert raised.value.next_step == f'Run: pip install "fsarctl[{name}]"'
    assert engine_of("local", ExecutionConfig(), 1, "cpu", 2, tmp_path) is None
    assert isinstance(engine_of("local", ExecutionConfig(), 2, "cpu", 2, tmp_path), LocalEngine)
    with pytest.raises(FsarctlError, match="wrong") as failed:
        Ended(5, "wrong", "Do").require_success()
    assert (failed.value.exit_code, failed.value.next_step) == (5, "Do")
    with pytest.raises(KeyboardInterrupt):
        Ended(130).require_success()


def test_blocks_of_one_evaluation_are_scored_on_all_gpus() -> None:
    engine = begun(LocalEngine(3, 8, ["0", "1"], memory_gib=100))
    Played.goes["a"] = threading.Event()
    engine.start([replace(TASK, key="a", parts=(part,), need=Need(1, 1.0, 1)) for part in range(4)])
    running(2)
    assert sorted(more["CUDA_VISIBLE_DEVICES"] for _, more in Played.begun) == ["0", "1"]
    Played.goes["a"].set()
    assert [engine.ended()[0][1].exit_code for _ in range(4)] == [0] * 4
    engine.end()


def test_a_long_line_is_not_gone_through_for_each_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """10,000 tasks of two sizes: one look for a hand a task that gets one, and one a size that does not."""
    looks: list[str] = []
    hand_for = LocalEngine._hand_for

    def looked(self: LocalEngine, task: Task) -> Any:
        looks.append(task.key)
        return hand_for(self, task)

    monkeypatch.setattr(LocalEngine, "_hand_for", looked)
    engine = begun(LocalEngine(2, 2, memory_gib=100))
    small, large = replace(TASK, key="small"), replace(TASK, key="large", need=Need(cores=2))
    Played.goes["small"] = threading.Event()
    engine.start([small, large] * 5_000)
    assert at_work(engine) == ["small", "small"]
    for done in range(6):
        Played.goes["small"].set()
        engine.ended()
        assert len(looks) <= 4 + 3 * (done + 1)
    engine.end()


def test_first_come_is_first_served_whatever_its_size() -> None:
    engine = begun(LocalEngine(1, 4, memory_gib=100))
    order = [*tasks("a"), *tasks("b", cores=2), *tasks("c"), *tasks("d", cores=2)]
    engine.start(order)
    for key in "abcd":
        assert at_work(engine) == [key]
        through(engine, key)
    engine.end()


def test_a_worker_goes_on_with_the_unit_that_it_was_at() -> None:
    """Two evaluations in blocks, two workers: each loads the weights of one, whoever is faster."""
    engine = begun(LocalEngine(2, 2, memory_gib=100))
    blocks = [replace(TASK, key=key, parts=(part,)) for part in range(4) for key in "ab"]
    for key in "ab":
        Played.goes[key] = threading.Event()
    engine.start(blocks)
    assert at_work(engine) == ["a", "b"]
    Played.goes["a"].set()
    for _ in range(3):
        [(task, _)] = engine.ended()
        assert task.key == "a"
        assert at_work(engine) == ["a", "b"]
    engine.ended()
    assert at_work(engine) == ["b", "b"], "there is nothing else"
    Played.goes["b"].set()
    assert [engine.ended()[0][0].key for _ in range(4)] == ["b"] * 4
    assert [key for key, _ in Played.begun].count("a") == 4
    engine.end()
