"""Whatever a project says, a row of a shipped sweep evaluates what its name says, and its table says so."""

import json
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as trying
from hypothesis import strategies as st

from fsarctl.artifacts import Unit
from fsarctl.config.methods import TASK_ADAPTER, method_file, method_names
from fsarctl.config.model_table import FORMULATION_OPTIONS, ONLY_WITH, MetricName, ModelConfig
from fsarctl.config.settings import Settings, load_settings
from fsarctl.config.tables import Config
from fsarctl.config.training_tables import EvalConfig
from fsarctl.results.sweeps import methods, overrides_of, pinned, sweeps
from fsarctl.stages import ablate
from fsarctl.stages.plan import Pipeline, RunOptions

FILE = """
[datasets.shapes]
kind = "shapes"
[model]
backbone = "ViT-B-16-quickgelu"
weights = "random"
[train]
shots = [1]
"""
LABEL = {"sub_actions": "none", "alignment": "none"}
PLAIN = {"adapters": (), "visual_position": "top", "text_position": "top", "task_position": "after"}
PLAIN |= {"order_position": "after", "alignment_layers": 1, "metric": "protonet", "score": "both"}
BOTH = {"sub_actions": "stages", "alignment": "attention"}
METHOD: dict[str, dict[str, Any]] = {
    "frozen": {**BOTH, "strategy": "frozen"},
    "full fine-tuning": {**LABEL, **PLAIN, "strategy": "full"},
    "AIM": {**LABEL, **PLAIN, "strategy": "aim"},
    "Task-Adapter": {**LABEL, **PLAIN, "strategy": "task-adapter"},
    "Task-Adapter++": {**BOTH, **PLAIN, "strategy": "task-adapter++"},
}
METRICS = {"ProtoNet": "protonet", "Bi-MHM": "bi_mhm", "OTAM": "otam", "TRX": "trx"}
PLUS, ADAPTER = METHOD["Task-Adapter++"], METHOD["Task-Adapter"]
GROUPED = "support and query of one group"
# Typed off the paper's tables and figures: what each row is, and so what its name says.
CLAIMS: dict[str, dict[str, dict[str, Any]]] = {
    "shots": {
        "frozen CLIP": METHOD["frozen"],
        "Task-Adapter": ADAPTER,
        "Task-Adapter++": PLUS,
    },
    "table3": {
        "frozen backbone": {**LABEL, "strategy": "frozen"},
        "full fine-tuning": METHOD["full fine-tuning"],
        "AIM in all blocks": {**METHOD["AIM"], "visual_position": "all"},
        "AIM": METHOD["AIM"],
        "Task-Adapter in all blocks": {**ADAPTER, "visual_position": "all"},
        "Task-MSA alone": {**ADAPTER, "adapters": ("task",)},
        "Task-Adapter": ADAPTER,
    },
    "table4": {
        "Task-Adapter": ADAPTER,
        "sub-actions": {**ADAPTER, "sub_actions": "stages"},
        "alignment": {**ADAPTER, "alignment": "attention"},
        "sub-actions, alignment": {**ADAPTER, **BOTH},
        "sub-actions, order": {**PLUS, "alignment": "none"},
        "Task-Adapter++": PLUS,
    },
    "table5": {
        f"{name}, {score}": {**METHOD[name], "score": score}
        for name in ("Task-Adapter", "Task-Adapter++")
        for score in ("video", "text", "both")
    },
    "table6": {
        "without": ADAPTER,
        "average": {**PLUS, "sub_actions": "average"},
        "concatenated": {**PLUS, "sub_actions": "concatenate"},
        "stage-wise": PLUS,
    },
    "table7": {
        "attention, 1 layer": PLUS,
        "attention, 2 layers": {**PLUS, "alignment_layers": 2},
        "attention, 3 layers": {**PLUS, "alignment_layers": 3},
        "convolution": {**PLUS, "alignment": "conv1d"},
    },
    "table8": {
        **{
            f"Task-Adapter, {end} {count}": {**ADAPTER, "visual_position": end, "visual_layers": count}
            for end in ("top", "bottom")
            for count in (6, 2)
        },
        "Task-Adapter, all": {**ADAPTER, "visual_position": "all"},
        **{
            f"order adapter, {end} {count}": {**PLUS, "text_position": end, "text_layers": count}
            for end in ("top", "bottom")
            for count in (6, 2)
        },
        "order adapter, all": {**PLUS, "text_position": "all"},
    },
    "table9": {
        **{
            f"Task-MSA {where}": {**ADAPTER, "task_position": where}
            for where in ("before", "between", "after")
        },
        **{f"O-MSA {where}": {**PLUS, "order_position": where} for where in ("before", "after")},
    },
    "fig8": {
        **{f"L = {n}": {**PLUS, "visual_layers": n} for n in range(1, 13)},
        **{f"M = {n}": {**PLUS, "text_layers": n} for n in range(1, 13)},
    },
    "fig9": {
        f"{way}-way {title}": {**METHOD[name], "eval.way": way}
        for way in range(5, 11)
        for name, title in (
            ("frozen", "frozen CLIP"),
            ("Task-Adapter", "Task-Adapter"),
            ("Task-Adapter++", "Task-Adapter++"),
        )
    },
    "fig10": {
        f"{title}, {name}": {**METHOD[name], "metric": metric}
        for title, metric in METRICS.items()
        for name in ("full fine-tuning", "Task-Adapter", "Task-Adapter++")
    },
    "protocol": {
        "none of them": {**PLUS, "eval.query_mode": "joint", "crop": "clip"},
        "stricter: each query alone": {**PLUS, "eval.query_mode": "independent", "crop": "clip"},
        "a crop for each frame": {**PLUS, "eval.query_mode": "joint", "crop": "frame"},
        "epoch chosen on the test episodes": {**PLUS, "eval.query_mode": "joint", "crop": "clip"},
        "transposed text scores, in testing alone": {**PLUS, "eval.query_mode": "joint", "crop": "clip"},
        "transposed text scores, in training too": {**PLUS, "eval.query_mode": "joint", "crop": "clip"},
        "all as released": {**PLUS, "eval.query_mode": "joint", "crop": "frame"},
        "a random frame of each segment in testing": {**PLUS, "eval.query_mode": "joint", "crop": "clip"},
        "queries that may be support clips": {**PLUS, "eval.query_mode": "joint", "crop": "clip"},
        GROUPED: {**PLUS, "eval.query_mode": "joint", "crop": "clip"},
    },
}
CROPS = {"paper": "clip", "released": "frame"}
TICKS = {
    "table3": ["✓×××", "××××", "✓✓××", "✓✓×✓", "✓✓✓×", "✓×✓✓", "✓✓✓✓"],
    "table4": ["✓×××", "✓✓××", "✓××✓", "✓✓×✓", "✓✓✓×", "✓✓✓✓"],
}
# What no name claims: the place where it runs, the reading of the equations, and L and M, which the paper
# chooses by data set (the rows that vary them are in fig8 and table8).
PROJECTS = {
    "backbone", "weights", "formulation", "logit_scale", "precision", "visual_layers", "text_layers",
    "trx_shots", *FORMULATION_OPTIONS,
}  # fmt: skip


