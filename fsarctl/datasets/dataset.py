"""A dataset: the clips of each split that are there, beside those that there should be."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fsarctl.datasets.clips import Clip
from fsarctl.datasets.group_sizes import group_sizes
from fsarctl.datasets.video_tree import LeftOut, PassedOver, left_out_words, passed_over_words
from fsarctl.errors import InputError
from fsarctl.progress import first_of

__all__ = ["Dataset", "RootError", "set_root"]

NAMED = 3


@dataclass(frozen=True)
class Dataset:
    """What a [datasets.NAME] table stands for today. No video is opened to know it.

    ``found`` and ``expected``: split -> label -> number of clips, for the same labels. ``clips``: split
    -> those found, sorted by label and name; empty if they are rendered when needed. ``missing``: split
    -> names of those expected and not found. ``left_out``: files beside them that are no videos.
    ``remarks``: a sentence each on what a user may want to know.
    ``sets``: split -> label -> the set of classes that an episode is drawn from; empty: from any.
    """

    found: Mapping[str, Mapping[str, int]]
    expected: Mapping[str, Mapping[str, int]]
    clips: Mapping[str, tuple[Clip, ...]] = field(default_factory=dict)
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    passed_over: tuple[PassedOver, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    remarks: tuple[str, ...] = ()
    sets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def of_clips(
        cls,
        clips: Mapping[str, Iterable[Clip]],
        missing: Mapping[str, Iterable[Clip]],
        passed_over: Iterable[PassedOver] = (),
        remarks: Iterable[str] = (),
        left_out: Iterable[LeftOut] = (),
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
            left_out=tuple(left_out),
            remarks=tuple(remarks),
        )

    def labels(self, split: str) -> list[str]:
        """The classes of a split that have a clip, sorted."""
        return [label for label, count in self.found.get(split, {}).items() if count]

    def empty_classes(self, split: str) -> list[str]:
        """The classes of a split all of whose clips are missing, sorted."""
        return [label for label, count in self.found.get(split, {}).items() if not count]

    @property
    def grouped(self) -> bool:
        """Whether its clips are in groups that an episode keeps apart."""
        return any(clip.group for some in self.clips.values() for clip in some)

    def group_sizes(self, split: str) -> dict[str, list[int]]:
        """Label -> how many clips each of its groups has, the largest first."""
        return group_sizes((clip.label, clip.group) for clip in self.clips.get(split, ()))

    def summary(self) -> str:
        """What is not as it should be, in a line; empty if nothing is to be said."""
        parts = []
        expected = sum(sum(counts.values()) for counts in self.expected.values())
        missing = sum(map(len, self.missing.values()))
        if missing:
            parts.append(f"{expected - missing:,} of {expected:,} videos are there")
        empty = [label for split in self.expected for label in self.empty_classes(split)]
        if empty:
            parts.append(f"classes without any: {first_of(empty, NAMED)}")
        if self.passed_over:
            parts.append(passed_over_words(self.passed_over, NAMED))
        if self.left_out:
            parts.append(left_out_words(self.left_out))
        return "; ".join([*parts, *self.remarks])


def _counts(clips: Iterable[Clip]) -> "Counter[str]":
    return Counter(clip.label for clip in clips)


class RootError(InputError):
    """None of a dataset's videos is where its root, or the place of its list, has them be."""


def set_root(name: str) -> str:
    """How a sentence begins that says where a dataset's videos have to be."""
    return f"Set datasets.{name}.root (in fsarctl.toml, or --set datasets.{name}.root=FOLDER)"
