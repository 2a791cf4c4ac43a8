"""From a video file to T frames: the right ones, or a reason why not.

``decode_clip`` surveys the file (a demux: nothing is decoded), then asks the decoders of ``DECODERS``
in turn. decord is fast but returns wrong frames without an error where frames are hidden, reordered
across key frames or badly timed; it answers only where two cheap gates show none of that. PyAV reads
from the first frame to the last and counts what comes out, so its answer needs no trust.

Both squash the picture to a square with swscale's bilinear filter, and apply the rotation that the
container asks for. They agree in geometry to the pixel; values differ by a few levels, because
their swscale versions place chroma differently.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import av
import decord
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from fsarctl.data.sampling import segment_centres
from fsarctl.errors import InputError

__all__ = ["DECODERS", "DecodedClip", "Decoder", "Survey", "UnreadableVideoError", "decode_clip", "survey"]

TOLERATED_LOSS = 0.1
"""A video that lacks more than this part of what its container declares is a failure, not a clip."""

EARLIEST_START_S = -0.001


class UnreadableVideoError(InputError):
    """No decoder gave frames that can be trusted; the message is the reason and holds no path."""


class UntrustedError(Exception):
    """This decoder's answer for this video is missing or not to be believed; the next one is asked."""


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


@dataclass(frozen=True)
class Survey:
    """What demuxing alone tells about a video; nothing is decoded.

    ``packets``: video packets that should each give a frame. ``decord_distrusted``: why decord's
    seeking cannot be relied on here, or "". ``problems``: remarks for the record.
    """

    packets: int
    decord_distrusted: str = ""
    problems: tuple[str, ...] = ()


class Decoder(Protocol):
    """One way of reading frames.

    ``read`` raises ``UntrustedError`` when it has no answer that can be believed.
    """

    name: str

    def read(self, path: Path, surveyed: Survey, frames: int, size: int) -> DecodedClip: ...


def decode_clip(path: Path, frames: int, size: int) -> DecodedClip:
    """The middle frame of each of ``frames`` equal segments of a video, squashed to ``size`` x ``size``.

    Raises:
        UnreadableVideoError: empty, truncated, not a video, without a picture, or beyond decoding.
    """
    surveyed = survey(path)
    passed_over: list[str] = []
    for decoder in DECODERS:
        try:
            clip = decoder.read(path, surveyed, frames, size)
        except UntrustedError as error:
            passed_over.append(f"{decoder.name}: {error}")
        else:
            return replace(clip, problems=(*surveyed.problems, *passed_over, *clip.problems))
    raise UnreadableVideoError("; ".join((*surveyed.problems, *passed_over)))