OTHERS = {"methods", "probes"}
"""Sweeps that are not of the paper."""


@cache
def base(folder: Path) -> Settings:
    (folder / "fsarctl.toml").write_text(FILE)
    return load_settings(folder, environment={})


def shipped() -> dict[str, Any]:
    """Those of the paper."""
    return {
        name: replace(each, rows=tuple(row for row in each.rows if row.method))
        for name, each in every_sweep().items()
        if name not in OTHERS
    }


def every_sweep() -> dict[str, Any]:
    return sweeps(Settings(Path(), Config(), {}, {}))


def planned(settings: Settings, name: str) -> ablate.Sweep:
    """The sweep's runs at one shot, none of which is made."""

    def pipeline(changed: Settings, _: object) -> Pipeline:
        return Pipeline(changed, Path("records"), RunOptions(workers=1))

    sweep = {**every_sweep(), **shipped()}[name]
    return ablate.plan(name, sweep, sweep.expanded, [1], [None], settings, pipeline)


def model_settings() -> st.SearchStrategy[list[str]]:
    """Overrides of every field that a row may set; most differ from the defaults."""
    hints = get_type_hints(ModelConfig)
    chosen = {
        name: st.sampled_from([value for value in get_args(hints[name]) if value != ""])
        for name in (
            "strategy", "visual_position", "text_position", "task_position", "order_position", "sub_actions",
            "alignment", "score", "formulation", "crop", "alignment_residual", "alignment_norm", "trx_shots",
        )
    }  # fmt: skip
    chosen |= {
        "metric": st.sampled_from(get_args(MetricName)),
        "adapters": st.sampled_from([[], ["task"], ["order", "joint"], ["temporal", "spatial", "joint"]]),
        "alignment_layers": st.integers(1, 3),
        "visual_layers": st.integers(1, 11),  # of 12 blocks: all of them would be no partial adaptation
        "text_layers": st.integers(1, 12),
    }

    def valid(values: dict[str, Any]) -> list[str]:
        for name, (other, needed) in ONLY_WITH.items():
            if values[other] != needed:
                values[name] = getattr(ModelConfig, name)
        if values["strategy"] in ("frozen", "full"):
            values["adapters"] = []
        return [f"model.{name}={json.dumps(value)}" for name, value in values.items()]

    evaluation = st.fixed_dictionaries(
        {"way": st.integers(3, 7), "query_mode": st.sampled_from(["joint", "independent"])}
    )
    return st.tuples(st.fixed_dictionaries(chosen).map(valid), evaluation).map(
        lambda both: [*both[0], *(f"eval.{name}={value}" for name, value in both[1].items())]
    )


