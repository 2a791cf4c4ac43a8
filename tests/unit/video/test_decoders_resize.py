"""Where a pixel of the picture ends up in the stored square: on ramps of grey, whose value is the place."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from fsarctl.video.container.demuxing import UnreadableVideoError
from fsarctl.video.decode_clip import decode_clip
from fsarctl.video.rotate_and_resize import scaled_size

SIZE = 64


def ramp(
    path: Path, width: int, height: int, *, down: bool = False, turn: int = 0, pixel: Fraction = Fraction(1)
) -> Path:
    """A video, ``width`` x ``height`` as shown, that gets brighter from left to right (or downwards)."""
    long = height if down else width
    line = np.linspace(16, 235, long).round().astype(np.uint8)
    shown = np.broadcast_to(line[:, None] if down else line, (height, width))
    picture = np.ascontiguousarray(np.repeat(np.rot90(shown, -turn // 90)[..., None], 3, 2))
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("libx264", rate=25, options={"crf": "4", "preset": "ultrafast"})
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = "yuv444p"
        stream.codec_context.sample_aspect_ratio = pixel
        if turn:
            stream.set_display_rotation(turn)
        for number in range(6):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def ends(path: Path, down: bool, resize: Any) -> tuple[float, float]:
    """Where the square's first and last line lie in the picture, 0 to 1 along the ramp."""
    square = decode_clip(path, 2, SIZE, resize).frames[1].mean(2)
    line = square.mean(1 if down else 0)
    first, last = (float((line[place] - 16) / 219) for place in (0, -1))
    return first, last


def expected(shape: float) -> tuple[float, float]:
    """Of a picture whose extent along the ramp is ``shape`` times the other, at least 1, by hand."""
    half_pixel = 0.5 / SIZE / shape
    return 0.5 - 0.5 / shape + half_pixel, 0.5 + 0.5 / shape - half_pixel


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
@pytest.mark.parametrize(("width", "height"), [(160, 96), (96, 160), (128, 128), (300, 60)])
def test_aspect_keeps_the_middle_square(tmp_path: Path, width: int, height: int, turn: int) -> None:
    shapes = {False: max(1.0, width / height), True: max(1.0, height / width)}
    for down, shape in shapes.items():
        path = ramp(tmp_path / f"{down}.mp4", width, height, down=down, turn=turn)
        assert ends(path, down, "aspect") == pytest.approx(expected(shape), abs=0.015)


def test_squash_keeps_the_whole_picture(tmp_path: Path) -> None:
    for down in (False, True):
        path = ramp(tmp_path / f"{down}.mp4", 160, 96, down=down)
        assert ends(path, down, "squash") == pytest.approx(expected(1), abs=0.015)


@pytest.mark.parametrize("turn", [0, 90])
def test_pixels_that_are_not_square_are_drawn_as_a_player_draws_them(tmp_path: Path, turn: int) -> None:
    # Stored pixels are twice as wide as high; after a quarter turn, shown ones twice as high as wide.
    path = ramp(tmp_path / "v.mp4", 128, 128, down=turn == 90, turn=turn, pixel=Fraction(2))
    assert ends(path, turn == 90, "aspect") == pytest.approx(expected(2), abs=0.015)
    assert ends(path, turn == 90, "squash") == pytest.approx(expected(1), abs=0.015)


DISC = 70
"""Diameter of a white disc amid a black picture, in pixels."""


def disc(width: int, height: int) -> NDArray[np.uint8]:
    """(height, width, 3), the disc in its middle."""
    y, x = np.mgrid[:height, :width]
    inside = np.hypot(x - (width - 1) / 2, y - (height - 1) / 2) <= DISC / 2
    return np.repeat(np.where(inside, 235, 16).astype(np.uint8)[..., None], 3, 2)


def encoded(encoder: Any, picture: NDArray[np.uint8], count: int, start: int = 0) -> list[Any]:
    encoder.height, encoder.width = picture.shape[:2]
    encoder.pix_fmt = "yuv420p"
    packets = []
    for number in range(count):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = start + number, Fraction(1, 25)
        packets += encoder.encode(frame)
    return packets + encoder.encode(None)


def turned_midway(path: Path) -> Path:
    """As of a telephone that is turned while it streams: 320 x 180, then 180 x 320."""
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("libvpx", rate=25, options={"deadline": "realtime"})
        upright: Any = av.CodecContext.create("libvpx", "w")
        upright.time_base, upright.framerate, upright.options = Fraction(1, 25), 25, {"deadline": "realtime"}
        for packet in encoded(stream, disc(320, 180), 20) + encoded(upright, disc(180, 320), 20, 20):
            packet.stream = stream
            output.mux(packet)
    return path


def without_first_packet(path: Path) -> Path:
    """320 x 180, whose first key frame cannot be decoded."""
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("libx264", rate=25, options={"g": "5", "bf": "0"})
        output.mux(encoded(stream, disc(320, 180), 80))
    with av.open(str(path)) as container:
        packet = next(packet for packet in container.demux() if packet.size)
    content = bytearray(path.read_bytes())
    assert packet.pos is not None
    content[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("make", "name"), [(turned_midway, "v.webm"), (without_first_packet, "v.mp4")])
def test_each_frame_keeps_its_own_aspect(tmp_path: Path, make: Callable[[Path], Path], name: str) -> None:
    clip = decode_clip(make(tmp_path / name), 8, SIZE, "aspect")
    for picture in clip.frames:
        white = picture.mean(2) > 128
        across, down = int(white.any(0).sum()), int(white.any(1).sum())
        assert (across, down) == pytest.approx((DISC * SIZE / 180,) * 2, abs=1.5)


def test_a_strip_is_refused_rather_than_blown_up(tmp_path: Path) -> None:
    path = ramp(tmp_path / "v.mp4", 640, 32)
    decode_clip(path, 2, SIZE)
    with pytest.raises(UnreadableVideoError, match="too elongated"):
        decode_clip(path, 2, SIZE, "aspect")


def test_the_short_side_becomes_the_size() -> None:
    assert scaled_size(16 / 9, 257) == (457, 257)
    assert scaled_size(9 / 16, 257) == (257, 457)
