"""Which settings hold in which row of a sweep."""

from pathlib import Path
from typing import Any

import pytest

from fsarctl.config.read_settings import options_apart
from fsarctl.config.settings import load_settings
from fsarctl.datasets.findings import Findings
from fsarctl.errors import ConfigError
from fsarctl.results.sweeps import chosen_rows, find_sweep
from fsarctl.stages import ablate
from fsarctl.stages.plan import Pipeline, RunOptions

FILE = """
[datasets.shapes]
kind = "shapes"
[model]
backbone = "tiny"
weights = "random"
method = "hcl"
options = { pairs = 5 }
[ablate.mine]
[[ablate.mine.rows]]
name = "fixed"
method = "otam"
set = { "model.options.smoothing" = 0.7 }
[[ablate.mine.rows]]
name = "free"
method = "otam"
"""

ROWS = ("frozen CLIP", "Task-Adapter++", "clip-fsar", "hcl", "otam", "trx")


def planned(folder: Path, name: str, *overrides: str) -> ablate.Sweep:
    (folder / "fsarctl.toml").write_text(FILE)
    rest, options = options_apart(overrides)
    settings = load_settings(folder, rest, environment={})

    def pipeline(its: Any, more: Any) -> Pipeline:
        return Pipeline(its, folder / "records", RunOptions(workers=1, findings=opened))

    opened = Findings()
    sweep = find_sweep(name, settings)
    rows = [each for each in chosen_rows(sweep, [], settings) if name != "methods" or each.name in ROWS]
    return ablate.plan(name, sweep, rows, (1,), (0,), settings, pipeline, options=options)


def options_of(sweep: ablate.Sweep) -> dict[str, Any]:
    models: dict[str, Any] = {run.row: run.unit.config["model"] for run in sweep.runs}
    return {row: model.get("options", {}) for row, model in models.items()}


def test_an_option_holds_in_the_rows_whose_method_has_it(tmp_path: Path) -> None:
    plain = planned(tmp_path, "methods")
    sweep = planned(tmp_path, "methods", "model.options.smoothing=0.25", "model.options={heads = 2}")
    assert sweep.left_out == plain.left_out == {}
    before, after = options_of(plain), options_of(sweep)
    heeded = {row for row in after if "smoothing" in after[row]}
    assert heeded == {"clip-fsar", "otam"}  # those of them that align by OTAM
    assert {after[row]["smoothing"] for row in heeded} == {0.25}
    changed = {row for row in after if after[row] != before[row]}
    assert changed == heeded | {row for row in after if after[row].get("heads") == 2}
    assert sorted(sweep.without["smoothing"]) == sorted(after.keys() - heeded)
    # What the file says is of its own method alone.
    assert {row for row, each in after.items() if each.get("pairs") == 5} == {"hcl"}


def test_an_option_that_no_row_has_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no row of 'methods' has an option 'smothing'") as told:
        planned(tmp_path, "methods", "model.options.smothing=0.25")
    assert "smoothing" in told.value.next_step
    with pytest.raises(ConfigError, match="no row of 'table4' has an option 'smoothing'"):
        planned(tmp_path, "table4", "model.options.smoothing=0.25")


def test_a_row_that_sets_an_option_keeps_it(tmp_path: Path) -> None:
    found = options_of(planned(tmp_path, "mine", "model.options.smoothing=0.25"))
    assert (found["fixed"]["smoothing"], found["free"]["smoothing"]) == (0.7, 0.25)
