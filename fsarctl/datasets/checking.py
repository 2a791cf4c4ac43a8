"""Whether a dataset will do: what is missing, unreadable, too small for its episodes, or there twice."""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from fsarctl.datasets.clips import Clip
from fsarctl.datasets.dataset import Dataset
from fsarctl.datasets.episode_size import EpisodeSize, SmallClass
from fsarctl.datasets.group_sizes import group_sizes
from fsarctl.datasets.video_tree import LeftOut, PassedOver
from fsarctl.errors import InputError
from fsarctl.progress import Reporter
from fsarctl.video.frame_folders.images import images_in, look_at

__all__ = [
    "DatasetCheck",
    "Opened",
    "Other",
    "Remarked",
    "SplitCheck",
    "Unreadable",
    "check_dataset",
    "open_all",
]

SMALL = 64  # pixels; enough to tell frames apart
TAIL = 4096  # bytes; where containers keep what differs between files of one size


@dataclass(frozen=True)
class Unreadable:
    """A clip whose file is there and cannot be used, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Remarked:
    """A clip that can be used, and what is to be known of its file."""

    name: str
    remark: str


@dataclass(frozen=True)
class Other:
    """A clip, and what decord makes of it."""

    name: str
    decord: str


@dataclass(frozen=True)
class SplitCheck:
    """One split. ``smallest``: its smallest class with clips, and how many; None without any clip.

    ``empty_classes`` have no clip at all; ``small_classes`` have too few for the largest of the episodes
    asked. ``groups``: label -> how many groups its usable clips are of; None where clips have none.
    ``refusals``: (what cannot run, what to do), one for training and one for evaluation at most.
    """

    split: str
    classes: int
    expected: int
    found: int
    missing: tuple[str, ...]
    unreadable: tuple[Unreadable, ...]
    remarked: tuple[Remarked, ...]
    smallest: tuple[str, int] | None
    empty_classes: tuple[str, ...]
    small_classes: tuple[SmallClass, ...]
    groups: Mapping[str, int] | None
    refusals: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class DatasetCheck:
    """One dataset. ``duplicates``: groups of clips of several classes whose files have the same bytes;
    ``copies``: of one class, of which one may be the query of another.

    ``other_in_decord``: clips of which decord gives other frames than are right, and what it gives; None
    where that was not asked.
    """

    splits: tuple[SplitCheck, ...]
    duplicates: tuple[tuple[Clip, ...], ...]
    copies: tuple[tuple[Clip, ...], ...]
    passed_over: tuple[PassedOver, ...]
    left_out: tuple[LeftOut, ...]
    remarks: tuple[str, ...]
    other_in_decord: tuple[Other, ...] | None = None


@dataclass(frozen=True)
class Opened:
    """By clip name: why it could not be decoded; and, if asked, where decord makes something else of it, or
    else what is to be known of it.
    """

    failed: dict[str, str]
    other_in_decord: dict[str, str] | None = None
    remarked: Mapping[str, str] = field(default_factory=dict)


def check_dataset(
    name: str,
    dataset: Dataset,
    asked: Mapping[str, Sequence[EpisodeSize]],
    sha256: Callable[[Iterable[str]], Mapping[str, str]],
    opened: Opened,
) -> DatasetCheck:
    """Look at every file's size, and at the content of those that may be the same.

    ``asked``: split -> the episodes that it must be good for. ``sha256``: paths -> digests of their
    content. ``opened``: what ``open_all`` found.
    """
    sizes = {clip: _size(clip.file) for clips in dataset.clips.values() for clip in clips}
    faults = {clip.name: reason for clip, reason in sizes.items() if isinstance(reason, str)}
    known = {clip: size for clip, size in sizes.items() if isinstance(size, int)}
    opened = replace(opened, remarked={**_remarks_on_images(known), **opened.remarked})
    alike = _alike(known, sha256)
    return DatasetCheck(
        splits=tuple(
            _check_split(name, dataset, split, asked.get(split, ()), opened, faults)
            for split in dict.fromkeys([*dataset.expected, *asked])
        ),
        duplicates=tuple(group for group in alike if len({clip.label for clip in group}) > 1),
        copies=tuple(group for group in alike if len({clip.label for clip in group}) == 1),
        passed_over=dataset.passed_over,
        left_out=dataset.left_out,
        remarks=dataset.remarks,
        other_in_decord=None
        if opened.other_in_decord is None
        else tuple(Other(*each) for each in opened.other_in_decord.items()),
    )


def open_all(
    clips: Sequence[Clip],
    *,
    workers: int,
    time_limit_s: float,
    reporter: Reporter,
    against_decord: int = 0,
) -> Opened:
    """Decode the first frame of every clip in worker processes.

    ``against_decord``: or else this many frames, which are compared with decord's.

    Raises:
        InputError: there is no decord to compare with.
    """
    from fsarctl.video.processes.decoding_pool import Failure, decode_all

    if against_decord:
        from fsarctl.video.against_decord import compare_with_decord as decode
        from fsarctl.video.against_decord import require_decord

        require_decord()
    else:
        from fsarctl.video.first_frame import decode_first_frame as decode

    tasks = [(number, clip.path) for number, clip in enumerate(clips)]
    how = (against_decord or 1, SMALL, max(1, min(workers, len(tasks))), time_limit_s)
    answers = decode_all(tasks, decode, *how)
    remarked: dict[str, str] = {}
    opened = Opened({}, {} if against_decord else None, remarked)
    with closing(answers), reporter.task("open", len(tasks), "clip") as advance:
        for number, answer in answers:
            if isinstance(answer, Failure):
                opened.failed[clips[number].name] = answer.reason
            elif answer.problems:
                said = remarked if opened.other_in_decord is None else opened.other_in_decord
                said[clips[number].name] = "; ".join(answer.problems)
            advance(1)
    return opened


def _check_split(
    name: str,
    dataset: Dataset,
    split: str,
    asked: Sequence[EpisodeSize],
    opened: Opened,
    at_once: Mapping[str, str],
) -> SplitCheck:
    faults = {**opened.failed, **at_once}
    clips = dataset.clips.get(split, ())
    found = dataset.found.get(split, {})
    expected = dataset.expected.get(split, {})
    unreadable = [Unreadable(clip.name, faults[clip.name]) for clip in clips if clip.name in faults]
    lost = Counter(clip.label for clip in clips if clip.name in faults)
    usable = {label: count - lost[label] for label, count in found.items() if count}
    sizes = group_sizes((clip.label, clip.group) for clip in clips if clip.name not in faults)
    groups = sizes if dataset.grouped else None
    refusals = []
    by_size = sorted(asked, key=lambda size: size.clips)
    for size in {size.table: size for size in by_size}.values():
        try:
            size.check(usable, f"{name}/{split}", groups)
        except InputError as error:
            refusals.append((error.message, error.next_step))
    small = {each.label: each for size in by_size for each in size.small_classes(usable, groups)}
    return SplitCheck(
        split=split,
        classes=len(expected),
        expected=sum(expected.values()),
        found=sum(found.values()),
        missing=dataset.missing.get(split, ()),
        unreadable=tuple(unreadable),
        remarked=tuple(
            Remarked(clip.name, opened.remarked[clip.name])
            for clip in clips
            if clip.name in opened.remarked and clip.name not in faults
        ),
        smallest=min(
            ((label, count) for label, count in usable.items()), key=lambda pair: pair[1], default=None
        ),
        empty_classes=tuple(dataset.empty_classes(split)),
        small_classes=tuple(sorted(small.values(), key=lambda each: (each.has, each.label))),
        groups={label: len(each) for label, each in sorted(sizes.items())} if dataset.grouped else None,
        refusals=tuple(refusals),
    )


def _size(path: str) -> int | str:
    """Bytes, or why the file cannot be used."""
    if os.path.isdir(path):  # noqa: PTH112
        seen, reason = look_at(path)
        return seen.size if seen else reason
    try:
        size = os.stat(path).st_size  # noqa: PTH116
    except OSError as error:
        return (error.strerror or type(error).__name__).lower()
    if not os.access(path, os.R_OK):
        return "permission denied"
    return size or "the file is empty"


def _remarks_on_images(clips: Iterable[Clip]) -> dict[str, str]:
    """Name -> what is missing of a folder of frames, which is known without opening it."""
    folders = {clip.name: images_in(clip.file) for clip in clips if os.path.isdir(clip.file)}  # noqa: PTH112
    return {name: "; ".join(images.remarks) for name, images in folders.items() if images.remarks}


def _alike(
    sizes: Mapping[Clip, int], sha256: Callable[[Iterable[str]], Mapping[str, str]]
) -> tuple[tuple[Clip, ...], ...]:
    """Clips with the same content: alike in size, then at the end, then in all."""
    ends = {
        clip: _tail(clip.path, sizes[clip])
        for group in _groups(sizes, lambda clip: sizes[clip])
        for clip in group
    }
    candidates = [clip for group in _groups(ends, lambda clip: ends[clip]) for clip in group]
    digests = sha256(sorted({clip.file for clip in candidates}))
    groups = _groups(candidates, lambda clip: digests[clip.file])
    return tuple(sorted((tuple(group) for group in groups), key=lambda group: group[0].name))


def _groups(clips: Iterable[Clip], key: Callable[[Clip], object]) -> list[list[Clip]]:
    """Those that have a key in common, two at least."""
    groups: dict[object, list[Clip]] = defaultdict(list)
    for clip in clips:
        groups[key(clip)].append(clip)
    return [group for group in groups.values() if len(group) > 1]


def _tail(path: Path, size: int) -> tuple[int, bytes | str]:
    try:
        if path.is_dir():
            path = path.joinpath(*images_in(path).names[-1:])
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
            return size, file.read()
    except OSError as error:
        return size, error.strerror or ""