def survey(path: Path) -> Survey:
    """Demux a video once.

    Raises:
        UnreadableVideoError: it cannot be opened, has no pictures, or ends long before it should.
    """
    packets = listed = 0
    key_pts: int | None = None
    open_gop = broken = ""
    end_s = 0.0
    try:
        container = av.open(str(path))
    except Exception as error:
        raise UnreadableVideoError(_why_not_opened(path, error)) from None
    with container:
        stream = _video_stream(container)
        try:
            for packet in container.demux():
                if packet.pts is not None and packet.time_base is not None:
                    end_s = max(end_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                if packet.stream_index != stream.index or packet.dts is packet.pts is None:
                    continue
                listed += 1
                packets += bool(packet.size) and not packet.is_discard
                if packet.is_keyframe:
                    key_pts = packet.pts
                elif None not in (key_pts, packet.pts) and packet.pts < key_pts:  # type: ignore[operator]
                    open_gop = "open GOP (a frame is shown before the key frame that precedes it in the file)"
        except Exception as error:
            broken = f"reading stopped early ({_text(error)})"
        transport = "transport stream" if "mpegts" in container.format.name else ""
        declared_s = (container.duration or 0) / av.time_base
        start_s = (container.start_time or 0) / av.time_base
        # An edit list rightly hides frames that the track still counts; the end in time tells there.
        declared = 0 if "mp4" in container.format.name else stream.frames

    if not packets:
        raise UnreadableVideoError(broken or "it holds no video frames")
    there = min(
        (end_s - start_s) / declared_s if declared_s > 0 else 1.0,
        listed / declared if declared else 1.0,
    )
    if there < 1 - TOLERATED_LOSS or (broken and not declared_s and not declared):
        raise UnreadableVideoError(
            f"truncated: {listed} frames, {end_s - start_s:.2f} s, are there"
            + (f" of {declared} frames declared" if declared else f" of {declared_s:.2f} s declared")
            + (f"; {broken}" if broken else "")
        )
    return Survey(packets, transport or open_gop, (broken,) if broken else ())


class Decord:
    """decord: resized while decoding, one batch, one thread; the reader is gone when ``read`` returns.

    An idle reader goes on filling its queue with frames (gigabytes within seconds at 1080p).
    """

    name = "decord"

    def read(self, path: Path, surveyed: Survey, frames: int, size: int) -> DecodedClip:
        """Frames at ``segment_centres``.

        Raises:
            UntrustedError: decord cannot read the file, or a gate says it may return other frames.
        """
        if surveyed.decord_distrusted:
            raise UntrustedError(surveyed.decord_distrusted)
        decord.logging.set_level(decord.logging.QUIET)
        reader = None
        try:
            reader = decord.VideoReader(str(path), ctx=decord.cpu(0), width=size, height=size, num_threads=1)
            count = len(reader)
            starts = reader.get_frame_timestamp(range(count))[:, 0]
            self._check_times(starts, reader.get_key_indices())
            if count != surveyed.packets:
                raise UntrustedError(f"it counts {count} frames where the file holds {surveyed.packets}")
            indices = segment_centres(count, frames)
            batch = reader.get_batch(list(indices)).asnumpy()  # (T, S, S, 3)
        except UntrustedError:
            raise
        except Exception as error:
            raise UntrustedError(f"cannot read it ({type(error).__name__})") from None
        finally:
            del reader
        return DecodedClip(batch, self.name, indices, count)

    @staticmethod
    def _check_times(starts: NDArray[np.floating], keys: Sequence[int]) -> None:
        plausible = np.isfinite(starts).all() and abs(starts).max() < 1e9
        if not plausible:
            raise UntrustedError("its timestamps are missing")
        if starts[0] < EARLIEST_START_S:
            raise UntrustedError("it counts frames before the start (an edit list)")
        if (np.diff(starts) <= 0).any():
            raise UntrustedError("its timestamps do not increase")
        if not keys or keys[0] != 0:
            raise UntrustedError("the first frame is not a key frame")


class LinearPyAV:
    """PyAV from the first frame to the last: frames are counted, and only wanted ones converted."""

    name = "pyav"

    def read(self, path: Path, surveyed: Survey, frames: int, size: int) -> DecodedClip:
        """Frames at ``segment_centres``.

        Raises:
            UntrustedError: nothing, or not enough, can be decoded.
        """
        count, pictures, lost = self._pass(path, surveyed.packets, frames, size)
        if count and count != surveyed.packets:
            expected, (count, pictures, lost) = count, self._pass(path, count, frames, size)
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
        path: Path, expected: int, frames: int, size: int
    ) -> tuple[int, dict[int, NDArray[np.uint8]], int]:
        """Decode it all: frames counted, pictures (S, S, 3) by index, frames damaged."""
        wanted = frozenset(segment_centres(expected, frames))
        pictures: dict[int, NDArray[np.uint8]] = {}
        count = lost = 0
        with av.open(str(path)) as container:
            stream = _video_stream(container)
            stream.thread_type = "NONE"
            try:
                for packet in container.demux(stream):
                    try:
                        decoded = packet.decode()
                    except Exception:
                        lost += 1
                        continue
                    for frame in decoded:
                        lost += frame.is_corrupt
                        if count in wanted:
                            pictures[count] = _picture(frame, size)
                        count += 1
            except Exception as error:  # the demuxer itself; what came before it stands
                if not count:
                    raise UntrustedError(_text(error)) from None
        return count, pictures, lost


DECODERS: tuple[Decoder, ...] = (Decord(), LinearPyAV())


def _picture(frame: av.VideoFrame, size: int) -> NDArray[np.uint8]:
    """One frame as (S, S, 3), upright: PyAV reports the display matrix but does not apply it."""
    square = frame.to_ndarray(format="rgb24", width=size, height=size, interpolation="BILINEAR")
    return np.rot90(square.astype(np.uint8, copy=False), round(frame.rotation / 90) % 4)


def _video_stream(container: av.container.InputContainer) -> VideoStream:
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream):
        raise UnreadableVideoError("it has no video stream")
    if stream.disposition & av.stream.Disposition.attached_pic:
        raise UnreadableVideoError("it has no video stream, only a cover picture")
    return stream


def _why_not_opened(path: Path, error: Exception) -> str:
    if not isinstance(error, av.InvalidDataError):
        return f"it cannot be opened: {_text(error)}"
    with path.open("rb") as file:
        head = file.read(12)
    if not head:
        return "the file is empty"
    if head[4:8] == b"ftyp":
        return "its index (moov) is missing: the recording or the copy was not finished"
    return "it is not a video of a known format"


def _text(error: Exception) -> str:
    """What happened, without the path that PyAV puts into its messages."""
    return str(getattr(error, "strerror", None) or type(error).__name__)
