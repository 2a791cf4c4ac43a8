"""Methods and ticks of a table are read from the settings of what was evaluated."""

from typing import Any

import pytest

from fsarctl.config.model_table import ModelConfig
from fsarctl.errors import ConfigError
from fsarctl.results.evaluated import Evaluated, called, require_columns


def evaluated(adapted: bool = True, training: dict[str, Any] | None = None, **model: Any) -> Evaluated:
    chosen = vars(ModelConfig(backbone="tiny", weights="shipped", **model))
    config = {"model": {**chosen, "weights": "file"}, "adapted": adapted, "way": 3, "query_mode": "joint"}
    return Evaluated.of(config, training or {})


@pytest.mark.parametrize(
    ("model", "method"),
    [
        ({}, "Task-Adapter++"),
        ({"alignment": "none"}, "Task-Adapter++, alignment none"),
        ({"alignment": "conv1d"}, "Task-Adapter++, alignment 1-D convolution"),
        ({"sub_actions": "average"}, "Task-Adapter++, sub-actions averaged features"),
        ({"metric": "otam", "visual_layers": 1}, "Task-Adapter++"),
        ({"strategy": "task-adapter", "sub_actions": "none", "alignment": "none"}, "Task-Adapter"),
        ({"strategy": "task-adapter"}, "Task-Adapter, with sub-actions and alignment"),
        ({"strategy": "aim", "alignment": "none"}, "AIM, with sub-actions"),
        ({"strategy": "task-adapter", "adapters": ("task",)}, "adapters task"),
        ({"strategy": "frozen", "alignment": "none"}, "frozen CLIP"),
    ],
)
def test_a_method_has_the_name_of_its_settings(model: dict[str, Any], method: str) -> None:
    assert evaluated(**model).method == method


@pytest.mark.parametrize(
    ("metric", "more", "method"),
    [
        ({"part": "my.metrics:Mine", "source": "0f"}, {}, "Task-Adapter++, metric my.metrics:Mine"),
        ({"part": "my.metrics:Mine", "version": 2}, {"score": "text"}, "Task-Adapter++"),
        ({"part": "my.m:M", "version": 2}, {"strategy": "frozen"}, "frozen CLIP, metric my.m:M"),
    ],
)
def test_a_metric_of_ones_own_is_in_the_name(
    metric: dict[str, Any], more: dict[str, Any], method: str
) -> None:
    chosen = {**vars(ModelConfig(backbone="tiny", weights="shipped", **more)), "metric": metric}
    config = {"model": chosen, "adapted": True, "way": 3, "query_mode": "joint"}
    assert Evaluated.of(config, {}).method == method


@pytest.mark.parametrize(
    ("model", "adapted", "settings", "title"),
    [
        ("frozen", False, {}, "frozen CLIP"),
        ("task-adapter++", True, {}, "Task-Adapter++"),
        ("task-adapter++", True, {"alignment": "none"}, "Task-Adapter++, alignment none"),
        ("aim", True, {"strategy": "aim", "sub_actions": "none", "alignment": "none"}, "AIM"),
        ("adapters of theirs.pt", True, {"alignment": "none"}, "adapters of theirs.pt"),
        ("nearest_mean", True, {"strategy": "frozen"}, "nearest_mean"),
    ],
)
def test_a_result_is_called_by_what_was_evaluated(
    model: str, adapted: bool, settings: dict[str, Any], title: str
) -> None:
    chosen = vars(ModelConfig(backbone="tiny", weights="shipped", **settings))
    config = {"model": {**chosen, "weights": "file"}, "adapted": adapted, "way": 3, "query_mode": "joint"}
    assert called(model, config) == title


def test_what_was_not_adapted_is_frozen_whatever_the_settings_say() -> None:
    frozen = evaluated(adapted=False, strategy="task-adapter++")
    assert frozen.method == "frozen CLIP"
    columns = ["method", "Task-Adapter", "order", "Task-specific Adaptation", "partial", "model.strategy"]
    assert frozen.cells(columns, ["Task-Adapter++", "✓", "✓", "✓", "✓", "task-adapter++"]) == [
        "frozen CLIP", "×", "×", "×", "×", "frozen",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Task-Adapter++", "Task-Adapter++ [evaluated: frozen CLIP]"),
        ("my task adapter", "my task adapter [evaluated: frozen CLIP]"),
        ("Full fine-tuning, slow", "Full fine-tuning, slow [evaluated: frozen CLIP]"),
        ("AIM", "AIM [evaluated: frozen CLIP]"),
        ("what I aim at", "what I aim at"),
        ("frozen", "frozen"),
        ("my best", "my best"),
    ],
)
def test_a_name_of_a_method_that_it_is_not_says_what_was_evaluated(name: str, label: str) -> None:
    assert evaluated(adapted=False).named(name) == label


def test_task_adapter_is_not_taken_for_task_adapter_plus_plus() -> None:
    assert evaluated().named("Task-Adapter++, mine") == "Task-Adapter++, mine"
    assert "[evaluated: Task-Adapter++]" in evaluated().named("Task-Adapter, mine")
    alone = evaluated(strategy="task-adapter", sub_actions="none", alignment="none")
    assert alone.named("Task-Adapter") == "Task-Adapter"
    assert "[evaluated: Task-Adapter]" in alone.named("Task-Adapter++")


def test_text_that_is_not_read_is_not_ticked() -> None:
    columns = ["three sub-actions", "order", "alignment", "alignment module", "sub-actions", "O-MSA", "score"]
    assert evaluated(score="video").cells(columns, []) == [
        "×", "×", "×", "none", "without", "none", "video matching",
    ]  # fmt: skip
    assert evaluated().cells(columns, []) == [
        "✓", "✓", "✓", "1-layer cross-attention", "stage-wise", "after MSA", "both",
    ]  # fmt: skip


def test_blocks_are_those_of_the_backbone() -> None:
    # The tiny CLIP has 4 visual and 3 text blocks.
    columns = ["visual blocks", "text blocks", "partial"]
    assert evaluated(visual_layers=2, text_layers=1).cells(columns, []) == ["top 2", "top 1", "✓"]
    assert evaluated(visual_layers=4, text_position="all").cells(columns, []) == ["top 4 (all)", "all", "×"]


def test_a_setting_is_a_column_too() -> None:
    columns = ["model.metric", "eval.way", "train.lr", "a note"]
    assert evaluated(training={"lr": 0.5}, metric="otam").cells(columns, ["", "", "", "hers"]) == [
        "otam", "3", "0.5", "hers",
    ]  # fmt: skip


def test_a_method_of_somebody_elses_is_known_by_name_alone() -> None:
    config = {"model": {"method": {"part": "theirs.module:Method", "version": 1}, "backbone": "tiny"}}
    theirs = Evaluated.of({**config, "adapted": True, "way": 5}, {})
    assert theirs.cells(["method", "way", "order", "metric"], []) == [
        "theirs.module:Method",
        "5-way",
        "–",
        "–",
    ]
    assert "theirs.module:Method" in theirs.named("Task-Adapter++")


@pytest.mark.parametrize("tick", ["✓", "×", " ✔️", "❌", "✗"])
def test_a_tick_that_nobody_can_check_is_refused(tick: str) -> None:
    with pytest.raises(ConfigError, match="ticks in column 'my trick'"):
        require_columns("mine", ["order", "my trick"], [[], [tick, tick]])
    require_columns("mine", ["order", "my trick"], [[tick, "yes, my trick"]])
    require_columns("mine", ["model.alignment"], [[tick]])
