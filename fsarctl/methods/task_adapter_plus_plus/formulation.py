"""Where the paper and its authors' released code differ: a named option each, and a preset for either."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import get_args, get_type_hints

from fsarctl.config.model_table import (
    FORMULATION_CROPS,
    AdapterStart,
    RandomCrop,
    Residual,
    SegmentReading,
)
from fsarctl.errors import ConfigError
from fsarctl.errors.nearest import did_you_mean

__all__ = ["PRESETS", "Formulation", "formulation_of"]


@dataclass(frozen=True)
class Formulation:
    """One reading of the method; a field for each place where two readings exist.

    The two agree on ``logit_scale``, which is an argument of the model, and the released code's transposed
    text score is no option: scores are (queries, classes) everywhere.
    """

    alignment_residual: Residual
    """Eq. 15 adds the frame that asks, i-1 ("query"), or the one that answers, i ("key")."""
    segments: SegmentReading
    """Eq. 16-17: the cosine of a segment's mean, or the mean of its frames' cosines."""
    video_metric: str
    """The video score (section 3.4), a name that :func:`fsarctl.models.metrics.metric_of` knows."""
    temporal_embedding: bool
    """A learned offset for each frame, zero at the start, added before ``ln_pre``."""
    task_adapter_start: AdapterStart
    """W2 of the Task-MSA adapter: zero, so that step 0 equals frozen CLIP, or as any linear layer."""
    alignment_norm: bool
    """A learned LayerNorm on the alignment attention's output (the released code: on SSv2-Full only)."""
    crop: RandomCrop
    """Random crops in training are drawn once for a clip or anew for each frame; for whoever crops."""

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(type(self)).items():
            if kind is str:
                continue  # a metric, which may be somebody else's: whoever makes it knows
            value, allowed = getattr(self, name), (True, False) if kind is bool else get_args(kind)
            if value not in allowed or (kind is bool) != isinstance(value, bool):
                raise ConfigError(
                    f"{name} is {value!r}; it must be one of {', '.join(map(str, allowed)).lower()}",
                    next_step=f"Set {name} to one of these, or leave it to the formulation.",
                )


PRESETS: Mapping[str, Formulation] = {
    "paper": Formulation(
        alignment_residual="query",
        segments="cosine_of_mean",
        video_metric="protonet_frames",
        temporal_embedding=False,
        task_adapter_start="zero",
        alignment_norm=False,
        crop=FORMULATION_CROPS["paper"],
    ),
    "released": Formulation(
        alignment_residual="key",
        segments="mean_of_cosines",
        video_metric="protonet_means",
        temporal_embedding=True,
        task_adapter_start="default",
        alignment_norm=False,
        crop=FORMULATION_CROPS["released"],
    ),
}


def formulation_of(preset: str, overrides: Mapping[str, object]) -> Formulation:
    """The preset with some of its options replaced.

    Raises:
        ConfigError: the preset or an option is unknown, or an option's value is.
    """
    if preset not in PRESETS:
        raise ConfigError(
            f"formulation is {preset!r}; it must be one of {', '.join(PRESETS)}",
            next_step="Set model.formulation to one of these.",
        )
    known = [field.name for field in fields(Formulation)]
    for name in overrides:
        if name not in known:
            raise ConfigError(
                f"unknown formulation option {name!r}{did_you_mean(name, known).rstrip('.')}",
                next_step=f"The options are {', '.join(known)}.",
            )
    # Values are checked as they are set; mypy cannot follow names held in a mapping.
    return replace(PRESETS[preset], **overrides)  # type: ignore[arg-type]
