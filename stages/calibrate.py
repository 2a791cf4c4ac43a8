"""calibrate: scores of queries with and without their class among the answers, each query by itself.

Those of validation classes tell predictions how sure they may be and when it is none of the classes; those of
novel classes measure how well that does.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from fsarctl.artifacts import JSON, Build, Files, Unit
from fsarctl.artifacts.command import Command, Option
from fsarctl.config.model_table import ModelConfig
from fsarctl.config.training_tables import EvalConfig
from fsarctl.datasets.groups import groups_key
from fsarctl.episodes.training.training_log import ADAPTERS
from fsarctl.execution.device import Machine
from fsarctl.models.strategies import FROZEN

__all__ = ["STAGE", "VERSION", "unit"]

STAGE = "calibrate"
VERSION = 1


def unit(
    dataset: str,
    split: str,
    shot: int,
    config: EvalConfig,
    model: ModelConfig,
    *,
    classes: int,
    root: Path,
    frames: Unit,
    text: Unit | None,
    adapters: Unit | None,
    frozen: bool,
    groups: Mapping[str, str] | None = None,
    machine: Machine,
) -> Unit:
    """Episodes of ``split``, some of whose ``classes`` are no answers; see ``fsarctl.results.unseen``.

    ``text``: None where labels are read, or no text.

    Raises:
        InputError: there are too few classes.
    """
    from fsarctl.methods.build import model_key

    settings, files = model_key(model, root, adapters=not frozen)
    way, unseen = _ways(classes, config.way, f"{dataset}/{split}")
    key: dict[str, JSON] = {
        "way": way,
        "unseen": unseen,
        "query": config.query,
        "seed": config.seed,
        "episodes": config.episodes,
    }
    upstream: dict[str, Unit | Files] = {**({"text": text} if text else {}), "frames": frames}
    if adapters is not None:
        upstream["adapters"] = adapters
    slot = f"calibrate {dataset}/{split} {shot}-shot {FROZEN if frozen else model.trained_name}"

    def build(build: Build) -> None:
        table = replace(config, way=way + unseen)
        _score(build, slot, dataset, split, shot, way, table, model, root, frozen, groups, machine)

    return Unit(
        stage=STAGE,
        version=VERSION,
        slot=slot,
        command=Command("calibrate", (Option("--shots", (str(shot),), several=True),)),
        apart=True,
        config={**key, "shot": shot, "model": settings, "adapted": not frozen, **groups_key(groups)},
        inputs={**upstream, **files},
        build=build,
    )


def _score(
    build: Build,
    title: str,
    dataset: str,
    split: str,
    shot: int,
    way: int,
    table: EvalConfig,
    model: ModelConfig,
    root: Path,
    frozen: bool,
    groups: Mapping[str, str] | None,
    machine: Machine,
) -> None:
    from safetensors.torch import load_file

    from fsarctl.episodes.kept_prefixes import kept_prefixes
    from fsarctl.episodes.split_loader import load_episodes
    from fsarctl.episodes.unseen import score_unseen
    from fsarctl.frames.frame_store import FrameStore
    from fsarctl.methods.build import build_model
    from fsarctl.results.unseen import write_unseen

    device = machine.choose_device()
    build.record("device", str(device))
    store = FrameStore(build.inputs["frames"])
    scorer = build_model(model, root, frames=store.frames, adapters=not frozen, seed=0, device=device)
    if "adapters" in build.inputs:
        scorer.load_adapter_state(load_file(build.inputs["adapters"] / ADAPTERS))
    loader = load_episodes(
        scorer.eval(),
        build.inputs["frames"],
        build.inputs.get("text"),
        table,
        dataset=dataset,
        split=split,
        shot=shot,
        crop="centre",
        groups=groups,
    )
    loader.stream = f"{split}/unseen"
    room = machine.room(device, build.scratch)
    loader.lasting = kept_prefixes(build, "frames", scorer, model, root, loader, room)
    arrays = score_unseen(
        scorer,
        loader,
        way=way,
        episodes=table.episodes,
        scratch=build.scratch,
        reporter=build.reporter,
        room=room,
        title=title,
        of=build.of,
    )
    facts = {
        "model": FROZEN if frozen else model.trained_name,
        "shot": shot,
        "way": way,
        "unseen": table.way - way,
        "query": table.query,
        "episodes": table.episodes,
        "seed": table.seed,
        "logit_scale": scorer.logit_scale,
    }
    write_unseen(build.folder, arrays, facts)


def _ways(classes: int, way: int, dataset: str) -> tuple[int, int]:
    from fsarctl.episodes.unseen import ways_of

    return ways_of(classes, way, dataset)
