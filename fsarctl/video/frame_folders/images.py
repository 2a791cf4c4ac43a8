"""Which images of a folder are its frames: those of one name with a number, in the order of the numbers.

Where clips were dumped by ffmpeg or another tool, they are called img_00001.jpg, frame000001.png or 1.webp.
Nothing is opened to know that.
"""

import os
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, TypeAlias

from fsarctl.artifacts.file_stat import Look
from fsarctl.progress import counted, first_of
from fsarctl.video.container.file_access import looked_at

__all__ = [
    "IMAGE_EXTENSIONS",
    "NO_FRAMES",
    "Images",
    "frames_among",
    "frames_of",
    "images_in",
    "is_aside",
    "look_at",
    "no_times",
]

IMAGE_EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp")
MOST_DIGITS = 18
NUMBERED = re.compile(
    rf"(?P<name>.*?)(?P<number>\d{{1,{MOST_DIGITS}}})(?P<rest>\D*)(?P<ending>\.(?:jpe?g|png|webp))",
    re.IGNORECASE,
)
FLOW = re.compile(r"[^A-Za-z]*(flow|depth|mask|segm?|disp|[xyuv])(?=[^A-Za-z]|$).*", re.IGNORECASE)
"""What is beside the pictures themselves: two components of optical flow, depth, masks."""
ASIDE = re.compile(
    r"@eadir|\.?thumb(nail)?s?|previews?|covers?|posters?|screen-?shots?|(tvl1[_-]?)?flows?([_-]?[xyuv])?",
    re.IGNORECASE,
)
"""Folders of images that are no clips."""
NAMED = 3


NO_FRAMES = "a folder without numbered JPEG, PNG or WebP images"


@dataclass(frozen=True)
class Images:
    """``names``: of the files that are the frames, in order; ``remarks``: on those that are not there.

    ``reason``: why there are no frames; ``numbered``: whether any of the images has a number.
    """

    names: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    reason: str = ""
    numbered: bool = True


class _Frame(NamedTuple):
    number: int
    name: str


def frames_among(names: Iterable[str]) -> Images:
    """The frames among the files of a folder: the largest set that one name and one kind of image make.

    Images of several kinds are one set where each number is there once. Where most are in no set with the
    others, none is taken: they are of several clips, or what counts them is not understood.
    """
    images = [name for name in names if not name.startswith(".") and name.lower().endswith(IMAGE_EXTENSIONS)]
    series, others = _alike(images) or _series(images)
    if not series:
        return Images((), reason=f"it is {NO_FRAMES}", numbered=False)
    pictures = _of_several_kinds({key: some for key, some in series.items() if not _is_flow(*key)} or series)
    chosen = min(pictures, key=lambda key: (-len(pictures[key]), key))
    frames = sorted(pictures[chosen])
    left_out = sorted(
        [*others, *(each.name for key, some in pictures.items() if key != chosen for each in some)]
    )
    if len(left_out) > len(frames):
        shown = first_of(sorted([*left_out, *(frame.name for frame in frames)]), 2)
        return Images((), reason=f"its images are not numbered in one way: {shown}")
    remarks = [_missing([frame.number for frame in frames])]
    if left_out:
        are = "is" if len(left_out) == 1 else "are"
        named = first_of(left_out, 1)
        remarks.append(f"{counted(len(left_out), 'image')} of another name {are} left out: {named}")
    return Images(tuple(frame.name for frame in frames), tuple(filter(None, remarks)))


_Series: TypeAlias = dict[tuple[str, str, str], list[_Frame]]


def _alike(images: Sequence[str]) -> tuple[_Series, list[str]] | None:
    """What ``_series`` gives, where all differ in the number alone, as a rule; in half of its time."""
    first = NUMBERED.fullmatch(images[0]) if images else None
    if first is None:
        return None
    before, after = first["name"], first["rest"] + first["ending"]
    begin, end, longest = len(before), -len(after), len(before) + len(after) + MOST_DIGITS
    digits = [name[begin:end] for name in images]
    if not all(
        name.startswith(before) and name.endswith(after) and number.isdecimal() and len(name) <= longest
        for name, number in zip(images, digits, strict=True)
    ):
        return None
    frames = [_Frame(int(number), name) for number, name in zip(digits, images, strict=True)]
    return {(before, first["rest"], first["ending"].lower()): frames}, []


