"""The guards that ``tests/fault_table/guards.py`` takes out are where it looks for them."""

import importlib.util
import re
from pathlib import Path

FAULT_TABLE = Path(__file__).parents[1] / "fault_table"


def test_every_row_of_the_table_has_a_guard_that_can_be_taken_out() -> None:
    spec = importlib.util.spec_from_file_location("fault_table_guards", FAULT_TABLE / "guards.py")
    assert spec is not None
    assert spec.loader is not None
    guards = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(guards)
    rows = re.findall(r'^    "(.+)": \(\w+, \d+, \d+\),$', (FAULT_TABLE / "run.py").read_text(), re.MULTILINE)
    assert sorted(guards.GUARDS) == sorted(rows)
    for guard in guards.GUARDS.values():
        compile(
            guards.taken_out(guard, (guards.ROOT / "fsarctl" / guard.file).read_text()), guard.file, "exec"
        )
