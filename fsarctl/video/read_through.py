"""A long video from its first frame to its last, once: the pictures that are shown at given times.

Times are seconds from the first frame on, as exact fractions. The picture shown at a time is the last frame
that begins at or before it. A frame has the time that its packet bears; where times are missing or go back,
the usual distance from the frame before it. Memory holds one frame, however long the video is.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import dropwhile
from pathlib import Path
from typing import Generic, TypeVar

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from fsarctl.video.container.demuxing import KeyPacket, UnreadableVideoError, open_video, survey, video_stream
from fsarctl.video.container.packet_heads import is_repeat
from fsarctl.video.decode_clip import scale_of
from fsarctl.video.frame_folders.images import no_times
from fsarctl.video.lost_packets import LostPackets
from fsarctl.video.rotate_and_resize import (
    UPRIGHT,
    Orientation,
    Resize,
    Scale,
    orientation_of,
    square_of,
)

__all__ = ["Course", "Moment", "course_of", "pictures_at"]

Asked = TypeVar("Asked")

USUAL_RATE = 25
"""Frames a second of a video that does not say."""

BETWEEN_ENTRIES_S = 5
"""Nearer to each other than so, entries are not noted."""


@dataclass(frozen=True)
class Course:
    """What a survey tells of a video's time. ``last_s``: when its last frame begins; ``frame_s``: how long a
    frame usually lasts, and so the last one; ``tick_s``: what its times are rounded to. ``frames``: how many
    there should be. ``problems``: remarks. ``first``: the first frame's time, ticks. ``entries``: key packets
    at which reading may begin, in order; none where the file's times cannot be relied on."""

    frames: int
    last_s: Fraction
    frame_s: Fraction
    tick_s: Fraction
    problems: tuple[str, ...]
    first: int
    entries: tuple[KeyPacket, ...]

    @property
    def duration_s(self) -> Fraction:
        """From the beginning of the first frame to the end of the last."""
        return self.last_s + self.frame_s

    def entry(self, time_s: Fraction) -> KeyPacket | None:
        """The last entry at or before a time; None where it is the beginning."""
        before = bisect_right(self.entries, time_s, key=lambda each: (each.pts - self.first) * self.tick_s)
        return self.entries[before - 1] if before else None


@dataclass(frozen=True)
class Moment(Generic[Asked]):
    """What is shown at a time that was asked for: frame ``index``, which begins at ``time_s``.

    ``picture`` (S, S, 3) is None where the video cannot be read. ``asked`` is whatever came with the time.
    """

    asked: Asked
    index: int
    time_s: Fraction
    picture: NDArray[np.uint8] | None


def course_of(path: Path) -> Course:
    """How long a video is, without decoding it.

    Raises:
        UnreadableVideoError: empty, truncated, not a video, a folder of frames, or without a picture.
    """
    if path.is_dir():
        raise UnreadableVideoError(no_times(path))
    with open_video(path) as container:
        stream = video_stream(container)
        found = survey(container, stream)
        tick = Fraction(stream.time_base or 0)
        rate = Fraction(stream.average_rate or stream.guessed_rate or USUAL_RATE)
        ticks = np.array([pts for pts, _ in found.frames], np.int64)
    if len(ticks) == found.packets and (gaps := np.diff(ticks)).size and (gaps > 0).all():
        last, usual = tick * int(ticks[-1] - ticks[0]), tick * Fraction(float(np.median(gaps)))
    else:
        usual = 1 / rate
        last = usual * (found.packets - 1)
    entries: list[KeyPacket] = []
    for _, key in () if found.distrusted else found.frames:
        if (key.pts - (entries[-1].pts if entries else ticks[0])) * tick >= BETWEEN_ENTRIES_S:
            entries.append(key)
    return Course(
        found.packets, last, usual, tick, found.problems, int(ticks[0]) if len(ticks) else 0, tuple(entries)
    )


