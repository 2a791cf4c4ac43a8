"""`fsarctl ablate` where the columns are datasets: one table of all, with oracles beside the methods."""

import csv
import io
import json
from pathlib import Path

import pytest
from typed import type_in

from fsarctl.config.settings import load_settings
from fsarctl.config.sweep_table import AblateConfig, RowConfig
from fsarctl.errors import ConfigError
from fsarctl.results.sweeps import shared_overrides

FILE = """
[datasets.shapes]
kind = "shapes"
[datasets.order]
kind = "probe"
name = "order"
clips_per_class = 2
[model]
backbone = "tiny"
weights = "shipped"
text_layers = 2
[eval]
dataset = "shapes"
episodes = 500
[ablate.mine]
baseline = "frozen"
[ablate.mine.datasets]
order = {}
moving = { kind = "probe", name = "motion", clips_per_class = 2 }
[ablate.mine.set]
"eval.episodes" = 20
[[ablate.mine.rows]]
name = "frozen"
method = "frozen"
[[ablate.mine.rows]]
name = "it sees order"
oracle = "order"
[[ablate.mine.rows]]
name = "it sees motion"
oracle = "motion"
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("datasets")
    (folder / "fsarctl.toml").write_text(FILE)
    return folder


def test_datasets_are_columns_of_one_table(project: Path) -> None:
    (table,) = json.loads(type_in(project, "fsarctl ablate mine --json").stdout)["tables"]
    assert table["datasets"] == ["order", "moving"]
    assert table["benchmark"] == "order, motion"
    assert table["episodes"] == 20
    numbers = {
        row["name"]: {each["dataset"]: each["accuracy"] for each in row["results"]} for row in table["rows"]
    }
    assert numbers["it sees order"]["order"] == numbers["it sees motion"]["moving"] == 1
    assert max(numbers["it sees order"]["moving"], numbers["it sees motion"]["order"]) < 0.4
    assert [row["method"] for row in table["rows"]] == [
        "frozen CLIP", "oracle of order", "oracle of motion",
    ]  # fmt: skip
    for row in table["rows"][1:]:
        assert all(each["difference"] is not None for each in row["results"]), "the same episodes"

    plain = type_in(project, "fsarctl ablate mine --format markdown").stdout
    assert "| order | moving |" in " ".join(plain.split())
    assert "chance: 20.0" in plain
    read = list(csv.DictReader(io.StringIO(type_in(project, "fsarctl ablate mine --format csv").stdout)))
    assert [(each["row"], each["benchmark"]) for each in read[:3]] == [
        ("frozen", "order"), ("frozen", "moving"), ("it sees order", "order"),
    ]  # fmt: skip
    assert "order & moving" in type_in(project, "fsarctl ablate mine --format latex").stdout


def test_a_flag_stands_above_what_a_sweep_sets_for_all_rows(project: Path) -> None:
    done = type_in(project, "fsarctl ablate mine --rows 'it sees motion' --set eval.episodes=10 --json")
    (table,) = json.loads(done.stdout)["tables"]
    assert table["episodes"] == 10
    sweep = load_settings(project, environment={}).config.ablate["mine"]
    flagged = load_settings(project, ["eval.episodes=10"], environment={})
    assert shared_overrides(sweep, "moving", flagged) == [
        'datasets.moving.kind="probe"', 'datasets.moving.name="motion"', "datasets.moving.clips_per_class=2",
        'train.dataset="moving"', 'eval.dataset="moving"',
    ]  # fmt: skip
    assert shared_overrides(sweep, "order", load_settings(project, environment={}))[0] == "eval.episodes=20"


def test_a_plan_names_every_dataset_and_its_command_can_be_typed(project: Path) -> None:
    plan = json.loads(type_in(project, "fsarctl ablate mine --dry-run --json").stdout)
    assert [each["run"] for each in plan["runs"]][:2] == ["frozen, order, 1-shot", "frozen, moving, 1-shot"]
    command = plan["runs"][3]["command"]
    assert "fsarctl ablate mine --rows 'it sees order'" in command
    assert "eval.dataset=moving" in command.replace('"', "").replace("\\", "")


def test_the_report_shows_such_a_table(project: Path) -> None:
    settings = "--set model.strategy=frozen --set eval.dataset=order --set eval.episodes=20"
    type_in(project, f"fsarctl run --shots 1 {settings}")
    type_in(project, "fsarctl ablate mine")
    type_in(project, f"fsarctl report --no-pictures --output page.html {settings}")
    page = (project / "page.html").read_text(encoding="utf-8")
    tables = [each.split("</table>")[0] for each in page.split('<table class="ablation">')[1:]]
    assert any(all(word in each for word in (">order<", ">moving<", "it sees motion")) for each in tables)


def test_an_oracle_is_for_a_probe(project: Path) -> None:
    more = '[ablate.on-shapes]\n[[ablate.on-shapes.rows]]\nname = "it sees order"\noracle = "order"\n'
    path = project / "fsarctl.toml"
    path.write_text(FILE + more)
    done = type_in(project, "fsarctl ablate on-shapes", expect=3)
    path.write_text(FILE)
    assert "an oracle reads what was rendered of a probe, and shapes is of kind = shapes" in done.stderr


@pytest.mark.parametrize(
    ("datasets", "row", "message"),
    [
        ({"a": {}}, {"set": {"eval.dataset": "b"}}, "no dataset of its own where datasets are columns"),
        ({"a": {}}, {"set": {"train.dataset": "b"}}, "no dataset of its own where datasets are columns"),
    ],
)
def test_what_cannot_be_columns_is_refused(datasets: dict, row: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AblateConfig(datasets=datasets, rows=(RowConfig("x", **row),))


def test_a_dataset_that_the_project_lacks_is_named(project: Path) -> None:
    more = '[ablate.lost]\ndatasets = { nowhere = {} }\n[[ablate.lost.rows]]\nname = "x"\n'
    path = project / "fsarctl.toml"
    path.write_text(FILE + more)
    done = type_in(project, "fsarctl ablate lost", expect=3)
    path.write_text(FILE)
    assert "sweep 'lost': there is no dataset 'nowhere'" in done.stderr
