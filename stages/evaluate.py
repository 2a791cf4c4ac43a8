"""evaluate: C-way K-shot episodes of novel classes, with what was trained or with the frozen backbone."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fsarctl.artifacts import JSON, Artifact, Build, Unit
from fsarctl.config import EvalConfig, ModelConfig

__all__ = ["FROZEN", "Result", "load_result", "unit"]

STAGE = "evaluate"
VERSION = 1
ADAPTERS = "adapters.safetensors"
PREDICTIONS = "episodes.safetensors"
RESULT = "result.json"
FROZEN = "frozen"


@dataclass(frozen=True)
class Result:
    """A finished evaluation: its record, and the accuracy of each episode (0 to 1)."""

    record: dict[str, Any]
    episode_accuracies: list[float]


def unit(
    dataset: str,
    shot: int,
    config: EvalConfig,
    model: ModelConfig,
    *,
    root: Path,
    frames: Unit,
    text: Unit,
    adapters: Unit | None,
    seen: Sequence[str],
    device: str,
) -> Unit:
    """The episodes of ``dataset`` scored with ``adapters``, or with the frozen backbone when None.

    ``seen`` are classes that the adapters were trained or chosen on; the result names them, since they
    are not novel. Both models score the same episodes, so they can be paired. The artifact holds
    result.json and episodes.safetensors (classes, queries, targets and scores of every episode).
    """
    from fsarctl.assembly import model_key

    settings, files = model_key(model, root, adapters=adapters is not None)
    name: str = model.strategy if adapters else FROZEN
    key: dict[str, JSON] = {
        field: getattr(config, field) for field in ("way", "query", "query_mode", "episodes", "seed", "split")
    }
    upstream: dict[str, Unit] = {"text": text, "frames": frames}
    if adapters:
        upstream["adapters"] = adapters

    def build(build: Build) -> None:
        _evaluate(build, dataset, shot, config, model, root, name, list(seen), device)

    return Unit(
        stage=STAGE,
        version=VERSION,
        slot=f"eval {dataset} {shot}-shot {name}",
        command=f"fsarctl eval --shots {shot}",
        config={**key, "shot": shot, "model": settings, "adapted": adapters is not None, "seen": list(seen)},
        inputs={**upstream, **files},
        build=build,
    )


def load_result(artifact: Artifact) -> Result:
    """Read what the build function wrote."""
    from fsarctl.predictions import Predictions

    record = json.loads((artifact.path / RESULT).read_text(encoding="utf-8"))
    predictions = Predictions.load(artifact.path / PREDICTIONS, tuple(record["classes"]))
    return Result(record, predictions.episode_accuracies)


def _evaluate(
    build: Build,
    dataset: str,
    shot: int,
    config: EvalConfig,
    model: ModelConfig,
    root: Path,
    name: str,
    seen: list[str],
    device: str,
) -> None:
    from safetensors.torch import load_file

    from fsarctl.assembly import build_model, choose_device, tokens_of
    from fsarctl.data.corpus import load_descriptions
    from fsarctl.data.episodes import check_episodes
    from fsarctl.data.frame_store import FrameStore
    from fsarctl.evaluation import evaluate_episodes
    from fsarctl.loading import EpisodeLoader
    from fsarctl.statistics import estimate

    store = FrameStore(build.inputs["frames"])
    rows = {label: store.rows_of(label) for label in store.classes}
    check_episodes(
        rows, source=f"{dataset}/{config.split}", table="eval", way=config.way, shot=shot, query=config.query
    )
    chosen = choose_device(device)
    build.record("device", str(chosen))
    scorer = build_model(model, root, frames=store.frames, adapters=name != FROZEN, seed=0, device=chosen)
    if name != FROZEN:
        scorer.load_adapter_state(load_file(build.inputs["adapters"] / ADAPTERS))
    loader = EpisodeLoader(
        store=store,
        tokens=tokens_of(scorer, load_descriptions(build.inputs["text"])),
        stream=config.split,
        seed=config.seed,
        way=config.way,
        shot=shot,
        query=config.query,
        side=scorer.backbone.image_size,
        crop="centre",
    )
    predictions = evaluate_episodes(
        scorer,
        loader,
        episodes=config.episodes,
        query_mode=config.query_mode,
        scratch=build.scratch,
        reporter=build.reporter,
        title=f"eval {dataset} {shot}-shot {name}",
    )
    predictions.save(build.folder / PREDICTIONS)
    accuracy = estimate(predictions.episode_accuracies)
    record = {
        "model": name,
        "split": config.split,
        "way": config.way,
        "shot": shot,
        "query": config.query,
        "query_mode": config.query_mode,
        "episodes": config.episodes,
        "seed": config.seed,
        "accuracy": accuracy.mean,
        # One episode has no interval; JSON has no infinity.
        "half_width": accuracy.half_width if config.episodes > 1 else None,
        "chance": 1 / config.way,
        "clips": sum(len(clips) for clips in rows.values()),
        "clips_failed": len(store.names) - sum(len(clips) for clips in rows.values()),
        "classes": list(predictions.labels),
        "classes_seen_in_training": seen,
    }
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
    (build.folder / RESULT).write_text(text + "\n", encoding="utf-8")
