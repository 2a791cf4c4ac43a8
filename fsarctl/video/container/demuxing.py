"""What demuxing tells about a video before anything of it is kept, and why some videos end there.

Containers lie: about how many frames there are, how long they last, and where they can be entered. So
every packet is read once, 2 ms for a small clip, and nothing decoded. What follows from it is where
decoding has to begin for each frame, and whether that can be relied on.
"""

import errno
from dataclasses import dataclass, field
from operator import sub
from pathlib import Path
from typing import NamedTuple

import av
from av.codec.context import Flags
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from fsarctl.errors import InputError
from fsarctl.progress import counted
from fsarctl.video.container.crop_and_codec_tag import codec_tag
from fsarctl.video.container.file_access import why_unreadable
from fsarctl.video.container.first_bytes import HEAD_BYTES, MP4, content_of
from fsarctl.video.container.packet_heads import PacketHeads, is_repeat
from fsarctl.video.container.truncation import boxes, ending_of

__all__ = [
    "MOV",
    "TIMES_OF_DECODING",
    "KeyPacket",
    "Survey",
    "UnreadableVideoError",
    "open_video",
    "survey",
    "text_of",
    "video_stream",
]

TOLERATED_LOSS = 0.1
"""A video that lacks more than this part of what its container declares is a failure, not a clip."""

ROUNDING_S = 0.001

MOST_PIXELS = 2**26
"""Of one picture. Damaged headers ask for more, and a few such frames fill the memory."""

MOV, MATROSKA, AVI = "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi"
DECLARING = (MOV, MATROSKA, "asf", "flv")
"""Containers whose header says how long they last; elsewhere it is estimated from what is there."""

# fmt: off
RAW = ("dirac", "h264", "hevc", "m4v", "mjpeg", "mpegvideo", "obu", "vc1", "vvc")
"""Formats that are pictures one after another, and nothing that says when each is shown."""

FORMATS = ",".join((
    MOV, MATROSKA, AVI, *RAW, "apng", "asf", "asf_o", "dhav", "dv", "film_cpk", "flv", "gif", "gxf", "ivf",
    "mpeg", "mpegts", "mxf", "nut", "ogg", "rm", "roq", "swf", "wtv", "yuv4mpegpipe",
))
# fmt: on
"""Of libav's hundreds of formats those that are a video in one file: no playlist that opens other files or
the network, no single picture, no text that looks like art."""

BY_ENDING = {".h261": "h261", ".h263": "h263"}
"""Raw streams that begin with so little of their own that much else would be taken for them."""

SEEKABLE = (MOV, MATROSKA, AVI)
SEEKABLE_CODECS = ("h264", "hevc", "vp8", "vp9", "libdav1d", "av1", "mpeg4", "mjpeg")
"""Where a packet is a frame, shown at the packet's time. AVI has no times of presentation, so only where
frames are shown in the order of the file."""

AVI_UNKNOWN = 2**30
"""So many frames are promised by an AVI that was written to a pipe, whose header is never filled in."""

AV1 = "libdav1d"

HDR = {16: "PQ", 18: "HLG"}  # by the transfer characteristics in ITU-T H.273, table 3

TIMES_OF_DECODING = "its frames are reordered, but their times are not"

PASSING_TROUBLES = (errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ETIMEDOUT, errno.ESTALE)


class UnreadableVideoError(InputError):
    """No decoder gave frames that can be trusted; the message is the reason and holds no path.

    ``retry``: it is the machine's trouble, not the video's, and another run may have better luck.
    """

    def __init__(self, message: str, *, retry: bool = False) -> None:
        super().__init__(message)
        self.retry = retry


class KeyPacket(NamedTuple):
    """A packet that needs none before it: when it is shown, ticks, and where it stands, bytes."""

    pts: int
    pos: int | None


@dataclass(frozen=True)
class Survey:
    """What demuxing alone tells about a video.

    ``packets``: how many should give a frame. ``frames``: when each is shown, in order, ticks of the
    stream, and the key packet at which decoding it must begin; of those that have both.
    ``in_order``: whether they stand in the file as they are shown. ``distrusted``: why all that cannot be
    relied on, or "". ``problems``: remarks for the record.
    """

    packets: int
    frames: tuple[tuple[int, KeyPacket], ...]
    in_order: bool
    distrusted: str
    problems: tuple[str, ...]


