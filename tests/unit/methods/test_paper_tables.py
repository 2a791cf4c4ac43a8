"""Every row of the paper's Tables 3 to 9 is a [model] table, and the model that it makes runs and learns."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import torch

from fsarctl.config import model_table as config
from fsarctl.config.model_table import ModelConfig
from fsarctl.config.settings import Settings
from fsarctl.config.tables import Config
from fsarctl.errors import ConfigError
from fsarctl.methods import PRESETS, Formulation
from fsarctl.methods.build import ADAPTER_FIELDS, build_model, model_key, tokens_of
from fsarctl.models.metrics import METRICS
from fsarctl.models.strategies import ORDER_FIRST, POSITIONS, PROMPTS, STRATEGIES, VISUAL_STEPS
from fsarctl.results.sweeps import sweeps
from fsarctl.text.corpus import PROMPT_MAKERS

TINY = ModelConfig(backbone="tiny", weights="shipped", visual_layers=1, text_layers=1)
DESCRIPTIONS = {
    f"circle {n}": (f"A circle {n} begins.", f"The circle {n} moves.", f"Circle {n} ends.") for n in range(3)
}
LABEL_ALONE = {"sub_actions": "none", "alignment": "none"}


def rows_of_the_paper() -> dict[str, dict[str, Any]]:
    """The [model] settings of the rows that ship, each once, with one layer wherever there are several."""
    rows: dict[str, dict[str, Any]] = {}
    for name, sweep in sweeps(Settings(Path(), Config(), {}, {})).items():
        for row in sweep.expanded if name not in ("protocol", "methods", "probes") else ():
            model = {
                key.removeprefix("model."): 1 if key.endswith("_layers") and "align" not in key else value
                for key, value in row.set.items()
                if key.startswith("model.")
            }
            if "adapters" in model:
                model["adapters"] = tuple(model["adapters"])
            if replace(TINY, **model) not in [replace(TINY, **other) for other in rows.values()]:
                rows[f"{name} {row.name}"] = model
    return rows


ROWS: dict[str, dict[str, Any]] = {
    **rows_of_the_paper(),
    "TRX, shots pooled": {"metric": "trx", "trx_shots": "pooled"},
    "released": {"formulation": "released"},
    "released, one option back": {"formulation": "released", "temporal_embedding": False},
    "a norm": {"alignment_norm": True, "alignment_residual": "key"},
}


def scored(model: ModelConfig, started: bool = True) -> tuple[Any, Any]:
    """The model of a table with every trained weight moved a little, and its scores of one noisy episode."""
    made = build_model(model, Path(), frames=8, adapters=True, seed=0, device=torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in made.trainable_parameters() if started else []:
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    side = made.backbone.image_size
    support = torch.randn(6, 8, 3, side, side, generator=torch.Generator().manual_seed(1))
    query = torch.randn(3, 8, 3, side, side, generator=torch.Generator().manual_seed(2))
    tokens = torch.stack(list(tokens_of(made, DESCRIPTIONS).values()))
    return made, made(support, query, tokens, way=3)


MATRICES: dict[str, torch.Tensor] = {}
"""Of rows that were scored, so that they are compared without being scored again."""


def scored_row(row: str) -> tuple[Any, Any]:
    made, scores = scored(replace(TINY, **ROWS[row]))
    MATRICES[row] = scores.score.detach()
    return made, scores


@pytest.mark.parametrize("row", ROWS)
def test_a_row_is_a_model_that_learns(row: str) -> None:
    table = replace(TINY, **ROWS[row])
    made, scores = scored_row(row)
    assert scores.score.shape == (3, 3)
    assert scores.score.isfinite().all()
    if table.strategy != "frozen":
        made.loss(scores, torch.arange(3)).backward()
        gradients = [p.grad for p in made.trainable_parameters() if p.grad is not None]
        assert gradients
        assert all(gradient.isfinite().all() for gradient in gradients)
    keys = [model_key(each, Path(), adapters=True) for each in (table, TINY)]
    assert (keys[0] == keys[1]) == (table == TINY)


def test_no_two_rows_are_the_same_function() -> None:
    for row in ROWS.keys() - MATRICES.keys():
        scored_row(row)
    names = list(ROWS)
    same = [
        (a, b)
        for i, a in enumerate(names)
        for b in names[:i]
        if torch.allclose(MATRICES[a], MATRICES[b], rtol=1e-5, atol=1e-7)
    ]
    # Order adapters are all that distinguishes Task-Adapter++, and the video score has no text.
    assert same == [("table5 Task-Adapter++, video", "table5 Task-Adapter, video")]


def test_the_defaults_are_the_papers_model() -> None:
    plain = scored(TINY)[1].score
    said = replace(
        TINY, metric="protonet_frames", alignment_residual="query", segments="cosine_of_mean", crop="clip"
    )
    assert torch.equal(scored(said)[1].score, plain)


def test_every_option_of_the_formulation_can_be_overridden() -> None:
    assert {field.name for field in fields(Formulation)} == {*config.FORMULATION_OPTIONS, "video_metric"}
    ours, theirs = get_type_hints(ModelConfig), get_type_hints(Formulation)
    for name in config.FORMULATION_OPTIONS:
        allowed = (True, False) if theirs[name] is bool else get_args(theirs[name])
        assert set(get_args(ours[name])) == {"", *allowed}
        for value in allowed:
            for preset in PRESETS:
                table = replace(TINY, formulation=preset, **{name: value})
                assert table.overrides() == {name: value}
                made = build_model(table, Path(), frames=8, adapters=True, seed=0, device=torch.device("cpu"))
                assert made.formulation == replace(PRESETS[preset], **{name: value})
    assert TINY.overrides() == {}


def test_settings_and_tables_name_the_same_values() -> None:
    assert set(get_args(config.MetricName)) == {"protonet", "trx", *METRICS}
    for values, table in (
        (config.Strategy, STRATEGIES),
        (config.Position, POSITIONS),
        (config.TaskPosition, VISUAL_STEPS),
        (config.OrderPosition, ORDER_FIRST),
        (config.SubActionUse, PROMPTS),
        (config.SubActionUse, PROMPT_MAKERS),
    ):
        assert set(get_args(values)) == set(table)
    assert set(get_args(config.AdapterKind)) == set(STRATEGIES["task-adapter++"])
    assert {field.name for field in fields(ModelConfig)} >= set(ADAPTER_FIELDS)


def test_prompts_are_as_many_as_the_table_says() -> None:
    sub_actions = ("Run up.", "Take off.", "Land.")
    for use, make in PROMPT_MAKERS.items():
        assert len(make("long jump", sub_actions)) == PROMPTS[use]
    assert PROMPT_MAKERS["none"]("long jump", sub_actions) == ("A video of action about long jump",)
    assert PROMPT_MAKERS["concatenate"]("long jump", sub_actions) == (
        "A video of action about long jump: Run up. Take off. Land.",
    )


@pytest.mark.parametrize("option", ["average", "concatenate", "none"])
def test_one_text_feature_a_class(option: str) -> None:
    made, scores = scored(replace(TINY, sub_actions=option))
    assert scores.text_features.shape[-2] == 1
    if option == "average":
        tokens = torch.stack(list(tokens_of(made, DESCRIPTIONS).values()))
        torch.testing.assert_close(scores.text_features[:, 0], made.semantic(tokens).mean(1))


def test_the_frozen_row_does_not_depend_on_what_is_trained() -> None:
    root = Path()
    for options in (ROWS["table3 AIM"], ROWS["table9 Task-MSA before"], {"strategy": "full"}):
        table = replace(TINY, **options)
        same_text = replace(TINY, sub_actions=table.sub_actions, alignment=table.alignment)
        assert model_key(table, root, adapters=False) == model_key(same_text, root, adapters=False)
    for options in (
        ROWS["table6 average"],
        ROWS["fig10 OTAM, Task-Adapter++"],
        ROWS["table7 attention, 2 layers"],
    ):
        table = replace(TINY, **options)
        assert model_key(table, root, adapters=False) != model_key(TINY, root, adapters=False)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"strategy": "full", "adapters": ("task",)}, "no adapters to choose"),
        ({"adapters": ("task", "task")}, "may stand there once"),
        ({"alignment_layers": 4}, "within 1 and 3"),
        ({"alignment": "conv1d", "alignment_layers": 2}, "for alignment = attention"),
        ({"alignment": "none", "alignment_residual": "key"}, "for alignment = attention"),
        ({"trx_shots": "pooled"}, "for metric = trx"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        replace(TINY, **options)