ADVERSE = [
    'model.strategy="frozen"', 'model.visual_position="bottom"', 'model.text_position="all"',
    'model.task_position="before"', 'model.order_position="before"', 'model.sub_actions="average"',
    'model.alignment="conv1d"', 'model.metric="trx"', 'model.trx_shots="pooled"', 'model.score="text"',
    'model.formulation="released"', 'model.crop="frame"', "model.visual_layers=5", "model.text_layers=5",
    "eval.way=4", 'eval.query_mode="independent"',
]  # fmt: skip
ADVERSE_TOO = [
    'model.strategy="aim"', 'model.adapters=["task"]', "model.alignment_layers=3",
    'model.alignment_residual="key"', "model.alignment_norm=true", 'model.score="video"',
    'model.sub_actions="concatenate"', 'model.metric="otam"', 'model.text_position="bottom"',
]  # fmt: skip


def check(settings: Settings, name: str) -> None:
    sweep = planned(settings, name)
    assert sweep.left_out.keys() == ({GROUPED} if name == "protocol" else set())  # shapes have no groups
    table = ablate.document(sweep, {}, {})
    assert [row["name"] for row in table["rows"]] == [
        row.name for row in shipped()[name].rows if row.name not in sweep.left_out
    ]
    for row in table["rows"]:
        run = next(each for each in sweep.runs if each.row == row["name"])
        key, claims = run.unit.config, CLAIMS[name][row["name"]]
        assert isinstance(key, dict)
        model, testing = dict(key["model"]), key.get("eval", key)
        if claims["strategy"] == "frozen":
            assert key["adapted"] is False
            model["strategy"] = "frozen"
        else:
            assert key.get("adapted", True) is True
            assert "adapters" in run.unit.inputs or row["shortcut"]
        model["adapters"] = tuple(model.get("adapters", ()))
        model["crop"] = model.get("crop") or CROPS[settings.config.model.formulation]
        for claim, value in claims.items():
            found = testing[claim[5:]] if claim.startswith("eval.") else model[claim]
            assert found == value, (name, row["name"], claim)
        assert row["label"] == row["name"], "no name of a method that it is not"
    for ticks, row in zip(TICKS.get(name, []), table["rows"], strict=False):
        assert "".join(row["cells"]) == ticks, (name, row["name"])


@pytest.mark.parametrize("name", CLAIMS)
@pytest.mark.parametrize("overrides", [[], ADVERSE, ADVERSE_TOO], ids=["plain", "adverse", "adverse too"])
def test_a_row_evaluates_what_its_name_says(
    tmp_path_factory: pytest.TempPathFactory, name: str, overrides: list[str]
) -> None:
    check(base(tmp_path_factory.mktemp("project")).changed(overrides), name)