def _series(images: Iterable[str]) -> tuple[_Series, list[str]]:
    """The images of each name, and those without a number."""
    series: _Series = defaultdict(list)
    others = []
    for name in images:
        if found := NUMBERED.fullmatch(name):
            key = found["name"], found["rest"], found["ending"].lower()
            series[key].append(_Frame(int(found["number"]), name))
        else:
            others.append(name)
    return series, others


def _is_flow(name: str, rest: str, _ending: str) -> bool:
    return bool(FLOW.fullmatch(name) or FLOW.fullmatch(rest))


def _of_several_kinds(
    series: dict[tuple[str, str, str], list[_Frame]],
) -> dict[tuple[str, ...], list[_Frame]]:
    """The same, with those in one that differ in their kind of image alone and have no number twice."""
    together: dict[tuple[str, ...], list[_Frame]] = defaultdict(list)
    for (name, rest, _), some in series.items():
        together[name, rest] += some
    once = {key for key, some in together.items() if len({each.number for each in some}) == len(some)}
    parted = {key: some for key, some in series.items() if key[:2] not in once}
    return {key: together[key] for key in once} | parted


def images_in(folder: Path | str) -> Images:
    """The frames in a folder.

    Raises:
        OSError: it cannot be listed.
    """
    return frames_among(os.listdir(folder))  # noqa: PTH208 - of each of many


def frames_of(folder: Path | str) -> Sequence[str]:
    """The names of the frames in a folder, which make what it is as an input.

    Raises:
        OSError: it cannot be listed.
    """
    return images_in(folder).names


def is_aside(folder_name: str) -> bool:
    """Whether a folder of this name has images that are no clip: thumbnails, optical flow."""
    return bool(ASIDE.fullmatch(folder_name))


def look_at(path: Path | str) -> tuple[Look | None, str]:
    """What the file system says of a video's file or of a clip's images; or why it cannot be opened."""
    seen, reason = looked_at(path)
    if seen:
        return Look.of_file(seen), ""
    if not os.path.isdir(path):  # noqa: PTH112
        return None, reason
    try:
        images = images_in(path)
        if not images.names:
            return None, images.reason
        return Look.of_folder(path, images.names), ""
    except OSError as error:
        return None, f"it cannot be opened: {error.strerror}"


def no_times(folder: Path) -> str:
    """Why nothing can be found in a folder of frames at a time, and the command that makes a video of it."""
    images = images_in(folder)
    found = NUMBERED.fullmatch(images.names[0]) if images.names else None
    if found is None:
        return images.reason
    said = "it is a folder of frames, which does not say how long each lasts"
    digits, ending = found["number"], found["rest"] + found["ending"]
    if not all(name.endswith(ending) for name in images.names):
        return f"{said}; make a video of them"
    width = f"0{len(digits)}" if digits.startswith("0") else ""
    pattern = f"{found['name'].replace('%', '%%')}%{width}d{ending.replace('%', '%%')}"
    words = ["ffmpeg", "-framerate", "25", "-start_number", str(int(digits)), "-i", pattern, "clip.mp4"]
    return f"{said}; in it, {shlex.join(words)} makes a video"


def _missing(numbers: Sequence[int]) -> str:
    """The numbers that are left out in a row; "" where there are none, or where they do not count frames."""
    steps = [after - before for before, after in pairwise(numbers)]
    if 0 in steps:
        return f"two of its images have the number {numbers[steps.index(0)]}"
    usual, often = Counter(steps).most_common(1)[0] if steps else (1, 0)
    if 2 * often < len(steps) or all(step == usual for step in steps):
        return ""
    gaps = [
        (before + usual, after - usual) for before, after in pairwise(numbers) if after - before >= 2 * usual
    ]
    if not gaps:
        return ""
    lost = counted(sum((last - first) // usual + 1 for first, last in gaps), "image")
    shown = [str(first) if first + usual > last else f"{first} to {last}" for first, last in gaps]
    return f"{lost} of {numbers[0]} to {numbers[-1]} missing: {first_of(shown, NAMED)}"
