"""A dataset: the clips of each split that are there, beside those that there should be."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path

from fsarctl.config.parts import Part
from fsarctl.config.tables import SPLITS, DatasetConfig
from fsarctl.datasets.clips import Clip
from fsarctl.datasets.video_tree import PassedOver
from fsarctl.errors import FsarctlError, InputError

__all__ = ["Dataset", "open_dataset"]

NAMED = 3


@dataclass(frozen=True)
class Dataset:
    """What a [datasets.NAME] table stands for today. No video is opened to know it.

    ``found`` and ``expected``: split -> label -> number of clips, for the same labels. ``clips``: split
    -> those found, sorted by label and name; empty if they are rendered when needed. ``missing``: split
    -> names of those expected and not found. ``remarks``: a sentence each on what a user may want to know.
    """

    found: Mapping[str, Mapping[str, int]]
    expected: Mapping[str, Mapping[str, int]]
    clips: Mapping[str, tuple[Clip, ...]] = field(default_factory=dict)
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    passed_over: tuple[PassedOver, ...] = ()
    remarks: tuple[str, ...] = ()

    @classmethod
    def of_clips(
        cls,
        clips: Mapping[str, Iterable[Clip]],
        missing: Mapping[str, Iterable[Clip]],
        passed_over: Iterable[PassedOver] = (),
        remarks: Iterable[str] = (),
    ) -> "Dataset":
        """A dataset of videos on disk; ``missing`` are clips whose path is not there."""
        there = {split: _counts(some) for split, some in clips.items()}
        absent = {split: _counts(some) for split, some in missing.items()}
        expected = {split: there[split] + absent.get(split, Counter()) for split in there}
        return cls(
            found={
                split: {label: there[split][label] for label in sorted(expected[split])} for split in there
            },
            expected={split: dict(sorted(counts.items())) for split, counts in expected.items()},
            clips={
                split: tuple(sorted(some, key=lambda clip: (clip.label, clip.name)))
                for split, some in clips.items()
            },
            missing={split: tuple(sorted(clip.name for clip in some)) for split, some in missing.items()},
            passed_over=tuple(passed_over),
            remarks=tuple(remarks),
        )

    def labels(self, split: str) -> list[str]:
        """The classes of a split that have a clip, sorted."""
        return [label for label, count in self.found.get(split, {}).items() if count]

    def empty_classes(self, split: str) -> list[str]:
        """The classes of a split all of whose clips are missing, sorted."""
        return [label for label, count in self.found.get(split, {}).items() if not count]

    def summary(self) -> str:
        """What is not as it should be, in a line; empty if nothing is to be said."""
        parts = []
        expected = sum(sum(counts.values()) for counts in self.expected.values())
        missing = sum(map(len, self.missing.values()))
        if missing:
            parts.append(f"{expected - missing:,} of {expected:,} videos are there")
        empty = [label for split in self.expected for label in self.empty_classes(split)]
        if empty:
            parts.append(f"classes without any: {_some(empty)}")
        if self.passed_over:
            shown = [f"{each.path} ({each.reason})" for each in self.passed_over]
            parts.append(f"passed over: {_some(shown)}")
        return "; ".join([*parts, *self.remarks])


def open_dataset(name: str, config: DatasetConfig, project: Path) -> Dataset:
    """What the table [datasets.``name``] stands for; relative paths in it start from ``project``.

    Raises:
        InputError: its videos, lists or splits are not as the settings say.
    """
    if part := config.own_kind:
        return _own(name, part, config, project)
    if config.kind == "shapes":
        return _shapes(config)
    if config.kind == "benchmark":
        from fsarctl.datasets.benchmark import open_benchmark

        return open_benchmark(name, config, project)
    if config.kind == "list":
        from fsarctl.datasets.clip_list import open_list

        return open_list(name, config, project)
    from fsarctl.datasets.folder import open_folder

    return open_folder(name, config, project)


def _shapes(config: DatasetConfig) -> Dataset:
    from fsarctl.datasets.shapes.classes import CLASSES

    counts: dict[str, dict[str, int]] = {"train": {}, "val": {}, "test": {}}
    for each in sorted(CLASSES, key=lambda shape: shape.label):
        counts[each.split][each.label] = config.clips_per_class
    return Dataset(found=counts, expected=counts)


def _own(name: str, part: Part, config: DatasetConfig, project: Path) -> Dataset:
    """What somebody else's kind gives: split -> its clips, as ``Clip`` or as (name, label, file)."""
    settings = {"root": config.root, "file": config.file, **config.options}
    try:
        given = part.load()(project, {key: value for key, value in settings.items() if value != ""})
        clips = {split: [_clip(each) for each in some] for split, some in given.items()}
    except FsarctlError:
        raise
    except Exception as error:  # what other people's code may do
        raise InputError(
            f"dataset {name}: kind {part.target!r} failed: {type(error).__name__}: {error}",
            next_step="It gets the project's folder and the table's settings, and returns {split: clips}.",
        ) from error
    if unknown := sorted(set(clips) - set(SPLITS)):
        raise InputError(
            f"dataset {name}: kind {part.target!r} gives a split {unknown[0]!r}",
            next_step=f"Splits are {', '.join(SPLITS)}.",
        )
    found: dict[str, list[Clip]] = {split: [] for split in SPLITS}
    missing: dict[str, list[Clip]] = {split: [] for split in SPLITS}
    for split, some in clips.items():
        for clip in some:
            (found if clip.path.exists() else missing)[split].append(clip)
    return Dataset.of_clips(found, missing)


def _clip(given: Clip | Sequence[str]) -> Clip:
    name, label, file = astuple(given) if isinstance(given, Clip) else given
    return Clip(str(name), str(label), str(file))


def _some(items: Sequence[str]) -> str:
    more = f" and {len(items) - NAMED} more" if len(items) > NAMED else ""
    return ", ".join(items[:NAMED]) + more


def _counts(clips: Iterable[Clip]) -> "Counter[str]":
    return Counter(clip.label for clip in clips)
