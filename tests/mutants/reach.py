"""Plugins of pytest: one notes which lines each test reaches and how long it takes, one runs those chosen."""

import json
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Chosen", "Reach", "Recorder"]


@dataclass
class Reach:
    """What a run without a fault found."""

    seconds: dict[str, float] = field(default_factory=dict)  # of each test that passed
    fixtures: dict[str, list[str]] = field(default_factory=dict)  # that a test uses, directly or not
    lines: dict[str, dict[str, list[str]]] = field(default_factory=dict)  # module -> line -> what ran it

    def tests(self, module: str, first: int, last: int) -> list[str]:
        """The tests that reach a line of these; if none does (it runs once, on import), any of the module."""
        reached = self.lines.get(module, {})
        contexts = {each for line in range(first, last + 1) for each in reached.get(str(line), ()) if each}
        contexts = contexts or {each for names in reached.values() for each in names if each}
        return [
            test
            for test in self.seconds
            if test in contexts or not contexts.isdisjoint(self.fixtures.get(test, ()))
        ]

    def save(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(asdict(self)))

    @staticmethod
    def load(path: Path) -> "Reach":
        """What ``save`` wrote."""
        return Reach(**json.loads(path.read_text()))


class Recorder:
    """Fills a ``Reach``. A fixture is recorded under its own name: those who share it reach its lines too."""

    def __init__(self, tree: Path, rooms: Sequence[str]) -> None:
        from coverage import Coverage

        self.reach = Reach()
        self._tree = tree
        self._coverage = Coverage(
            data_file=None, config_file=False, include=[f"{tree / room}/**" for room in rooms]
        )
        self._failed: set[str] = set()
        self._coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Iterator[None]:
        self._coverage.switch_context(f"fixture {fixturedef.baseid}::{fixturedef.argname}")
        try:
            return (yield)
        finally:
            self._coverage.switch_context("")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        self._coverage.switch_context(item.nodeid)
        try:
            return (yield)
        finally:
            self._coverage.switch_context("")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[object]:
        info = getattr(item, "_fixtureinfo", None)
        definitions = info.name2fixturedefs.values() if info else ()
        self.reach.fixtures[item.nodeid] = [
            f"fixture {each[-1].baseid}::{each[-1].argname}" for each in definitions
        ]
        started = time.perf_counter()
        done = yield
        self.reach.seconds[item.nodeid] = round(time.perf_counter() - started, 3)
        return done

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.passed:
            self._failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self._coverage.stop()
        data = self._coverage.get_data()
        for path in data.measured_files():
            module = Path(path).relative_to(self._tree).as_posix()
            found = data.contexts_by_lineno(path)
            self.reach.lines[module] = {str(line): names for line, names in found.items()}
        for test in self._failed:
            self.reach.seconds.pop(test, None)


class Chosen:
    """Runs only ``seconds``' tests: the quickest file first and in it the quickest test, until one fails."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.failed = ""
        self._seconds = seconds
        self._of_file: dict[str, float] = defaultdict(float)
        for test, took in seconds.items():
            self._of_file[test.split("::")[0]] += took

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        chosen = [item for item in items if item.nodeid in self._seconds]
        items[:] = sorted(chosen, key=lambda item: self._place(item.nodeid))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid

    def _place(self, test: str) -> tuple[float, str, float]:
        file = test.split("::")[0]
        return self._of_file[file], file, self._seconds[test]
