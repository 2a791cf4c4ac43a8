"""From a folder of images to T frames: the right ones, or a reason why not."""

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from fsarctl.progress import counted, first_of
from fsarctl.video.container.demuxing import TOLERATED_LOSS, UnreadableVideoError
from fsarctl.video.decoder_protocol import DecodedClip
from fsarctl.video.frame_folders.decode_image import Decoded, decode_image
from fsarctl.video.frame_folders.images import Images, images_in
from fsarctl.video.rotate_and_resize import Resize, Scale, square_of
from fsarctl.video.sampling import segment_centres

__all__ = ["decode_first_image", "decode_folder", "images_of"]

NAME = "images"
NAMED = 2


def images_of(folder: Path) -> Images:
    """The frames in a folder.

    Raises:
        UnreadableVideoError: it cannot be listed, or has none.
    """
    try:
        images = images_in(folder)
    except OSError as error:
        raise UnreadableVideoError(f"it cannot be opened: {error.strerror}") from None
    if not images.names:
        raise UnreadableVideoError(images.reason)
    return images


def decode_folder(folder: Path, frames: int, size: int, resize: Resize = "squash") -> DecodedClip:
    """The middle image of each of ``frames`` equal segments, ``size`` x ``size``, as ``decode_clip`` has it.

    Where one of these is damaged, all are decoded, and the segments are of those that can be.

    Raises:
        UnreadableVideoError: there is no image, or too many are damaged.
    """
    images = images_of(folder)
    names: Sequence[str] = images.names
    problems = list(images.remarks)
    indices = segment_centres(len(names), frames)
    scale = Scale(size, resize)
    try:
        pictures, shapes = _pictures(folder, names, indices, scale)
    except _DamagedError:
        names, problem = _whole(folder, names)
        problems.append(problem)
        indices = segment_centres(len(names), frames)
        pictures, shapes = _pictures(folder, names, indices, scale)
    if len(shapes) > 1:
        sizes = [f"{width} x {height}" for width, height in sorted(shapes)]
        problems.append(f"its images differ in size: {first_of(sizes, NAMED)}")
    return DecodedClip(pictures, NAME, indices, len(names), tuple(problems))


def decode_first_image(folder: Path, frames: int, size: int) -> DecodedClip:
    """The first image, ``frames`` times; the others are not opened.

    Raises:
        UnreadableVideoError: there is none, or it is damaged.
    """
    images = images_of(folder)
    try:
        pictures, _ = _pictures(folder, images.names[:1], (0,) * frames, Scale(size))
    except _DamagedError as error:
        raise UnreadableVideoError(str(error)) from None
    return DecodedClip(pictures, NAME, (0,) * frames, len(images.names), images.remarks)


class _DamagedError(Exception):
    """An image that is wanted cannot be decoded."""


def _pictures(
    folder: Path, names: Sequence[str], indices: Sequence[int], scale: Scale
) -> tuple[NDArray[np.uint8], set[tuple[int, int]]]:
    """(T, S, S, 3), and the widths and heights of what it was made of."""
    made: dict[int, NDArray[np.uint8]] = {}
    shapes = set()
    for index in dict.fromkeys(indices):
        try:
            decoded = decode_image(f"{folder}/{names[index]}")
        except UnreadableVideoError as error:
            raise _DamagedError(f"{names[index]}: {error.message}") from None
        made[index] = _square(decoded, scale)
        shapes.add((decoded.pixels.shape[1], decoded.pixels.shape[0]))
    return np.stack([made[index] for index in indices]), shapes


def _square(decoded: Decoded, scale: Scale) -> NDArray[np.uint8]:
    """Scaled as the frames of videos are."""
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(decoded.pixels), format="rgb24")
    width, height = scale.size_of(frame.width, frame.height, decoded.orientation)
    # In planes, as swscale works within: the same bits in two thirds of the time.
    planes = frame.reformat(width, height, "gbrp", interpolation="BILINEAR", threads=1)
    return square_of(planes, scale, decoded.orientation)


def _whole(folder: Path, names: Sequence[str]) -> tuple[list[str], str]:
    """The images that can be decoded, and a remark on the others.

    Raises:
        UnreadableVideoError: too many cannot.
    """
    whole, reasons = [], []
    for name in names:
        try:
            decode_image(f"{folder}/{name}")
            whole.append(name)
        except UnreadableVideoError as error:
            reasons.append(f"{name} ({error.message})")
    words = f"{len(reasons)} of {counted(len(names), 'image')} cannot be decoded: {first_of(reasons, NAMED)}"
    if len(reasons) > TOLERATED_LOSS * len(names):
        raise UnreadableVideoError(words)
    return whole, words
