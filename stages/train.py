"""train: episodic training of one adapter set, for one shot."""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fsarctl.artifacts import JSON, Build, Files, Unit
from fsarctl.artifacts.command import Command, Option
from fsarctl.artifacts.keys import canonical
from fsarctl.config.model_table import ModelConfig
from fsarctl.config.training_tables import TrainConfig
from fsarctl.datasets.groups import groups_key
from fsarctl.episodes.ranks import Ranks
from fsarctl.episodes.tracking.trackers import UNTRACKED, Tracking
from fsarctl.episodes.training.tensorboard import run_name, watching
from fsarctl.episodes.training.training_log import ADAPTERS, Line, Watch, write_log
from fsarctl.execution.device import Machine
from fsarctl.execution.torchrun import answer, call, next_order
from fsarctl.progress import SILENT
from fsarctl.stages.slots import Slot

__all__ = ["follow", "unit"]

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
    texts: Mapping[str, Unit | None],
    groups: Mapping[str, Mapping[str, str] | None] | None = None,
    machine: Machine,
    board: Path | None = None,
    tracking: Tracking = UNTRACKED,
) -> Unit:
    """The adapters for episodes with ``shot`` support clips per class, from ``dataset``'s base classes.

    They are trained in such episodes, unless ``config.episode_shot`` says in which.

    ``frames`` and ``texts`` hold the extract and describe units of the splits "train" and "val" (no texts
    where the method reads no descriptions), ``groups`` the groups of their clips, which episodes keep apart.
    The artifact holds adapters.safetensors (the epoch best on validation), training.json and log.jsonl.
    ``board`` is a folder for TensorBoard, ``tracking`` says who else is told; they enter no key.
    """
    from fsarctl.methods.build import model_key

    settings, files = model_key(model, root, adapters=True)
    key: dict[str, JSON] = config.key()
    learned = config.episode_shot or shot
    inputs: dict[str, Unit | Files] = {f"text_{split}": text for split, text in texts.items() if text}
    inputs |= {f"frames_{split}": frames[split] for split in ("train", "val")}
    title = f"{dataset} {shot}-shot"
    slot = str(Slot(STAGE, title))
    hashed: dict[str, JSON] = {**key, "shot": learned, "model": settings}
    apart = groups or {}
    for split in ("train", "val"):
        hashed |= {f"{name} {split}": each for name, each in groups_key(apart.get(split)).items()}

    def build(build: Build) -> None:
        if machine.ranks.world > 1 and not machine.ranks.rank:
            call(machine.ranks, _order(build, slot, hashed))
        told = UNTRACKED if machine.ranks.rank else tracking
        with watching(board, run_name(title, hashed)) as watch, told.of(build, slot, hashed) as tracked:

            def both(line: Line) -> None:
                watch(line)
                tracked.watch(line)

            tracked.result(_train(build, dataset, shot, config, model, root, apart, machine, both))

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


def follow(units: Sequence[Unit], ranks: Ranks) -> None:
    """Have a part in the trainings among ``units`` that the first process calls this one to.

    Raises:
        InputError: a process has other settings, or does not see what the first one sees.
        RankLostError: another process has ended.
    """
    known = {unit.slot: unit for unit in units}
    while (order := next_order(ranks)) is not None:
        unit = known.get(order["slot"])
        paths = [order["scratch"], *order["inputs"].values()]
        unseen = [path for path in paths if not Path(path).is_dir()]
        objection = ""
        if unit is None or _settings(unit.config) != order["settings"]:
            objection = f"{order['slot']}: {platform.node()} has other settings than the first machine"
        elif unseen:
            objection = f"{platform.node()} does not see {unseen[0]}"
        answer(ranks, objection)
        assert unit is not None
        inputs = {name: Path(path) for name, path in order["inputs"].items()}
        with TemporaryDirectory() as folder:  # what the first process keeps, another drops
            scratch = Path(order["scratch"])
            unit.build(Build(Path(folder), scratch, inputs, SILENT, lambda name, value: None, of=order["of"]))


def _order(build: Build, slot: str, config: Mapping[str, JSON]) -> dict[str, Any]:
    """What another process needs to know to have a part in this training."""
    return {
        "slot": slot,
        "settings": _settings(config),
        "scratch": str(build.scratch),
        "inputs": {name: str(path) for name, path in build.inputs.items()},
        "of": build.of,
    }


def _settings(config: Mapping[str, JSON]) -> str:
    return hashlib.sha256(canonical(config, "settings")).hexdigest()


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
) -> dict[str, JSON]:
    """Fill the folder; what it came to, in short."""
    from safetensors.torch import save_file

    from fsarctl.episodes.kept_prefixes import kept_prefixes
    from fsarctl.episodes.split_loader import load_episodes
    from fsarctl.episodes.training.trainer import train_adapters
    from fsarctl.frames.frame_store import FrameStore
    from fsarctl.methods.build import build_model

    device = machine.choose_device()
    build.record("device", str(device))
    if machine.ranks.world > 1:
        build.record("processes", machine.ranks.world)
    stored = FrameStore(build.inputs["frames_train"])
    adapted = build_model(model, root, frames=stored.frames, adapters=True, seed=config.seed, device=device)
    base, validation = (
        load_episodes(
            adapted,
            build.inputs[f"frames_{split}"],
            build.inputs.get(f"text_{split}"),
            config,
            dataset=dataset,
            split=split,
            shot=config.episode_shot or shot,
            crop=adapted.crop if split == "train" else "centre",
            groups=groups.get(split),
        )
        for split in ("train", "val")
    )
    room = machine.room(device, build.scratch)
    for split, loader in (("train", base), ("val", validation)):
        if loader.crop == "centre" or loader.crops:  # else each is seen but once
            loader.lasting = kept_prefixes(build, f"frames_{split}", adapted, model, root, loader, room)
    training = train_adapters(
        adapted,
        base,
        validation,
        config,
        scratch=build.scratch,
        reporter=build.reporter,
        room=room,
        title=f"train {dataset} {shot}-shot",
        watch=watch,
        of=build.of,
        ranks=machine.ranks,
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
    if not training.epochs:
        return {}
    build.reporter.note(
        f"train {dataset} {shot}-shot: kept epoch {training.best_epoch},"
        f" {training.best_val_accuracy:.1%} on validation"
    )
    return {"best_epoch": training.best_epoch, "validation/best_accuracy": training.best_val_accuracy}
