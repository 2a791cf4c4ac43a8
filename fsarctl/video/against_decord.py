"""What decord, the decoder of most of the field's scripts, gives for a video when nobody looks after it.

It trusts its container: where frames are hidden, reordered across key frames, badly timed, or called key
frames that are none, it returns other frames than were asked for, without an error.

Worker processes import this module, so it stays light.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fsarctl.errors import InputError
from fsarctl.video.decode_clip import decode_clip
from fsarctl.video.decoder_protocol import DecodedClip
from fsarctl.video.sampling import segment_centres

__all__ = ["compare_with_decord", "require_decord"]

LEVELS = 2
"""Of 255. decord scales before it turns a picture, and we after; that rounds differently."""


def require_decord() -> None:
    """Make sure that there is a decord to compare with.

    Raises:
        InputError: it is not installed, or cannot be loaded.
    """
    try:
        import decord  # noqa: F401
    except (ImportError, OSError) as error:  # OSError: a library that it is linked with
        missing = isinstance(error, ModuleNotFoundError)
        why = "is not installed here" if missing else f"cannot be loaded: {error}"
        raise InputError(
            f"decord {why}, so there is nothing to compare with",
            next_step="pip install decord (it has wheels for x86-64 Linux and Windows); elsewhere: pip "
            "install decord2, a fork of the same module, whose frames may be others. Nothing else needs it.",
        ) from None


def compare_with_decord(path: Path, frames: int, size: int) -> DecodedClip:
    """The clip as ``decode_clip`` gives it; its one problem, if any, is what decord makes of it instead.

    Raises:
        UnreadableVideoError: as ``decode_clip``.
    """
    import decord

    clip = decode_clip(path, frames, size)
    if path.is_dir():  # of images, which decord is not asked for
        return replace(clip, problems=())
    decord.logging.set_level(decord.logging.QUIET)
    try:
        count, theirs = _by_decord(path, frames, size)
    except Exception as error:  # decord raises its own type, and others from its bindings
        return replace(clip, problems=(f"decord cannot read it ({type(error).__name__})",))
    far = np.abs(clip.frames.astype(np.int16) - theirs).max((1, 2, 3)) > LEVELS  # (T,)
    if count != clip.frame_count:
        problem = f"decord counts {count} frames, not {clip.frame_count}"
    elif far.any():
        problem = f"decord gives {far.sum()} other frames of {frames}"
    else:
        return replace(clip, problems=())
    return replace(clip, problems=(problem,))


def _by_decord(path: Path, frames: int, size: int) -> tuple[int, NDArray[np.uint8]]:
    """How many frames it counts, and the middle ones of each segment, (T, S, S, 3).

    The reader is gone on return: an idle one goes on filling its queue, gigabytes within seconds at 1080p.
    """
    import decord

    reader = decord.VideoReader(str(path), ctx=decord.cpu(0), width=size, height=size, num_threads=1)
    count = len(reader)
    return count, reader.get_batch(list(segment_centres(count, frames))).asnumpy()
