"""How many small faults do the tests find? Each is put into a copy of the tree, and what reaches it is run.

The first run records which lines each test reaches (minutes). After it a fault costs seconds: a process that
has imported torch forks, the child imports fsarctl with the fault and runs the tests, the quickest first,
until one fails. A fault is found when a test fails or when they no longer end. What was done before in the
same folder is gone on with; other code or tests need another folder, or --again.
"""

import argparse
import importlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from reach import Chosen, Reach, Recorder
from sites import Mutant, choose, faults, faulty_source, like

ROOT = Path(__file__).parents[2]
ROOMS = ["artifacts", "episodes", "models", "results", "video"]
# What takes long to import and is not ours.
IMPORTED = (
    "torch",
    "open_clip",
    "numpy",
    "av",
    "zarr",
    "pydantic",
    "rich.table",
    "typer",
    "safetensors.torch",
)
IMPORTED += ("hypothesis", "openai", "jinja2", "matplotlib.figure", "PIL.Image", "filelock", "pebble")
QUIET = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not slow"]
QUIET += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]


def main() -> None:
    """Choose the faults, run the tests for each, and say what share was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "tests", nargs="*", metavar="TESTS", help="files and folders; by default all of tests/"
    )
    parser.add_argument("--number", type=int, default=300, help="of faults (300)")
    parser.add_argument("--seed", type=int, default=0, help="decides which (0)")
    parser.add_argument("--commit", help="take the tree from there instead of from the working directory")
    parser.add_argument("--seconds", type=float, default=60, help="of tests for one fault (60)")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "fsarctl-mutants")
    parser.add_argument("--again", action="store_true", help="forget what was done in the folder")
    parser.add_argument("--like", type=Path, metavar="FILE", help="the faults of these results, instead")
    asked = parser.parse_args()
    if asked.again:
        shutil.rmtree(asked.folder, ignore_errors=True)
    tree, whole = asked.folder / "tree", asked.folder / "whole"
    if not whole.is_dir():
        _copy(whole, asked.commit)
    # A run that was killed has left its fault in the tree.
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(whole, tree, symlinks=True)
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["PYTHONPATH"] = f"{tree}{os.pathsep}{tree / 'tests'}"
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(asked.folder / "hypothesis")
    sys.path[:0] = [str(tree), str(tree / "tests")]
    os.chdir(tree)
    for name in IMPORTED:
        importlib.import_module(name)
    reach = _reach(asked.folder, tree, asked.tests or ["tests"])
    mutants = faults(tree, [f"fsarctl/{room}" for room in ROOMS])
    mutants = like(_read(asked.like), mutants) if asked.like else choose(mutants, asked.number, asked.seed)
    results = asked.folder / "results.jsonl"
    done = {each["name"]: each for each in _read(results)}
    for number, mutant in enumerate(mutants, 1):
        if mutant.name not in done:
            done[mutant.name] = _try(mutant, number, tree, reach, asked.seconds)
            with results.open("a") as file:
                print(json.dumps(done[mutant.name]), file=file)
            print(f"{number}/{len(mutants)} {_line(done[mutant.name])}", flush=True)
    _summary([done[mutant.name] for mutant in mutants])


def _copy(tree: Path, commit: str | None) -> None:
    """The files that git knows, and new ones, or those of a commit."""
    tree.mkdir(parents=True)
    if commit:
        archive = subprocess.run(["git", "-C", ROOT, "archive", commit], check=True, stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", tree], input=archive.stdout, check=True)
        return
    words = ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout.split("\0"):
        if name and ((ROOT / name).is_file() or (ROOT / name).is_symlink()):
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tree / name, follow_symlinks=False)


def _read(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _reach(folder: Path, tree: Path, tests: list[str]) -> Reach:
    path = folder / "reach.json"
    if not path.exists():
        code, _ = _forked(lambda: _record(path, tree, tests), folder / "reach.log", seconds=7200)
        if not path.exists():
            sys.exit(f"the tests ended with {code} before they were through: {folder / 'reach.log'}")
    reach = Reach.load(path)
    if not reach.seconds:
        sys.exit(f"no test passed: {folder / 'reach.log'}")
    print(f"{len(reach.seconds)} tests of {sum(reach.seconds.values()):.0f} s", flush=True)
    return reach


def _record(path: Path, tree: Path, tests: list[str]) -> int:
    recorder = Recorder(tree, [f"fsarctl/{room}" for room in ROOMS])
    code = pytest.main([*QUIET, "--tb=short", *tests], plugins=[recorder])
    recorder.reach.save(path)
    return code


def _try(mutant: Mutant, number: int, tree: Path, reach: Reach, seconds: float) -> dict[str, object]:
    path = tree / mutant.module
    source = path.read_text()
    last = mutant.line + source[mutant.start : mutant.end].count("\n")
    tests, expected = _affordable(reach, reach.tests(mutant.module, mutant.line, last), seconds)
    started = time.monotonic()
    code, failed = 0, ""
    if tests:
        try:
            _write(path, faulty_source(source, mutant), 1_000_000_000 + 2 * number)
            code, failed = _forked(
                lambda: _run(tests), tree.parent / "mutant.log", seconds=30 + 10 * expected
            )
        finally:
            _write(path, source, 1_000_000_000)
    return {
        "name": mutant.name,
        "module": mutant.module,
        "function": mutant.function,
        "line": mutant.line,
        "kind": mutant.kind,
        "before": mutant.before,
        "after": mutant.after,
        "found": code not in (0, 5),
        "by": failed or ("it did not end" if code not in (0, 5) else ""),
        "tests": len(tests),
        "seconds": round(time.monotonic() - started, 1),
    }


def _affordable(reach: Reach, tests: list[str], seconds: float) -> tuple[dict[str, float], float]:
    """The quickest that fit into ``seconds``, and what they take together."""
    chosen: dict[str, float] = {}
    together = 0.0
    for test in sorted(tests, key=lambda each: reach.seconds[each]):
        together += reach.seconds[test]
        if chosen and together > seconds:
            return chosen, together - reach.seconds[test]
        chosen[test] = reach.seconds[test]
    return chosen, together


def _write(path: Path, source: str, changed: int) -> None:
    # Bytecode counts as current by size and whole seconds of the time of change: each fault gets its own.
    path.write_text(source)
    os.utime(path, (changed, changed))


def _run(tests: dict[str, float]) -> int:
    """The quickest files first; the rest is collected only if they found nothing."""
    from hypothesis import settings

    settings.register_profile("mutants", deadline=None, derandomize=True, database=None)
    settings.load_profile("mutants")
    files = Counter[str]()
    for test, took in tests.items():
        files[test.split("::")[0]] += took + 0.001  # type: ignore[assignment]
    order = [name for name, _ in reversed(files.most_common())]
    for some in (order[:3], order[3:]):
        if not some:
            continue
        chosen = Chosen({test: took for test, took in tests.items() if test.split("::")[0] in some})
        code = pytest.main([*QUIET, "-x", "--tb=short", *some], plugins=[chosen])
        if code not in (0, 5):
            print(f"found by: {chosen.failed}", flush=True)
            return code
    return 0


def _forked(work: Callable[[], int], log: Path, *, seconds: float) -> tuple[int, str]:
    """Exit code of ``work`` in a child whose output goes to ``log``, and the test that failed first."""
    child = os.fork()
    if child == 0:
        os.setsid()
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(output, stream)
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds)))
        code = 1
        try:
            code = int(work())
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    end = time.monotonic() + 10 * seconds
    while (status := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < end:
        time.sleep(0.02)
    with suppress(
        ProcessLookupError
    ):  # what the tests left running, and the child itself if its time is over
        os.killpg(child, signal.SIGKILL)
    if status[0] == 0:
        status = os.waitpid(child, 0)
    said = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("found by: ")]
    return os.waitstatus_to_exitcode(status[1]), said[-1].removeprefix("found by: ") if said else ""


def _line(result: dict[str, object]) -> str:
    state = "found" if result["found"] else "SURVIVED"
    fault = " ".join(f"{result['before']} => {result['after']}".split())
    return f"{state} {result['seconds']} s {result['module']}:{result['line']} {fault[:90]} | {result['by']}"


def _summary(results: list[dict[str, object]]) -> None:
    rooms: dict[str, list[bool]] = {}
    for each in results:
        rooms.setdefault(str(each["module"]).split("/")[1], []).append(bool(each["found"]))
    for room, found in sorted(rooms.items()):
        print(f"{room:10} {sum(found):4} of {len(found):4} found")
    found = [each for some in rooms.values() for each in some]
    print(f"{'all':10} {sum(found):4} of {len(found):4} found: {100 * sum(found) / max(len(found), 1):.1f} %")


if __name__ == "__main__":
    main()
