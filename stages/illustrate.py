"""illustrate: pictures of a few episodes of a result, and what each model makes of them.

The artifact is pictures.json and small WebP files that it names: the frames of support and query videos,
and where each model looks. ``fsarctl report`` shows them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsarctl.artifacts import JSON, Artifact, Build, Files, Unit
from fsarctl.artifacts.command import Command
from fsarctl.config.model_table import ModelConfig
from fsarctl.config.training_tables import EvalConfig
from fsarctl.datasets.groups import groups_key
from fsarctl.episodes.training.training_log import ADAPTERS
from fsarctl.execution.device import Machine
from fsarctl.models.strategies import FROZEN

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from fsarctl.episodes.illustration import Glance
    from fsarctl.episodes.loader import EpisodeLoader
    from fsarctl.frames.frame_store import FrameStore
    from fsarctl.report.episodes import Choice

__all__ = ["Subject", "load_pictures", "unit"]

STAGE = "illustrate"
VERSION = 1
PICTURES = "pictures.json"
MOST_FRAMES = 8
MOST_QUERIES = 10


@dataclass(frozen=True)
class Subject:
    """A model to look through: its name, its [model] table, and the units of its adapters and descriptions.

    Of either None where it has or reads none.
    """

    name: str
    config: ModelConfig
    adapters: Unit | None
    text: Unit | None

    @property
    def frozen(self) -> bool:
        """Whether it is the frozen backbone."""
        return self.name == FROZEN


def unit(
    dataset: str,
    shot: int,
    config: EvalConfig,
    subjects: Sequence[Subject],
    *,
    root: Path,
    result: Unit,
    frames: Unit,
    groups: Mapping[str, str] | None = None,
    command: Command,
    machine: Machine,
) -> Unit:
    """The best, the worst and the most confused episode of ``result``, which is the last subject's."""
    from fsarctl.methods.build import model_key

    inputs: dict[str, Unit | Files] = {"result": result, "frames": frames}
    models: dict[str, JSON] = {}
    for subject in subjects:
        inputs |= {"text": subject.text} if subject.text else {}
        settings, files = model_key(subject.config, root, adapters=not subject.frozen)
        models[subject.name] = settings
        inputs |= {f"{name} {subject.name}": each for name, each in files.items()}
        if subject.adapters is not None:
            inputs[f"adapters {subject.name}"] = subject.adapters

    def build(build: Build) -> None:
        _illustrate(build, dataset, shot, config, subjects, root, groups, machine)

    episodes: dict[str, JSON] = {
        name: getattr(config, name) for name in ("way", "query", "query_mode", "seed", "split")
    }
    return Unit(
        stage=STAGE,
        version=VERSION,
        slot=f"illustrate {dataset} {shot}-shot",
        command=command,
        config={**episodes, "shot": shot, "models": models, **groups_key(groups)},
        inputs=inputs,
        build=build,
    )


def load_pictures(artifact: Artifact) -> dict[str, Any]:
    """What pictures.json says."""
    pictures: dict[str, Any] = json.loads((artifact.path / PICTURES).read_text(encoding="utf-8"))
    return pictures


