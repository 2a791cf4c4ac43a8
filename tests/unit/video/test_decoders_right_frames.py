"""Every frame that comes back carries its own number, and no decoder is asked where it gives others."""

import re
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from pathlib import Path

import av
import numpy as np
import pytest
from built import BuiltOnce
from imageio_ffmpeg import get_ffmpeg_exe
from video_kinds import KINDS, Kind
from video_zoo import (
    HEIGHT,
    WIDTH,
    Picture,
    ffmpeg_shows,
    number_in,
    painted,
    shown_frames,
    spliced,
    with_frames_not_coded,
    write,
)

from fsarctl.video import read_through
from fsarctl.video.against_decord import compare_with_decord
from fsarctl.video.container.demuxing import BY_ENDING, open_video, survey, video_stream
from fsarctl.video.container.first_bytes import HEAD_BYTES, content_of
from fsarctl.video.decode_clip import decode_clip, scale_of
from fsarctl.video.decoder_protocol import Video
from fsarctl.video.linear_decoder import LinearPyAV
from fsarctl.video.read_through import course_of, pictures_at
from fsarctl.video.rotate_and_resize import Resize
from fsarctl.video.sampling import segment_centres


@pytest.fixture(scope="module", params=KINDS)
def video(request: pytest.FixtureRequest, built_once: BuiltOnce) -> tuple[Kind, Path]:
    kind = KINDS[request.param]

    def build(folder: Path) -> None:
        (folder / "name").write_text(kind.make(folder).name)

    try:
        folder = built_once(f"video {list(KINDS).index(request.param)}", build)
    except av.codec.codec.UnknownCodecError as error:
        pytest.skip(f"this PyAV has no such encoder: {error}")
    return kind, folder / (folder / "name").read_text()


def test_every_frame_is_the_one_it_is_said_to_be(video: tuple[Kind, Path]) -> None:
    kind, path = video
    for frames in (8, 5, 24):
        clip = decode_clip(path, frames, 128)
        assert clip.frame_count == len(kind.numbers)
        assert clip.indices == segment_centres(len(kind.numbers), frames)
        shown = [number_in(picture) for picture in clip.frames]
        assert shown == [kind.numbers[index] for index in clip.indices]
        if frames == 8 and kind.linear:  # all is decoded only where it has to be
            assert clip.decoder == "pyav-linear"
            assert clip.problems[0].startswith("pyav: ")
            assert kind.linear in clip.problems[0]
        elif frames == 8:
            assert (clip.decoder, clip.problems) == ("pyav", ())


def test_leaving_out_frames_changes_no_byte(video: tuple[Kind, Path]) -> None:
    """What a full decode gives is the reference: it leaves nothing out and trusts no time."""
    _, path = video
    # Which frames are left out does not depend on how they are resized.
    asked: tuple[tuple[int, Resize], ...] = ((1, "squash"), (8, "aspect"), (24, "squash"))
    for frames, resize in asked:
        with open_video(path) as container:
            stream = video_stream(container)
            opened = Video(path, container, stream, survey(container, stream))
            expected = LinearPyAV().read(opened, frames, scale_of(stream, 96, resize))
        clip = decode_clip(path, frames, 96, resize)
        assert np.array_equal(clip.frames, expected.frames)
        assert (clip.indices, clip.frame_count) == (expected.indices, expected.frame_count)


