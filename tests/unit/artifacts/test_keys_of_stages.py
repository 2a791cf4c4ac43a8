"""Each setting that changes a result changes the key of the stage that it belongs to, and no other."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from fsarctl.artifacts.command import Option
from fsarctl.config.model_table import ModelConfig
from fsarctl.config.settings import load_settings
from fsarctl.config.tables import ExtractConfig
from fsarctl.config.training_tables import EvalConfig, TrainConfig
from fsarctl.execution.device import Machine
from fsarctl.stages.plan import Pipeline, RunOptions

FILE = """
[datasets.shapes]
kind = "shapes"
[model]
backbone = "tiny"
weights = "random"
text_layers = 2
"""
# A valid value that is not the default, for each setting; a new setting without one fails the test below.
OTHER: dict[str, dict[str, Any]] = {
    "extract": {"frames": 6, "candidates": 3, "size": 90, "resize": "aspect"},
    "model": {
        "backbone": "ViT-B-32",
        "weights": "laion2b_s34b_b79k",
        "formulation": "released",
        "visual_layers": 1,
        "text_layers": 1,
        "score": "video",
        "logit_scale": 32.0,
        "precision": "bf16",
        "strategy": "aim",
        "adapters": ("task",),
        "visual_position": "bottom",
        "task_position": "before",
        "text_position": "bottom",
        "order_position": "before",
        "sub_actions": "average",
        "alignment": "conv1d",
        "alignment_layers": 2,
        "metric": "otam",
        "trx_shots": "pooled",
        "alignment_residual": "key",
        "alignment_norm": True,
        "segments": "mean_of_cosines",
        "temporal_embedding": True,
        "task_adapter_start": "default",
        "crop": "frame",
    },
    "train": {
        "way": 4,
        "query": 2,
        "epochs": 2,
        "episodes": 7,
        "val_episodes": 9,
        "lr": 0.5,
        "backbone_lr": 0.5,
        "momentum": 0.5,
        "weight_decay": 0.5,
        "episodes_per_step": 2,
        "optimiser": "adamw",
        "schedule": "cosine",
        "steps": ((1.0, 0.5),),
        "warmup": 1.0,
        "warmup_from": 0.5,
        "betas": (0.5, 0.9),
        "epsilon": 1e-3,
        "base_head": 0.5,
        "base_text": 0.5,
        "episode_shot": 7,
        "clip_norm": 1.0,
        "flip": True,
        "prefix_crops": 2,
        "reduction": "fast",
        "seed": 3,
    },
    "eval": {
        "split": "val",
        "way": 4,
        "query": 2,
        "query_mode": "independent",
        "episodes": 7,
        "seed": 3,
    },
}
NAMES_ONLY = {"dataset", "shots", "frozen", "published"}  # what to run, or what holds, not what it is
OWN = {"method", "options"}  # of methods that are not ours: test_own_parts.py
ONE_SPLIT = {"candidates": {"extract shapes/train"}}  # what is trained on
AFFECTED = {"train": {"train"}, "eval": {"evaluate"}, "extract": {"extract"}}


def pipeline(folder: Path, table: str = "", **changes: Any) -> Pipeline:
    (folder / "fsarctl.toml").write_text(FILE)
    settings = load_settings(folder, environment={})
    if table:
        changed = replace(getattr(settings.config, table), **changes)
        settings = replace(settings, config=replace(settings.config, **{table: changed}))
    return Pipeline(settings, folder / "records", RunOptions(workers=1))


def configurations(made: Pipeline) -> dict[str, Any]:
    """Slot -> what of the settings enters its key."""
    return {unit.slot: (unit.stage, dict(unit.config)) for unit in made.used([1, 3])}  # refuses nothing


@pytest.mark.parametrize(
    ("table", "cls"),
    [("extract", ExtractConfig), ("model", ModelConfig), ("train", TrainConfig), ("eval", EvalConfig)],
)
def test_every_setting_is_covered(table: str, cls: type[Any]) -> None:
    assert {each.name for each in fields(cls)} - NAMES_ONLY - OWN == OTHER[table].keys()


@pytest.mark.parametrize(
    ("table", "name"), [(table, name) for table, names in OTHER.items() for name in names]
)
def test_a_setting_changes_the_keys_of_its_stage_alone(tmp_path: Path, table: str, name: str) -> None:
    needs: dict[str, Any] = {"metric": "trx"} if name == "trx_shots" else {}
    if name == "warmup_from":
        needs = {"warmup": 1.0}
    changes = {"steps": {"schedule": "steps"}}.get(name, {})
    before = configurations(pipeline(tmp_path, table, **needs))
    after = configurations(pipeline(tmp_path, table, **needs, **changes, **{name: OTHER[table][name]}))
    changed = {before[slot][0] for slot in before.keys() & after.keys() if before[slot] != after[slot]}
    unchanged = {before[slot][0] for slot in before.keys() & after.keys() if before[slot] == after[slot]}
    if table == "model":
        assert "train" in changed
        assert "evaluate" in changed or before.keys() != after.keys()
        assert "render" not in changed
    elif name == "episode_shot":  # one training for all shots
        trained = {slot for slot in after if slot.startswith("train ")}
        assert trained == {f"train shapes {OTHER[table][name]}-shot"}
    elif name in ONE_SPLIT:
        assert {slot for slot in before if before[slot] != after[slot]} == ONE_SPLIT[name]
    else:
        assert changed == AFFECTED[table]
        assert not unchanged & AFFECTED[table]


@pytest.mark.parametrize(
    "options",
    [
        {"workers": 7},
        {"machine": Machine("cpu", 1.0, 1.0)},
        {"strict": True},
        {"time_limit_s": 1.0},
        {"flags": (Option("--cache", ("x",)),)},
        {"board": Path("boards")},
    ],
)
def test_what_changes_no_result_is_in_no_key(tmp_path: Path, options: dict[str, Any]) -> None:
    before = pipeline(tmp_path)
    after = Pipeline(before._settings, tmp_path / "elsewhere", RunOptions(**{"workers": 1, **options}))
    assert configurations(after) == configurations(before)


def test_what_is_found_in_a_film_depends_on_the_model_and_its_frames_alone(tmp_path: Path) -> None:
    def changed(table: str = "", **changes: Any) -> set[str]:
        made = pipeline(tmp_path, table, **changes)
        with_film = replace(made._settings.config.datasets["shapes"], film_s=20)
        config = replace(made._settings.config, datasets={"shapes": with_film})
        made = Pipeline(replace(made._settings, config=config), tmp_path, RunOptions(workers=1))
        found = {unit.slot: dict(unit.config) for unit in made.film([1, 3, 5])}
        return {slot for slot, config in found.items() if config != before.setdefault(slot, config)}

    before: dict[str, Any] = {}
    both = {f"film shapes/test 5-shot {name}" for name in ("frozen", "task-adapter++")}
    assert changed() == set()
    assert before.keys() == both
    assert changed("extract", frames=6) == changed("extract", resize="aspect") == both
    assert changed("model", visual_layers=1) == {"film shapes/test 5-shot task-adapter++"}
    assert changed("eval", episodes=7, seed=3, query_mode="independent") == set()
    assert not any("film" in slot for slot in configurations(pipeline(tmp_path)))


def test_where_the_project_is_enters_no_key(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        made.append(configurations(pipeline(tmp_path / name)))
    assert made[0] == made[1]
    assert str(tmp_path) not in str(made[0])
