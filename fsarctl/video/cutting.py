"""Stretches of a video as files of their own: copied where they begin at a key frame, else encoded anew."""

from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from fsarctl.artifacts.atomic_write import replacing
from fsarctl.video.container.demuxing import UnreadableVideoError, open_video, text_of, video_stream
from fsarctl.video.rotate_and_resize import UPRIGHT, orientation_of

__all__ = ["Cut", "cut_out"]

Cut = Literal["copied", "encoded"]

COPIED_INTO = ("h264", "hevc", "mpeg4", "av1", "libdav1d", "vp9")
"""Codecs whose packets an MP4 file may hold."""

CRF = "18"


def cut_out(path: Path, start_s: float, end_s: float, target: Path) -> Cut:
    """Write the frames that begin in [start, end), seconds from the first frame, as an MP4 without sound.

    Packets are copied where the first of these frames is a key frame and none needs a frame outside of the
    stretch, so that the copy has exactly these frames. Otherwise they are encoded as H.264, nearly without
    loss.

    Raises:
        UnreadableVideoError: no frame of the stretch can be read.
    """
    try:
        with open_video(path) as container:
            stream = video_stream(container)
            first = _first(container, stream)
            begins, upright = first.pts or 0, orientation_of(first) == UPRIGHT
        low, high = begins + _ticks(stream, start_s), begins + _ticks(stream, end_s)
        with replacing(target) as partial:
            if upright and _copied(path, low, high, partial):
                return "copied"
            _encoded(path, low, high, partial)
        return "encoded"
    except UnreadableVideoError:
        raise
    except (av.FFmpegError, ValueError) as error:
        raise UnreadableVideoError(
            f"{start_s:.2f} to {end_s:.2f} s cannot be cut: {text_of(error)}"
        ) from None


def _ticks(stream: VideoStream, seconds: float) -> int:
    return round(seconds / Fraction(stream.time_base or 1))


def _first(container: InputContainer, stream: VideoStream) -> av.VideoFrame:
    for frame in container.decode(stream):
        return frame
    raise UnreadableVideoError("no frame could be decoded")


def _copied(path: Path, low: int, high: int, target: Path) -> bool:
    """Copy the packets of the stretch, if that is exact."""
    with open_video(path) as container:
        stream = video_stream(container)
        if stream.codec_context.name not in COPIED_INTO:
            return False
        container.seek(low, stream=stream)
        packets: list[av.Packet[VideoStream]] = []
        for packet in container.demux(stream):
            if packet.pts is None or packet.dts is None:
                if packet.size:
                    return False
                continue
            if packet.dts >= high:
                break
            if packets or low <= packet.pts < high:
                packets.append(packet)
        inside = [low <= (packet.pts or 0) < high for packet in packets]
        while inside and not inside[-1]:
            inside.pop()
            packets.pop()
        # Frames refer to none outside of the stretch where none is decoded among them that is no part of it.
        if not packets or not all(inside) or not packets[0].is_keyframe:
            return False
        if packets[0].pts != min(packet.pts or 0 for packet in packets):
            return False
        first = packets[0].dts or 0
        with av.open(str(target), "w", format="mp4") as output:
            copy = output.add_stream_from_template(stream)
            for packet in packets:
                assert packet.pts is not None
                assert packet.dts is not None
                packet.pts -= first
                packet.dts -= first
                packet.stream = copy
                output.mux(packet)
    return True


def _encoded(path: Path, low: int, high: int, target: Path) -> None:
    options = {"crf": CRF, "preset": "veryfast"}
    with open_video(path) as container, av.open(str(target), "w", format="mp4") as output:
        stream = video_stream(container)
        stream.thread_type = "NONE"
        container.seek(low, stream=stream)
        encoder = None
        for frame in container.decode(stream):
            if frame.pts is None or frame.pts < low:
                continue
            if frame.pts >= high:
                break
            shown = _upright(frame)
            if encoder is None:
                encoder = output.add_stream("libx264", rate=stream.average_rate or 25, options=options)
                # H.264 in 4:2:0 has an even number of columns and rows.
                encoder.width, encoder.height = shown.width // 2 * 2, shown.height // 2 * 2
                encoder.pix_fmt = "yuv420p"
                encoder.codec_context.time_base = Fraction(stream.time_base or Fraction(1, 90000))
            plain = shown.reformat(encoder.width, encoder.height, "yuv420p", threads=1)
            plain.pts, plain.time_base = frame.pts - low, stream.time_base
            output.mux(encoder.encode(plain))
        if encoder is None:
            raise UnreadableVideoError("no frame of it can be read")
        output.mux(encoder.encode(None))


def _upright(frame: av.VideoFrame) -> av.VideoFrame:
    """As a player shows it: what is encoded anew loses the word of how to turn it."""
    orientation = orientation_of(frame)
    if orientation == UPRIGHT:
        return frame
    turned = np.ascontiguousarray(orientation.apply(frame.to_ndarray(format="rgb24").astype(np.uint8)))
    return av.VideoFrame.from_ndarray(turned, format="rgb24")