@pytest.mark.slow
def test_reading_begins_late_with_the_same_pictures(
    video: tuple[Kind, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a reading from the beginning are the reference."""
    monkeypatch.setattr(read_through, "BETWEEN_ENTRIES_S", 0)
    kind, path = video
    course = course_of(path)
    times = [(course.frame_s * (2 * number + 1) / 2, number) for number in range(100)]
    whole = [moment.picture for moment in pictures_at(path, course, times, 48)]
    for first in (13, 47, 60, 99):
        late = [moment.picture for moment in pictures_at(path, course, times[first:], 48)]
        assert list(map(_bytes, late)) == list(map(_bytes, whole[first:]))
    assert course.entries or kind.linear


def _bytes(picture: Picture | None) -> bytes:
    return b"" if picture is None else picture.tobytes()


def test_the_comparison_with_decord_tells_where_it_is_wrong(video: tuple[Kind, Path]) -> None:
    """Where it is right its frames are the same: the two share neither libav nor the way of seeking."""
    pytest.importorskip("decord")
    kind, path = video
    clip = compare_with_decord(path, 8, 128)
    assert [number_in(picture) for picture in clip.frames] == [kind.numbers[index] for index in clip.indices]
    if kind.decord:
        assert decord_is_right(path, kind.numbers) == (kind.decord == "right")
        assert bool(clip.problems) == (kind.decord == "wrong")


def test_it_is_known_by_its_content(video: tuple[Kind, Path]) -> None:
    """But for Motion JPEG, which begins like one picture, and what begins like nothing."""
    _, path = video
    assert content_of(path.read_bytes()[:HEAD_BYTES]).video != (path.suffix in (".mjpeg", *BY_ENDING))


@pytest.mark.slow  # of the videos themselves: nothing of fsarctl is asked
def test_a_full_linear_decode_shows_the_same_numbers(video: tuple[Kind, Path]) -> None:
    kind, path = video
    if kind.repeats:
        pytest.skip("PyAV gives the decoder empty packets, which refuses them")
    assert shown_frames(path) == list(kind.numbers)


@pytest.mark.slow
def test_the_ffmpeg_program_shows_the_same_numbers(video: tuple[Kind, Path]) -> None:
    kind, path = video
    if path.suffix == ".avif":
        pytest.skip("ffmpeg takes the still picture that stands before the sequence")
    once = [*dict.fromkeys(kind.numbers)] if kind.repeats else [*kind.numbers]
    assert ffmpeg_shows(path) == once


def decord_is_right(path: Path, numbers: Sequence[int]) -> bool:
    """Whether decord, asked without looking at the file first, gives the middles of eight segments."""
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    try:
        reader = decord.VideoReader(str(path), num_threads=1)
        places = segment_centres(len(reader), 8)
        given = [number_in(picture) for picture in reader.get_batch(list(places)).asnumpy()]
    except (decord.DECORDError, RuntimeError):
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


def coloured(path: Path, codec: str, form: str, **options: str) -> bytes:
    """A stream without a container, whose parameters stand at its beginning alone.

    Its colours and its movement show every wrong parameter.
    """
    words = f"-v error -y -f lavfi -i testsrc2=size=176x96:rate=25:duration=4 -c:v {codec} -f {form}"
    more = [word for name, value in options.items() for word in (f"-{name.replace('_', '-')}", value)]
    subprocess.run([get_ffmpeg_exe(), *words.split(), *more, str(path)], check=True)
    units = re.split(rb"\x00\x00\x00?\x01", path.read_bytes())[1:]
    sets = [unit[0] & 31 in (7, 8) if form == "h264" else unit[0] >> 1 & 63 in (32, 33, 34) for unit in units]
    begin = sets.index(False)
    kept = [unit for place, unit in enumerate(units) if place < begin or not sets[place]]
    return b"".join(b"\x00\x00\x00\x01" + unit for unit in kept)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize(
    ("codec", "form", "option", "first", "second"),
    [
        ("libx264", "h264", "x264_params", "keyint=12:bframes=0", "keyint=12:bframes=0:chroma-qp-offset=12"),
        (
            "libx265",
            "hevc",
            "x265_params",
            "log-level=none:keyint=12:bframes=0",
            "log-level=none:keyint=12:bframes=0:cbqpoffs=12:crqpoffs=12",
        ),
    ],
)
def test_parameters_that_change_midway_are_minded(
    tmp_path: Path, suffix: str, codec: str, form: str, option: str, first: str, second: str
) -> None:
    """Both parts tell their parameters once, at their beginning; a frame may be wanted of neither."""
    parts = [
        coloured(tmp_path / f"{place}.raw", codec, form, **{option: params})
        for place, params in enumerate((first, second))
    ]
    (tmp_path / "both.raw").write_bytes(b"".join(parts))
    path = tmp_path / f"v.{suffix}"
    begin = ["-v", "error", "-y", "-f", form, "-r", "25", "-i", str(tmp_path / "both.raw")]
    subprocess.run([get_ffmpeg_exe(), *begin, "-c", "copy", str(path)], check=True)
    clip = decode_clip(path, 8, 96)
    with open_video(path) as container:
        stream = video_stream(container)
        opened = Video(path, container, stream, survey(container, stream))
        whole = LinearPyAV().read(opened, 8, scale_of(stream, 96, "squash"))
    assert np.array_equal(clip.frames, whole.frames)


def test_a_splice_of_h265_is_minded(tmp_path: Path) -> None:
    """Frames that lean on what was before it are not shown, so it is not the packets that count."""
    params = "log-level=none:keyint=12:bframes=3"
    path = spliced(write(tmp_path / "v.mp4", "libx265", preset="ultrafast", x265_params=params))
    shown = shown_frames(path)
    assert len(shown) < 100
    for frames in (1, 3, 8):
        clip = decode_clip(path, frames, 128)
        assert clip.frame_count == len(shown)
        assert [number_in(picture) for picture in clip.frames] == [shown[index] for index in clip.indices]


def test_what_codes_nothing_is_known_behind_other_words_too(tmp_path: Path) -> None:
    clip = decode_clip(with_frames_not_coded(tmp_path / "v.mkv", say_more_from=0), 8, 128)
    assert [number_in(picture) for picture in clip.frames] == list(segment_centres(100, 8))
    assert any("packets without a picture" in problem for problem in clip.problems)


def test_a_packet_without_a_time_among_others_is_survived(tmp_path: Path) -> None:
    """A transport stream need not say when each picture is shown (ISO/IEC 13818-1, 2.4.3.7)."""
    path = write(tmp_path / "v.ts", count=40, g="10", bf="2")
    content = bytearray(path.read_bytes())
    place = -1
    for _ in range(25):
        place = content.index(b"\x00\x00\x01\xe0", place + 1)
    content[place + 7] &= 0x3F
    path.write_bytes(content)
    with av.open(str(path)) as container:
        assert sum(packet.pts is None for packet in container.demux(video=0) if packet.size) == 1
    clip = decode_clip(path, 8, 96)
    assert [number_in(picture) for picture in clip.frames] == list(segment_centres(40, 8))
    assert course_of(path).duration_s == Fraction(40, 25)
