"""``python -m fsarctl.methods.parity FILE.npz ...``: are these methods the functions of the released code?

Each file holds weights, inputs and outputs of one method; its arrays' names tell which. Every output is
computed here and compared, relative to its largest entry. The exit code is 0 if all of every file hold.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType

from fsarctl.config.methods import method_file, method_names
from fsarctl.errors import FsarctlError, InputError
from fsarctl.methods.vectors import Arrays, Difference, read_arrays
from fsarctl.progress import first_of

UNUSABLE = (AssertionError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)

__all__ = ["differences", "main", "method_of"]


def method_of(path: Path, arrays: Arrays) -> ModuleType:
    """The parity module of the method that the arrays are of: that of the most of its own keys.

    Raises:
        InputError: they are of none.
    """
    found = {len(keys): each for each in _modules() for keys in _keys_of(each) if arrays.keys() >= keys}
    if not found:
        raise InputError(
            f"{path} holds the vectors of no method that is known here: {first_of(sorted(arrays), 6)}",
            next_step="`fsarctl methods` lists the methods; those with vectors have a parity.py.",
        )
    return found[max(found)]


def differences(path: Path) -> list[Difference]:
    """Every output of ``path`` against ours, in the file's order.

    Raises:
        InputError: the file cannot be used.
    """
    arrays = read_arrays(path)
    module = method_of(path, arrays)
    try:
        found: list[Difference] = module.differences(path, arrays)
    except UNUSABLE as error:
        raise InputError(
            f"the arrays of {path} do not make a model: {type(error).__name__} {error}",
            next_step="Compare them with the files in tests/golden.",
        ) from error
    return found


def _keys_of(module: ModuleType) -> tuple[frozenset[str], ...]:
    """The keys that only the method's files have; where there are several kinds of files, those of each."""
    keys: frozenset[str] | tuple[frozenset[str], ...] = module.KEYS
    return keys if isinstance(keys, tuple) else (keys,)


def _modules() -> list[ModuleType]:
    packages = [method_file(name).target.partition(":")[0].rpartition(".")[0] for name in method_names()]
    folder = Path(__file__).parent
    return [
        import_module(f"{package}.parity")
        for package in packages
        if (folder / package.rpartition(".")[2] / "parity.py").is_file()
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; the exit code is 0 if every array of every file is within its tolerance."""
    parser = argparse.ArgumentParser(prog="python -m fsarctl.methods.parity", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.npz")
    failed = unusable = 0
    for path in parser.parse_args(arguments).files:
        try:
            rows = differences(path)
        except FsarctlError as error:
            print(f"{error.message}\n{error.next_step}", file=sys.stderr)
            unusable = error.exit_code
            continue
        names = [repr(row.name)[1:-1] for row in rows]  # a file's name for an array cannot move the cursor
        width = max(map(len, names))
        print(f"{path.name}\n  {'array':<{width}}  largest error")
        for name, row in zip(names, rows, strict=True):
            print(f"  {name:<{width}}  {row.relative:8.1e}{'' if row.passes else '  FAILS'}")
        left_out: dict[str, str] = getattr(method_of(path, read_arrays(path)), "NOT_COMPARED", {})
        for each, reason in left_out.items():
            print(f"  {each} is not compared: {reason}")
        failures = sum(not row.passes for row in rows)
        print(f"  {len(rows) - failures} of {len(rows)} within tolerance\n")
        failed += failures
    return unusable or (1 if failed else 0)


if __name__ == "__main__":
    sys.exit(main())