def _illustrate(
    build: Build,
    dataset: str,
    shot: int,
    config: EvalConfig,
    subjects: Sequence[Subject],
    root: Path,
    groups: Mapping[str, str] | None,
    machine: Machine,
) -> None:
    from safetensors.torch import load_file

    from fsarctl.episodes.illustration import glance
    from fsarctl.episodes.split_loader import load_episodes
    from fsarctl.frames.frame_store import FrameStore
    from fsarctl.methods.build import build_model
    from fsarctl.report.episodes import choose_episodes
    from fsarctl.results.result import load_result

    device = machine.choose_device()
    build.record("device", str(device))
    choices = choose_episodes(load_result(build.inputs["result"]).predictions)
    store = FrameStore(build.inputs["frames"])
    seen: dict[str, list[Glance]] = {}
    loader: EpisodeLoader | None = None
    total = len(subjects) * len(choices)
    with build.reporter.task(f"illustrate {dataset} {shot}-shot", total, "episode") as advance:
        for subject in subjects:
            model = build_model(
                subject.config,
                root,
                frames=store.frames,
                adapters=not subject.frozen,
                seed=0,
                device=device,
            )
            if subject.adapters is not None:
                folder = build.inputs[f"adapters {subject.name}"]
                model.load_adapter_state(load_file(folder / ADAPTERS))
            loader = load_episodes(
                model,
                build.inputs["frames"],
                build.inputs["text"] if subject.text else None,
                config,
                dataset=dataset,
                split=config.split,
                shot=shot,
                crop="centre",
                groups=groups,
            )
            seen[subject.name] = []
            for choice in choices:
                seen[subject.name].append(glance(model, loader, choice.number, config.query_mode))
                advance(1)
    assert loader is not None, "there is a subject"
    document = {
        "shot": shot,
        "models": [subject.name for subject in subjects],
        "grid": _grid(seen),
        "drawn": _drawn(store.frames),
        "episodes": [
            _episode(build.folder, store, loader, choice, {name: each[number] for name, each in seen.items()})
            for number, choice in enumerate(choices)
        ],
    }
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    (build.folder / PICTURES).write_text(text + "\n", encoding="utf-8")


def _grid(seen: "Mapping[str, list[Glance]]") -> list[int] | None:
    """Rows and columns of the maps of the last model that has any."""
    maps = [each.maps for glances in seen.values() for each in glances if each.maps is not None]
    return list(maps[-1].shape[-2:]) if maps else None


def _drawn(frames: int) -> list[int]:
    """Which of a clip's frames are drawn."""
    from fsarctl.video.sampling import segment_centres

    return list(segment_centres(frames, min(frames, MOST_FRAMES)))


def _episode(
    folder: Path,
    store: "FrameStore",
    loader: "EpisodeLoader",
    choice: "Choice",
    seen: "Mapping[str, Glance]",
) -> dict[str, Any]:
    """One episode as pictures.json has it; its pictures are written to ``folder``."""
    episode = loader.episode(choice.number)
    drawn = _drawn(store.frames)

    def picture(name: str, row: int, maps: "npt.NDArray[np.float32] | None" = None) -> str:
        from fsarctl.report.frame_strips import strip

        file = f"{choice.number}-{name}.webp"
        frames = loader.central_frames([row])[0].numpy()
        (folder / file).write_bytes(strip(frames[drawn], None if maps is None else maps[drawn]))
        return file

    support = [
        {
            "label": label,
            "clips": [store.names[row] for row in rows],
            "picture": picture(f"support-{column}", int(rows[0])),
        }
        for column, (label, rows) in enumerate(zip(episode.classes, episode.support, strict=True))
    ]
    queries = []
    for number, row in enumerate(episode.query[:MOST_QUERIES].tolist()):
        target = int(episode.targets[number])
        queries.append(
            {
                "clip": store.names[row],
                "target": target,
                "picture": picture(f"query-{number}", row),
                "scores": {name: each.scores[number].tolist() for name, each in seen.items()},
                "predictions": {name: int(each.scores[number].argmax()) for name, each in seen.items()},
                "attention": {
                    name: picture(f"query-{number}-{index}", row, each.maps[number])
                    for index, (name, each) in enumerate(seen.items())
                    if each.maps is not None
                },
                "stages": _stages([*seen.values()][-1], number, target),
            }
        )
    return {**asdict(choice), "classes": list(episode.classes), "support": support, "queries": queries}


def _stages(seen: "Glance", query: int, target: int) -> list[dict[str, Any]] | None:
    """Segments against sub-actions of the query's class and of the runner-up; None without text."""
    from fsarctl.report.episodes import runner_up

    if seen.stages is None:
        return None
    columns = (target, runner_up(seen.scores[query], target))
    return [{"column": column, "cosines": seen.stages[query, column].tolist()} for column in columns]