def survey(container: InputContainer, stream: VideoStream) -> Survey:
    """Demux a video that was just opened, once.

    Raises:
        UnreadableVideoError: it has no pictures, or ends long before it should.
    """
    header = _read_header(container, stream)
    found = _demux(container, stream)
    if not found.shown:
        raise UnreadableVideoError(found.broken or _why_empty(Path(container.name), header.kind))
    if header.kind == "mjpeg" and len(found.shown) == 1:
        raise UnreadableVideoError("it is not a video but a JPEG picture")
    if found.encrypted:
        raise UnreadableVideoError("it is encrypted, and only its player has the key")
    coded = [each.pts for each in found.shown if each.pts is not None]
    ticks = sorted(coded)
    widest_gap_s = max(map(sub, ticks[1:], ticks), default=0) * float(stream.time_base or 0)
    ending = _ending(Path(container.name), header, found, widest_gap_s)
    doubts = (
        (found.incomplete, "a packet is incomplete"),
        (header.kind not in SEEKABLE, _container_words(header.kind)),
        (header.codec not in SEEKABLE_CODECS, f"codec {header.codec}"),
        (len(ticks) < len(found.shown), "its timestamps are missing"),
        (len(set(ticks)) < len(ticks), "its timestamps do not increase"),
        (not header.reorders and coded != ticks, "its timestamps go back"),
        (any(not each.key for each in found.shown), "frames stand before the first key frame"),
        (header.kind == AVI and header.reorders, "B-frames in AVI, which has no times of presentation"),
        (header.kind == AVI and header.codec in ("h264", "hevc"), f"codec {header.codec} in AVI"),
        (header.reorders and coded == ticks, TIMES_OF_DECODING),
        (found.lacks_picture, "packets without a picture"),
        (found.changes, "what its decoder is told changes midway"),
        (found.turns, "its pictures say themselves how they are turned"),
    )
    distrusted = next((reason for doubtful, reason in doubts if doubtful), "")
    frames = [(each.pts, each.key) for each in found.shown if each.pts is not None and each.key]
    frames.sort(key=lambda frame: frame[0])
    return Survey(
        len(found.shown),
        tuple(frames),
        coded == ticks,
        distrusted,
        tuple(filter(None, (found.broken, ending, _hdr_words(stream)))),
    )


def open_video(path: Path) -> InputContainer:
    """A video file, opened for demuxing; it reads nothing but this one file.

    Raises:
        UnreadableVideoError: it is not there, not readable, not a file, empty, or no video.
    """
    if reason := why_unreadable(path):
        raise UnreadableVideoError(reason)
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        reason = f"it cannot be opened: {text_of(error)}"
        raise UnreadableVideoError(reason, retry=error.errno in PASSING_TROUBLES) from None
    if not head:
        raise UnreadableVideoError("the file is empty")
    try:
        formats = f"{FORMATS},{BY_ENDING.get(path.suffix.lower(), '')}"
        return av.open(str(path), options={"format_whitelist": formats, "protocol_whitelist": "file"})
    except (av.InvalidDataError, av.ArgumentError, av.EOFError):
        raise UnreadableVideoError(_why_unopened(path, head)) from None
    except Exception as error:
        if getattr(error, "errno", 0) == errno.EIO and ending_of(path, MATROSKA).whole is False:
            raise UnreadableVideoError(_why_unopened(path, head)) from None
        raise UnreadableVideoError(f"it cannot be opened: {text_of(error)}") from None


def _why_unopened(path: Path, head: bytes) -> str:
    """Of a file that libav takes for no video that it knows."""
    content = content_of(head)
    if not content.video:
        return content.refusal
    if content.words != MP4:
        return f"it begins like {content.words}, but its header is damaged or cut off"
    there = boxes(path)
    if b"moov" in there:
        return _index_cut_off(path) or "its index (moov) is there, but damaged"
    if b"moof" in there:
        return "it is a fragment of a stream, without the header (moov) that tells how to read it"
    return "its index (moov) is missing: the recording or the copy was not finished"


def _index_cut_off(path: Path) -> str:
    """That an MP4 ends within its index, with which libav may be content; "" where it does not."""
    return "its index (moov) is cut off: the copy was not finished" if _ends_in_its_index(path) else ""


def _ends_in_its_index(path: Path) -> bool:
    return boxes(path).get(b"moov", 0) > path.stat().st_size


def _why_empty(path: Path, kind: str) -> str:
    """Of a file that libav opens, and finds no picture in."""
    if cut := _index_cut_off(path):
        return cut
    whole, share = ending_of(path, kind)
    if whole is False:
        return "truncated: no frame is there" + (f", {share:.0%} of its bytes" if share else "")
    return "it holds no video frames"


