"""One clip as the model gets it: its frames, which they are, and how they were had."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fsarctl.errors import InputError
from fsarctl.errors.nearest import nearest
from fsarctl.progress import first_of

if TYPE_CHECKING:
    from fsarctl.video.rotate_and_resize import Resize

__all__ = ["ClipView", "choose_name", "clip_names", "view_file", "view_stored"]

NAMED = 3


@dataclass(frozen=True)
class ClipView:
    """A clip's frames (T, S, S, 3) uint8, RGB, and what is known of it.

    ``label`` is "" for a file of its own. ``indices``: the frames taken, of ``frame_count``.
    """

    name: str
    label: str
    frames: NDArray[np.uint8]
    indices: tuple[int, ...]
    frame_count: int
    decoder: str
    problems: tuple[str, ...]


def choose_name(asked: str, names: Sequence[str], where: str) -> str:
    """The clip's name that is ``asked``, or the only one that holds it.

    Raises:
        InputError: there is none, or there are several; the nearest are named.
    """
    if asked in names:
        return asked
    holding = [name for name in names if asked.casefold() in name.casefold()]
    if len(holding) == 1:
        return holding[0]
    if holding:
        raise InputError(
            f"{len(holding):,} clips of {where} have {asked!r} in their name",
            next_step=f"Name one of them, such as {_listed(holding)}; or a video file.",
        )
    near = nearest(asked, names, NAMED, cutoff=0.4) or names
    raise InputError(
        f"there is no clip {asked!r} in {where}, and no such file",
        next_step=f"Name a clip, such as {_listed(near)}; or a video file.",
    )


def clip_names(folder: Path) -> list[str]:
    """The names of all clips of an extract artifact, those without frames too."""
    return [facts["name"] for facts in _rows(folder)]


def view_stored(folder: Path, name: str) -> ClipView:
    """A clip of an extract artifact, with the frame in the middle of each segment.

    Raises:
        InputError: it could not be decoded; the reason is named.
        IntegrityError: its frames are damaged.
    """
    from fsarctl.frames.frame_store import FrameStore

    row, facts = next((row, facts) for row, facts in enumerate(_rows(folder)) if facts["name"] == name)
    how = json.loads((folder / "decoding.json").read_text(encoding="utf-8"))["clips"][row]
    problems = tuple(how["problems"])
    if not facts["valid"]:
        raise InputError(
            f"{name} could not be decoded: {'; '.join(problems)}",
            next_step="Repair the video, or leave it out; it is skipped in training and evaluation.",
        )
    store = FrameStore(folder)
    indices = tuple(facts["indices"][place] for place in store.places(1, None)[0])
    frames = store.read([row])[0]
    return ClipView(name, facts["label"], frames, indices, facts["frame_count"], how["decoder"], problems)


def view_file(path: Path, frames: int, size: int, resize: "Resize") -> ClipView:
    """A video decoded now, as `fsarctl extract` would.

    Raises:
        InputError: it cannot be decoded; the reason is named.
    """
    from fsarctl.video.container.demuxing import UnreadableVideoError
    from fsarctl.video.decode_clip import decode_clip

    try:
        clip = decode_clip(path, frames, size, resize)
    except UnreadableVideoError as error:
        raise InputError(
            f"{path} cannot be decoded: {error.message}",
            next_step="Check that a video player shows it.",
        ) from None
    return ClipView(path.name, "", clip.frames, clip.indices, clip.frame_count, clip.decoder, clip.problems)


def _rows(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((folder / "clips.json").read_text(encoding="utf-8"))
    return rows


def _listed(names: Sequence[str]) -> str:
    return first_of([*map(repr, names)], NAMED)
