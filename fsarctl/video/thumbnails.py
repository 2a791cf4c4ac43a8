"""Small pictures of a long video at some times, without reading all of it: to be looked at, not scored."""

import io
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from fsarctl.video.container.demuxing import UnreadableVideoError, open_video, video_stream
from fsarctl.video.rotate_and_resize import orientation_of

__all__ = ["THUMBNAIL_TYPE", "thumbnails"]

THUMBNAIL_TYPE = "image/webp"
QUALITY = 60
LOOKED_AT = 500
"""Frames that are decoded at most for one picture."""


def thumbnails(path: Path, times_s: Sequence[float], height: int) -> Iterator[bytes]:
    """A WebP picture, ``height`` pixels high, of each time from the first frame on; b"" without one."""
    try:
        with open_video(path) as container:
            stream = video_stream(container)
            stream.thread_type = "NONE"
            beginning = _first_time(container)
            for time_s in times_s:
                yield _picture(container, stream, beginning + time_s, height)
    except UnreadableVideoError:
        yield from (b"" for _ in times_s)


def _first_time(container: InputContainer) -> float:
    try:
        return float(next(container.decode(video=0)).time or 0)
    except Exception:  # PyAV raises many types
        return 0.0


def _picture(container: InputContainer, stream: VideoStream, time_s: float, height: int) -> bytes:
    """From the key frame before that time on."""
    shown: av.VideoFrame | None = None
    try:
        container.seek(int(time_s / Fraction(stream.time_base or 1)), stream=stream)
        for number, frame in enumerate(container.decode(stream)):
            if shown is not None and (frame.time is None or frame.time > time_s):
                break
            shown = frame
            if number == LOOKED_AT:
                break
    except Exception:
        if shown is None:
            return b""
    pixel = float(stream.sample_aspect_ratio or 1)
    return _small(shown, height, pixel) if shown is not None else b""


def _small(frame: av.VideoFrame, height: int, pixel: float) -> bytes:
    """``pixel``: the width of one by its height."""
    from PIL import Image

    aspect = frame.width / frame.height * pixel
    upright = orientation_of(frame).apply(frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False))
    turned = orientation_of(frame).swapped
    width = max(1, round(height / aspect if turned else height * aspect))
    picture = Image.fromarray(np.ascontiguousarray(upright)).resize((min(width, 4 * height), height))
    written = io.BytesIO()
    picture.save(written, format="WEBP", quality=QUALITY)
    return written.getvalue()
