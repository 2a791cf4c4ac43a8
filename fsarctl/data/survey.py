"""What demuxing tells about a video before anything of it is kept, and why some videos end there.

Containers lie: about how many frames there are, how long they last, and where they can be entered. So
every packet is read once (2 ms for a small clip) and the first picture decoded, for its shape and for
which way is up. What follows from it is whether decord, which is fast and trusts its container, may be
asked.
"""

import errno
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from fsarctl.data.clips import why_unreadable
from fsarctl.data.pictures import UPRIGHT, Orientation, orientation_of
from fsarctl.errors import InputError

__all__ = ["Survey", "UnreadableVideoError", "open_video", "survey", "text_of", "video_stream"]

TOLERATED_LOSS = 0.1
"""A video that lacks more than this part of what its container declares is a failure, not a clip."""

ROUNDING_S = 0.001

MOST_PIXELS = 2**26
"""Of one picture. Damaged headers ask for more, and a few such frames fill the memory."""

MOV, MATROSKA, AVI = "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi"
DECLARING = (MOV, MATROSKA, "asf", "flv")
"""Containers whose header says how long they last; elsewhere it is estimated from what is there."""

# fmt: off
FORMATS = ",".join((
    MOV, MATROSKA, AVI, "asf", "asf_o", "dv", "flv", "gif", "h264", "hevc", "ivf", "m4v", "mpeg", "mpegts",
    "mpegvideo", "mxf", "nut", "ogg", "rm",
))
# fmt: on
"""Of libav's hundreds of formats those that are a video in one file: no playlist that opens other files or
the network, no single picture, no text that looks like art."""

SEEKABLE = (MOV, MATROSKA)
SEEKABLE_CODECS = ("h264", "hevc", "vp8", "vp9", "mpeg4", "mjpeg")
"""Where decord's seeking was right in every generated clip that passes the other gates. It was wrong in
ASF, MPEG-PS, transport streams and H.263; and AVI has no times of presentation, so that B-frames and a
little damage mislead it, from run to run differently."""

PASSING_TROUBLES = (errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ETIMEDOUT, errno.ESTALE)


class UnreadableVideoError(InputError):
    """No decoder gave frames that can be trusted; the message is the reason and holds no path.

    ``retry``: it is the machine's trouble, not the video's, and another run may have better luck.
    """

    def __init__(self, message: str, *, retry: bool = False) -> None:
        super().__init__(message)
        self.retry = retry


@dataclass(frozen=True)
class Survey:
    """What demuxing alone tells about a video.

    ``times``: when each packet that should give a frame is shown, in order, seconds; NaN where the
    container does not say. ``aspect``: width / height of the picture as a player shows it.
    ``orientation``: how a player turns what is decoded. ``decord_distrusted``: why decord's seeking
    cannot be relied on here, or "". ``problems``: remarks for the record.
    """

    times: NDArray[np.float64]
    aspect: float = 1.0
    orientation: Orientation = UPRIGHT
    decord_distrusted: str = ""
    problems: tuple[str, ...] = ()

    @property
    def packets(self) -> int:
        return len(self.times)


def survey(path: Path) -> Survey:
    """Demux a video once.

    Raises:
        UnreadableVideoError: it cannot be opened, has no pictures, or ends long before it should.
    """
    with open_video(path) as container:
        stream = video_stream(container)
        header = _read_header(container, stream)
        found = _demux(container, stream)
    if not found.times:
        raise UnreadableVideoError(found.broken or "it holds no video frames")
    times = np.sort(np.array(found.times))
    _check_whole(header, found, times)
    turned = found.orientation != UPRIGHT
    distrusted = (
        ("" if header.kind in SEEKABLE else _container_words(header.kind))
        or ("" if header.codec in SEEKABLE_CODECS else f"codec {header.codec}")
        or found.damaged
        or found.reordered
        or ("fragmented" if header.kind == MOV and header.frames < len(times) else "")
        or ("a turned picture outside MP4" if turned and header.kind != MOV else "")
        or ("a mirrored picture" if found.orientation.mirrors else "")
    )
    problems = (found.broken,) if found.broken else ()
    return Survey(times, found.aspect, found.orientation, distrusted, problems)


def open_video(path: Path) -> InputContainer:
    """A video file, opened for demuxing; it reads nothing but this one file.

    Raises:
        UnreadableVideoError: it is not there, not readable, not a file, empty, or no video.
    """
    if reason := why_unreadable(path):
        raise UnreadableVideoError(reason)
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError as error:
        reason = f"it cannot be opened: {text_of(error)}"
        raise UnreadableVideoError(reason, retry=error.errno in PASSING_TROUBLES) from None
    if not head:
        raise UnreadableVideoError("the file is empty")
    try:
        return av.open(str(path), options={"format_whitelist": FORMATS, "protocol_whitelist": "file"})
    except (av.InvalidDataError, av.ArgumentError):
        if head[4:8] == b"ftyp":
            reason = "its index (moov) is missing: the recording or the copy was not finished"
        else:
            reason = "it is not a video of a known format"
        raise UnreadableVideoError(reason) from None
    except Exception as error:
        raise UnreadableVideoError(f"it cannot be opened: {text_of(error)}") from None


