"""Clips that are folders of images: which images, in which order, and the pixels that they stand for."""

import io
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from imageio_ffmpeg import get_ffmpeg_exe
from numpy.typing import NDArray
from PIL import Image

from fsarctl.video.container.demuxing import UnreadableVideoError
from fsarctl.video.decode_clip import decode_clip
from fsarctl.video.first_frame import decode_first_frame
from fsarctl.video.frame_folders.decode_image import decode_image
from fsarctl.video.frame_folders.images import _alike, _series, frames_among
from fsarctl.video.read_through import course_of

Save = Callable[..., bytes]


def picture(number: int, width: int = 64, height: int = 48) -> Image.Image:
    """Smooth, so that JPEG keeps it, with the number as its red."""
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x * 0 + number * 5, x * 3 % 256, y * 5 % 256], -1).astype(np.uint8))


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)  # type: ignore[arg-type]
    return file.getvalue()


def plant(folder: Path, names: list[str], kind: str = "JPEG", **options: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        (folder / name).write_bytes(encoded(picture(number), kind, **options))
    return folder


def reds(folder: Path, frames: int, **how: object) -> list[int]:
    """The numbers of the pictures that are taken."""
    clip = decode_clip(folder, frames, 48, **how)  # type: ignore[arg-type]
    return [round(float(frame[..., 0].mean()) / 5) for frame in clip.frames]


@pytest.mark.parametrize(
    ("names", "expected", "remark"),
    [
        (["img_02.jpg", "img_01.jpg", "img_03.jpg"], ["img_01.jpg", "img_02.jpg", "img_03.jpg"], ""),
        (["10.png", "9.png", "1.PNG"], ["1.PNG", "9.png", "10.png"], ""),
        (["f000.jpeg", "f001.jpeg", ".f002.jpeg", "Thumbs.db"], ["f000.jpeg", "f001.jpeg"], ""),
        (
            ["v_a_g01_c01_0007.webp", "v_a_g01_c01_0008.webp"],
            ["v_a_g01_c01_0007.webp", "v_a_g01_c01_0008.webp"],
            "",
        ),
        (
            ["img_1.jpg", "flow_x_1.jpg", "flow_x_2.jpg", "flow_y_1.jpg", "flow_y_2.jpg"],
            ["img_1.jpg"],
            "",
        ),
        (["u_1.jpg", "u_2.jpg"], ["u_1.jpg", "u_2.jpg"], ""),
        (["1.jpg", "2.jpg", "x.jpg"], ["1.jpg", "2.jpg"], "1 image of another name is left out: x.jpg"),
        (
            ["a1.jpg", "a2.jpg", "b1.jpg", "a1.png"],
            ["a1.jpg", "a2.jpg"],
            "2 images of another name are left out: a1.png and 1 more",
        ),
        (
            [f"{n}.jpg" for n in (1, 2, 3, 5, 6, 10, 11)],
            [f"{n}.jpg" for n in (1, 2, 3, 5, 6, 10, 11)],
            "4 images of 1 to 11 missing: 4, 7 to 9",
        ),
        ([f"{n}.jpg" for n in range(0, 50, 5)], [f"{n}.jpg" for n in range(0, 50, 5)], ""),
        ([f"{n}.jpg" for n in (0, 10, 35, 90, 200)], [f"{n}.jpg" for n in (0, 10, 35, 90, 200)], ""),
        ([f"{n}.jpg" for n in (0, 33, 67, 100, 141)], [f"{n}.jpg" for n in (0, 33, 67, 100, 141)], ""),
        (["1.jpg", "01.jpg", "2.jpg"], ["01.jpg", "1.jpg", "2.jpg"], "two of its images have the number 1"),
        (["cover.jpg", "notes.txt", ".1.jpg"], [], ""),
        (
            ["frame (10).jpg", "frame (9).jpg", "frame (1).jpg"],
            ["frame (1).jpg", "frame (9).jpg", "frame (10).jpg"],
            "",
        ),
        (
            ["1_rgb.jpg", "2_rgb.jpg", "1_flow_x.jpg", "2_flow_x.jpg", "1_depth.png"],
            ["1_rgb.jpg", "2_rgb.jpg"],
            "",
        ),
        (["10.png", "9.jpg", "8.png", "7.jpeg"], ["7.jpeg", "8.png", "9.jpg", "10.png"], ""),
    ],
)  # fmt: skip
def test_which_images_are_the_frames(names: list[str], expected: list[str], remark: str) -> None:
    found = frames_among(names)
    assert list(found.names) == expected
    assert found.remarks == ((remark,) if remark else ())


@pytest.mark.parametrize(
    "names",
    [
        [f"{n / 2}.jpg" for n in range(20)],
        [f"{n:02d}_of_20.jpg" for n in range(20)],
        [f"{n * 2654435761 % 2**32:08x}.jpg" for n in range(20)],
        [f"{clip}_{n}.jpg" for clip in "abc" for n in range(9)],
    ],
)
def test_images_of_which_most_would_be_left_out_are_no_clip(names: list[str]) -> None:
    """Frames that a time or something else counts, or those of several clips."""
    found = frames_among(names)
    assert (found.names, found.remarks) == ((), ())
    assert found.reason.startswith("its images are not numbered in one way: ")
    assert min(names) in found.reason


@given(
    st.lists(
        st.from_regex(r"(a|a1_|9|)[0-9٣]{1,20}(x|\.|_b| \(2\)|)\.(jpg|JPG|png)", fullmatch=True), max_size=6
    )
)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_images_that_are_alike_are_read_as_all_others(names: list[str]) -> None:
    alike = _alike(names)
    assert alike is None or alike == _series(names)


def test_the_middle_image_of_each_segment_is_taken(tmp_path: Path) -> None:
    """Of 16 images and 4 segments those at 2, 6, 10 and 14, and of 3 some several times."""
    folder = plant(tmp_path / "clip", [f"img_{n:05d}.jpg" for n in range(7, 23)], quality=95)
    assert reds(folder, 4) == [2, 6, 10, 14]
    clip = decode_clip(folder, 4, 48)
    assert (clip.indices, clip.frame_count, clip.decoder, clip.problems) == ((2, 6, 10, 14), 16, "images", ())
    assert reds(plant(tmp_path / "short", ["1.png", "2.png", "3.png"], "PNG"), 6) == [0, 0, 1, 1, 2, 2]


SAVED: dict[str, tuple[str, dict[str, object], str]] = {
    "JPEG 4:2:0": ("JPEG", {"quality": 90}, "RGB"),
    "JPEG 4:4:4": ("JPEG", {"quality": 90, "subsampling": 0}, "RGB"),
    "JPEG 4:2:2": ("JPEG", {"quality": 75, "subsampling": 1}, "RGB"),
    "progressive JPEG": ("JPEG", {"quality": 80, "progressive": True}, "RGB"),
    "grey JPEG": ("JPEG", {"quality": 90}, "L"),
    "JPEG of four inks": ("JPEG", {"quality": 90}, "CMYK"),
    "PNG": ("PNG", {}, "RGB"),
    "PNG with a palette": ("PNG", {}, "P"),
    "PNG with alpha": ("PNG", {}, "RGBA"),
    "grey PNG": ("PNG", {}, "L"),
    "WebP": ("WEBP", {"quality": 80}, "RGB"),
}


@pytest.mark.parametrize("kind", SAVED)
def test_pixels_are_those_of_pillow(kind: str, tmp_path: Path) -> None:
    """And so those of libjpeg-turbo, as torchvision has them: odd sizes, whatever the name says."""
    ending, options, mode = SAVED[kind]
    content = encoded(picture(9, 61, 43).convert(mode), ending, **options)
    (tmp_path / "1.jpg").write_bytes(content)
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    assert np.array_equal(decode_image(tmp_path / "1.jpg").pixels, expected)


def test_a_deep_png_keeps_its_brightness(tmp_path: Path) -> None:
    grey = np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16)
    Image.fromarray(grey).save(tmp_path / "1.png")
    assert np.array_equal(decode_image(tmp_path / "1.png").pixels[..., 1], (grey >> 8).astype(np.uint8))


