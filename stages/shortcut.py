"""shortcut: the accuracy that a shortcut of the released protocol gives, on the episodes of an honest result.

Only ``fsarctl ablate protocol`` comes here. What is measured is a result like any other, and is paired
with the honest one.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from fsarctl.artifacts import JSON, Build, Files, Unit
from fsarctl.artifacts.command import Command
from fsarctl.config.model_table import ModelConfig
from fsarctl.config.sweep_table import Shortcut
from fsarctl.config.training_tables import EvalConfig, TrainConfig
from fsarctl.datasets.groups import groups_key
from fsarctl.episodes.training_log import ADAPTERS
from fsarctl.errors import ConfigError
from fsarctl.execution.device import Machine
from fsarctl.results import RECORDED

__all__ = ["unit"]

STAGE = "shortcut"
VERSION = 2
TRANSPOSED: Mapping[Shortcut, bool] = {
    "transposed": True,
    "transposed-scoring": True,
    "test-selection": False,
    "released": True,
}
SELECTED_ON_TEST: Mapping[Shortcut, bool] = {
    "transposed": False,
    "transposed-scoring": False,
    "test-selection": True,
    "released": True,
}


def unit(
    shortcut: Shortcut,
    dataset: str,
    shot: int,
    model: ModelConfig,
    training: TrainConfig,
    testing: EvalConfig,
    *,
    root: Path,
    frames: Mapping[str, Unit],
    texts: Mapping[str, Unit],
    adapters: Unit,
    groups: Mapping[str, Mapping[str, str] | None] | None = None,
    command: Command,
    machine: Machine,
) -> Unit:
    """Training and evaluation with one shortcut; ``adapters`` are the honest ones, used for scoring alone.

    ``frames`` and ``texts`` hold the units of "train", "val" and "test", the last of ``dataset``, and
    ``groups`` those of their clips.

    Raises:
        ConfigError: the released code's product needs both scores and one query per class.
    """
    from fsarctl.methods.build import model_key

    if TRANSPOSED[shortcut] and (model.score != "both" or {training.query, testing.query} != {1}):
        raise ConfigError(
            f"the shortcut {shortcut!r} needs model.score = both and one query per class",
            next_step="Set train.query, eval.query and model.score so, or choose other rows with --rows.",
        )
    settings, files = model_key(model, root, adapters=True)
    learned = {"episode_shot": training.episode_shot} if training.episode_shot else {}
    train: dict[str, JSON] = {**training.key(), **learned}
    inputs: dict[str, Unit | Files] = {f"text_{split}": text for split, text in texts.items()}
    inputs |= {f"frames_{split}": each for split, each in frames.items()}
    inputs |= files
    if shortcut == "transposed-scoring":
        inputs["adapters"] = adapters

    apart = {
        f"{name} {split}": each
        for split, some in (groups or {}).items()
        for name, each in groups_key(some).items()
    }

    def build(build: Build) -> None:
        _measure(build, shortcut, dataset, shot, model, training, testing, root, groups or {}, machine)

    return Unit(
        stage=STAGE,
        version=VERSION,
        slot=f"shortcut {shortcut} {dataset} {shot}-shot",
        command=command,
        apart=True,
        config={
            "shortcut": shortcut,
            "shot": shot,
            "model": settings,
            "train": train,
            "eval": {name: getattr(testing, name) for name in RECORDED},
            **apart,
        },
        inputs=inputs,
        build=build,
    )


def _measure(
    build: Build,
    shortcut: Shortcut,
    dataset: str,
    shot: int,
    model: ModelConfig,
    training: TrainConfig,
    testing: EvalConfig,
    root: Path,
    groups: Mapping[str, Mapping[str, str] | None],
    machine: Machine,
) -> None:
    from safetensors.torch import load_file

    from fsarctl.episodes.evaluator import evaluate_episodes
    from fsarctl.episodes.loader import EpisodeLoader
    from fsarctl.episodes.shortcuts import InClassOrder, TransposedProduct
    from fsarctl.episodes.split_loader import load_episodes
    from fsarctl.episodes.trainer import train_adapters
    from fsarctl.frames.frame_store import FrameStore
    from fsarctl.methods.build import build_model
    from fsarctl.methods.task_adapter_plus_plus.method import TaskAdapterPlusPlus
    from fsarctl.results.result import write_result

    device = machine.choose_device()
    build.record("device", str(device))
    adapted = build_model(
        model,
        root,
        frames=FrameStore(build.inputs["frames_test"]).frames,
        adapters=True,
        seed=training.seed,
        device=device,
        kind=TransposedProduct if TRANSPOSED[shortcut] else TaskAdapterPlusPlus,
    )

    def load(split: str, table: TrainConfig | EvalConfig) -> EpisodeLoader:
        return load_episodes(
            adapted,
            build.inputs[f"frames_{split}"],
            build.inputs[f"text_{split}"],
            table,
            dataset=dataset,
            split=testing.split if split == "test" else split,
            shot=table.episode_shot or shot if isinstance(table, TrainConfig) else shot,
            crop=adapted.crop if split == "train" else "centre",
            groups=groups.get(split),
            kind=InClassOrder if TRANSPOSED[shortcut] else EpisodeLoader,
        )

    test = load("test", testing)
    title = f"shortcut {shortcut} {shot}-shot"
    if shortcut == "transposed-scoring":
        adapted.load_adapter_state(load_file(build.inputs["adapters"] / ADAPTERS))
    else:
        judged_on_test = SELECTED_ON_TEST[shortcut]
        train_adapters(
            adapted,
            load("train", training),
            test if judged_on_test else load("val", training),
            replace(training, val_episodes=testing.episodes) if judged_on_test else training,
            scratch=build.scratch,
            reporter=build.reporter,
            room=machine.room(device, build.scratch),
            title=f"{title}, train",
            query_mode=testing.query_mode if judged_on_test else "joint",
        )
    predictions = evaluate_episodes(
        adapted,
        test,
        episodes=testing.episodes,
        query_mode=testing.query_mode,
        scratch=build.scratch,
        reporter=build.reporter,
        room=machine.room(device, build.scratch),
        title=f"{title}, eval",
    )
    facts = {
        "model": f"{model.strategy} with the shortcut {shortcut}",
        **{name: getattr(testing, name) for name in RECORDED},
        "shot": shot,
        "trainable_parameters": sum(each.numel() for each in adapted.trainable_parameters()),
    }
    write_result(build.folder, predictions, test.store.names, facts)
