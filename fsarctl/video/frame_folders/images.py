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

from fsarctl.artifacts.look import Look
from fsarctl.progress import counted, first_of
from fsarctl.video.file_access import looked_at

__all__ = [
    "IMAGE_EXTENSIONS",
    "Images",
    "frames_among",
    "frames_of",
    "images_in",
    "is_aside",
    "look_at",
    "no_times",
]

IMAGE_EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp")
NUMBERED = re.compile(r"(?P<name>.*?)(?P<number>\d{1,18})(?P<ending>\.(?:jpe?g|png|webp))", re.IGNORECASE)
FLOW = re.compile(r"(flow|depth|mask|segm?|disp|[xyuv])(?=[^A-Za-z]|$).*", re.IGNORECASE)
"""What is beside the pictures themselves: two components of optical flow, depth, masks."""
ASIDE = re.compile(
    r"@eadir|\.?thumb(nail)?s?|previews?|covers?|posters?|screen-?shots?|(tvl1[_-]?)?flows?([_-]?[xyuv])?",
    re.IGNORECASE,
)
"""Folders of images that are no clips."""
NAMED = 3


@dataclass(frozen=True)
class Images:
    """``names``: of the files that are the frames, in order; ``remarks``: on those that are not there."""

    names: tuple[str, ...]
    remarks: tuple[str, ...] = ()


def frames_among(names: Iterable[str]) -> Images:
    """The frames among the files of a folder: the largest set that one name and one kind of image make."""
    series: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    others = []
    for name in names:
        if name.startswith(".") or not name.lower().endswith(IMAGE_EXTENSIONS):
            continue
        if found := NUMBERED.fullmatch(name):
            series[found["name"], found["ending"].lower()].append((int(found["number"]), name))
        else:
            others.append(name)
    if not series:
        return Images(())
    pictures = {key: some for key, some in series.items() if not FLOW.fullmatch(key[0])} or series
    chosen = min(pictures, key=lambda key: (-len(pictures[key]), key))
    frames = sorted(pictures[chosen])
    left_out = sorted(
        [*others, *(name for key, some in pictures.items() if key != chosen for _, name in some)]
    )
    remarks = [_missing([number for number, _ in frames])]
    if left_out:
        are = "is" if len(left_out) == 1 else "are"
        named = first_of(sorted(left_out), 1)
        remarks.append(f"{counted(len(left_out), 'image')} of another name {are} left out: {named}")
    return Images(tuple(name for _, name in frames), tuple(filter(None, remarks)))


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
        names = images_in(path).names
        if not names:
            return None, "it is a folder without numbered images"
        return Look.of_folder(path, names), ""
    except OSError as error:
        return None, f"it cannot be opened: {error.strerror}"


def no_times(folder: Path) -> str:
    """Why nothing can be found in a folder of frames at a time, and the command that makes a video of it."""
    frames = frames_of(folder)
    found = NUMBERED.fullmatch(frames[0]) if frames else None
    if found is None:
        return "it is a folder without numbered images"
    digits = found["number"]
    width = f"0{len(digits)}" if digits.startswith("0") else ""
    images = f"{found['name'].replace('%', '%%')}%{width}d{found['ending']}"
    words = ["ffmpeg", "-framerate", "25", "-start_number", str(int(digits)), "-i", images, "clip.mp4"]
    command = shlex.join(words)
    return f"it is a folder of frames, which does not say how long each lasts; in it, {command} makes a video"


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
