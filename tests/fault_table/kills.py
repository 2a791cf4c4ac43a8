"""Processes that are ended, and several that want the same."""

import os
import shutil
import signal
import subprocess
import time

from bench import Bench, Row, digests, started
from typed import type_in

__all__ = ["kill", "many", "signals", "two_projects"]

SWEEP = "ablate metrics"
PREDICT = "predict --support support --save-support saved.safetensors --workers 1 clips"
REMADE = {
    "describe": ("describe", "train", "evaluate"),
    "extract": ("render", "extract", "train", "evaluate"),
    "train": ("train", "evaluate"),
    "eval": ("evaluate",),
    "run --jobs 2": ("train", "evaluate"),
    SWEEP: ("train", "evaluate", "ablate"),
    f"{SWEEP} --jobs 2": ("train", "evaluate", "ablate"),
    PREDICT: (),
    "report": ("report",),
    "cache verify": (),
    "cache gc --yes": (),
}
"""Command -> the stages whose artifacts are removed first, so that it has them to make again."""

ALL_GONE_S = 2.0


def kill(bench: Bench, row: Row, tries: int) -> None:
    """kill -9 at a moment drawn by chance; then the same command again."""
    lasts: dict[str, float] = {}
    expected: dict[str, frozenset[tuple[str, str]]] = {}
    for number in bench.numbers(tries):
        line = list(REMADE)[number % len(REMADE)]
        if line not in lasts:
            project, begun = bench.copy(REMADE[line]), time.monotonic()
            process = started(project, line)
            said = process.communicate()[1]
            lasts[line] = time.monotonic() - begun
            row.expect(line, process.returncode, said, 0)
            type_in(project, "fsarctl run")
            expected[line] = digests(project)
            shutil.rmtree(project)
        project = bench.copy(REMADE[line])
        with started(project, line) as process:
            time.sleep(bench.dice.uniform(0, lasts[line]))
            os.kill(process.pid, signal.SIGKILL)
            row.heard(process.communicate()[1])
        for again in (line, "run"):
            done = type_in(project, f"fsarctl {again}", expect=None)
            row.expect(f"{again} after {line} was killed", done.returncode, done.stderr, 0)
        row.tries += 1
        bench.compare(project, row, expected[line])


def signals(bench: Bench, row: Row, tries: int) -> None:
    """A signal to the command alone, or to its group: exit code, and how soon everything is gone."""
    kinds = [
        (blow, group) for group in (False, True) for blow in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    ]
    for number in bench.numbers(tries):
        blow, group = kinds[number % len(kinds)]
        project = bench.copy(REMADE["run --jobs 2"])
        with started(project, "run --jobs 2") as process:
            time.sleep(bench.dice.uniform(1.0, 6.0))
            (os.killpg if group else os.kill)(process.pid, blow)
            end = time.monotonic() + ALL_GONE_S
            while (left := in_session(process.pid)) and time.monotonic() < end:
                time.sleep(0.02)
            for each in left:
                os.kill(each, signal.SIGKILL)
            said = process.communicate()[1]
        row.heard(said)
        if left or process.returncode not in (128 + blow, 0) or "leaked" in said:
            row.different += 1
            what = f"exit code {process.returncode}, {len(left)} processes left: {said[-2000:]}"
            row.remarks.append(f"{blow.name}: {what}")
        row.heard(type_in(project, "fsarctl run", expect=None).stderr)
        row.tries += 1
        bench.compare(project, row)


def in_session(number: int) -> list[int]:
    """The processes of a session that have not ended."""
    table = subprocess.run(["ps", "-eo", "pid=,sess=,stat="], capture_output=True, text=True, check=True)
    rows = [line.split() for line in table.stdout.splitlines()]
    return [int(pid) for pid, of, state in rows if int(of) == number and not state.startswith("Z")]


def many(bench: Bench, row: Row, tries: int) -> None:
    """So many processes ask for the same result: one of them makes it."""
    project = bench.copy(REMADE["eval"])
    processes = [started(project, "eval --shots 1") for _ in range(tries)]
    said = [process.communicate()[1] for process in processes]
    for each in said:
        row.heard(each)
    row.tries = tries
    row.different += sum(process.returncode != 0 for process in processes)
    row.different += sum("1 artifact made" in each for each in said) != 1
    bench.compare(project, row)


def two_projects(bench: Bench, row: Row, tries: int) -> None:
    """Two projects of one cache: one is at work, and killed or not, while the other collects garbage."""
    for number in bench.numbers(tries):
        place = bench.copy(REMADE["eval"])
        one, two = place / "one", place / "two"
        for each, more in ((one, ""), (two, "[eval]\nepisodes = 130\n")):
            each.mkdir()
            text = (place / "fsarctl.toml").read_text()
            (each / "fsarctl.toml").write_text(
                text.replace("[eval]\nepisodes = 120\n", more) if more else text
            )
        type_in(one, "fsarctl run --cache ../cache")
        with started(two, "run --cache ../cache") as process:
            end = time.monotonic() + bench.dice.uniform(2.0, 8.0)
            while time.monotonic() < end and process.poll() is None:
                done = type_in(one, "fsarctl cache gc --yes --cache ../cache", expect=None)
                row.expect("gc", done.returncode, done.stderr, 0)
            if number % 2:
                process.kill()
            said = process.communicate()[1]
        if number % 2 == 0:
            row.expect("run beside gc", process.returncode, said, 0)
        type_in(two, "fsarctl run --cache ../cache")
        for who, line in ((one, "cache gc --yes"), (two, "cache gc --yes"), (one, "run"), (two, "run")):
            done = type_in(who, f"fsarctl {line} --cache ../cache", expect=None)
            row.expect(f"{line} of {who.name}", done.returncode, done.stderr, 0)
            if line == "run" and "nothing to do" not in done.stderr:
                row.lost += 1
                row.remarks.append(f"lost to project {who.name}: {done.stderr[-300:]}")
        row.tries += 1
        shutil.rmtree(one), shutil.rmtree(two)
        bench.compare(place, row)