def video_stream(container: InputContainer) -> VideoStream:
    """The stream that a player shows.

    Raises:
        UnreadableVideoError: there is none.
    """
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream):
        raise UnreadableVideoError(_index_cut_off(Path(container.name)) or "it has no video stream")
    if stream.disposition & av.stream.Disposition.attached_pic:
        raise UnreadableVideoError("it has no video stream, only a cover picture")
    if stream.codec_context is None:
        raise UnreadableVideoError(_unknown_codec_words(container, stream))
    # Else of what an H.264 or H.265 picture hides at its left some stays, so that rows are aligned.
    stream.codec_context.flags |= Flags.unaligned
    return stream


def _unknown_codec_words(container: InputContainer, stream: VideoStream) -> str:
    if cut := _index_cut_off(Path(container.name)):
        return cut
    tag = codec_tag(container, stream)
    return "its pictures are in a format that is not known here" + (f" ({tag})" if tag else "")


def text_of(error: Exception) -> str:
    """What happened, without the path that PyAV puts into its messages."""
    return str(getattr(error, "strerror", None) or type(error).__name__)


@dataclass(frozen=True)
class _Header:
    """What the container says before a packet is read; 0 where it does not say.

    ``kind`` is its format. ``indexed``: frames in the stream that an edit list does not hide.
    ``lasts_s``: the end, counted from time 0. ``usual_s``: between two frames. ``reorders``: whether
    frames are shown in another order than they are coded in.
    """

    kind: str
    codec: str
    indexed: int
    lasts_s: float
    usual_s: float
    reorders: bool


def _read_header(container: InputContainer, stream: VideoStream) -> _Header:
    kind = container.format.name
    if stream.width * stream.height > MOST_PIXELS and not _pictures_fit(container, stream):
        raise UnreadableVideoError(f"its header asks for pictures of {stream.width} x {stream.height} pixels")
    if kind == AVI:  # libav scales an AVI's duration down to what is there
        lasts_s = stream.frames % AVI_UNKNOWN * float(stream.time_base or 0)
    else:
        lasts_s = (container.duration or 0) / av.time_base if kind in DECLARING else 0.0
    indexed = len(stream.index_entries) if kind == MOV else 0
    if indexed and _ends_in_its_index(Path(container.name)):  # then libav has less of it than it counts
        indexed = max(indexed, stream.frames)
    return _Header(
        kind,
        stream.codec_context.name,
        indexed,
        lasts_s,
        float(1 / stream.average_rate) if stream.average_rate else 0.0,
        bool(stream.codec_context.has_b_frames),
    )


