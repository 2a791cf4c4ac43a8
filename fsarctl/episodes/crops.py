"""What training draws anew for each episode: a frame's square, and which frame stands for a segment."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from fsarctl.config.model_table import RandomCrop
from fsarctl.episodes.sampler import random_words

__all__ = ["Crop", "centre_offsets", "crop_frames", "random_candidates", "random_flips", "random_offsets"]

Crop = Literal["centre", RandomCrop]
Frames = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]


def centre_offsets(videos: int, frames: int, margin: int) -> Offsets:
    """(videos, frames, 2) offsets of the middle square, where ``margin`` = stored side - read side."""
    return np.full((videos, frames, 2), margin // 2, np.int64)


def random_offsets(
    videos: int, frames: int, margin: int, *, stream: str, seed: int, number: int, per_frame: bool = False
) -> Offsets:
    """(videos, frames, 2) uniform offsets for episode ``number``; one per video, or one per frame.

    A crop per video keeps motion intact; the released code draws one for each frame.
    """
    each = frames if per_frame else 1
    words = random_words(f"{stream}/crop", seed, number, videos * each * 2)
    drawn = (words % np.uint64(margin + 1)).astype(np.int64).reshape(videos, each, 2)
    return np.broadcast_to(drawn, (videos, frames, 2))


def crop_frames(frames: Frames, offsets: Offsets, side: int) -> Frames:
    """(videos, T, S, S, 3) frames to (videos, T, side, side, 3), each cut at its (top, left) offset."""
    cut = np.empty((*frames.shape[:2], side, side, 3), np.uint8)
    for video, frame in np.ndindex(*frames.shape[:2]):
        top, left = offsets[video, frame]
        cut[video, frame] = frames[video, frame, top : top + side, left : left + side]
    return cut


def random_candidates(
    videos: int, frames: int, candidates: int, *, stream: str, seed: int, number: int
) -> npt.NDArray[np.int64]:
    """(videos, frames) uniform candidates, 0 to ``candidates`` - 1, for episode ``number``.

    One is drawn for each segment of each video (TSN's sampling); a pure function of the arguments.
    """
    words = random_words(f"{stream}/candidate", seed, number, videos * frames)
    return (words % np.uint64(candidates)).astype(np.int64).reshape(videos, frames)


def random_flips(videos: int, *, stream: str, seed: int, number: int) -> npt.NDArray[np.bool_]:
    """(videos,): which clips of episode ``number`` are mirrored, each in one of two draws."""
    words = random_words(f"{stream}/flip", seed, number, videos)
    return (words & np.uint64(1)).astype(np.bool_)
