"""Sweeps: those that ship, a user's own, and the numbers of their tables."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fsarctl.config.settings import Settings, load_settings
from fsarctl.config.sweep_table import AblateConfig, RowConfig
from fsarctl.errors import ConfigError, UsageError
from fsarctl.results.intervals import estimate
from fsarctl.results.predictions import Predictions
from fsarctl.results.result import Result, load_result, write_result
from fsarctl.results.sweeps import chosen_rows, find_sweep, overrides_of, sweeps, table_rows

FILE = """
[datasets.shapes]
kind = "shapes"
[model]
backbone = "tiny"
weights = "shipped"
"""
OWN = """
[ablate.mine]
[ablate.mine.values]
"model.metric" = ["otam", "trx"]
"model.visual_layers" = [1, 2]
"""


def settings(folder: Path, more: str = "") -> Settings:
    (folder / "fsarctl.toml").write_text(FILE + more)
    return load_settings(folder, environment={})


def test_every_table_and_figure_that_varies_something_ships(tmp_path: Path) -> None:
    known = sweeps(settings(tmp_path))
    tables = {f"table{number}" for number in range(3, 10)}
    assert known.keys() == {*tables, "fig8", "fig9", "fig10", "protocol", "shots", "methods", "probes"}


def test_every_row_that_ships_is_made_of_valid_settings(tmp_path: Path) -> None:
    base = settings(tmp_path)
    for name, sweep in sweeps(base).items():
        rows = [(overrides_of(row), row.shortcut, row.oracle) for row in sweep.expanded]
        assert all(base.changed(overrides) for overrides, *_ in rows)
        assert all(rows.count(row) == 1 for row in rows), name


@pytest.mark.parametrize(
    ("sweep", "row", "shot", "benchmark", "accuracy"),
    [
        # Typed off the paper's tables once more, a number from each.
        ("table3", "Task-MSA alone", "1", "ssv2-small", 56.6),
        ("table4", "sub-actions, order", "1", "ssv2-small", 62.8),
        ("table5", "Task-Adapter++, video", "1", "ssv2-small", 53.1),
        ("table6", "concatenated", "1", "ssv2-small", 61.4),
        ("table7", "convolution", "5", "kinetics100", 96.0),
        ("table8", "order adapter, bottom 6", "1", "ssv2-small", 62.1),
        ("table9", "Task-MSA between", "1", "ssv2-small", 55.5),
        ("shots", "Task-Adapter++", "3", "hmdb51", 90.6),
        ("shots", "Task-Adapter", "5", "ssv2-full", 74.2),
    ],
)
def test_the_papers_numbers_are_the_papers(
    tmp_path: Path, sweep: str, row: str, shot: str, benchmark: str, accuracy: float
) -> None:
    rows = {each.name: each for each in sweeps(settings(tmp_path))[sweep].expanded}
    assert rows[row].paper[benchmark][shot] == accuracy


def test_values_are_multiplied_out(tmp_path: Path) -> None:
    sweep = find_sweep("mine", settings(tmp_path, OWN))
    assert [(row.name, dict(row.set)) for row in sweep.expanded] == [
        ("metric otam, visual_layers 1", {"model.metric": "otam", "model.visual_layers": 1}),
        ("metric otam, visual_layers 2", {"model.metric": "otam", "model.visual_layers": 2}),
        ("metric trx, visual_layers 1", {"model.metric": "trx", "model.visual_layers": 1}),
        ("metric trx, visual_layers 2", {"model.metric": "trx", "model.visual_layers": 2}),
    ]
    assert sweep.reference(sweep.expanded[3]) == "metric otam, visual_layers 1"


def test_an_override_means_what_the_row_says(tmp_path: Path) -> None:
    row = RowConfig(
        "x",
        {
            "model.adapters": ("task", "joint"),
            "model.metric": "otam",
            "train.lr": 0.5,
            "eval.frozen": False,
            "datasets.mine.root": "clips",
            "datasets.mine.splits": {"test": ("a 'quoted' \"class\"", "b=c")},
        },
    )
    config = settings(tmp_path).changed(overrides_of(row)).config
    assert config.model.adapters == ("task", "joint")
    assert config.model.metric == "otam"
    assert config.train.lr == 0.5
    assert config.eval.frozen is False
    assert config.datasets["mine"].splits == {"test": ("a 'quoted' \"class\"", "b=c")}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("", "rows or values"),
        ('rows = [{name = "a"}]\nvalues = {"train.lr" = [1.0]}', "rows or values"),
        ('values = {"train.lr" = []}', "holds something"),
        ('rows = [{name = "a"}, {name = "a"}]', "several rows are called a"),
        ('rows = [{name = "a"}]\nbaseline = "b"', "'b' is none of the rows"),
        ('rows = [{name = "a", against = "c"}]', "'c' is none of the rows"),
        ('rows = [{name = "a", cells = ["x"]}]', "as many cells"),
        ('rows = [{name = "a", sets = {}}]', "unexpected"),
        ('rows = [{name = "a"}]\nshots = [0]', "each must be 1 or more"),
        ('row = [{name = "a"}]', "did you mean rows"),
        ('rows = [{name = " "}]', "empty"),
        ('rows = [{name = "a\\nb"}]', "line breaks"),
        ('columns = ["a\\nb"]\nrows = [{name = "a"}]', "line breaks"),
        ('values = {"eval.shots" = [[1], [3]]}', "a row has no shots of its own"),
    ],
)
def test_a_sweep_that_makes_no_sense_is_refused(tmp_path: Path, table: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(tmp_path, f'[ablate.mine]\ntitle = "t"\n{table}')
    assert said in f"{caught.value.message} {caught.value.next_step}"


def test_names_that_are_not_there_are_refused_with_the_nearest(tmp_path: Path) -> None:
    known = settings(tmp_path)
    with pytest.raises(UsageError, match="did you mean table4"):
        find_sweep("tabel4", known)
    with pytest.raises(UsageError, match="no row 'x'"):
        chosen_rows(find_sweep("table4", known), ["x"], known)


def test_chosen_rows_bring_their_baselines(tmp_path: Path) -> None:
    chosen = chosen_rows(
        find_sweep("fig10", settings(tmp_path)), ["OTAM, Task-Adapter++"], settings(tmp_path)
    )
    assert [row.name for row in chosen] == ["OTAM, full fine-tuning", "OTAM, Task-Adapter++"]


def result(folder: Path, right: list[bool], *, shot: int = 1, seed: int = 0) -> Result:
    """One episode a value, of one query of each of two classes; both right or both wrong."""
    episodes = len(right)
    targets = np.tile([0, 1], (episodes, 1))
    columns = np.where(np.array(right)[:, None], targets, 1 - targets)
    made = Predictions(
        ("a", "b"),
        np.tile([0, 1], (episodes, 1)),
        np.tile([[0], [2]], (episodes, 1, 1)),
        np.tile([1, 3], (episodes, 1)),
        targets,
        np.eye(2, dtype=np.float32)[columns],
    )
    folder.mkdir(parents=True)
    facts = {
        "split": "test", "way": 2, "query": 1, "shot": shot, "seed": seed, "episodes": episodes,
        "trainable_parameters": 7,
    }  # fmt: skip
    write_result(folder, made, ["a/1", "a/2", "b/1", "b/2"], facts)
    return load_result(folder)


def test_the_numbers_of_a_table_are_over_all_seeds(tmp_path: Path) -> None:
    sweep = AblateConfig(
        rows=(
            RowConfig("base", paper={"hmdb51": {"1": 40.0}}),
            RowConfig("better"),
            RowConfig("not run"),
        )
    )
    right: dict[str, list[list[bool]]] = {
        "base": [[True, False, False, False], [False, True, False, False]],
        "better": [[True, True, False, False], [True, True, True, False]],
    }
    outcomes: Any = {
        (name, 1): [result(tmp_path / name / str(seed), each, seed=seed) for seed, each in enumerate(seeds)]
        for name, seeds in right.items()
    }
    rows = table_rows(sweep, sweep.rows, [1], outcomes, "hmdb51")
    base, better, missing = (row["results"][0] for row in rows)
    assert (base["accuracy"], better["accuracy"]) == (0.25, 0.625)
    assert better["half_width"] == pytest.approx(estimate([1, 1, 0, 0, 1, 1, 1, 0]).half_width)
    assert better["seeds"] == [0.5, 0.75]
    assert better["difference"] == 0.375
    assert better["difference_half_width"] == pytest.approx(estimate([0, 1, 0, 0, 1, 0, 1, 0]).half_width)
    # Of the seeds the differences are 0.25 and 0.5: 0.375 +/- 12.706 * 0.17678 / sqrt(2).
    assert better["difference_half_width_over_seeds"] == pytest.approx(12.706 * 0.125)
    assert better["p"] < 0.05
    assert better["significant"] is False
    assert base["difference"] is None
    assert (base["paper"], better["paper"]) == (pytest.approx(0.4), None)
    assert (missing["accuracy"], missing["difference"]) == (None, None)
    # The paper's numbers stand beside those on the same benchmark alone.
    assert table_rows(sweep, sweep.rows, [1], outcomes, "shapes")[0]["results"][0]["paper"] is None


def test_rows_of_other_episodes_have_no_difference(tmp_path: Path) -> None:
    sweep = AblateConfig(rows=(RowConfig("base"), RowConfig("other")))
    outcomes: Any = {
        ("base", 1): [result(tmp_path / "a", [True, False])],
        ("other", 1): [result(tmp_path / "b", [True, False, True])],
    }
    assert table_rows(sweep, sweep.rows, [1], outcomes, "")[1]["results"][0]["difference"] is None


def test_latex_takes_any_name() -> None:
    from fsarctl.results.markup import latex_text

    assert latex_text("50% \\alpha #{}$~^_&") == (
        r"50\% \textbackslash{}alpha \#\{\}\$\textasciitilde{}\textasciicircum{}\_\&"
    )
    assert latex_text("+1.0 ± 0.2*") == r"+1.0 $\pm$ 0.2$^*$"
