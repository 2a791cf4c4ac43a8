"""From a decoded picture to the stored square: the way up that a player shows it, and its new size.

swscale's bilinear filter scales it. Chroma is taken to lie amid its four pixels, as decord and JPEG readers
take it whatever a stream says, so that frames are the same as theirs.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import av
import numpy as np
from av.filter import Graph
from av.video.plane import VideoPlane
from numpy.typing import NDArray

from fsarctl.config.setting_field import Resize
from fsarctl.video.container.crop_and_codec_tag import Crop
from fsarctl.video.container.demuxing import UnreadableVideoError

__all__ = [
    "UPRIGHT",
    "Orientation",
    "Resize",
    "Scale",
    "central_square",
    "cropped",
    "orientation_of",
    "scaled_size",
    "square_of",
]

Picture: TypeAlias = NDArray[np.uint8]

MATRIX_NUMBERS = 9

UNKNOWN_MATRICES = {
    **{8: "YCgCo", 10: "BT.2020 with constant luminance", 11: "Y'D'zD'x (SMPTE ST 2085)"},
    **{12: "derived from the primaries", 13: "derived from the primaries, with constant luminance"},
    **{14: "ICtCp", 15: "IPT-C2", 16: "YCgCo-Re", 17: "YCgCo-Ro"},
}
"""Of the matrix coefficients in ITU-T H.273, table 4, those that swscale does not know."""

MOST_ELONGATED = 16
"""Times longer than wide; scaling such a strip's short side to the square's takes gigabytes."""


@dataclass(frozen=True)
class Orientation:
    """What a player does to a decoded picture: swaps its axes, then mirrors either of them.

    These make all eight ways of laying a picture down: four turns, and their mirror images.
    """

    swapped: bool = False
    left_right: bool = False
    up_down: bool = False

    def apply(self, picture: Picture) -> Picture:
        """(H, W, 3) as decoded to (H, W, 3), or (W, H, 3) where axes swap, as shown."""
        if self.swapped:
            picture = picture.swapaxes(0, 1)
        return picture[:: -1 if self.up_down else 1, :: -1 if self.left_right else 1]


UPRIGHT = Orientation()


@dataclass(frozen=True)
class Scale:
    """What each picture is scaled to before its middle ``side`` x ``side``, pixels, is kept.

    "squash" scales both of its sides to that, "aspect" the shorter one as shown, whatever shape the pictures
    before it have. ``pixel_aspect``: width / height of a pixel as it is stored. ``crop``: what the container
    hides of each picture.
    """

    side: int
    resize: Resize = "squash"
    pixel_aspect: float = 1.0
    crop: Crop | None = None

    def size_of(self, width: int, height: int, orientation: Orientation) -> tuple[int, int]:
        """Width and height to scale a decoded picture of ``width`` x ``height`` to.

        Raises:
            UnreadableVideoError: it is too elongated for that.
        """
        if self.resize == "squash":
            return self.side, self.side
        aspect = width / height * self.pixel_aspect
        if not 1 / MOST_ELONGATED <= aspect <= MOST_ELONGATED:
            raise UnreadableVideoError("its picture is too elongated to keep its aspect")
        upright = scaled_size(1 / aspect if orientation.swapped else aspect, self.side)
        return upright[::-1] if orientation.swapped else upright


def square_of(frame: av.VideoFrame, scale: Scale, orientation: Orientation | None = None) -> Picture:
    """A frame as a player shows it, (S, S, 3); PyAV reports the display matrix but does not apply it.

    ``orientation``: another than the frame itself says.

    Raises:
        UnreadableVideoError: it is too elongated to keep its aspect, or its colours are not to be had.
    """
    if orientation is None:
        orientation = orientation_of(frame)
    if scale.crop:
        frame = cropped(frame, scale.crop)
    width, height = scale.size_of(frame.width, frame.height, orientation)
    # As many threads as cores, the default, are started for each frame, and fight with the other workers.
    try:
        scaled = _chroma_centred(frame).reformat(width, height, "rgb24", interpolation="BILINEAR", threads=1)
    except OSError:
        raise UnreadableVideoError(_colours_words(frame)) from None
    upright = orientation.apply(scaled.to_ndarray().astype(np.uint8, copy=False))
    return central_square(upright, scale.side)


def cropped(frame: av.VideoFrame, crop: Crop) -> av.VideoFrame:
    """What the container does not hide of it: all of it where that would be nothing."""
    width = frame.width - crop.left - crop.right
    height = frame.height - crop.top - crop.bottom
    if width <= 0 or height <= 0:
        return frame
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000)
    )
    cut = graph.add("crop", f"{width}:{height}:{crop.left}:{crop.top}:exact=1")
    sink = graph.add("buffersink")
    source.link_to(cut)
    cut.link_to(sink)
    graph.configure()
    source.push(frame)
    cropped = sink.pull()
    assert isinstance(cropped, av.VideoFrame)
    return cropped


def _colours_words(frame: av.VideoFrame) -> str:
    """Why its colours cannot be had."""
    matrix = UNKNOWN_MATRICES.get(int(frame.colorspace))
    if matrix is None:
        return f"its pictures ({frame.format.name}) cannot be turned into RGB"
    return f"its colours are stored by the matrix {matrix}, which swscale cannot turn into RGB"


def _chroma_centred(frame: av.VideoFrame) -> av.VideoFrame:
    """The same picture, without a word of where its chroma lies; that word cannot be unsaid in place."""
    whole = frame.format.chroma_width(2) == frame.format.chroma_height(2) == 2
    if whole or any(plane.line_size <= 0 for plane in frame.planes):  # rows from the bottom up
        return frame
    plain = av.VideoFrame(frame.width, frame.height, frame.format.name)
    for source, target in zip(frame.planes, plain.planes, strict=True):
        row = min(source.line_size, target.line_size)
        _rows(target)[:, :row] = _rows(source)[:, :row]
    plain.colorspace, plain.color_range = frame.colorspace, frame.color_range
    return plain


def _rows(plane: VideoPlane) -> Picture:
    """(rows, bytes) of a plane, with the padding at the end of each row."""
    # PyAV's stub does not say that a plane is a buffer.
    held: Picture = np.frombuffer(plane, np.uint8)  # type: ignore[call-overload]
    return held[: plane.height * plane.line_size].reshape(plane.height, -1)


def orientation_of(frame: av.VideoFrame, otherwise: Orientation = UPRIGHT) -> Orientation:
    """The display matrix that came with this frame, rounded to quarter turns; ``otherwise`` where none did.

    The matrix takes a decoded point (x, y) to (a x + c y, b x + d y).
    """
    try:
        # PyAV's stub knows one kind of side data; its object knows them all.
        matrix = np.frombuffer(bytes(frame.side_data["DISPLAYMATRIX"]), np.int32)  # type: ignore[typeddict-item]
    except KeyError:
        return otherwise
    if len(matrix) != MATRIX_NUMBERS:
        return UPRIGHT
    a, b, c, d = (int(matrix[place]) for place in (0, 1, 3, 4))
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(True, left_right=c < 0, up_down=b < 0)
    return Orientation(False, left_right=a < 0, up_down=d < 0)


def scaled_size(aspect: float, size: int) -> tuple[int, int]:
    """Width and height of a picture whose short side is ``size``; ``aspect``: width / height, upright."""
    return max(size, round(size * aspect)), max(size, round(size / aspect))


def central_square(pictures: Picture, size: int) -> Picture:
    """The middle ``size`` x ``size`` of pictures, (..., H, W, 3)."""
    top, left = ((extent - size) // 2 for extent in pictures.shape[-3:-1])
    return pictures[..., top : top + size, left : left + size, :]
