"""Every frame that comes back carries its own number, painted into the picture as nine bars."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from fsarctl.data.decoders import Decord, LinearPyAV, decode_clip, survey
from fsarctl.data.sampling import segment_centres

BITS = 9


def painted(number: int, width: int, height: int) -> NDArray[np.uint8]:
    picture = np.full((height, width, 3), 90, np.uint8)
    for bit in range(BITS):
        left, right = bit * width // BITS, (bit + 1) * width // BITS
        picture[height // 6 : -height // 6, left:right] = 235 if number >> bit & 1 else 16
    return picture


def number_in(picture: NDArray[np.uint8]) -> int:
    height, width = picture.shape[:2]
    middle = picture[height // 2 - 2 : height // 2 + 2].mean((0, 2))
    return sum(int(middle[int((bit + 0.5) * width / BITS)] > 128) << bit for bit in range(BITS))


def write(
    path: Path,
    codec: str = "libx264",
    count: int = 100,
    *,
    width: int = 162,
    height: int = 96,
    pixels: str = "yuv420p",
    times: Iterable[int] | None = None,
    turn: int = 0,
    container: str | None = None,
    movflags: str = "",
    interlaced: bool = False,
    **options: str,
) -> Path:
    with av.open(
        str(path), "w", format=container, options={"movflags": movflags} if movflags else {}
    ) as output:
        stream: Any = output.add_stream(
            codec, rate=25, options={k.replace("_", "-"): v for k, v in options.items()}
        )
        upright = (height, width) if turn % 180 else (width, height)
        stream.width, stream.height = upright
        stream.pix_fmt = pixels
        if turn:
            stream.set_display_rotation(turn)
        if interlaced:
            stream.codec_context.options = {"flags": "+ildct+ilme"}
        for number, time in zip(range(count), times or range(count), strict=False):
            picture = np.ascontiguousarray(np.rot90(painted(number, width, height), -turn // 90))
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = time
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def cut(source: Path, target: Path, first_packet: int) -> Path:
    """A stream copy that begins before a key frame's time: the muxer hides frames by an edit list."""
    with av.open(str(source)) as given, av.open(str(target), "w") as output:
        stream = given.streams.video[0]
        copy = output.add_stream_from_template(stream)
        packets = [packet for packet in given.demux(stream) if packet.size]
        start = next(p for p in packets[first_packet:] if p.is_keyframe)
        offset = start.pts + 5 * (packets[1].dts - packets[0].dts)
        for packet in packets[packets.index(start) :]:
            packet.pts -= offset
            packet.dts -= offset
            packet.stream = copy
            output.mux(packet)
    return target


X264 = {"bf": "0", "g": "12"}

