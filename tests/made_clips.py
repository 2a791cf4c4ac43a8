"""A decoder of made videos, for worker processes: a file holds a number, its frames are noise of that seed.

It is a module of its own so that a worker need not import torch.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fsarctl.video.container.demuxing import UnreadableVideoError
from fsarctl.video.decoder_protocol import DecodedClip

T, S = 4, 18


def made_frames(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (T, S, S, 3), np.uint8)


def read_seed(path: Path, frames: int, size: int) -> DecodedClip:
    text = path.read_text()
    if not text.isdigit():
        raise UnreadableVideoError("it is no number")
    assert (frames, size) == (T, S)
    return DecodedClip(made_frames(int(text)), "made", tuple(range(T)), T, ("a remark",))
