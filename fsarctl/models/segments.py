"""Which frames of a clip make its beginning, process and end (Eq. 16): the one place that says it."""

from fsarctl.config.model_table import ModelConfig

__all__ = ["SUB_ACTIONS", "segments", "stage_frames"]

SUB_ACTIONS = 3
"""Beginning, process, end."""


def segments(aligned: int, stages: int = SUB_ACTIONS) -> tuple[range, ...]:
    """The aligned frames, of ``aligned``, that each stage averages.

    They are cut at equal parts of their span, rounded, and neighbours share the frame at the cut: 1-3, 3-5
    and 5-7 of 7, as in the paper. One stage is all of them: global matching.
    """
    cuts = [round(s * (aligned - 1) / stages) for s in range(stages + 1)]
    return tuple(range(cuts[s], cuts[s + 1] + 1) for s in range(stages))


def stage_frames(model: ModelConfig, frames: int) -> tuple[range, ...]:
    """The frames of a clip, of ``frames``, that reach each stage.

    Each layer of the alignment attention joins a frame with the next one (Eq. 15), so the stages reach one
    frame further for each. Every ``sub_actions`` but "stages" has one stage, the whole clip.
    """
    reach = model.alignment_layers if model.alignment == "attention" else 0
    stages = SUB_ACTIONS if model.sub_actions == "stages" else 1
    return tuple(range(each.start, each.stop + reach) for each in segments(frames - reach, stages))