def pictures_at(
    path: Path,
    course: Course,
    wanted: Iterable[tuple[Fraction, Asked]],
    size: int,
    resize: Resize = "squash",
) -> Iterator[Moment[Asked]]:
    """A ``Moment`` for each of the wanted times, which do not go back; frames that nobody asks for are not
    converted. What is damaged in the middle has no picture, up to the key frame after it. Where the first
    time is late, reading begins at the entry before it.

    Raises:
        UnreadableVideoError: it cannot be opened, or a picture is too elongated to keep its aspect.
    """
    asked = iter(wanted)
    waiting = next(asked, None)
    if waiting is None:
        return
    entry = course.entry(waiting[0])
    if entry is not None and not _is_entered(path, entry):
        entry = None
    with open_video(path) as container:
        stream = video_stream(container)
        scale = scale_of(stream, size, resize)
        shown: _Shown | None = None
        for frame in _frames(container, stream, course, entry):
            # A container that counts in milliseconds has rounded the time by up to half of one.
            while waiting is not None and waiting[0] + course.tick_s / 2 < frame.time_s:
                yield _moment(waiting, shown, scale, course, broken=frame.after_damage)
                waiting = next(asked, None)
            if waiting is None:
                return
            shown = frame
    if shown is None:
        raise UnreadableVideoError("no frame could be decoded")
    early = shown.time_s + course.frame_s < course.last_s
    while waiting is not None:
        yield _moment(waiting, shown, scale, course, broken=early)
        waiting = next(asked, None)


@dataclass
class _Shown:
    """A decoded frame. ``after_damage``: frames before it are missing. ``picture``: once it was asked for."""

    index: int
    time_s: Fraction
    frame: av.VideoFrame
    orientation: Orientation
    sound: bool
    after_damage: bool
    picture: NDArray[np.uint8] | None = None


def _moment(
    waiting: tuple[Fraction, Asked], shown: _Shown | None, scale: Scale, course: Course, *, broken: bool
) -> Moment[Asked]:
    time_s, asked = waiting
    if shown is None:  # before the first frame that could be decoded
        return Moment(asked, -1, Fraction(0), None)
    missing = broken and time_s >= shown.time_s + course.frame_s
    if shown.sound and not missing and shown.picture is None:
        shown.picture = square_of(shown.frame, scale, shown.orientation)
    return Moment(asked, shown.index, shown.time_s, None if missing else shown.picture)


def _is_entered(path: Path, entry: KeyPacket) -> bool:
    """Whether a seek leads to that packet, and the first frame from it on is its own and sound."""
    with open_video(path) as container:
        stream = video_stream(container)
        stream.thread_type = "NONE"
        try:
            for packet in _packets(container, stream, entry):
                for frame in packet.decode():
                    if frame.pts is None or frame.pts >= entry.pts:
                        return frame.pts == entry.pts and bool(frame.key_frame) and not frame.is_corrupt
        except Exception:  # PyAV raises many types
            return False
    return False


def _packets(
    container: InputContainer, stream: VideoStream, entry: KeyPacket | None
) -> Iterator["Packet[VideoStream]"]:
    """All of them, or those from ``entry`` on."""
    if entry is None:
        return container.demux(stream)
    container.seek(entry.pts, stream=stream)
    return dropwhile(lambda packet: (packet.pts, packet.pos) != entry, container.demux(stream))


def _frames(
    container: InputContainer, stream: VideoStream, course: Course, entry: KeyPacket | None
) -> Iterator[_Shown]:
    """Every frame that can be decoded, in the order of their times, from ``entry`` on."""
    stream.thread_type = "NONE"
    first: int | None = None if entry is None else course.first
    latest: Fraction | None = None
    index = 0
    orientation = UPRIGHT
    lost = LostPackets()
    missing: list[int] = []  # when what is lost would have been shown, ticks
    packets = _packets(container, stream, entry)
    while True:
        try:
            packet = next(packets, None)
        except Exception:  # the demuxer itself: nothing comes after it
            return
        if packet is None:
            return
        if is_repeat(packet):  # the frame before it stays
            continue
        try:
            decoded = packet.decode()
        except Exception:
            lost.add(packet)
            missing.append(packet.pts or 0)
            continue
        for frame in decoded:
            if entry is not None and frame.pts is not None and frame.pts < entry.pts:
                continue  # what an open GOP left behind
            first = frame.pts if first is None else first
            own = None if frame.pts is None or first is None else course.tick_s * (frame.pts - first)
            time_s = Fraction(0) if latest is None else latest + course.frame_s
            if own is not None and (latest is None or own > latest):
                time_s = own
            orientation = orientation_of(frame, orientation)
            ahead = [each for each in missing if frame.pts is not None and each > frame.pts]
            yield _Shown(index, time_s, frame, orientation, not lost.spoil(frame), len(ahead) < len(missing))
            latest, missing = time_s, ahead
            index += 1
