"""From a video file to T frames: the right ones, or a reason why not.

``decode_clip`` surveys the file (``survey.py``), then asks the decoders of ``DECODERS`` in turn. decord
is fast but returns wrong frames without an error where frames are hidden, reordered across key frames
or badly timed; it answers only where cheap gates show none of that. PyAV reads from the first frame to
the last and counts what comes out, so its answer needs no trust.

Both scale with swscale's bilinear filter, and lay the picture down as the container asks for. They
agree in geometry to the pixel; values differ by a few levels, because their swscale versions place
chroma differently.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import decord
import numpy as np
from av import VideoFrame
from numpy.typing import NDArray

from fsarctl.data.pictures import Resize, central_square, orientation_of, scaled_size
from fsarctl.data.sampling import segment_centres
from fsarctl.data.survey import (
    TOLERATED_LOSS,
    Survey,
    UnreadableVideoError,
    open_video,
    survey,
    text_of,
    video_stream,
)

__all__ = ["DECODERS", "DecodedClip", "Decoder", "Scale", "UntrustedError", "decode_clip"]

EARLIEST_START_S = -0.001
SAME_TIME_S = 0.001

MOST_ELONGATED = 16
"""Times longer than wide; scaling such a strip's short side to the square's takes gigabytes."""


class UntrustedError(Exception):
    """This decoder's answer for this video is missing or not to be believed; the next one is asked."""


@dataclass(frozen=True)
class Scale:
    """What a picture is scaled to, upright, before its middle ``side`` x ``side`` is kept; pixels."""

    width: int
    height: int
    side: int


@dataclass(frozen=True)
class DecodedClip:
    """T frames of a clip and how they were had.

    ``frames``: (T, S, S, 3) uint8, RGB. ``indices``: T positions in presentation order, of
    ``frame_count``. ``problems``: remarks on the video, and why earlier decoders were passed over.
    """

    frames: NDArray[np.uint8]
    decoder: str
    indices: tuple[int, ...]
    frame_count: int
    problems: tuple[str, ...] = ()


class Decoder(Protocol):
    """One way of reading frames.

    ``read`` raises ``UntrustedError`` when it has no answer that can be believed.
    """

    name: str

    def read(self, path: Path, surveyed: Survey, frames: int, scale: Scale) -> DecodedClip: ...


def decode_clip(path: Path, frames: int, size: int, resize: Resize = "squash") -> DecodedClip:
    """The middle frame of each of ``frames`` equal segments of a video, ``size`` x ``size``.

    ``resize``: "squash" scales the picture to that square whatever its shape; "aspect" scales its short
    side to ``size`` and keeps the middle, with pixels that are not square drawn as a player draws them.

    Raises:
        UnreadableVideoError: empty, truncated, not a video, without a picture, or beyond decoding.
    """
    surveyed = survey(path)
    if resize == "aspect" and not 1 / MOST_ELONGATED <= surveyed.aspect <= MOST_ELONGATED:
        raise UnreadableVideoError("its picture is too elongated to keep its aspect")
    scale = Scale(*scaled_size(surveyed.aspect, size, resize), size)
    passed_over: list[str] = []
    for decoder in DECODERS:
        try:
            clip = decoder.read(path, surveyed, frames, scale)
        except UntrustedError as error:
            passed_over.append(f"{decoder.name}: {error}")
        else:
            return replace(clip, problems=(*surveyed.problems, *passed_over, *clip.problems))
    raise UnreadableVideoError("; ".join((*surveyed.problems, *passed_over)))


