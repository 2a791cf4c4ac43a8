"""From a decoded picture to the stored square: the way up that a player shows it, and its new size."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import av
import numpy as np
from numpy.typing import NDArray

__all__ = ["UPRIGHT", "Orientation", "Resize", "central_square", "orientation_of", "scaled_size"]

Picture: TypeAlias = NDArray[np.uint8]
Resize: TypeAlias = Literal["squash", "aspect"]

MATRIX_NUMBERS = 9


@dataclass(frozen=True)
class Orientation:
    """What a player does to a decoded picture: swaps its axes, then mirrors either of them.

    These make all eight ways of laying a picture down: four turns, and their mirror images.
    """

    swapped: bool = False
    left_right: bool = False
    up_down: bool = False

    @property
    def mirrors(self) -> bool:
        """Whether it is a mirror image; otherwise it is a turn by a multiple of 90 degrees."""
        return (self.swapped + self.left_right + self.up_down) % 2 == 1

    def apply(self, picture: Picture) -> Picture:
        """(H, W, 3) as decoded to (H, W, 3), or (W, H, 3) where axes swap, as shown."""
        if self.swapped:
            picture = picture.swapaxes(0, 1)
        return picture[:: -1 if self.up_down else 1, :: -1 if self.left_right else 1]


UPRIGHT = Orientation()


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """The display matrix that the container gave to this frame, rounded to quarter turns.

    The matrix takes a decoded point (x, y) to (a x + c y, b x + d y).
    """
    try:
        # PyAV's stub knows one kind of side data; its object knows them all.
        matrix = np.frombuffer(bytes(frame.side_data["DISPLAYMATRIX"]), np.int32)  # type: ignore[typeddict-item]
    except KeyError:
        return UPRIGHT
    if len(matrix) != MATRIX_NUMBERS:
        return UPRIGHT
    a, b, c, d = (int(matrix[place]) for place in (0, 1, 3, 4))
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(True, left_right=c < 0, up_down=b < 0)
    return Orientation(False, left_right=a < 0, up_down=d < 0)


def scaled_size(aspect: float, size: int, resize: Resize) -> tuple[int, int]:
    """Width and height that a picture of this ``aspect`` (width / height, upright) is scaled to.

    squash: ``size`` x ``size``, whatever its shape. aspect: the short side becomes ``size``.
    """
    if resize == "squash":
        return size, size
    return max(size, round(size * aspect)), max(size, round(size / aspect))


def central_square(pictures: Picture, size: int) -> Picture:
    """The middle ``size`` x ``size`` of pictures, (..., H, W, 3)."""
    top, left = ((extent - size) // 2 for extent in pictures.shape[-3:-1])
    return pictures[..., top : top + size, left : left + size, :]