def test_an_image_of_the_stored_size_is_stored_as_it_is_and_others_as_frames_of_videos(
    tmp_path: Path,
) -> None:
    content = encoded(picture(4, 48, 48), quality=90)
    folder = tmp_path / "clip"
    folder.mkdir()
    (folder / "1.jpg").write_bytes(content)
    pixels: NDArray[np.uint8] = np.asarray(Image.open(io.BytesIO(content)))
    assert np.array_equal(decode_clip(folder, 1, 48).frames[0], pixels)
    scaled = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
        32, 32, "rgb24", interpolation="BILINEAR"
    )
    assert np.array_equal(decode_clip(folder, 1, 32).frames[0], scaled.to_ndarray())


@pytest.mark.parametrize("turn", range(1, 9))
def test_images_are_turned_as_a_viewer_turns_them(turn: int, tmp_path: Path) -> None:
    """Pillow's exif_transpose is the reference; 48 x 48, so that nothing is scaled."""
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = turn
    folder = plant(tmp_path / "clip", ["1.jpg"])
    content = encoded(picture(3, 48, 48), quality=95, exif=exif)
    (folder / "1.jpg").write_bytes(content)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    assert upright is not None
    assert np.array_equal(decode_clip(folder, 1, 48).frames[0], np.asarray(upright))


