"""What holds of every dataset, whatever kind it is of."""

from collections.abc import Iterable

from fsarctl.datasets.clips import Clip
from fsarctl.datasets.dataset import Dataset
from fsarctl.errors import InputError

__all__ = ["require_well_formed"]


def require_well_formed(of: str, dataset: Dataset) -> None:
    """Refuse classes and clips of which no episode can be drawn that means something.

    ``of``: what the error is said of.

    Raises:
        InputError: a class has no name, or is in two splits; a clip has no name, or that of another; or some
            clips are in a group and others in none.
    """
    splits: dict[str, str] = {}
    for split, labels in dataset.expected.items():
        for label in labels:
            if not label.strip():
                raise InputError(f"{of}: a {split} class has no name", next_step="Give every clip a label.")
            if splits.setdefault(label, split) != split:
                raise InputError(
                    f"{of}: class {label!r} is in {splits[label]} and in {split}, and few-shot splits"
                    " share no class",
                    next_step="Keep each class in one split.",
                )
    clips = [clip for some in dataset.clips.values() for clip in some]
    _require_names(of, clips)
    without = [clip for clip in clips if not clip.group]
    if 0 < len(without) < len(clips):
        raise InputError(
            f"{of}: {without[0].name!r} is in no group, and others are in one",
            next_step="Say of every clip which group it is in, or of none.",
        )


def _require_names(of: str, clips: Iterable[Clip]) -> None:
    names: dict[str, Clip] = {}
    for clip in clips:
        if not clip.name:
            raise InputError(f"{of}: {clip.file} has no name", next_step="Give every clip a name.")
        other = names.setdefault(clip.name, clip)
        if other is not clip:
            raise InputError(
                f"{of}: {other.file} and {clip.file} have the same name, {clip.name!r}",
                next_step="Give each clip a name of its own, such as its class and its file: waving/7.mp4.",
            )