def video_stream(container: InputContainer) -> VideoStream:
    """The stream that a player shows.

    Raises:
        UnreadableVideoError: there is none.
    """
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream):
        raise UnreadableVideoError("it has no video stream")
    if stream.disposition & av.stream.Disposition.attached_pic:
        raise UnreadableVideoError("it has no video stream, only a cover picture")
    if stream.codec_context is None:
        raise UnreadableVideoError("its pictures are in a format that is not known here")
    return stream


def text_of(error: Exception) -> str:
    """What happened, without the path that PyAV puts into its messages."""
    return str(getattr(error, "strerror", None) or type(error).__name__)


@dataclass(frozen=True)
class _Header:
    """What the container says before a packet is read; 0 where it does not say.

    ``kind`` is its format. ``frames``: in the stream; ``indexed``: of those, the ones that an edit list
    does not hide. ``lasts_s``: the end, counted from time 0. ``usual_s``: between two frames.
    """

    kind: str
    codec: str
    frames: int
    indexed: int
    lasts_s: float
    usual_s: float


def _read_header(container: InputContainer, stream: VideoStream) -> _Header:
    kind = container.format.name
    if stream.width * stream.height > MOST_PIXELS:
        raise UnreadableVideoError(f"its header asks for pictures of {stream.width} x {stream.height} pixels")
    if kind == AVI:  # libav scales an AVI's duration down to what is there
        lasts_s = stream.frames * float(stream.time_base or 0)
    else:
        lasts_s = (container.duration or 0) / av.time_base if kind in DECLARING else 0.0
    return _Header(
        kind,
        stream.codec_context.name,
        stream.frames,
        len(stream.index_entries) if kind == MOV else 0,
        lasts_s,
        float(1 / stream.average_rate) if stream.average_rate else 0.0,
    )


@dataclass
class _Found:
    """What the packets say. ``listed``: of video, hidden ones too; ``times``: of those shown, seconds."""

    times: list[float] = field(default_factory=list)
    listed: int = 0
    end_s: float = 0.0
    longest_s: float = 0.0
    aspect: float = 1.0
    orientation: Orientation = UPRIGHT
    damaged: str = ""
    reordered: str = ""
    broken: str = ""


def _demux(container: InputContainer, stream: VideoStream) -> _Found:
    found = _Found()
    stream.thread_type = "NONE"
    tick_s = float(stream.time_base or 0)
    ends: dict[int, int] = {}  # of each stream, in its own ticks
    key_pts: int | None = None
    first: av.VideoFrame | None = None
    shown, longest = stream.index, 0
    try:
        for packet in container.demux():
            index, pts, duration = packet.stream_index, packet.pts, packet.duration or 0
            if pts is not None:
                ends[index] = max(ends.get(index, 0), pts + duration)
            if index != shown or packet.dts is pts is None:
                continue
            found.listed += 1
            if first is None and not found.damaged:
                first, found.damaged = _first_picture(packet)
            if packet.size and not packet.is_discard:
                found.times.append(np.nan if pts is None else pts * tick_s)
                longest = max(longest, duration)
            if packet.is_keyframe:
                key_pts = pts
            elif key_pts is not None and pts is not None and pts < key_pts:
                found.reordered = (
                    "open GOP (a frame is shown before the key frame that it follows in the file)"
                )
    except Exception as error:
        found.broken = f"reading stopped early ({text_of(error)})"
    found.longest_s = longest * tick_s
    for each in container.streams:
        if each.type in ("video", "audio"):
            found.end_s = max(found.end_s, float(ends.get(each.index, 0) * (each.time_base or 0)))
    if first is not None:
        found.orientation = orientation_of(first)
        found.aspect = first.width / first.height * float(stream.sample_aspect_ratio or 1)
        if found.orientation.swapped:
            found.aspect = 1 / found.aspect
    return found


def _first_picture(packet: "av.Packet[Stream]") -> tuple[av.VideoFrame | None, str]:
    """The picture that the decoder gives for a packet, if it does yet, and why it never will."""
    try:
        return next((frame for frame in packet.decode() if isinstance(frame, av.VideoFrame)), None), ""
    except Exception as error:
        return None, f"the first picture is damaged ({text_of(error)})"


def _check_whole(header: _Header, found: _Found, times: NDArray[np.float64]) -> None:
    # How long the last frame stays is often not said; another frame's time may stand for it.
    gaps = np.diff(times[np.isfinite(times)])
    slack_s = max([found.longest_s, header.usual_s, *gaps]) + ROUNDING_S
    ends_early = header.lasts_s - found.end_s > max(TOLERATED_LOSS * header.lasts_s, slack_s)
    lacks_frames = found.listed < (1 - TOLERATED_LOSS) * header.indexed
    if ends_early or lacks_frames or (found.broken and not header.lasts_s):
        of_frames = f" of {header.indexed}" if header.indexed else ""
        of_s = f" of {header.lasts_s:.2f}" if header.lasts_s else ""
        raise UnreadableVideoError(
            f"truncated: {found.listed}{of_frames} frames, {found.end_s:.2f}{of_s} s are there"
            + (f"; {found.broken}" if found.broken else "")
        )


def _container_words(kind: str) -> str:
    return "transport stream" if kind == "mpegts" else f"container {kind}"
