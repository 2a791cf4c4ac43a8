"""train: episodic training of one adapter set, for one shot."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from fsarctl.artifacts import JSON, Build, Files, Unit
from fsarctl.artifacts.command import Command, Option
from fsarctl.config.model_table import ModelConfig
from fsarctl.config.training_tables import TrainConfig
from fsarctl.datasets.groups import groups_key
from fsarctl.episodes.tensorboard import run_name, watching
from fsarctl.episodes.training_log import ADAPTERS, Watch, write_log
from fsarctl.execution.device import Machine

__all__ = ["unit"]

STAGE = "train"
VERSION = 2


def unit(
    dataset: str,
    shot: int,
    config: TrainConfig,
    model: ModelConfig,
    *,
    root: Path,
    frames: dict[str, Unit],
    texts: dict[str, Unit],
    groups: Mapping[str, Mapping[str, str] | None] | None = None,
    machine: Machine,
    board: Path | None = None,
) -> Unit:
    """The adapters for episodes with ``shot`` support clips per class, from ``dataset``'s base classes.

    They are trained in such episodes, unless ``config.episode_shot`` says in which.

    ``frames`` and ``texts`` hold the extract and describe units of the splits "train" and "val", ``groups``
    the groups of their clips, which episodes keep apart.
    The artifact holds adapters.safetensors (the epoch best on validation), training.json and log.jsonl.
    ``board`` is a folder for TensorBoard; it enters no key.
    """
    from fsarctl.methods.build import model_key

    settings, files = model_key(model, root, adapters=True)
    key: dict[str, JSON] = config.key()
    learned = config.episode_shot or shot
    inputs: dict[str, Unit | Files] = {f"text_{split}": texts[split] for split in ("train", "val")}
    inputs |= {f"frames_{split}": frames[split] for split in ("train", "val")}
    slot = f"train {dataset} {shot}-shot"
    hashed: dict[str, JSON] = {**key, "shot": learned, "model": settings}
    apart = groups or {}
    for split in ("train", "val"):
        hashed |= {f"{name} {split}": each for name, each in groups_key(apart.get(split)).items()}

    def build(build: Build) -> None:
        with watching(board, run_name(slot, hashed)) as watch:
            _train(build, dataset, shot, config, model, root, apart, machine, watch)

    return Unit(
        stage=STAGE,
        version=VERSION,
        slot=slot,
        command=Command("train", (Option("--shots", (str(shot),), several=True),)),
        apart=True,
        config=hashed,
        inputs={**inputs, **files},
        build=build,
    )


def _train(
    build: Build,
    dataset: str,
    shot: int,
    config: TrainConfig,
    model: ModelConfig,
    root: Path,
    groups: Mapping[str, Mapping[str, str] | None],
    machine: Machine,
    watch: Watch,
) -> None:
    from safetensors.torch import save_file

    from fsarctl.episodes.split_loader import load_episodes
    from fsarctl.episodes.trainer import train_adapters
    from fsarctl.frames.frame_store import FrameStore
    from fsarctl.methods.build import build_model

    device = machine.choose_device()
    build.record("device", str(device))
    stored = FrameStore(build.inputs["frames_train"])
    adapted = build_model(model, root, frames=stored.frames, adapters=True, seed=config.seed, device=device)
    base, validation = (
        load_episodes(
            adapted,
            build.inputs[f"frames_{split}"],
            build.inputs[f"text_{split}"],
            config,
            dataset=dataset,
            split=split,
            shot=config.episode_shot or shot,
            crop=adapted.crop if split == "train" else "centre",
            groups=groups.get(split),
        )
        for split in ("train", "val")
    )
    training = train_adapters(
        adapted,
        base,
        validation,
        config,
        scratch=build.scratch,
        reporter=build.reporter,
        room=machine.room(device, build.scratch),
        title=f"train {dataset} {shot}-shot",
        watch=watch,
        of=build.of,
    )
    save_file(
        {name: tensor.detach().cpu().contiguous() for name, tensor in adapted.adapter_state().items()},
        build.folder / ADAPTERS,
    )
    report = {
        "shot": shot,
        "trainable_parameters": sum(p.numel() for p in adapted.trainable_parameters()),
        "best_epoch": training.best_epoch,
        "best_val_accuracy": training.best_val_accuracy,
        "epochs": [asdict(epoch) for epoch in training.epochs],
    }
    (build.folder / "training.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    write_log(build.folder, training.log.lines)
    build.reporter.note(
        f"train {dataset} {shot}-shot: kept epoch {training.best_epoch},"
        f" {training.best_val_accuracy:.1%} on validation"
    )
