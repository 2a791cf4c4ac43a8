"""What predict, spot, watch, serve and export have in common: a model, and a support set it names from."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsarctl.cli.command.session import Session
from fsarctl.cli.terminal.confidence import confidence_document
from fsarctl.config.methods import TASK_ADAPTER
from fsarctl.errors import InputError, UsageError
from fsarctl.execution.device import Machine
from fsarctl.progress import counted
from fsarctl.video.processes import TIME_LIMIT_S

if TYPE_CHECKING:
    from fsarctl.stages.predict import Ready, Setup

__all__ = [
    "clip_path",
    "facts_of",
    "heading",
    "require_negatives",
    "require_one_model",
    "require_seconds",
    "setup_of",
]


def clip_path(text: str) -> Path:
    """A clip's path; an unset shell variable is not the present folder, and an address is no path."""
    if not text or "://" in text:
        raise UsageError(
            f"{text!r} is no video file or folder",
            next_step="Name files; download what is on the network first.",
        )
    return Path(text)


def setup_of(session: Session, machine: Machine, workers: int, time_limit_s: float = TIME_LIMIT_S) -> "Setup":
    """What predicts in this session's project."""
    from fsarctl.stages.predict import Setup

    pipeline = session.pipeline(machine=machine)
    return Setup(session.settings, pipeline, session.store, machine, workers, time_limit_s, session.reporter)


def require_negatives(place: Path, negatives: Path | None) -> None:
    """Refuse negatives beside a saved support.

    Raises:
        UsageError: both are given.
    """
    if negatives is not None and place.is_file():
        raise UsageError(
            f"{place} is a saved support, whose negatives are in it",
            next_step="Leave out --negatives, or make it again: --support FOLDER --negatives DIR"
            " --save-support FILE.",
        )


def require_one_model(frozen: bool, shot: int | None) -> None:
    """Refuse two ways of choosing a model at once.

    Raises:
        UsageError: both are given.
    """
    if frozen and shot is not None:
        raise UsageError("--frozen has no adapters to choose by --shots", next_step="Leave out one of them.")


def require_seconds(given: Sequence[tuple[str, float | None]], least_s: float = 0.0) -> None:
    """Refuse flags whose value is no time, or a shorter one than ``least_s``.

    Raises:
        UsageError: there is such a flag.
    """
    from fsarctl.predict.windows import exact_seconds

    for name, value in given:
        try:
            if value is not None:
                exact_seconds(value, name, least_s)
        except InputError as error:
            raise UsageError(error.message, next_step=error.next_step) from None


def facts_of(session: Session, ready: "Ready") -> dict[str, Any]:
    """What a JSON document says of the model and the support set."""
    model, adapters = session.settings.config.model, ready.adapters
    return {
        "model": {
            "backbone": model.backbone,
            "weights": model.weights,
            "strategy": model.trained_name if adapters else "frozen",
            "shot": adapters.shot if adapters else None,
            "adapters": adapters.artifact.key if adapters and adapters.artifact else None,
        },
        "query_mode": "independent",
        "score": _score_kind(session, ready),
        "support": {
            "classes": ready.support.shots,
            "left_out": dict(ready.left_out),
            "undescribed": list(ready.undescribed),
            "text": _text_kind(ready),
            "negatives": len(ready.support.negative_pictures),
        },
        "confidence": confidence_document(ready.predictor, ready.support),
    }


def heading(session: Session, ready: "Ready", alone: str = "each clip alone") -> str:
    """A line that says of which classes, model and score a table is, and what is scored ``alone``."""
    counts = sorted(set(ready.support.shots.values()))
    each = counted(counts[0], "clip") if len(counts) == 1 else f"{counts[0]} to {counts[-1]} clips"
    from fsarctl.models.strategies import frozen_title, title_of

    model = frozen_title(session.settings.config.model.backbone)
    if ready.adapters is not None:
        name = session.settings.config.model.trained_name
        model = title_of(name)
        if trained := ready.adapters.artifact:
            model += f" ({trained.manifest.slot})"
    product = session.settings.config.model.method == TASK_ADAPTER or ready.adapters is None
    kind = {"both": "video x text" if product else "video and text"}.get(
        _score_kind(session, ready), _score_kind(session, ready)
    )
    labels = " (labels alone)" if _text_kind(ready) == "labels" else ""
    return f"{len(ready.support.labels)} classes, {each} each; {model}; score: {kind}{labels}; {alone}"


def _score_kind(session: Session, ready: "Ready") -> str:
    """What has a part in the scores: both, video or text."""
    kind = session.settings.config.model.score
    return "video" if ready.support.text is None else kind


def _text_kind(ready: "Ready") -> str | None:
    """What of a class the text score reads; None without one."""
    if ready.support.text is None:
        return None
    return "labels" if ready.undescribed or not ready.support.descriptions else "descriptions"
