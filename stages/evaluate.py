"""evaluate: C-way K-shot episodes of novel classes, with what was trained or with the frozen backbone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fsarctl.artifacts import JSON, Build, Files, Parts, Unit
from fsarctl.artifacts.command import Command, Option
from fsarctl.artifacts.manifest import Manifest
from fsarctl.artifacts.unfinished.blocks import Blocks
from fsarctl.config.model_table import ModelConfig
from fsarctl.config.training_tables import EvalConfig
from fsarctl.datasets.groups import groups_key
from fsarctl.episodes.blocks import episode_blocks
from fsarctl.episodes.tracking.trackers import UNTRACKED, Tracking
from fsarctl.episodes.training.training_log import ADAPTERS
from fsarctl.execution.device import Machine
from fsarctl.models.strategies import FROZEN
from fsarctl.results import RECORDED

if TYPE_CHECKING:
    import torch

    from fsarctl.episodes.feature_cache import Room
    from fsarctl.episodes.loader import EpisodeLoader
    from fsarctl.episodes.scoring import Shared
    from fsarctl.methods.protocol import FewShotMethod

__all__ = ["FROM_FILE", "STAGE", "is_of_file", "model_of", "unit"]

STAGE = "evaluate"
VERSION = 4
FROM_FILE = "adapters from "
"""How the name of a result begins whose adapters no training of this project made."""


def unit(
    dataset: str,
    shot: int,
    config: EvalConfig,
    model: ModelConfig,
    *,
    root: Path,
    frames: Unit,
    text: Unit | None,
    adapters: Unit | Path | None,
    frozen: bool,
    seen: Sequence[str] | None,
    expected: int,
    empty: Sequence[str],
    groups: Mapping[str, str] | None = None,
    machine: Machine,
    shared: "Shared | None" = None,
    tracking: Tracking = UNTRACKED,
) -> Unit:
    """The episodes of ``dataset`` scored with the method and its ``adapters``, or the ``frozen`` backbone.

    ``adapters`` are a train unit's or a file's, which enters the key with its content; the result is named
    after the file. A method that trains nothing has none. ``text``: None where labels are read, or no text.
    ``seen`` are classes that the adapters were trained or chosen on, None if nobody knows; the result names
    them, since they are not novel. ``expected`` is how many clips the split should have, and ``empty`` are
    classes without any; the result says both.
    ``groups`` (clip -> group) are what episodes keep apart. ``shared`` is for the evaluations at other shots
    too. ``tracking`` says who else is told. Both models score the same episodes, so they can be paired. The
    artifact is a result, see ``fsarctl.results.result``.
    """
    from fsarctl.methods.build import model_key

    settings, files = model_key(model, root, adapters=not frozen)
    file = adapters if isinstance(adapters, Path) else None
    name = FROM_FILE + file.name if file else FROZEN if frozen else model.trained_name
    key: dict[str, JSON] = {field: getattr(config, field) for field in RECORDED}
    upstream: dict[str, Unit | Files] = {**({"text": text} if text else {}), "frames": frames}
    if isinstance(adapters, Unit):
        upstream["adapters"] = adapters
    elif file:
        upstream["adapters"] = Files({"adapters": file})

    slot = f"eval {dataset} {shot}-shot {name}"
    hashed: dict[str, JSON] = {
        **key,
        "shot": shot,
        "model": settings,
        "adapted": not frozen,
        "seen": None if seen is None else list(seen),
        "expected": expected,
        "empty": list(empty),
        **groups_key(groups),
    }

    evaluation = _Evaluation(
        dataset,
        shot,
        config,
        model,
        root,
        name,
        {
            "clips_expected": expected,
            "classes_missing": list(empty),
            "classes_seen_in_training": None if seen is None else list(seen),
            **({"groups": len(set(groups.values()))} if groups is not None else {}),
        },
        groups,
        machine,
        shared,
        file,
    )

    def build(build: Build) -> None:
        from fsarctl.results.result import load_result

        with tracking.of(build, slot, hashed) as tracked:
            evaluation.build(build)
            accuracy = load_result(build.folder).accuracy
            tracked.result({"accuracy": accuracy.mean, "half_width": accuracy.half_width})

    options = [Option("--shots", (str(shot),), several=True)]
    options += [Option("--adapters", (str(file),))] if file else []
    return Unit(
        stage=STAGE,
        version=VERSION,
        slot=slot,
        command=Command("eval", tuple(options)),
        apart=True,
        config=hashed,
        inputs={**upstream, **files},
        build=build,
        parts=Parts(evaluation.left, evaluation.begin),
    )


def model_of(result: Unit, trained: str) -> str:
    """What the model of an evaluation is called; ``trained``: what the trained one is.

    It may be called otherwise than when it was evaluated: a file may have another name.
    """
    adapters = result.inputs.get("adapters")
    if isinstance(adapters, Files):
        return FROM_FILE + Path(adapters.paths["adapters"]).name
    return trained if result.config["adapted"] else FROZEN


def is_of_file(manifest: Manifest) -> bool:
    """Whether it is an evaluation of adapters that no training of this project made."""
    adapters = manifest.inputs.get("adapters")
    return manifest.stage == STAGE and adapters is not None and not adapters.stage


@dataclass(frozen=True)
class _Evaluation:
    """What is evaluated with what; ``told`` are facts of the result."""

    dataset: str
    shot: int
    config: EvalConfig
    model: ModelConfig
    root: Path
    name: str
    told: Mapping[str, JSON]
    groups: Mapping[str, str] | None
    machine: Machine
    shared: "Shared | None"
    file: Path | None

    def left(self, build: Build) -> list[int]:
        return self._blocks(build).left(build.reporter)

    def begin(self, build: Build) -> Callable[[int], None]:
        from fsarctl.episodes.evaluator import score_blocks

        scorer, device, _, _ = self._scorer(build)
        room = self.machine.room(device, build.scratch)
        loader = self._loader(build, scorer, room)
        block_of = score_blocks(scorer, loader, self._blocks(build), self.config.query_mode, room)
        return lambda number: block_of(number, lambda amount=1, detail="": None)

    def build(self, build: Build) -> None:
        from fsarctl.episodes.evaluator import evaluate_episodes
        from fsarctl.frames.frame_store import FrameStore
        from fsarctl.results.result import write_result

        scorer, device, told, remarks = self._scorer(build)
        build.record("device", str(device))
        room = self.machine.room(device, build.scratch)
        loader = self._loader(build, scorer, room)
        predictions = evaluate_episodes(
            scorer,
            loader,
            self._blocks(build),
            query_mode=self.config.query_mode,
            reporter=build.reporter,
            room=room,
            shared=self.shared,
            title=f"eval {self.dataset} {self.shot}-shot {self.name}",
        )
        names = FrameStore(build.inputs["frames"]).names
        clips = sum(len(rows) for rows in loader.rows.values())
        facts = {
            "model": self.name,
            **{field: getattr(self.config, field) for field in RECORDED},
            "shot": self.shot,
            "clips": clips,
            "clips_failed": len(names) - clips,
            **self.told,
            **told,
            "trainable_parameters": sum(each.numel() for each in scorer.trainable_parameters()),
            **({"remarks": remarks} if remarks else {}),
        }
        write_result(build.folder, predictions, names, facts)

    def _blocks(self, build: Build) -> Blocks:
        return episode_blocks(self.config.episodes, build.scratch, build.of)

    def _scorer(self, build: Build) -> "tuple[FewShotMethod, torch.device, dict[str, JSON], list[str]]":
        """The model, where it is, and what the result says of its adapters and weights."""
        from safetensors.torch import load_file

        from fsarctl.frames.frame_store import FrameStore
        from fsarctl.methods.build import build_model

        device = self.machine.choose_device()
        frames = FrameStore(build.inputs["frames"]).frames
        adapters = self.name != FROZEN
        scorer = build_model(self.model, self.root, frames=frames, adapters=adapters, seed=0, device=device)
        remarks = list(scorer.backbone.remarks)
        told: dict[str, JSON] = {}
        if self.file:
            found = scorer.load_file(self.file, self.model)
            remarks += found.remarks
            told["adapters"] = {"file": self.file.name, "layout": found.layout, **_digest_of(build)}
        elif "adapters" in build.inputs:
            scorer.load_adapter_state(load_file(build.inputs["adapters"] / ADAPTERS))
        return scorer, device, told, remarks

    def _loader(self, build: Build, scorer: "FewShotMethod", room: "Room") -> "EpisodeLoader":
        from fsarctl.episodes.kept_prefixes import kept_prefixes
        from fsarctl.episodes.split_loader import load_episodes

        loader = load_episodes(
            scorer,
            build.inputs["frames"],
            build.inputs.get("text"),
            self.config,
            dataset=self.dataset,
            split=self.config.split,
            shot=self.shot,
            crop="centre",
            groups=self.groups,
        )
        loader.lasting = kept_prefixes(build, "frames", scorer, self.model, self.root, loader, room)
        return loader


def _digest_of(build: Build) -> dict[str, JSON]:
    return {"sha256": build.digests["adapters"]["adapters"]}
