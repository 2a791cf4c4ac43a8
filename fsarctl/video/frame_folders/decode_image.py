"""One image file as the pixels that it stands for.

JPEG is what libjpeg-turbo makes of it, bit by bit what Pillow and torchvision give. Turned as its EXIF says.
"""

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from fsarctl.video.container.demuxing import MOST_PIXELS, UnreadableVideoError, text_of
from fsarctl.video.rotate_and_resize import UPRIGHT, Orientation

__all__ = ["Decoded", "decode_image"]

JPEG = b"\xff\xd8\xff"
EXIF, EXIF_WITHIN = b"Exif\x00\x00", 256
COLOURS = ("YCbCr", "Gray", "RGB")
KINDS = ("JPEG", "PNG", "WEBP")
DEEP = ("I", "I;16", "I;16B", "I;16L")
TURNS = {
    2: Orientation(left_right=True),
    3: Orientation(left_right=True, up_down=True),
    4: Orientation(up_down=True),
    5: Orientation(swapped=True),
    6: Orientation(swapped=True, left_right=True),
    7: Orientation(swapped=True, left_right=True, up_down=True),
    8: Orientation(swapped=True, up_down=True),
}
"""EXIF's orientation -> what a viewer does."""


class Decoded(NamedTuple):
    """``pixels``: (H, W, 3) uint8, RGB, as stored; ``orientation``: how a viewer turns them."""

    pixels: NDArray[np.uint8]
    orientation: Orientation


def decode_image(path: Path | str) -> Decoded:
    """The pixels of a JPEG, PNG or WebP file, which its content tells, not its name.

    Raises:
        UnreadableVideoError: it is none of these, or damaged, or larger than any picture.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - of each of many
            content = file.read()
    except OSError as error:
        raise UnreadableVideoError(f"it cannot be opened: {text_of(error)}") from None
    if not content:
        raise UnreadableVideoError("it is empty")
    if content.startswith(JPEG):
        try:
            height, width, colours, *_ = simplejpeg.decode_jpeg_header(content)
            if height * width <= MOST_PIXELS and colours in COLOURS:
                return Decoded(simplejpeg.decode_jpeg(content, "RGB"), _turn(content))
        except ValueError:  # damage, or a mere remark of libjpeg's: Pillow has the last word, as of four inks
            pass
    return _by_pillow(content)


def _turn(content: bytes) -> Orientation:
    if EXIF not in content[:EXIF_WITHIN]:
        return UPRIGHT
    with Image.open(io.BytesIO(content)) as image:
        return TURNS.get(image.getexif().get(0x0112, 1), UPRIGHT)


def _by_pillow(content: bytes) -> Decoded:
    try:
        with Image.open(io.BytesIO(content), formats=KINDS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise UnreadableVideoError(f"it has {image.width} x {image.height} pixels")
            turn = TURNS.get(image.getexif().get(0x0112, 1), UPRIGHT)
            if image.mode in DEEP:
                grey = (np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
                return Decoded(np.repeat(grey[..., None], 3, axis=2), turn)
            return Decoded(np.asarray(image.convert("RGB")), turn)
    except UnreadableVideoError:
        raise
    except UnidentifiedImageError:
        raise UnreadableVideoError("it is no JPEG, PNG or WebP picture") from None
    except Exception as error:  # Pillow raises many types
        raise UnreadableVideoError(f"it is damaged ({_words(error)})") from None


def _words(error: Exception) -> str:
    return str(error).partition("\n")[0][:80] or type(error).__name__
