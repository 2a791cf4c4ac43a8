"""A public benchmark: its packaged split lists, and a user's copy of its videos in whatever layout.

A video is known by its file's stem alone, so class folders, a flat folder and train/val folders are all
the same, and so are containers. Copies also differ in how a stem is spelt; ``SPELLINGS`` says in what ways.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fsarctl.config.dataset_table import DatasetConfig
from fsarctl.config.paths import located
from fsarctl.config.setting_field import SPLITS
from fsarctl.datasets.benchmark_splits.split_lists import load_split_lists
from fsarctl.datasets.clips import Clip
from fsarctl.datasets.dataset import Dataset, RootError, set_root
from fsarctl.datasets.folder import list_videos
from fsarctl.datasets.labels.spelling import loosely
from fsarctl.datasets.video_tree import plain_text, stem_of

__all__ = ["EXACTLY", "SPELLINGS", "Match", "in_class", "match_videos", "open_benchmark"]

NAMED = 3


@dataclass(frozen=True)
class Spelling:
    """A way in which a file may spell an id: they meet where ``of_id`` and ``of_file`` give the same."""

    of_id: Callable[[str], str | None]
    of_file: Callable[[str], str | None]


def _same(key: Callable[[str], str | None]) -> Spelling:
    return Spelling(key, key)


KINETICS_NAME = re.compile(r"(?P<youtube>[\w-]{11})(?:_(?P<start>\d+)_(?P<end>\d+))?")


def _times_as_numbers(stem: str) -> str | None:
    """abcdefghijk_000012_000022 and abcdefghijk_12_22 are one."""
    found = KINETICS_NAME.fullmatch(stem)
    if not found or found["start"] is None:
        return None
    return f"{found['youtube']} {int(found['start'])} {int(found['end'])}"


def _youtube_id(stem: str) -> str | None:
    found = KINETICS_NAME.fullmatch(stem)
    return found["youtube"] if found else None


def _youtube_id_alone(stem: str) -> str | None:
    # A file that names other seconds is another part of the same film, and perhaps another action.
    return stem if len(stem) == len("abcdefghijk") else None


def _underscored(stem: str) -> str:
    """Brackets, spaces and marks each replaced by an underscore, as file systems and tools like them."""
    return re.sub(r"[^A-Za-z0-9]", "_", stem)


def _letters_and_digits(stem: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", stem.lower())


_EXACT = _same(lambda stem: stem)
_UNDERSCORED = _same(_underscored)
_ANY_CASE = _same(lambda stem: _underscored(stem).lower())
_LOOSE = _same(_letters_and_digits)
EXACTLY = (_EXACT,)

SPELLINGS: Mapping[str, tuple[Spelling, ...]] = {
    "hmdb51": (_EXACT, _UNDERSCORED, _ANY_CASE, _LOOSE),
    "ucf101": (_EXACT, _ANY_CASE),
    "kinetics100": (_EXACT, _same(_times_as_numbers), Spelling(_youtube_id, _youtube_id_alone)),
    "ssv2-small": EXACTLY,
    "ssv2-full": EXACTLY,
}
"""Benchmark -> the ways in which copies spell its ids, the closest first."""


@dataclass(frozen=True)
class Match:
    """``files``: id -> the path that is taken. ``doubles``: id -> all paths that answer it, if several."""

    files: Mapping[str, str]
    doubles: Mapping[str, tuple[str, ...]]


def open_benchmark(name: str, config: DatasetConfig, project: Path) -> Dataset:
    """The clips of each split that the root has.

    Raises:
        InputError: no such root, or it has none of the benchmark's videos.
    """
    root = located(config.root, project)
    tree = list_videos(name, root)
    lists = load_split_lists(config.name)
    labels = {video: label for rows in lists.values() for label, video in rows}
    matched = match_videos(labels, tree.videos, SPELLINGS[config.name], tree.folders)
    if not matched.files:
        some = ", which holds other videos" if tree.videos else ", which holds no video"
        example = plain_text(tree.videos[0]) if tree.videos else ""
        raise RootError(
            f"dataset {name!r}: none of the {len(labels):,} videos of {config.name} is under {root}{some}"
            + (f", such as {example}" if example else ""),
            next_step=f"{set_root(name)} to the directory of the videos, in any layout; files are"
            f" known by their names, such as {next(iter(labels))}.mp4.",
        )
    clips: dict[str, list[Clip]] = {}
    missing: dict[str, list[Clip]] = {}
    for split in SPLITS:
        for label, video in lists[split]:
            path = matched.files.get(video)
            place = clips if path else missing
            place.setdefault(split, []).append(Clip(f"{label}/{video}", label, f"{root}/{path}"))
    return Dataset.of_clips(
        {split: clips.get(split, []) for split in SPLITS},
        {split: missing.get(split, []) for split in SPLITS},
        tree.passed_over,
        _remarks(matched.doubles),
        tree.left_out,
    )


def match_videos(
    labels: Mapping[str, str],
    paths: Sequence[str],
    spellings: Sequence[Spelling],
    folders: Collection[str] = (),
) -> Match:
    """Which file answers which id; of the ``folders`` among them the whole name is the stem.

    ``labels``: id -> class name. Spellings are tried in order, each on the files that closer ones left,
    and the first to answer an id counts. Where several files spell an id alike, one in a directory named
    like its class is taken before others, and then the first by path. A spelling that several ids share
    answers none of them.
    """
    found: dict[str, list[str]] = {}
    stems: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        name = path.rpartition("/")[2]
        stem = stem_of(name) if path in folders else name.rpartition(".")[0]
        stems[plain_text(stem)].append(path)
    for spelling in spellings:
        if not stems:
            break
        # An id without a file comes before one that has its file already.
        wanted = _unique(spelling.of_id, found)
        wanted |= _unique(spelling.of_id, (video for video in labels if video not in found))
        answers: dict[str, list[str]] = defaultdict(list)
        for stem in list(stems):
            key = spelling.of_file(stem)
            if key is not None and (video := wanted.get(key)) is not None:
                answers[video] += stems.pop(stem)
        for video, some in answers.items():
            found.setdefault(video, []).extend(_by_preference(some, labels[video]))
    return Match(
        files={video: some[0] for video, some in found.items()},
        doubles={video: tuple(some) for video, some in found.items() if len(some) > 1},
    )


def _by_preference(paths: Iterable[str], label: str) -> list[str]:
    paths = sorted(paths)
    return sorted(paths, key=lambda path: not in_class(path, label)) if len(paths) > 1 else paths


def _unique(spell: Callable[[str], str | None], ids: Iterable[str]) -> dict[str, str]:
    """Spelling -> id, for spellings that only one id has."""
    found: dict[str, str | None] = {}
    for video in ids:
        key = spell(video)
        if key is not None:
            found[key] = None if key in found else video
    return {key: video for key, video in found.items() if video is not None}


def in_class(path: str, label: str) -> bool:
    """Whether a video lies in a directory named like its class."""
    return any(loosely(part) == loosely(label) for part in PurePosixPath(path).parts[:-1])


def _remarks(doubles: Mapping[str, tuple[str, ...]]) -> list[str]:
    if not doubles:
        return []
    first, second = map(plain_text, min(doubles.items())[1][:2])
    are = "video is" if len(doubles) == 1 else "videos are"
    return [f"{len(doubles)} {are} there more than once: of {first} and {second}, the first is used"]
