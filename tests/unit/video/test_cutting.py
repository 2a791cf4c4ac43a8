"""Stretches cut out of videos hold the right frames, whichever way they are cut."""

import io
from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from video_zoo import number_in, with_noise, write

from fsarctl.video.container.demuxing import UnreadableVideoError
from fsarctl.video.cutting import cut_out
from fsarctl.video.thumbnails import thumbnails


def numbers(path: Path) -> list[int]:
    with av.open(str(path)) as given:
        return [number_in(frame.to_ndarray(format="rgb24")) for frame in given.decode(video=0)]


@pytest.mark.parametrize(
    ("options", "first", "end", "how"),
    [
        ({"g": "10", "bf": "0"}, 20, 40, "copied"),
        (
            {"g": "10", "bf": "0"},
            20,
            37,
            "copied",
        ),  # what is left out refers to what is there, not the reverse
        ({"g": "10", "bf": "0"}, 23, 40, "encoded"),
        ({"g": "10", "bf": "0"}, 0, 100, "copied"),
        ({"g": "12", "bf": "2", "x264-params": "open-gop=0:scenecut=0:b-adapt=0"}, 24, 48, "copied"),
        # Frame 45 is a B-frame, which refers to a frame after the end.
        ({"g": "12", "bf": "2", "x264-params": "open-gop=0:scenecut=0:b-adapt=0"}, 24, 45, "encoded"),
        ({"g": "12", "bf": "2", "x264-params": "open-gop=1:scenecut=0:b-adapt=0"}, 24, 48, "encoded"),
    ],
)
def test_a_cut_has_the_frames_of_its_time(
    tmp_path: Path, options: dict[str, str], first: int, end: int, how: str
) -> None:
    video = write(
        tmp_path / "video.mp4", count=100, rate=25, **{k.replace("-", "_"): v for k, v in options.items()}
    )
    target = tmp_path / "cut.mp4"
    assert cut_out(video, first / 25, end / 25, target) == how
    assert numbers(target) == list(range(first, end))


@pytest.mark.parametrize("turn", [90, 180])
def test_what_stands_upright_still_does(tmp_path: Path, turn: int) -> None:
    video = write(tmp_path / "video.mp4", count=40, turn=turn, g="10")
    cut_out(video, 0.4, 0.8, tmp_path / "cut.mp4")
    assert numbers(tmp_path / "cut.mp4") == list(range(10, 20))


def test_other_containers_and_rates(tmp_path: Path) -> None:
    video = write(tmp_path / "video.mkv", count=60, rate=25, times=[2 * n + n % 2 for n in range(60)], g="30")
    cut_out(video, 1.0, 2.0, tmp_path / "cut.mp4")
    assert numbers(tmp_path / "cut.mp4") == [n for n in range(60) if 25 <= 2 * n + n % 2 < 50]


def test_sides_of_odd_lengths_lose_a_pixel(tmp_path: Path) -> None:
    """H.264 in 4:2:0 has none."""
    video = write(tmp_path / "video.mkv", "ffv1", 20, width=177, height=97)
    assert cut_out(video, 0.2, 0.4, tmp_path / "cut.mp4") == "encoded"
    assert numbers(tmp_path / "cut.mp4") == list(range(5, 10))
    with av.open(str(tmp_path / "cut.mp4")) as cut:
        assert (cut.streams.video[0].width, cut.streams.video[0].height) == (176, 96)


def test_damage_long_before_a_stretch_does_not_matter(tmp_path: Path) -> None:
    video = write(tmp_path / "video.mp4", g="10", bf="0")
    with_noise(video, range(20, 30), after=4)
    assert cut_out(video, 43 / 25, 60 / 25, tmp_path / "cut.mp4") == "encoded"
    assert numbers(tmp_path / "cut.mp4") == list(range(43, 60))


def test_nothing_is_left_of_a_cut_that_fails(tmp_path: Path) -> None:
    video = write(tmp_path / "video.mp4", count=20)
    with pytest.raises(UnreadableVideoError):
        cut_out(video, 50, 60, tmp_path / "cut.mp4")
    assert [each.name for each in tmp_path.iterdir()] == ["video.mp4"]


def shown(pictures: Iterable[bytes]) -> list[tuple[int, tuple[int, int]]]:
    """The number in each picture, and its width and height."""
    opened = [Image.open(io.BytesIO(each)).convert("RGB") for each in pictures]
    return [(number_in(np.asarray(each)), each.size) for each in opened]


def test_thumbnails_are_of_their_times(tmp_path: Path) -> None:
    video = write(tmp_path / "video.mp4", count=100, rate=25, g="30", bf="2")
    assert [number for number, _ in shown(thumbnails(video, [0.0, 1.02, 3.98], 96))] == [0, 25, 99]
    assert list(thumbnails(tmp_path / "nowhere.mp4", [1.0, 2.0], 96)) == [b"", b""]


def test_times_of_thumbnails_are_from_the_first_frame(tmp_path: Path) -> None:
    video = write(tmp_path / "late.mkv", count=60, rate=25, times=range(50, 110), g="10")
    assert [number for number, _ in shown(thumbnails(video, [0.0, 1.02], 96))] == [0, 25]


@pytest.mark.parametrize("turn", [0, 90, 180])
def test_thumbnails_stand_upright_and_keep_their_shape(tmp_path: Path, turn: int) -> None:
    video = write(tmp_path / "video.mp4", count=20, width=160, height=80, turn=turn)
    assert shown(thumbnails(video, [0.4], 96)) == [(10, (192, 96))]


def test_thumbnails_of_pixels_that_are_not_square_are_as_wide_as_shown(tmp_path: Path) -> None:
    video = write(tmp_path / "video.mp4", count=20, width=80, height=80, x264_params="sar=2/1")
    assert shown(thumbnails(video, [0.4], 96)) == [(10, (192, 96))]


def test_the_picture_of_a_frame_far_from_a_key_frame_is_near_it(tmp_path: Path) -> None:
    """As near as may be decoded for one picture."""
    video = write(tmp_path / "video.mp4", count=60, rate=25, g="60", bf="0")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("fsarctl.video.thumbnails.LOOKED_AT", 10)
        assert [number for number, _ in shown(thumbnails(video, [2.0], 96))] == [10]