def _pictures_fit(container: InputContainer, stream: VideoStream) -> bool:
    """Whether its first picture is smaller than its header says, as AV1's header may state a maximum."""
    if stream.codec_context.name != AV1:
        return False
    decoder = av.CodecContext.create(AV1, "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.options = {"max_pixels": str(MOST_PIXELS)}
    with open_video(Path(container.name)) as again:
        for packet in again.demux(video_stream(again)):
            try:
                if decoder.decode(packet):
                    return True
            except Exception:  # PyAV raises many types
                return False
    return False


class _Packet(NamedTuple):
    """One that should give a frame: its time in ticks, and the key packet to begin at."""

    pts: int | None
    key: KeyPacket | None


@dataclass
class _Found:
    """What the packets say. ``listed``: of video, hidden ones too; ``shown``: those that are not.

    ``incomplete``: whether a packet is cut off or was never written. ``lacks_picture``: whether a shown one
    has none. ``changes``: whether a decoder that enters midway may lack parameters that came before.
    ``end_s``: of pictures and sound; ``last_s``: of all that there is, such as subtitles.
    """

    shown: list[_Packet] = field(default_factory=list)
    incomplete: bool = False
    lacks_picture: bool = False
    changes: bool = False
    turns: bool = False
    encrypted: bool = False
    listed: int = 0
    end_s: float = 0.0
    last_s: float = 0.0
    broken: str = ""


def _demux(container: InputContainer, stream: VideoStream) -> _Found:
    found = _Found()
    stream.thread_type = "NONE"
    ends: dict[int, int] = {}  # of each stream, in its own ticks
    keys: list[KeyPacket] = []
    shown, later_keys_with_sets = stream.index, 0
    heads = PacketHeads(stream)
    try:
        for packet in container.demux():
            index, pts, duration = packet.stream_index, packet.pts, packet.duration or 0
            if pts is not None:
                ends[index] = max(ends.get(index, 0), pts + duration)
            if index != shown or (packet.size == 0 and not is_repeat(packet)):
                continue
            found.listed += 1
            found.incomplete |= packet.is_corrupt or heads.is_blank(packet)
            found.turns = found.turns or (packet.size > 0 and heads.turns(packet))
            sets = packet.size > 0 and heads.sets_parameters(packet)
            found.changes |= packet.size > 0 and heads.is_splice(packet)
            if packet.is_keyframe and pts is not None:
                keys.append(KeyPacket(pts, packet.pos))
                found.encrypted = found.encrypted or packet.has_sidedata("encryption_info")
                later_keys_with_sets += sets and len(keys) > 1
            else:
                found.changes |= sets
            key = keys[-1] if keys else None
            if key is not None and pts is not None and pts < key.pts:  # of an open GOP
                key = keys[-2] if len(keys) > 1 and keys[-2].pts <= pts else None
            if not packet.is_discard and not (packet.size and heads.is_hidden(packet)):
                found.shown.append(_Packet(pts, key))
                found.lacks_picture = found.lacks_picture or packet.size == 0 or heads.lacks_picture(packet)
    except Exception as error:
        found.broken = f"reading stopped early ({text_of(error)})"
    # If all key packets bring parameters, or none but the first does, it matters not at which one begins.
    found.changes |= 0 < later_keys_with_sets < len(keys) - 1
    for each in container.streams:
        end_s = float(ends.get(each.index, 0) * (each.time_base or 0))
        found.last_s = max(found.last_s, end_s)
        if each.type in ("video", "audio"):
            found.end_s = max(found.end_s, end_s)
    return found


def _ending(path: Path, header: _Header, found: _Found, widest_gap_s: float) -> str:
    """A remark on how the file ends, "" where all that it declares is there.

    Durations that it declares are often of something else. So where they say more than there is, a complete
    index, or else parts that go on to the last byte, is believed instead.

    Raises:
        UnreadableVideoError: it was cut off, and too much is missing.
    """
    # How long the last frame stays is often not said; another frame's time may stand for it.
    slack_s = max(header.usual_s, widest_gap_s) + ROUNDING_S
    lacks_s = header.lasts_s - found.end_s
    fragmented = header.kind == MOV and b"moof" in boxes(path)  # whose index is read bit by bit
    if header.lasts_s and lacks_s <= slack_s and found.listed >= header.indexed and not fragmented:
        return ""
    there = f"{found.end_s:.2f} of {header.lasts_s:.2f} s" if header.lasts_s else f"{found.end_s:.2f} s"
    of_frames, share = "", 0.0
    if header.indexed and not fragmented:
        whole: bool | None = found.listed >= header.indexed and not found.incomplete
        too_much = found.listed < (1 - TOLERATED_LOSS) * header.indexed
        of_frames = f" of {header.indexed}"
    else:
        whole, share = ending_of(path, header.kind)
        too_much = lacks_s > max(TOLERATED_LOSS * header.lasts_s, slack_s)
        if share:
            there += f", {share:.0%} of its bytes,"
            too_much = share < 1 - TOLERATED_LOSS and (too_much or not header.lasts_s)
    frames = f"{found.listed}{of_frames} frames" if of_frames else counted(found.listed, "frame")
    if found.broken and (too_much or not (header.lasts_s or share)):
        whole, too_much = False, True
    if too_much and not whole:
        raise UnreadableVideoError(
            f"truncated: {frames}, {there} are there" + (f"; {found.broken}" if found.broken else "")
        )
    if whole is False or (whole is None and lacks_s > slack_s):
        return f"its end is missing: {frames}, {there} are there"
    little = lacks_s <= TOLERATED_LOSS * header.lasts_s
    if not whole or little or found.last_s >= header.lasts_s - slack_s:  # another track lasts as long as that
        return ""
    return f"its header says {header.lasts_s:.2f} s; its pictures are complete with {found.end_s:.2f} s"


def _hdr_words(stream: VideoStream) -> str:
    curve = HDR.get(stream.codec_context.color_trc)
    return f"it is HDR ({curve}), and not tone-mapped: its colours come out pale" if curve else ""


def _container_words(kind: str) -> str:
    if kind in (*RAW, *BY_ENDING.values()):
        return f"a raw stream ({kind}), which has no times"
    return "transport stream" if kind == "mpegts" else f"container {kind}"
