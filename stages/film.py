"""film: the actions that a model finds in a film whose events are known, and how good that is.

What `fsarctl spot --always` finds in what `fsarctl data film` writes: the support set is the first clips of
each class, and windows are as long as these.
"""

import json
from pathlib import Path

from fsarctl.artifacts import Build, Unit
from fsarctl.artifacts.command import Command
from fsarctl.config.model_table import ModelConfig
from fsarctl.config.tables import ExtractConfig
from fsarctl.episodes.training.training_log import ADAPTERS
from fsarctl.execution.device import Machine
from fsarctl.models.backbone_catalogue import stored_side
from fsarctl.models.strategies import FROZEN

__all__ = ["STAGE", "VERSION", "unit"]

STAGE = "film"
VERSION = 1


def unit(
    dataset: str,
    split: str,
    shot: int,
    extract: ExtractConfig,
    model: ModelConfig,
    *,
    root: Path,
    film: Unit,
    videos: Unit,
    text: Unit | None,
    adapters: Unit | None,
    frozen: bool,
    command: Command,
    machine: Machine,
) -> Unit:
    """What the method with its ``adapters``, or the ``frozen`` backbone, finds in ``film``.

    ``videos``: the rendered clips of the split. ``text``: None where labels are read, or no text.
    """
    from fsarctl.methods.build import model_key

    settings, files = model_key(model, root, adapters=not frozen)
    size = extract.size or stored_side(model.backbone)

    def build(build: Build) -> None:
        _find(build, slot, shot, extract, size, model, root, frozen, machine)

    slot = f"film {dataset}/{split} {shot}-shot {FROZEN if frozen else model.trained_name}"
    return Unit(
        stage=STAGE,
        version=VERSION,
        slot=slot,
        command=command,
        apart=True,
        config={
            "shot": shot,
            "frames": extract.frames,
            "size": size,
            "resize": extract.resize,
            "model": settings,
            "adapted": not frozen,
        },
        inputs={
            "film": film,
            "videos": videos,
            **({"text": text} if text else {}),
            **({"adapters": adapters} if adapters else {}),
            **files,
        },
        build=build,
    )


def _find(
    build: Build,
    title: str,
    shot: int,
    extract: ExtractConfig,
    size: int,
    config: ModelConfig,
    root: Path,
    frozen: bool,
    machine: Machine,
) -> None:
    from safetensors.torch import load_file

    from fsarctl.datasets.clips import Clip
    from fsarctl.datasets.shapes.film import EVENTS, FILM
    from fsarctl.methods.build import build_model
    from fsarctl.predict.event_rules import EventRules
    from fsarctl.predict.events import events_of
    from fsarctl.predict.predictor import Predictor
    from fsarctl.predict.spotting import score_windows, window_confidences
    from fsarctl.predict.windows import STRIDES, Windows, WindowSize, usual_lengths
    from fsarctl.results.average_precision import OVERLAPS, TimedLabel, mean_average_precision
    from fsarctl.results.true_events import read_true_events
    from fsarctl.text.corpus import load_descriptions, load_names
    from fsarctl.video.read_through import course_of

    device = machine.choose_device()
    build.record("device", str(device))
    model = build_model(config, root, frames=extract.frames, adapters=not frozen, seed=0, device=device)
    if "adapters" in build.inputs:
        model.load_adapter_state(load_file(build.inputs["adapters"] / ADAPTERS))
    text = build.inputs.get("text")
    predictor = Predictor(
        model,
        size=size,
        resize=extract.resize,
        names=load_names(text) if text else None,
        reporter=build.reporter,
        says_none=False,
    )
    rows = json.loads((build.inputs["videos"] / "clips.json").read_text(encoding="utf-8"))
    shown: dict[str, list[Clip]] = {}
    for row in rows:
        clip = Clip(row["name"], row["label"], str(build.inputs["videos"] / row["file"]))
        shown.setdefault(clip.label, []).append(clip)
    clips = [clip for each in shown.values() for clip in each[:shot]]
    support, _ = predictor.support(clips, load_descriptions(text) if text else None)
    predictor.require_score(has_text=support.text is not None)
    sizes = [WindowSize(each, each / STRIDES) for each in usual_lengths(clip.path for clip in clips)]
    film = build.inputs["film"] / FILM
    course = course_of(film)
    windows = Windows.over(sizes, extract.frames, course.duration_s, course.frame_s)
    scores = score_windows(
        predictor,
        support,
        film,
        course,
        windows,
        build.scratch,
        of=build.of,
        reporter=build.reporter,
        title=title,
    )
    confidences = window_confidences(predictor, support, scores)
    events = events_of(confidences, windows, support.labels, EventRules(), float(course.duration_s))
    found = [TimedLabel(each.start_s, each.end_s, each.label, each.score) for each in events]
    true = read_true_events(build.inputs["film"] / EVENTS, support.labels, [FILM])[FILM]
    document = {
        "seconds": float(course.duration_s),
        "classes": len(support.labels),
        "true": len(true),
        "found": len(found),
        "precision": [vars(each) for each in mean_average_precision(found, true, OVERLAPS)],
    }
    text_of = json.dumps(document, indent=1, allow_nan=False)
    (build.folder / "found.json").write_text(text_of + "\n", encoding="utf-8")