class Decord:
    """decord: resized while decoding, one batch, one thread; the reader is gone when ``read`` returns.

    An idle reader goes on filling its queue with frames (gigabytes within seconds at 1080p).
    """

    name = "decord"

    def read(self, path: Path, surveyed: Survey, frames: int, scale: Scale) -> DecodedClip:
        """Frames at ``segment_centres``.

        Raises:
            UntrustedError: decord cannot read the file, or a gate says it may return other frames.
        """
        if surveyed.decord_distrusted:
            raise UntrustedError(surveyed.decord_distrusted)
        decord.logging.set_level(decord.logging.QUIET)
        reader = None
        try:
            reader = decord.VideoReader(
                str(path), ctx=decord.cpu(0), width=scale.width, height=scale.height, num_threads=1
            )
            count = len(reader)
            starts = reader.get_frame_timestamp(range(count))[:, 0]
            self._check_times(starts, reader.get_key_indices(), surveyed)
            indices = segment_centres(count, frames)
            batch = reader.get_batch(list(indices)).asnumpy()  # (T, H, W, 3)
        except UntrustedError:
            raise
        except Exception as error:
            raise UntrustedError(f"cannot read it ({type(error).__name__})") from None
        finally:
            del reader
        return DecodedClip(central_square(batch, scale.side), self.name, indices, count)

    @staticmethod
    def _check_times(starts: NDArray[np.floating], keys: Sequence[int], surveyed: Survey) -> None:
        plausible = np.isfinite(starts).all() and abs(starts).max() < 1e9
        if not plausible:
            raise UntrustedError("its timestamps are missing")
        if starts[0] < EARLIEST_START_S:
            raise UntrustedError("it counts frames before the start (an edit list)")
        if (np.diff(starts) <= 0).any():
            raise UntrustedError("its timestamps do not increase")
        if not keys or keys[0] != 0:
            raise UntrustedError("the first frame is not a key frame")
        if len(starts) != surveyed.packets:
            raise UntrustedError(f"it counts {len(starts)} frames where the file holds {surveyed.packets}")
        since_first = surveyed.times - surveyed.times[0]
        if not np.allclose(starts - starts[0], since_first, rtol=1e-5, atol=SAME_TIME_S):
            raise UntrustedError("its timestamps are not those of the file")


class LinearPyAV:
    """PyAV from the first frame to the last: frames are counted, and only wanted ones converted."""

    name = "pyav"

    def read(self, path: Path, surveyed: Survey, frames: int, scale: Scale) -> DecodedClip:
        """Frames at ``segment_centres``.

        Raises:
            UntrustedError: nothing, or not enough, can be decoded.
        """
        count, pictures, lost = self._pass(path, surveyed.packets, frames, scale)
        if count and count != surveyed.packets:
            expected, (count, pictures, lost) = count, self._pass(path, count, frames, scale)
            if count != expected:
                raise UntrustedError(f"it gave {expected} frames, then {count}")
        if not count:
            raise UntrustedError("no frame could be decoded")
        if lost:  # a decoder also drops, silently, what it cannot rebuild before the next key frame
            lost = max(lost, surveyed.packets - count)
        if lost > TOLERATED_LOSS * surveyed.packets:
            raise UntrustedError(f"{lost} of {surveyed.packets} frames are damaged")
        indices = segment_centres(count, frames)
        problems = [f"{lost} of {surveyed.packets} frames are damaged"] if lost else []
        if count != surveyed.packets:
            problems.append(f"{count} frames came from {surveyed.packets} packets")
        stacked = np.stack([pictures[index] for index in indices])  # (T, S, S, 3)
        return DecodedClip(stacked, self.name, indices, count, tuple(problems))

    @staticmethod
    def _pass(
        path: Path, expected: int, frames: int, scale: Scale
    ) -> tuple[int, dict[int, NDArray[np.uint8]], int]:
        """Decode it all: frames counted, pictures (S, S, 3) by index, frames damaged."""
        wanted = frozenset(segment_centres(expected, frames))
        pictures: dict[int, NDArray[np.uint8]] = {}
        count = lost = 0
        broken = False
        with open_video(path) as container:
            stream = video_stream(container)
            stream.thread_type = "NONE"
            try:
                for packet in container.demux(stream):
                    try:
                        decoded = packet.decode()
                    except Exception:
                        lost += 1
                        broken = not packet.is_disposable
                        continue
                    for frame in decoded:
                        # What refers to a lost frame is grey or smeared, and libav does not say so.
                        broken = broken and not frame.key_frame
                        lost += frame.is_corrupt or broken
                        if count in wanted:
                            pictures[count] = _picture(frame, scale)
                        count += 1
            except Exception as error:  # the demuxer itself; what came before it stands
                if not count:
                    raise UntrustedError(text_of(error)) from None
        return count, pictures, lost


DECODERS: tuple[Decoder, ...] = (Decord(), LinearPyAV())


def _picture(frame: VideoFrame, scale: Scale) -> NDArray[np.uint8]:
    """A frame as a player shows it, (S, S, 3); PyAV reports the display matrix but does not apply it."""
    orientation = orientation_of(frame)
    width, height = (scale.height, scale.width) if orientation.swapped else (scale.width, scale.height)
    # As many threads as cores, the default, are started for each frame, and fight with the other workers.
    scaled = frame.reformat(width, height, "rgb24", interpolation="BILINEAR", threads=1).to_ndarray()
    return central_square(orientation.apply(scaled.astype(np.uint8, copy=False)), scale.side)
