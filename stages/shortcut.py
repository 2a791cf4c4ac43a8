"""shortcut: the accuracy that a shortcut of the released protocol gives, on the episodes of an honest result.

Only ``fsarctl ablate protocol`` comes here. What is measured is a result like any other, and is paired
with the honest one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from fsarctl.artifacts import JSON, Build, Files, Unit
from fsarctl.artifacts.command import Command
from fsarctl.config.methods import TASK_ADAPTER
from fsarctl.config.model_table import ModelConfig
from fsarctl.config.sweep_table import Shortcut
from fsarctl.config.training_tables import EvalConfig, TrainConfig
from fsarctl.datasets.groups import groups_key
from fsarctl.episodes.training.training_log import ADAPTERS
from fsarctl.errors import ConfigError
from fsarctl.execution.device import Machine
from fsarctl.results import RECORDED

__all__ = ["RANDOM_FRAMES", "SHORTCUTS", "Deviation", "unit"]

STAGE = "shortcut"
VERSION = 2
RANDOM_FRAMES = 5
"""Frames kept of each segment of a test clip, of which random test frames are drawn."""


@dataclass(frozen=True)
class Deviation:
    """In what a shortcut differs from the honest protocol."""

    retrains: bool = False
    """The adapters are trained with it; else the honest ones are scored."""
    transposed: bool = False
    """Text scores are [class, query] where video scores are [query, class]."""
    on_test: bool = False
    """The epoch is chosen on the test episodes."""
    speed: int = 1
    """The schedule of the learning rate runs so many times as fast as its table says."""
    loader: Literal["", "InClassOrder", "RandomFrames", "SharedClips"] = ""
    """A class of ``fsarctl.episodes.shortcuts`` that test episodes come from."""
    true_texts: bool = False
    """Queries are told by the texts of their true classes."""
    grouped: bool = True
    """Support and query keep groups apart, where clips have groups."""


TOLD_TRUTH = ("clip-mei", "clip-spm")
"""Methods whose released code tells queries by texts of true labels, see ``fsarctl.episodes.shortcuts``."""

SHORTCUTS: Mapping[Shortcut, Deviation] = {
    "transposed": Deviation(retrains=True, transposed=True, loader="InClassOrder"),
    "transposed-scoring": Deviation(transposed=True, loader="InClassOrder"),
    "test-selection": Deviation(retrains=True, on_test=True),
    "released": Deviation(retrains=True, transposed=True, on_test=True, loader="InClassOrder"),
    "random-frames": Deviation(loader="RandomFrames"),
    "shared-clips": Deviation(loader="SharedClips"),
    "shared-groups": Deviation(grouped=False),
    "double-speed": Deviation(retrains=True, speed=2),
    "true-texts": Deviation(true_texts=True, loader="InClassOrder"),
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
    texts: Mapping[str, Unit | None],
    adapters: Unit,
    groups: Mapping[str, Mapping[str, str] | None] | None = None,
    command: Command,
    machine: Machine,
) -> Unit:
    """Training and evaluation with one shortcut; ``adapters`` are the honest ones, used for scoring alone.

    ``frames`` and ``texts`` hold the units of "train", "val" and "test", the last of ``dataset``, and
    ``groups`` those of their clips; texts are None where the method reads no descriptions.

    Raises:
        ConfigError: the shortcut makes no sense with this model, these clips or this training.
    """
    from fsarctl.methods.build import model_key

    deviation = SHORTCUTS[shortcut]
    _require_possible(shortcut, model, training, testing, (groups or {}).get("test"))
    training = _faster(training, deviation.speed)
    settings, files = model_key(model, root, adapters=True)
    learned = {"episode_shot": training.episode_shot} if training.episode_shot else {}
    train: dict[str, JSON] = {**training.key(), **learned}
    inputs: dict[str, Unit | Files] = {f"text_{split}": text for split, text in texts.items() if text}
    inputs |= {f"frames_{split}": each for split, each in frames.items()}
    inputs |= files
    if not deviation.retrains:
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

    from fsarctl.episodes import shortcuts
    from fsarctl.episodes.blocks import episode_blocks
    from fsarctl.episodes.evaluator import evaluate_episodes
    from fsarctl.episodes.loader import EpisodeLoader
    from fsarctl.episodes.split_loader import load_episodes
    from fsarctl.episodes.training.trainer import train_adapters
    from fsarctl.frames.frame_store import FrameStore
    from fsarctl.methods.build import build_model
    from fsarctl.results.result import write_result

    deviation = SHORTCUTS[shortcut]
    kind: type[EpisodeLoader] = getattr(shortcuts, deviation.loader or "EpisodeLoader")
    device = machine.choose_device()
    build.record("device", str(device))
    adapted = build_model(
        model,
        root,
        frames=FrameStore(build.inputs["frames_test"]).frames,
        adapters=True,
        seed=training.seed,
        device=device,
        kind=shortcuts.TransposedProduct
        if deviation.transposed
        else shortcuts.TRUE_TEXTS[model.method]
        if deviation.true_texts
        else None,
    )

    def load(split: str, table: TrainConfig | EvalConfig) -> EpisodeLoader:
        return load_episodes(
            adapted,
            build.inputs[f"frames_{split}"],
            build.inputs.get(f"text_{split}"),
            table,
            dataset=dataset,
            split=testing.split if split == "test" else split,
            shot=table.episode_shot or shot if isinstance(table, TrainConfig) else shot,
            crop=adapted.crop if split == "train" else "centre",
            groups=groups.get(split) if deviation.grouped or split != "test" else None,
            kind=kind if split == "test" or deviation.transposed else EpisodeLoader,
        )

    test = load("test", testing)
    title = f"shortcut {shortcut} {shot}-shot"
    if not deviation.retrains:
        adapted.load_adapter_state(load_file(build.inputs["adapters"] / ADAPTERS))
    else:
        train_adapters(
            adapted,
            load("train", training),
            test if deviation.on_test else load("val", training),
            replace(training, val_episodes=testing.episodes) if deviation.on_test else training,
            scratch=build.scratch,
            reporter=build.reporter,
            room=machine.room(device, build.scratch),
            title=f"{title}, train",
            query_mode=testing.query_mode if deviation.on_test else "joint",
            of=build.of,
        )
    predictions = evaluate_episodes(
        adapted,
        test,
        episode_blocks(testing.episodes, build.scratch, build.of),
        query_mode=testing.query_mode,
        reporter=build.reporter,
        room=machine.room(device, build.scratch),
        title=f"{title}, eval",
    )
    facts = {
        "model": f"{model.trained_name} with the shortcut {shortcut}",
        **{name: getattr(testing, name) for name in RECORDED},
        "shot": shot,
        "trainable_parameters": sum(each.numel() for each in adapted.trainable_parameters()),
    }
    write_result(build.folder, predictions, test.store.names, facts)


def _require_possible(
    shortcut: Shortcut,
    model: ModelConfig,
    training: TrainConfig,
    testing: EvalConfig,
    groups: Mapping[str, str] | None,
) -> None:
    deviation = SHORTCUTS[shortcut]
    ours = model.method == TASK_ADAPTER and model.score == "both"
    if deviation.transposed and (not ours or {training.query, testing.query} != {1}):
        raise ConfigError(
            f"the shortcut {shortcut!r} is Task-Adapter++'s, with model.score = both and one query per class",
            next_step="Set train.query, eval.query and model.score so, or choose other rows with --rows.",
        )
    if deviation.true_texts and (model.method not in TOLD_TRUTH or testing.query_mode != "independent"):
        raise ConfigError(
            f"the shortcut {shortcut!r} is that of {' and '.join(TOLD_TRUTH)}, with each query alone",
            next_step="Set model.method and eval.query_mode so, or choose other rows with --rows.",
        )
    if not deviation.grouped and groups is None:
        raise ConfigError(
            f"the shortcut {shortcut!r} needs clips whose groups are known, and these have none",
            next_step="Set group or group_file of the dataset, or choose other rows with --rows.",
        )
    if deviation.speed > 1 and training.schedule != "steps":
        raise ConfigError(
            f"the shortcut {shortcut!r} needs train.schedule = steps, and it is {training.schedule}",
            next_step="Set train.schedule and train.steps, or choose other rows with --rows.",
        )


def _faster(training: TrainConfig, speed: int) -> TrainConfig:
    """The same training whose schedule is through ``speed`` times as early."""
    steps = tuple((epoch / speed, factor) for epoch, factor in training.steps)
    return replace(training, steps=steps, warmup=training.warmup / speed) if speed > 1 else training