VIDEOS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "H.264, GOP 12": ("decord", lambda at: write(at / "v.mp4", **X264)),
    "H.264, GOP 250": ("decord", lambda at: write(at / "v.mp4", bf="0", g="250", sc_threshold="0")),
    "H.264, B-frames, closed GOP": (
        "decord",
        lambda at: write(at / "v.mp4", x264_params="open-gop=0:keyint=12:bframes=3:b-adapt=0"),
    ),
    "H.264, B-frames, open GOP": (
        "pyav",
        lambda at: write(at / "v.mp4", x264_params="open-gop=1:keyint=12:bframes=3:b-adapt=0:scenecut=0"),
    ),
    "H.264, fragmented": (
        "any",
        lambda at: write(at / "v.mp4", movflags="frag_keyframe+empty_moov", **X264),
    ),
    "H.265": (
        "any",
        lambda at: write(at / "v.mp4", "libx265", x265_params="log-level=none:keyint=12:bframes=3"),
    ),
    "AV1": (
        "pyav",
        lambda at: write(at / "v.mp4", "libsvtav1", 40, preset="8", g="12"),
    ),
    "VP8": ("any", lambda at: write(at / "v.webm", "libvpx", g="12", deadline="realtime")),
    "VP9": ("any", lambda at: write(at / "v.webm", "libvpx-vp9", g="12", deadline="realtime")),
    "MPEG-4 AVI, no B-frames": ("decord", lambda at: write(at / "v.avi", "mpeg4", g="12")),
    "MPEG-4 AVI, B-frames": ("pyav", lambda at: write(at / "v.avi", "mpeg4", g="12", bf="2")),
    "MPEG-1": ("any", lambda at: write(at / "v.mpg", "mpeg1video", g="12", bf="2")),
    "transport stream": ("pyav", lambda at: write(at / "v.ts", container="mpegts", g="12", bf="2")),
    "Matroska": ("any", lambda at: write(at / "v.mkv", **X264)),
    "animated GIF": ("pyav", lambda at: write(at / "v.gif", "gif", 30, pixels="rgb8")),
    "variable rate with gaps": (
        "any",
        lambda at: write(at / "v.mp4", times=[n + 40 * (n > 30) + 3 * (n > 60) for n in range(100)], **X264),
    ),
    "odd size, 4:4:4": (
        "any",
        lambda at: write(at / "v.mp4", width=163, height=97, pixels="yuv444p", **X264),
    ),
    "10 bits": ("any", lambda at: write(at / "v.mp4", pixels="yuv420p10le", **X264)),
    "interlaced": ("any", lambda at: write(at / "v.mpg", "mpeg2video", interlaced=True, g="12")),
    "edit list": ("pyav", lambda at: cut(write(at / "whole.mp4", **X264), at / "v.mp4", 20)),
    "one frame": ("decord", lambda at: write(at / "v.mp4", count=1)),
    "three frames": ("any", lambda at: write(at / "v.mp4", count=3, **X264)),
    "turned by 90": ("any", lambda at: write(at / "v.mp4", turn=90, **X264)),
    "turned by 180": ("any", lambda at: write(at / "v.mp4", turn=180, **X264)),
    "turned by 270": ("any", lambda at: write(at / "v.mp4", turn=270, **X264)),
}


def painted_numbers(path: Path) -> list[int]:
    """What a player shows from the first frame to the last."""
    with av.open(str(path)) as container:
        return [
            number_in(np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90))
            for frame in container.decode(video=0)
        ]


@pytest.fixture(scope="module", params=VIDEOS)
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    decoder, make = VIDEOS[request.param]
    return decoder, make(tmp_path_factory.mktemp("video"))


@pytest.mark.parametrize("frames", [8, 5])
def test_every_frame_is_the_one_it_is_said_to_be(video: tuple[str, Path], frames: int) -> None:
    decoder, path = video
    shown = painted_numbers(path)
    clip = decode_clip(path, frames, 128)
    assert clip.frame_count == len(shown)
    assert clip.indices == segment_centres(len(shown), frames)
    assert [number_in(picture) for picture in clip.frames] == [shown[index] for index in clip.indices]
    assert decoder in ("any", clip.decoder)


def test_the_zoo_shows_what_was_painted(video: tuple[str, Path]) -> None:
    shown = painted_numbers(video[1])
    assert shown == list(range(shown[0], shown[0] + len(shown)))


def test_frames_are_bytes_of_the_size_asked(tmp_path: Path) -> None:
    clip = decode_clip(write(tmp_path / "v.mp4", count=20), 4, 57)
    assert clip.frames.shape == (4, 57, 57, 3)
    assert clip.frames.dtype == np.uint8


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_both_decoders_agree_in_geometry(tmp_path: Path, turn: int) -> None:
    path = write(tmp_path / "v.mp4", turn=turn, width=640, height=360, **X264)
    surveyed = survey(path)
    ours, theirs = (d.read(path, surveyed, 8, 96).frames.astype(int) for d in (Decord(), LinearPyAV()))
    shifted = np.roll(theirs, 1, axis=2)
    assert abs(ours - theirs).mean() < 1.5 < abs(ours - shifted).mean()


def test_why_decord_was_passed_over_is_recorded(tmp_path: Path) -> None:
    clip = decode_clip(write(tmp_path / "v.ts", container="mpegts"), 8, 64)
    assert clip.decoder == "pyav"
    assert clip.problems == ("decord: transport stream",)


def test_a_trusted_clip_has_no_problems(tmp_path: Path) -> None:
    assert decode_clip(write(tmp_path / "v.mp4", **X264), 8, 64).problems == ()
