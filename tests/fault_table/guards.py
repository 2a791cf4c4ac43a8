"""Every row of the table, with the guard taken out that it is there for: it has to fail.

    python tests/fault_table/guards.py [--row BEGINNING] [--finished FOLDER]

The code is copied, a line of the copy is changed, and the row is tried with that. It ends with 1 where a row
is clean all the same.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

__all__ = ["GUARDS", "without"]

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Guard:
    """What is taken out, by changing a piece of a file of ``fsarctl``, and how often the row is tried."""

    what: str
    file: str
    line: str
    instead: str
    tries: int


GUARDS = {
    "kill -9 at any moment": Guard(
        "unfinished work of a process that is gone is taken over",
        "artifacts/sharing/work_places.py",
        "            return Process.has_ended(mark)",
        "            return False",
        8,
    ),
    "SIGINT, SIGTERM, SIGHUP": Guard(
        "SIGTERM and SIGHUP end a command as Ctrl-C does",
        "cli/terminal/signals.py",
        "LIKE_CTRL_C = [signal.SIGTERM, ",
        "LIKE_CTRL_C = [signal.SIGUSR1] or [",
        3,
    ),
    "damage in unfinished work": Guard(
        "what is read back is compared with its checksum",
        "artifacts/unfinished/sealed.py",
        "    field = _FIELD.search(content)\n    if field is None:\n        raise SealError(",
        "    return\n    field = _FIELD.search(content)\n    if field is None:\n        raise SealError(",
        12,
    ),
    "damage in artifacts": Guard(
        "verify compares every byte",
        "artifacts/cache_layout.py",
        "            if file_sha256(path) != stored.sha256:",
        "            if False:",
        9,
    ),
    "no file or folder in its place": Guard(
        "a link is no file of an artifact, nor of unfinished work",
        "artifacts/refusals.py",
        "    return _SORTS.get(stat.S_IFMT(mode), A_FILE)",
        "    return A_FILE if stat.S_IFMT(mode) != stat.S_IFDIR else A_FOLDER",
        6,
    ),
    "full disk": Guard(
        "a full disk is said to be full",
        "artifacts/atomic_write.py",
        "        if reason := _full(error):",
        '        if reason := "":',
        1,
    ),
    "too few inodes": Guard(
        "a disk that has room, but for no more files, is said to be that",
        "artifacts/atomic_write.py",
        '    return ", for no more files than there are',
        '    return "" and ", for no more files than there are',
        1,
    ),
    "stdout on a full disk": Guard(
        "a stdout that takes no more ends the command",
        "cli/terminal/streams.py",
        "            if self.fileno() != 1:",
        "            if True:",
        2,
    ),
    "cache that can only be read": Guard(
        "a project that cannot say what it uses goes on",
        "artifacts/sharing/projects.py",
        "        except OSError as error:\n            if not self._refused:",
        "        except ZeroDivisionError as error:\n            if not self._refused:",
        3,
    ),
    "another user": Guard(
        "what cannot be read is not damaged",
        "artifacts/refusals.py",
        "    return isinstance(error, OSError) and error.errno is not None",
        "    return False and error.errno is not None",
        3,
    ),
    "changed clock": Guard(
        "leases are told by the clock of the file system",
        "artifacts/sharing/leases.py",
        "            return probe.stat().st_mtime",
        '            return __import__("time").time()',
        6,
    ),
    "two projects on one cache": Guard(
        "what another project claims stays",
        "artifacts/sharing/projects.py",
        "            return {name: str(known) for known in others for name in _claims(known.folder)}",
        "            return {}",
        2,
    ),
    "processes that ask for the same": Guard(
        "one process a key",
        "artifacts/cache_layout.py",
        "        return hold(path,",
        '        return __import__("contextlib").nullcontext(False) or hold(path,',
        3,
    ),
}
"""Row of the table -> its guard."""


def main() -> None:
    """Take out one after the other, and say what the row says then."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--row", action="append", help="only those that begin like this")
    arguments.add_argument("--finished", type=Path, help="see run.py")
    options = arguments.parse_args()
    unseen = 0
    with tempfile.TemporaryDirectory(prefix="fsarctl-guards-") as folder:
        Path(folder).chmod(0o755)  # other users are to reach what is in it
        finished = (options.finished or Path(folder, "finished")).absolute()
        tried(ROOT, finished, "none", 0)  # which makes the project that all of them begin with
        for row, guard in GUARDS.items():
            if options.row and not row.startswith(tuple(options.row)):
                continue
            said, remarks = tried(without(guard, Path(folder, "code")), finished, row, guard.tries)
            unseen += json.loads(said[-1])["clean"]
            print(f"without: {guard.what}\n{said[1]}\n  {remarks[0][:300] if remarks else ''}", flush=True)
    sys.exit(bool(unseen))


def without(guard: Guard, code: Path) -> Path:
    """A copy of the code, in ``code``, in which the guard is taken out."""
    shutil.rmtree(code, ignore_errors=True)
    for name in ("fsarctl", "stages", "prompts", "tests"):
        shutil.copytree(ROOT / name, code / name)
    shutil.copy(ROOT / "pyproject.toml", code)
    path = code / "fsarctl" / guard.file
    path.write_text(taken_out(guard, path.read_text(encoding="utf-8")), encoding="utf-8")
    return code


def taken_out(guard: Guard, text: str) -> str:
    """The text of the file, without.

    Raises:
        ValueError: it has no such guard, or several.
    """
    before, line, after = text.partition(guard.line)
    if not line or guard.line in after:
        raise ValueError(f"{guard.file} has the guard of {guard.what!r} {text.count(guard.line)} times")
    return f"{before}{guard.instead}{after}"


def tried(code: Path, finished: Path, row: str, tries: int) -> tuple[list[str], list[str]]:
    """The lines of the table, and its remarks."""
    words = ["--row", row, "--tries", str(tries), "--finished", str(finished)]
    done = subprocess.run(
        [sys.executable, str(code / "tests" / "fault_table" / "run.py"), *words],
        env={**os.environ, "PYTHONPATH": str(code), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if not done.stdout:
        raise SystemExit(done.stderr)
    remarks = [each for each in done.stderr.splitlines() if each.startswith(f"{row}: ")]
    return done.stdout.splitlines(), [each for each in remarks if not each.endswith(" s")]


if __name__ == "__main__":
    main()
