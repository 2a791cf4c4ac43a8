"""Frames side by side in one small picture, plain or with a map of attention over them."""

import io
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["MEDIA_TYPE", "strip"]

MEDIA_TYPE = "image/webp"
CELL = 112
GAP = 4
QUALITY = 72
HEAT = ("#1a0b2e", "#d8431f", "#fff3b0")


def strip(frames: npt.NDArray[np.uint8], maps: npt.NDArray[np.floating] | None = None) -> bytes:
    """A WebP picture of the frames from left to right.

    With ``maps`` each frame is coloured by its map: the least of all frames' values stays dark, the largest
    is bright, so that frames can be compared.

    Shapes: frames (n, S, S, 3) uint8, RGB; maps (n, rows, columns).
    """
    from PIL import Image

    picture = Image.new("RGB", (len(frames) * (CELL + GAP) - GAP, CELL), "#808080")
    if maps is not None:
        low, high = float(maps.min()), float(maps.max())
        maps = (maps - low) / (high - low if high > low else 1.0)
    for number, frame in enumerate(frames):
        cell = Image.fromarray(frame).resize((CELL, CELL), Image.Resampling.BICUBIC)
        if maps is not None:
            cell = _heated(cell, maps[number])
        picture.paste(cell, (number * (CELL + GAP), 0))
    written = io.BytesIO()
    picture.save(written, format="WEBP", quality=QUALITY, method=4)
    return written.getvalue()


def _heated(frame: "Image", values: npt.NDArray[np.floating]) -> "Image":
    """The frame in grey, with the colours of heat over it: stronger where there is more."""
    from PIL import Image, ImageOps

    coarse = Image.fromarray((255 * values).round().astype(np.uint8))
    fine = coarse.resize(frame.size, Image.Resampling.BICUBIC)
    heat = ImageOps.colorize(fine, *HEAT[::2], mid=HEAT[1])
    grey = ImageOps.grayscale(frame).convert("RGB")
    return Image.composite(heat, grey, fine.point(lambda value: round(60 + 0.55 * value)))
