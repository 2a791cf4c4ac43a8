"""Every frame that comes back carries its own number, and decord is not asked where it gives others."""

from itertools import product
from pathlib import Path

import av
import decord
import numpy as np
import pytest
from video_kinds import KINDS, PLAIN, Kind
from video_zoo import HEIGHT, WIDTH, ffmpeg_shows, number_in, painted, shown_frames, write

from fsarctl.data.decoders import Decord, LinearPyAV, Scale, decode_clip
from fsarctl.data.sampling import segment_centres
from fsarctl.data.survey import survey


@pytest.fixture(scope="module", params=KINDS)
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Kind, Path]:
    kind = KINDS[request.param]
    try:
        return kind, kind.make(tmp_path_factory.mktemp("video"))
    except av.codec.codec.UnknownCodecError as error:
        pytest.skip(f"this PyAV has no such encoder: {error}")


@pytest.mark.parametrize("frames", [8, 5, 24])
def test_every_frame_is_the_one_it_is_said_to_be(video: tuple[Kind, Path], frames: int) -> None:
    kind, path = video
    clip = decode_clip(path, frames, 128)
    assert clip.frame_count == len(kind.numbers)
    assert clip.indices == segment_centres(len(kind.numbers), frames)
    assert [number_in(picture) for picture in clip.frames] == [kind.numbers[index] for index in clip.indices]


def test_decord_answers_unless_a_gate_says_why_not(video: tuple[Kind, Path]) -> None:
    kind, path = video
    clip = decode_clip(path, 8, 128)
    assert clip.decoder == kind.decoder
    if kind.decoder == "decord":
        assert clip.problems == ()
    else:
        assert clip.problems[0].startswith("decord: ")
        assert kind.why in clip.problems[0]


def test_the_gates_are_needed(video: tuple[Kind, Path]) -> None:
    kind, path = video
    if kind.alone:
        assert decord_is_right(path, kind.numbers) == (kind.alone == "right")


def test_a_full_linear_decode_shows_the_same_numbers(video: tuple[Kind, Path]) -> None:
    kind, path = video
    assert shown_frames(path) == list(kind.numbers)


def test_the_ffmpeg_program_shows_the_same_numbers(video: tuple[Kind, Path]) -> None:
    kind, path = video
    assert ffmpeg_shows(path) == list(kind.numbers)


def decord_is_right(path: Path, numbers: range) -> bool:
    """Whether decord, asked without looking at the file first, gives the middles of eight segments."""
    decord.logging.set_level(decord.logging.QUIET)
    try:
        reader = decord.VideoReader(str(path), num_threads=1)
        places = segment_centres(len(reader), 8)
        given = [number_in(picture) for picture in reader.get_batch(list(places)).asnumpy()]
    except decord.DECORDError:
        return False
    return len(reader) == len(numbers) and given == [numbers[place] for place in places]


@pytest.mark.parametrize(
    ("turn", "hflip", "vflip", "suffix"),
    list(product((0, 90, 180, 270), (False, True), (False, True), ("mp4", "mkv"))),
)
def test_pictures_are_upright(tmp_path: Path, turn: int, hflip: bool, vflip: bool, suffix: str) -> None:
    path = write(tmp_path / f"v.{suffix}", count=6, turn=turn, hflip=hflip, vflip=vflip)
    assert shown_frames(path) == list(range(6))
    assert [number_in(picture) for picture in decode_clip(path, 3, 128).frames] == [1, 3, 5]


def test_frames_are_bytes_of_the_size_asked(tmp_path: Path) -> None:
    clip = decode_clip(write(tmp_path / "v.mp4", count=20), 4, 57)
    assert clip.frames.shape == (4, 57, 57, 3)
    assert clip.frames.dtype == np.uint8


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_both_decoders_agree_in_geometry(tmp_path: Path, turn: int) -> None:
    path = write(tmp_path / "v.mp4", turn=turn, width=640, height=360, **PLAIN)
    surveyed = survey(path)
    for scale in (Scale(96, 96, 96), Scale(171, 96, 96)):
        ours, theirs = (d.read(path, surveyed, 8, scale).frames.astype(int) for d in (Decord(), LinearPyAV()))
        shifted = np.roll(theirs, 1, axis=2)
        assert abs(ours - theirs).mean() < 2 < abs(ours - shifted).mean()


def test_numbers_are_read_only_from_upright_whole_pictures() -> None:
    for number in (0, 1, 255, 510, 511):
        picture = painted(number)
        assert number_in(picture) == number
        for wrong in (picture[::-1], picture[:, ::-1], np.rot90(picture), picture.transpose(1, 0, 2)):
            assert number_in(wrong) == -1
    torn = painted(3)
    torn[: HEIGHT // 2] = painted(5)[: HEIGHT // 2]
    assert number_in(torn) == -1
    assert number_in(np.full((HEIGHT, WIDTH, 3), 128, np.uint8)) == -1
