"""Links, pipes, sockets, devices and folders in the place of files of the cache, and in that of folders."""

import os
import shutil
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import Bench, Row
from damage import Halves
from test_damaged_work import STAGES, contents
from typed import type_in

from fsarctl.artifacts import Store

__all__ = ["odd_things"]

WAITS_S = 300  # for a pipe, or to the end of a device that has none


def link_to_the_same(path: Path, elsewhere: Path) -> None:
    """A link to what stood there, which is whole."""
    path.symlink_to(elsewhere / "moved")


def link_to_others(path: Path, elsewhere: Path) -> None:
    path.symlink_to(elsewhere)


def link_to_nothing(path: Path, elsewhere: Path) -> None:
    path.symlink_to(elsewhere / "nothing")


def pipe(path: Path, elsewhere: Path) -> None:
    os.mkfifo(path)


def socket(path: Path, elsewhere: Path) -> None:
    os.mknod(path, stat.S_IFSOCK | 0o644)


def device(path: Path, elsewhere: Path) -> None:
    """One that is read without end."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except PermissionError:  # only root may
        path.symlink_to("/dev/zero")


def other_sort(path: Path, elsewhere: Path) -> None:
    """A file where a folder was, and a folder where a file was."""
    if (elsewhere / "moved").is_dir():
        path.write_text("precious")
    else:
        path.mkdir()
        (path / "thesis.txt").write_text("precious")


ODD = (link_to_the_same, link_to_others, link_to_nothing, pipe, socket, device, other_sort)
FIRST = (None, "cache verify", "cache gc --yes", "status", "cache ls")


def odd_things(bench: Bench, row: Row, tries: int) -> None:
    """Something else stands in a place of the cache: it is not followed, waited for or used."""
    halves = Halves(bench)
    for number in bench.numbers(tries):
        (_in_artifacts if number % 2 else _in_unfinished)(bench, row, halves, number // 2)
        row.tries += 1


def _in_artifacts(bench: Bench, row: Row, halves: Halves, number: int) -> None:
    project = bench.copy()
    what, before = _spoil(bench, project / "cache" / "artifacts", 2)
    said = _typed(row, project, what, FIRST[number % len(FIRST)], "run", "cache verify", "run")
    if "DAMAGED" not in said:
        row.undetected += 1
        row.remarks.append(f"{what}: nobody says so: {said}")
    _expect_untouched(bench, row, what, before)
    bench.compare(project, row)


def _in_unfinished(bench: Bench, row: Row, halves: Halves, number: int) -> None:
    stage = list(STAGES)[number % len(STAGES)]
    line, slot, _, _ = STAGES[stage]
    half, expected = halves.of(stage)
    project = bench.work / "odd"
    shutil.copytree(half, project)
    what, before = _spoil(bench, project / "cache" / "work" / stage, 1)
    first = FIRST[number // len(STAGES) % len(FIRST)]
    _typed(row, project, what, first, line.removeprefix("fsarctl "), "cache verify", "run", "cache gc --yes")
    made = [each.path for each in Store(project / "cache").artifacts() if each.manifest.slot.startswith(slot)]
    if [contents(each) for each in made] != [expected]:
        row.different += 1
        row.remarks.append(f"{what}: other bytes")
    _expect_untouched(bench, row, what, before)
    bench.compare(project, row)


def _typed(row: Row, project: Path, what: str, *lines: str | None) -> str:
    """What the commands say, of which only ``verify`` ends with another code than 0: where it finds it."""
    heard = ""
    for line in filter(None, lines):
        with _at_most(WAITS_S):
            done = type_in(project, f"fsarctl {line}", expect=None)
        found = line == "cache verify" and "DAMAGED" in done.stderr
        row.expect(f"{what}: {line}", done.returncode, done.stderr, 5 if found else 0)
        heard += done.stderr
    return heard


def _spoil(bench: Bench, root: Path, deep: int) -> tuple[str, dict[Path, bytes]]:
    """Put something odd in a place at least so deep below ``root``; what that is, and what is elsewhere."""
    elsewhere = bench.work / "elsewhere"
    shutil.rmtree(elsewhere, ignore_errors=True)
    (elsewhere / "scratch").mkdir(parents=True)
    for name in ("thesis.txt", "scratch/thesis.txt", "journal.jsonl", "x.safetensors", "manifest.json"):
        (elsewhere / name).write_text("precious")
    paths = sorted(path for path in root.rglob("*") if len(path.relative_to(root).parts) >= deep)
    path, act = bench.dice.choice(paths), bench.dice.choice(ODD)
    path.rename(elsewhere / "moved")
    act(path, elsewhere)
    return f"{act.__name__} for {path.relative_to(root.parent)}", _tree(elsewhere)


def _expect_untouched(bench: Bench, row: Row, what: str, before: dict[Path, bytes]) -> None:
    if _tree(bench.work / "elsewhere") != before:
        row.lost += 1
        row.remarks.append(f"{what}: what is elsewhere was changed")


def _tree(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


@contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    """Interrupt what waits for longer, which then ends with an error."""

    def interrupt(*_: object) -> None:
        raise TimeoutError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
