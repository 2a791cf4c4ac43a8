"""evaluate: C-way K-shot episodes of novel classes, with what was trained or with the frozen backbone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fsarctl.artifacts import JSON, Build, Files, Unit
from fsarctl.artifacts.command import Command, Option
from fsarctl.config.model_table import ModelConfig
from fsarctl.config.training_tables import EvalConfig
from fsarctl.datasets.groups import groups_key
from fsarctl.episodes.training_log import ADAPTERS
from fsarctl.execution.device import Machine
from fsarctl.models.strategies import FROZEN
from fsarctl.results import RECORDED

if TYPE_CHECKING:
    from fsarctl.episodes.scoring import Shared

__all__ = ["FROM_FILE", "STAGE", "unit"]

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
) -> Unit:
    """The episodes of ``dataset`` scored with the method and its ``adapters``, or the ``frozen`` backbone.

    ``adapters`` are a train unit's or a file's, which enters the key with its content; the result is named
    after the file. A method that trains nothing has none. ``text``: None where labels are read, or no text.
    ``seen`` are classes that the adapters were
    trained or chosen on, None if nobody knows; the result names them, since they are not novel. ``expected``
    is how many clips the split should have, and ``empty`` are classes without any; the result says both.
    ``groups`` (clip -> group) are what episodes keep apart. ``shared`` is for the evaluations at other shots
    too. Both models score the same episodes, so they can be paired. The artifact is a result, see
    ``fsarctl.results.result``.
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

    def build(build: Build) -> None:
        facts: dict[str, JSON] = {
            "clips_expected": expected,
            "classes_missing": list(empty),
            "classes_seen_in_training": None if seen is None else list(seen),
            **({"groups": len(set(groups.values()))} if groups is not None else {}),
        }
        _evaluate(build, dataset, shot, config, model, root, name, facts, groups, machine, shared, file)

    options = [Option("--shots", (str(shot),), several=True)]
    options += [Option("--adapters", (str(file),))] if file else []
    return Unit(
        stage=STAGE,
        version=VERSION,
        slot=f"eval {dataset} {shot}-shot {name}",
        command=Command("eval", tuple(options)),
        apart=True,
        config={
            **key,
            "shot": shot,
            "model": settings,
            "adapted": not frozen,
            "seen": None if seen is None else list(seen),
            "expected": expected,
            "empty": list(empty),
            **groups_key(groups),
        },
        inputs={**upstream, **files},
        build=build,
    )


def _evaluate(
    build: Build,
    dataset: str,
    shot: int,
    config: EvalConfig,
    model: ModelConfig,
    root: Path,
    name: str,
    told: Mapping[str, JSON],
    groups: Mapping[str, str] | None,
    machine: Machine,
    shared: "Shared | None",
    file: Path | None,
) -> None:
    from safetensors.torch import load_file

    from fsarctl.episodes.evaluator import evaluate_episodes
    from fsarctl.episodes.split_loader import load_episodes
    from fsarctl.frames.frame_store import FrameStore
    from fsarctl.methods.build import build_model
    from fsarctl.results.result import write_result

    store = FrameStore(build.inputs["frames"])
    device = machine.choose_device()
    build.record("device", str(device))
    scorer = build_model(model, root, frames=store.frames, adapters=name != FROZEN, seed=0, device=device)
    remarks = list(scorer.backbone.remarks)
    if file:
        found = scorer.load_file(file, model)
        remarks += found.remarks
        told = {**told, "adapters": {"file": file.name, "layout": found.layout, **_digest_of(build)}}
    elif "adapters" in build.inputs:
        scorer.load_adapter_state(load_file(build.inputs["adapters"] / ADAPTERS))
    loader = load_episodes(
        scorer,
        build.inputs["frames"],
        build.inputs.get("text"),
        config,
        dataset=dataset,
        split=config.split,
        shot=shot,
        crop="centre",
        groups=groups,
    )
    predictions = evaluate_episodes(
        scorer,
        loader,
        episodes=config.episodes,
        query_mode=config.query_mode,
        scratch=build.scratch,
        reporter=build.reporter,
        room=machine.room(device, build.scratch),
        shared=shared,
        title=f"eval {dataset} {shot}-shot {name}",
        of=build.of,
    )
    clips = sum(len(rows) for rows in loader.rows.values())
    facts = {
        "model": name,
        **{field: getattr(config, field) for field in RECORDED},
        "shot": shot,
        "clips": clips,
        "clips_failed": len(store.names) - clips,
        **told,
        "trainable_parameters": sum(each.numel() for each in scorer.trainable_parameters()),
        **({"remarks": remarks} if remarks else {}),
    }
    write_result(build.folder, predictions, store.names, facts)


def _digest_of(build: Build) -> dict[str, JSON]:
    return {"sha256": build.digests["adapters"]["adapters"]}
