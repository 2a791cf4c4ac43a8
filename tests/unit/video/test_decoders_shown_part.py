"""What a player shows of a picture: not what is hidden of it, turned and shaped as the file says."""

import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from declared_videos import ffmpeg
from imageio_ffmpeg import get_ffmpeg_exe
from numpy.typing import NDArray
from video_zoo import HEIGHT, WIDTH, number_in, painted, with_repeats, write

from fsarctl.video.container.crop_and_codec_tag import Crop, cropping
from fsarctl.video.container.demuxing import UnreadableVideoError, open_video, video_stream
from fsarctl.video.decode_clip import decode_clip
from fsarctl.video.read_through import course_of, pictures_at
from fsarctl.video.rotate_and_resize import cropped

COUNT = 30
BORDER = Crop(20, 12, 12, 52)
RED = (235, 16, 16)
BOXES = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1")

Picture = NDArray[np.uint8]


def bordered(path: Path, codec: str = "libx264", crop: Crop = BORDER, **options: str) -> Path:
    """Painted numbers within a red border."""
    if codec == "libx264":
        options = {"preset": "ultrafast", "bf": "0", "g": "12", **options}
    height, width = HEIGHT + crop.top + crop.bottom, WIDTH + crop.left + crop.right
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream(
            codec, rate=25, options={k.replace("_", "-"): v for k, v in options.items()}
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(COUNT):
            picture = np.full((height, width, 3), RED, np.uint8)
            picture[crop.top : crop.top + HEIGHT, crop.left : crop.left + WIDTH] = painted(number)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def clapped(path: Path, crop: Crop) -> Path:
    """With a clean aperture (ISO/IEC 14496-12, 12.1.4): its size, and how far its middle is off."""
    bordered(path, crop=crop)
    numbers = [WIDTH, 1, HEIGHT, 1, crop.left - crop.right, 2, crop.top - crop.bottom, 2]
    box = (40).to_bytes(4, "big") + b"clap" + b"".join(n.to_bytes(4, "big", signed=True) for n in numbers)
    content = bytearray(path.read_bytes())
    place = content.index(b"moov") - 4
    for name in BOXES:
        place = content.index(name, place) - 4
        length = int.from_bytes(content[place : place + 4], "big")
        content[place : place + 4] = (length + len(box)).to_bytes(4, "big")
        end, place = place + length, place + 8
    content[end:end] = box  # the index stands after the pictures, whose places stay
    path.write_bytes(content)
    return path


def pixel_cropped(path: Path) -> Path:
    ffmpeg("-i", clapped(path.with_name("c.mp4"), BORDER), "-c", "copy", path)
    return path


def filtered(path: Path, source: Path, how: str) -> Path:
    ffmpeg("-i", source, "-c", "copy", "-bsf:v", how, path)
    return path


def hidden_at_the_left(path: Path, codec: str, name: str) -> Path:
    strip = Crop(16, 0, 0, 0)
    more = {"x265_params": "log-level=none:keyint=12", "preset": "ultrafast"} if codec == "libx265" else {}
    return filtered(
        path, bordered(path.with_name("b.mp4"), codec, strip, **more), f"{name}_metadata=crop_left=16"
    )


HIDING: dict[str, Callable[[Path], Path]] = {
    "clap": lambda at: clapped(at / "v.mp4", BORDER),
    "PixelCrop": lambda at: pixel_cropped(at / "v.mkv"),
    "H.264": lambda at: hidden_at_the_left(at / "v.mp4", "libx264", "h264"),
    "H.265": lambda at: hidden_at_the_left(at / "v.mkv", "libx265", "hevc"),
}


@pytest.mark.parametrize("kind", HIDING)
def test_what_is_hidden_is_not_in_the_picture(tmp_path: Path, kind: str) -> None:
    path = HIDING[kind](tmp_path)
    for resize in ("squash", "aspect"):
        clip = decode_clip(path, 8, 96, resize)
        colour = clip.frames.astype(int)
        assert np.abs(colour[..., 0] - colour[..., 1]).max() < 40  # of red: over 200
        assert clip.problems == ()
    clip = decode_clip(path, 8, 96)
    assert [number_in(picture) for picture in clip.frames] == list(clip.indices)


@pytest.mark.parametrize("kind", HIDING)
def test_the_ffmpeg_program_shows_the_same_pixels(tmp_path: Path, kind: str) -> None:
    """Before scaling, in which programs differ: the bytes of the first picture, as it was stored."""
    path = HIDING[kind](tmp_path)
    words = ["-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]
    command = [get_ffmpeg_exe(), "-v", "error", "-i", str(path), *words]
    theirs = subprocess.run(command, capture_output=True, check=True).stdout
    with open_video(path) as container:
        stream = video_stream(container)
        frame = next(container.decode(stream))
        crop = cropping(container, stream)
        frame = cropped(frame, crop) if crop else frame
        assert (frame.width, frame.height) == (WIDTH, HEIGHT)
        assert frame.to_ndarray(format="yuv420p").tobytes() == theirs


def test_a_crop_that_would_leave_nothing_is_not_believed() -> None:
    frame = av.VideoFrame(64, 48, "yuv420p")
    assert cropped(frame, Crop(40, 24, 0, 0)) is frame
    assert cropped(frame, Crop(40, 20, 0, 0)).width == 4


def test_a_crop_is_exact_to_the_pixel() -> None:
    values = np.arange(48 * 64, dtype=np.uint8).reshape(48, 64)
    frame = av.VideoFrame.from_ndarray(np.repeat(values[..., None], 3, 2), format="rgb24")
    kept = cropped(frame, Crop(21, 11, 13, 5)).to_ndarray()
    assert np.array_equal(kept[..., 0], values[13 : 48 - 5, 21 : 64 - 11])
    luma = frame.reformat(format="yuv420p")
    kept = cropped(luma, Crop(21, 11, 13, 5)).to_ndarray(format="gray")
    assert np.array_equal(kept, luma.to_ndarray(format="gray")[13 : 48 - 5, 21 : 64 - 11])


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_pictures_that_say_once_how_they_are_turned_are_all_turned(tmp_path: Path, turn: int) -> None:
    """H.264 in which the first of three key frames alone says it; whatever frames are asked for."""
    with av.open(str(tmp_path / "plain.h264"), "w") as output:
        stream: Any = output.add_stream(
            "libx264", rate=25, options={"preset": "ultrafast", "g": "12", "bf": "0"}
        )
        shape = painted(0).shape[1::-1]
        stream.width, stream.height = shape[::-1] if turn % 180 else shape
        stream.pix_fmt = "yuv420p"
        for number in range(COUNT):
            picture = np.ascontiguousarray(np.rot90(painted(number), -turn // 90))
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    how = f"h264_metadata=display_orientation=insert:rotate={turn}"
    said = filtered(tmp_path / "said.h264", tmp_path / "plain.h264", how).read_bytes()
    units = said.split(b"\x00\x00\x01")
    kept = [
        unit for unit in units if unit[:2] != b"\x06\x2f"
    ]  # the first one stands behind the encoder's name
    assert len(units) == len(kept) + 2
    (tmp_path / "once.h264").write_bytes(b"\x00\x00\x01".join(kept))
    path = tmp_path / "v.mp4"
    ffmpeg("-r", "25", "-i", tmp_path / "once.h264", "-c", "copy", path)
    for frames in (1, 8, 24):
        clip = decode_clip(path, frames, 96)
        assert [number_in(picture) for picture in clip.frames] == list(clip.indices)
    times = [(Fraction(number, 25), number) for number in range(COUNT)]
    shown = [moment.picture for moment in pictures_at(path, course_of(path), times, 96)]
    assert [-1 if picture is None else number_in(picture) for picture in shown] == list(range(COUNT))
    assert any("how they are turned" in problem for problem in clip.problems)


DISC = 70


def disc(width: int, height: int, pixel: float = 1.0) -> Picture:
    """(height, width, 3): a white circle amid black, of pixels ``pixel`` times as wide as high."""
    y, x = np.mgrid[:height, :width]
    inside = np.hypot((x - (width - 1) / 2) * pixel, y - (height - 1) / 2) <= DISC / 2
    return np.repeat(np.where(inside, 235, 16).astype(np.uint8)[..., None], 3, 2)


def with_pixels_that_change(path: Path, codec: str, **options: str) -> Path:
    """240 x 180: pixels of 4:3 at first, then square ones, as television goes from 16:9 to 4:3."""
    coded = b""
    for pixel in (Fraction(4, 3), Fraction(1)):
        encoder: Any = av.CodecContext.create(codec, "w")
        encoder.width, encoder.height, encoder.pix_fmt = 240, 180, "yuv420p"
        encoder.time_base, encoder.framerate, encoder.options = Fraction(1, 25), 25, options
        encoder.sample_aspect_ratio = pixel
        for number in range(24):
            frame = av.VideoFrame.from_ndarray(disc(240, 180, float(pixel)), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            coded += b"".join(map(bytes, encoder.encode(frame)))
        coded += b"".join(map(bytes, encoder.encode(None)))
    raw = path.with_name("raw.h264" if codec == "libx264" else "raw.m2v")
    raw.write_bytes(coded)
    if path.suffix != raw.suffix:
        ffmpeg("-r", "25", "-i", raw, "-c", "copy", path)
        return path
    return raw


@pytest.mark.parametrize(
    ("name", "codec"),
    [("v.h264", "libx264"), ("v.ts", "libx264"), ("v.m2v", "mpeg2video"), ("v.mpg", "mpeg2video")],
)
def test_pixels_that_change_their_shape_midway_are_drawn_as_they_are(
    tmp_path: Path, name: str, codec: str
) -> None:
    options = {"bf": "0" if name == "v.ts" else "2", "g": "24"}  # copies of raw streams cannot time B-frames
    clip = decode_clip(with_pixels_that_change(tmp_path / name, codec, **options), 48, 90, "aspect")
    assert clip.frame_count == 48
    for picture in clip.frames:
        white = picture.mean(2) > 128
        across, down = int(white.any(0).sum()), int(white.any(1).sum())
        assert (across, down) == pytest.approx((DISC / 2, DISC / 2), abs=1.5)


def test_a_long_video_is_read_through_its_empty_packets(tmp_path: Path) -> None:
    path = with_repeats(tmp_path / "v.ogv")
    times = [(Fraction(number, 25), number) for number in range(40)]
    shown = [moment.picture for moment in pictures_at(path, course_of(path), times, 96)]
    numbers = [-1 if picture is None else number_in(picture) for picture in shown]
    assert numbers == [number - number // 10 for number in range(40)]


def test_av1_whose_header_states_a_maximum_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    largest = "forced-max-frame-width=16384:forced-max-frame-height=8704"
    path = write(tmp_path / "v.mp4", "libsvtav1", 20, preset="8", g="12", svtav1_params=largest)
    clip = decode_clip(path, 8, 96)
    assert [number_in(picture) for picture in clip.frames] == list(clip.indices)
    monkeypatch.setattr("fsarctl.video.container.demuxing.MOST_PIXELS", WIDTH * HEIGHT - 1)
    with pytest.raises(UnreadableVideoError, match="asks for pictures of 16384 x 8704 pixels"):
        decode_clip(path, 8, 96)


@pytest.mark.parametrize(("number", "curve"), [(16, "PQ"), (18, "HLG"), (1, "")])
def test_hdr_is_remarked_on_and_changes_no_byte(tmp_path: Path, number: int, curve: str) -> None:
    plain = write(tmp_path / "plain.mp4", count=COUNT, bf="0", g="12")
    path = filtered(tmp_path / "v.mp4", plain, f"h264_metadata=transfer_characteristics={number}")
    clip = decode_clip(path, 8, 96)
    remark = f"it is HDR ({curve}), and not tone-mapped: its colours come out pale"
    assert clip.problems == ((remark,) if curve else ())
    assert np.array_equal(clip.frames, decode_clip(plain, 8, 96).frames)