@given(overrides=model_settings(), name=st.sampled_from(sorted(set(CLAIMS) - {"fig8", "fig9"})))
@trying(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_row_evaluates_what_its_name_says_in_any_project(
    tmp_path_factory: pytest.TempPathFactory, overrides: list[str], name: str
) -> None:
    check(base(_one_folder(tmp_path_factory)).changed(overrides), name)


_FOLDERS: list[Path] = []


def _one_folder(factory: pytest.TempPathFactory) -> Path:
    if not _FOLDERS:
        _FOLDERS.append(factory.mktemp("any"))
    return _FOLDERS[0]


@pytest.mark.parametrize("overrides", [[], ADVERSE, ADVERSE_TOO], ids=["plain", "adverse", "adverse too"])
def test_each_method_is_itself_in_any_project(tmp_path: Path, overrides: list[str]) -> None:
    own = 'optimiser = "adamw"\nlr = 0.7\nepochs = 2\nwarmup = 1\nquery = 3\n'
    (tmp_path / "fsarctl.toml").write_text(FILE.replace("[train]\n", f"[train]\n{own}"))
    kept = [each for each in overrides if "_layers" not in each]  # the tiny one has too few
    chosen = ["model.backbone=tiny", "model.weights=shipped"]
    changed = load_settings(tmp_path, environment={}).changed([*kept, *chosen])
    sweep = planned(changed, "methods")
    others = {run.row: run.unit for run in sweep.runs if run.row in method_names()}
    assert others.keys() == {*method_names()}
    for name, unit in others.items():
        model, trained = unit.config["model"], unit.inputs["adapters"]
        assert isinstance(model, dict)
        assert isinstance(trained, Unit)
        if name != TASK_ADAPTER:
            assert model.keys() == {"backbone", "precision", "options", "method", "weights"}
            assert model["method"] == {"part": name, "version": 1}
        wanted = method_file(name).presets["shapes"].of_shot(1)
        for key, value in wanted.items():
            table, _, setting = key.partition(".")
            if table == "train" and setting != "episode_shot":
                assert trained.config[setting] in (value, tuple(value) if isinstance(value, list) else value)


def test_every_shipped_row_is_claimed_here() -> None:
    assert {
        name: [row.name for row in sweep.rows] for name, sweep in shipped().items()
    }.keys() == CLAIMS.keys()
    for name, sweep in shipped().items():
        assert {row.name for row in sweep.rows} == CLAIMS[name].keys(), name
        assert all(row.method for row in sweep.rows), name


def test_the_adverse_projects_differ_in_every_field_that_rows_set(tmp_path: Path) -> None:
    plain, defaults = base(tmp_path), (ModelConfig(), EvalConfig())
    rows = [row for sweep in shipped().values() for row in sweep.rows]
    set_by_rows = {key for row in rows for key in pinned(row)}
    differing = set()
    for overrides in (ADVERSE, ADVERSE_TOO):
        changed = plain.changed(overrides).config
        differing |= {
            f"{table}.{each.name}"
            for table, default in zip(("model", "eval"), defaults, strict=True)
            for each in fields(default)
            if getattr(getattr(changed, table), each.name) != getattr(default, each.name)
        }
    # Another method than ours is somebody's package: its settings are replaced like all others.
    assert set_by_rows - differing == {"model.method", "model.options"}


def test_a_method_pins_every_field_of_the_model_but_the_projects() -> None:
    names = {each.name for each in fields(ModelConfig)}
    for method in set(methods()) - {"every"}:
        assert {*methods()["every"], *methods()[method]} == names - PROJECTS, method


def test_at_the_defaults_the_rows_are_the_models_that_they_were(tmp_path: Path) -> None:
    """A row that pins what is so anyway has the key, and so the artifacts, of the model without pins."""
    plain = base(tmp_path)
    for name, row in (
        ("table4", "Task-Adapter++"),
        ("protocol", "none of them"),
        ("shots", "Task-Adapter++"),
    ):
        run = next(each for each in planned(plain, name).runs if each.row == row)
        alone = Pipeline(plain, Path("records"), RunOptions(workers=1)).result(1)
        assert run.unit.config == alone.config
        assert plain.changed(overrides_of(next(r for r in shipped()[name].rows if r.name == row))).config.eval
