"""Bytes that change in unfinished and in finished work."""

import shutil
from pathlib import Path

from bench import Bench, Row
from test_damaged_work import STAGES, StopAt, artifact_of, contents, cut, files_in, flip, zero
from typed import type_in

from fsarctl.artifacts import Store
from fsarctl.cli.command import session

__all__ = ["Halves", "damage_finished", "damage_unfinished"]


class Halves:
    """Projects in which the work of a stage stands half done, each made when it is first asked for."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._made: dict[str, tuple[Path, dict[str, bytes]]] = {}

    def of(self, stage: str) -> tuple[Path, dict[str, bytes]]:
        """Such a project, and what is to become of it."""
        if stage not in self._made:
            line, slot, title, step = STAGES[stage]
            half = self._bench.copy()
            expected = contents(artifact_of(half, slot))
            shutil.rmtree(artifact_of(half, slot))
            make_reporter = session.make_reporter
            session.make_reporter = lambda: StopAt(title, step)  # type: ignore[assignment]
            type_in(half, line, expect=130)
            session.make_reporter = make_reporter
            self._made[stage] = half, expected
        return self._made[stage]


def damage_unfinished(bench: Bench, row: Row, tries: int) -> None:
    """One file of interrupted work is flipped, cut or zeroed; the artifact has to come out the same."""
    halves = Halves(bench)
    for number in bench.numbers(tries):
        stage = list(STAGES)[number % len(STAGES)]
        line, slot, _, _ = STAGES[stage]
        half, expected = halves.of(stage)
        project = bench.work / "damaged"
        shutil.copytree(half, project)
        path = bench.dice.choice(files_in(next((project / "cache" / "work" / stage).iterdir())))
        bench.dice.choice([flip, cut, zero])(path, bench.dice)
        done = type_in(project, line, expect=None)
        row.heard(done.stderr)
        row.tries += 1
        if done.returncode or contents(artifact_of(project, slot)) != expected:
            row.different += 1
            row.remarks.append(f"{path.name} of {stage}: {done.stderr[-200:]}")
        shutil.rmtree(project)


def damage_finished(bench: Bench, row: Row, tries: int) -> None:
    """One file of an artifact is flipped, cut or zeroed; verify has to find it."""
    project = bench.copy()
    paths = [
        p for p in sorted((project / "cache" / "artifacts").rglob("*")) if p.is_file() and p.stat().st_size
    ]
    for _ in bench.numbers(tries):
        path = bench.dice.choice(paths)
        whole = path.read_bytes()
        path.chmod(0o644)
        while path.read_bytes() == whole:
            bench.dice.choice([flip, cut, zero])(path, bench.dice)
        home = Path(*path.parts[: len(project.parts) + 4])
        faulty = [each for each in Store(project / "cache").verify() if each.faults]
        row.tries += 1
        row.undetected += [each.path for each in faulty] != [home]
        for each in faulty:
            if each.quarantined:
                each.quarantined.rename(each.path)
        path.write_bytes(whole)
        shutil.rmtree(project / "cache" / "doubted", ignore_errors=True)