def test_images_of_different_sizes_are_each_scaled_by_their_own_shape(tmp_path: Path) -> None:
    folder = plant(tmp_path / "clip", ["1.png", "2.png"], "PNG")
    disc = Image.new("L", (96, 48))
    disc.paste(255, (24, 0, 72, 48))  # a square in the middle
    disc.convert("RGB").save(folder / "2.png")
    clip = decode_clip(folder, 2, 48, "aspect")
    assert clip.problems == ("its images differ in size: 64 x 48, 96 x 48",)
    assert (clip.frames[1] == 255).all(), "the middle of it is all square"


def test_damaged_images_are_left_out_unless_they_are_many(tmp_path: Path) -> None:
    names = [f"{n}.jpg" for n in range(1, 21)]
    folder = plant(tmp_path / "clip", names, quality=95)
    whole = (folder / "3.jpg").read_bytes()
    (folder / "3.jpg").write_bytes(whole[: len(whole) // 2])
    clip = decode_clip(folder, 4, 48)
    assert clip.frame_count == 19
    assert clip.problems[0].startswith("1 of 20 images cannot be decoded: 3.jpg (it is damaged")
    assert reds(folder, 4) == [3, 8, 12, 17], "those at 2, 7, 11 and 16 of the 19 that are left"
    (folder / "8.jpg").write_bytes(b"")
    (folder / "13.jpg").write_bytes(b"no picture at all")
    with pytest.raises(UnreadableVideoError) as caught:
        decode_clip(folder, 4, 48)
    assert caught.value.message.startswith("3 of 20 images cannot be decoded: 3.jpg")
    assert decode_first_frame(folder, 1, 48).frames.shape == (1, 48, 48, 3)
    (folder / "1.jpg").write_bytes(b"no picture at all")
    with pytest.raises(UnreadableVideoError, match=r"1\.jpg: it is no JPEG, PNG or WebP picture"):
        decode_first_frame(folder, 1, 48)


def test_a_folder_without_frames_and_one_that_has_no_times_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for decode in (decode_clip, decode_first_frame):
        with pytest.raises(
            UnreadableVideoError, match="it is a folder without numbered JPEG, PNG or WebP images"
        ):
            decode(tmp_path / "empty", 1, 48)
    folder = plant(tmp_path / "clip", [f"my img_{n:03d}.jpg" for n in range(7, 20)])
    with pytest.raises(UnreadableVideoError, match="which does not say how long each lasts") as caught:
        course_of(folder)
    command = re.search(r"ffmpeg (.*) makes a video", caught.value.message)
    assert command is not None
    subprocess.run(
        [get_ffmpeg_exe(), *shlex.split(command[1])], cwd=folder, check=True, capture_output=True, timeout=60
    )
    assert decode_clip(folder / "clip.mp4", 1, 48).frame_count == 13


def test_a_picture_whose_camera_says_nothing_of_its_turn_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "the maker"
    pixels = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
    shown = []
    for name, more in (("plain", {}), ("camera", {"exif": exif})):
        Image.fromarray(pixels).save(tmp_path / f"{name}.jpg", **more)
        shown.append(decode_image(tmp_path / f"{name}.jpg"))
    assert b"Exif" in (tmp_path / "camera.jpg").read_bytes()
    assert shown[0].orientation == shown[1].orientation
    assert np.array_equal(shown[0].pixels, shown[1].pixels)


@pytest.mark.parametrize(("width", "height"), [(96, 48), (48, 72)])
def test_images_keep_their_shape_when_asked_to(tmp_path: Path, width: int, height: int) -> None:
    """Their pixels are square, so that where one side fits already the middle is left as it is."""
    image = picture(7, width, height)
    (tmp_path / "1.png").write_bytes(encoded(image, "PNG"))
    left, top = (width - 48) // 2, (height - 48) // 2
    (found,) = decode_clip(tmp_path, 1, 48, "aspect").frames
    assert np.array_equal(found, np.asarray(image)[top : top + 48, left : left + 48])
