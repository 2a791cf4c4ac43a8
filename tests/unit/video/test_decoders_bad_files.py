"""Files that cannot give frames end in a reason; the reason never holds a path."""

import os
import tempfile
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
from declared_videos import ffmpeg
from video_zoo import number_in, with_b_frames_marked, with_noise, with_repeats, write

from fsarctl.video.container.demuxing import UnreadableVideoError
from fsarctl.video.decode_clip import decode_clip
from fsarctl.video.first_frame import decode_first_frame
from fsarctl.video.read_through import course_of, pictures_at
from fsarctl.video.sampling import segment_centres

FRAMES = 120


def whole(path: Path, codec: str = "libx264", movflags: str = "+faststart", gop: str = "12") -> bytes:
    """A video of noise in the container that ``path`` ends with, written there; and what is in it."""
    content = encoded(path.suffix, codec, movflags, gop)
    path.write_bytes(content)
    return content


@cache
def encoded(suffix: str, codec: str, movflags: str, gop: str) -> bytes:
    noise = np.random.default_rng(0)
    options = {"movflags": movflags} if movflags and suffix == ".mp4" else {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"v{suffix}")
        with av.open(str(path), "w", options=options) as output:
            stream = output.add_stream(codec, rate=25, options={"bf": "0", "g": gop})
            stream.width, stream.height = 160, 96
            stream.pix_fmt = "yuv420p"
            for number in range(FRAMES):
                picture = noise.integers(0, 255, (96, 160, 3), np.uint8)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts = number
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        return path.read_bytes()


def half(path: Path, codec: str = "libx264", movflags: str = "+faststart") -> None:
    content = whole(path, codec, movflags=movflags)
    path.write_bytes(content[: len(content) // 2])


def audio_only(path: Path) -> None:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=16000)
        for number in range(20):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate = 16000
            frame.pts = number * 1024
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def without_pictures(path: Path) -> None:
    """The first half of the pictures' bytes is zeros, the first key frame among them."""
    content = bytearray(whole(path))
    begin = content.index(b"mdat") + 4
    content[begin : (begin + len(content)) // 2] = bytes((begin + len(content)) // 2 - begin)
    path.write_bytes(content)


def first_key_frame_lost(path: Path) -> None:
    """The only key frame is zeros; what refers to it cannot be rebuilt."""
    content = bytearray(whole(path, gop="250"))
    with av.open(str(path)) as container:
        packet = next(packet for packet in container.demux() if packet.size)
    assert packet.pos is not None
    content[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    path.write_bytes(content)


def sound_before_pictures(path: Path) -> None:
    """All sound stands before all pictures, and half of the pictures are cut off."""
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as output:
        sound = output.add_stream("aac", rate=16000)
        stream = output.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuvj420p"
        for number in range(100):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16000, number * 1024
            output.mux_one(sound.encode(frame)[0]) if number > 2 else output.mux(sound.encode(frame))
        output.mux(sound.encode(None))
        for number in range(100):
            picture = np.random.default_rng(number).integers(0, 255, (96, 160, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuvj420p")
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def playlist(path: Path) -> None:
    whole(path.with_name("other.mp4"))
    path.write_text("ffconcat version 1.0\nfile other.mp4\n")


def photograph(path: Path) -> None:
    image = av.VideoFrame.from_ndarray(np.zeros((96, 160, 3), np.uint8), format="rgb24")
    image.save(str(path.with_suffix(".jpg")))
    path.with_suffix(".jpg").rename(path)


def picture(path: Path) -> None:
    image = av.VideoFrame.from_ndarray(np.zeros((96, 160, 3), np.uint8), format="rgb24")
    image.save(str(path.with_suffix(".png")))
    path.with_suffix(".png").rename(path)


def cut_in_its_header(path: Path) -> None:
    content = whole(path)
    path.write_bytes(content[:300])


def with_other_bytes(path: Path, old: bytes, new: bytes, codec: str = "libx264") -> None:
    content = whole(path, codec)
    assert old in content
    path.write_bytes(content.replace(old, new))


def bad_index(path: Path) -> None:
    """The list of sample descriptions has no length."""
    content = bytearray(whole(path, movflags=""))
    place = content.index(b"stsd") - 4
    content[place + 16 : place + 20] = bytes(4)
    path.write_bytes(content)


def fragment(path: Path) -> None:
    """All but the header of a stream in fragments."""
    content = whole(path, movflags="frag_keyframe+empty_moov")
    path.write_bytes(content[content.index(b"moof") - 4 :])


def encrypted(path: Path) -> None:
    whole(path.with_name("plain.mp4"))
    key = "-encryption_scheme cenc-aes-ctr -encryption_key 76a6c65c5ea762046bd749a2e632ccbb -encryption_kid"
    ffmpeg(
        "-i",
        path.with_name("plain.mp4"),
        "-c",
        "copy",
        *key.split(),
        "a7e61c373e219033c21091fa607bf3b8",
        path,
    )


def with_matrix(path: Path, number: int) -> None:
    """Colours by this matrix of ITU-T H.273, as far as the stream says."""
    whole(path.with_name("plain.mp4"))
    how = f"h264_metadata=matrix_coefficients={number}"
    ffmpeg("-i", path.with_name("plain.mp4"), "-c", "copy", "-bsf:v", how, path)


LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"

BAD: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "empty": ("v.mp4", lambda path: path.write_bytes(b""), "the file is empty"),
    "text": (
        "v.mp4",
        lambda path: path.write_text("hello\n" * 400),
        "not a video of a known format, but text",
    ),
    "noise": (
        "v.mp4",
        lambda path: path.write_bytes(np.random.default_rng(0).bytes(50_000)),
        "not a video of a known format",
    ),
    "audio only": ("v.mp4", audio_only, "no video stream"),
    "no moov": ("v.mp4", lambda path: half(path, movflags=""), r"index \(moov\) is missing"),
    "moov cut off": ("v.mp4", cut_in_its_header, r"index \(moov\) is cut off"),
    "moov damaged": ("v.mp4", bad_index, r"index \(moov\) is there, but damaged"),
    "a fragment alone": ("v.mp4", fragment, r"a fragment of a stream, without the header \(moov\)"),
    "header of AVI": ("v.avi", cut_in_its_header, "begins like AVI, but its header is damaged or cut off"),
    "header of Matroska": ("v.mkv", cut_in_its_header, "begins like Matroska or WebM, but its header"),
    "unknown codec": (
        "v.avi",
        lambda path: with_other_bytes(path, b"FMP4", b"QQQQ", "mpeg4"),
        r"a format that is not known here \(QQQQ\)",
    ),
    "encrypted": ("v.mp4", encrypted, "it is encrypted"),
    "YCgCo": ("v.mp4", lambda path: with_matrix(path, 8), "stored by the matrix YCgCo, which swscale"),
    "ICtCp": ("v.mp4", lambda path: with_matrix(path, 14), "stored by the matrix ICtCp, which swscale"),
    "web page": ("v.mp4", lambda path: path.write_text("<!DOCTYPE html><p>no"), "but a web page"),
    "LFS": ("v.mp4", lambda path: path.write_text(LFS), "a pointer of Git LFS: `git lfs pull`"),
    "ZIP": ("v.mp4", lambda path: path.write_bytes(b"PK\x03\x04" + bytes(90)), "a ZIP archive: unpack it"),
    "zeros": ("v.mp4", lambda path: path.write_bytes(bytes(9000)), "zeros alone"),
    "truncated MP4": ("v.mp4", half, r"truncated: \d+ of 120 frames, \d\.\d\d of 4\.80 s"),
    "truncated Matroska": ("v.mkv", half, r"truncated: .* of 4.80 s"),
    "truncated AVI": (
        "v.avi",
        lambda path: half(path, "mpeg4"),
        r"truncated: \d+ frames, .* of 4\.80 s",
    ),
    "truncated, sound first": ("v.mp4", sound_before_pictures, r"truncated: \d+ of 100 frames"),
    "corrupt pictures": ("v.mp4", without_pictures, "frames are damaged"),
    "missing": ("v.mp4", lambda _: None, "No such file"),
    "directory": (
        "v.mp4",
        lambda path: path.mkdir(),
        "it is a folder without numbered JPEG, PNG or WebP images",
    ),
    "FIFO": ("v.mp4", os.mkfifo, "it is not a file but a FIFO"),
    "dangling link": ("v.mp4", lambda path: path.symlink_to("nowhere"), "No such file"),
    "corrupt first key frame": (
        "v.mp4",
        first_key_frame_lost,
        "pyav: .*; pyav-linear: .* frames are damaged",
    ),
    "playlist": ("v.mp4", playlist, "not a video of a known format, but a playlist"),
    "photograph": ("v.mp4", photograph, "a JPEG picture"),
    "picture": ("v.mp4", picture, "not a video of a known format, but a PNG picture"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_ends_in_its_reason(tmp_path: Path, kind: str) -> None:
    name, make, reason = BAD[kind]
    make(tmp_path / name)
    with pytest.raises(UnreadableVideoError, match=reason) as caught:
        decode_clip(tmp_path / name, 8, 64)
    assert str(tmp_path) not in caught.value.message


def test_pictures_too_large_for_the_memory_are_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole(tmp_path / "v.mp4")
    decode_clip(tmp_path / "v.mp4", 8, 64)
    monkeypatch.setattr("fsarctl.video.container.demuxing.MOST_PIXELS", 160 * 96 - 1)
    with pytest.raises(UnreadableVideoError, match="asks for pictures of 160 x 96 pixels"):
        decode_clip(tmp_path / "v.mp4", 8, 64)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable for the superuser")
def test_an_unreadable_file_ends_in_its_reason(tmp_path: Path) -> None:
    whole(tmp_path / "v.mp4")
    (tmp_path / "v.mp4").chmod(0)
    with pytest.raises(UnreadableVideoError, match="Permission denied"):
        decode_clip(tmp_path / "v.mp4", 8, 64)


def test_what_the_machine_lacks_is_not_the_video_s_fault(tmp_path: Path) -> None:
    import resource

    path = tmp_path / "v.mp4"
    whole(path)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        with pytest.raises(UnreadableVideoError, match="Too many open files") as caught:
            decode_clip(path, 8, 64)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert caught.value.retry


def test_a_little_damage_is_recorded_and_survived(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    content = bytearray(whole(path))
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux() if packet.size][segment_centres(FRAMES, 8)[-1]]
        position, size = packet.pos, packet.size
    assert position is not None
    content[position : position + size] = b"\xff" * size
    path.write_bytes(content)
    clip = decode_clip(path, 8, 64)
    assert clip.decoder == "pyav-linear"
    assert any("damaged" in problem for problem in clip.problems)


def test_what_refers_to_a_lost_frame_is_damaged_up_to_the_next_key_frame(tmp_path: Path) -> None:
    """Frames 84 to 95 lean on one another but for the B-frames, on which none does.

    They are stored as 84 86 85 88 87 90 89 ..., and a decoder gives 84, the key frame, only once 86 is there.
    """
    path = write(tmp_path / "v.mp4", "mpeg4", FRAMES, g="12", bf="1", b_strategy="0")
    content = with_b_frames_marked(path).read_bytes()
    damaged, seen = {}, {}
    for lost in ((90,), (89,), (89, 90), (85,)):
        path.write_bytes(content)
        problems = decode_clip(with_noise(path, lost), FRAMES, 64).problems
        damaged[lost] = next(int(each.split()[0]) for each in problems if "damaged" in each)
        times = [(Fraction(2 * number + 1, 50), number) for number in range(FRAMES)]
        moments = pictures_at(path, course_of(path), times, 96)
        seen[lost] = [each.asked for each in moments if each.picture is not None]
    assert damaged[90,] == 1
    assert damaged[85,] > damaged[89, 90] > damaged[89,] > 5
    assert seen[90,] == [*range(89), *range(90, FRAMES)]
    assert seen[85,] == [*range(85), *range(96, FRAMES)]


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_the_first_frame_is_the_first_that_is_whole(tmp_path: Path, codec: str) -> None:
    """The first key frame is noise, and what refers to it grey, up to the second one."""
    path = write(tmp_path / "v.mp4", codec, FRAMES, g="6", bf="0")
    assert number_in(decode_first_frame(path, 1, 96).frames[0]) == 0
    clip = decode_first_frame(with_noise(path, [0], after=4), 1, 96)
    assert number_in(clip.frames[0]) == 6


def ogg_checksum(page: bytes) -> bytes:
    """RFC 3533, 6: a CRC of the page, whose own place for it is zero."""
    value = 0
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value >> 31 else 0)) & 0xFFFFFFFF
    return value.to_bytes(4, "little")


def test_a_repeat_before_the_first_whole_frame_is_passed_over(tmp_path: Path) -> None:
    """Theora: a key frame every fourth packet, of which the first is noise and the second empty."""
    path = with_repeats(tmp_path / "v.ogv", [0, 0, *range(1, 60)], gop=4)
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = list(container.demux(video=0))
    assert [packet.size > 0 for packet in packets[:5]] == [True, False, True, True, True]
    place = content.index(bytes(packets[0]))
    content[place + 1 : place + packets[0].size] = b"\xff" * (packets[0].size - 1)
    begin = content.rindex(b"OggS", 0, place)
    end = content.index(b"OggS", place)
    content[begin + 22 : begin + 26] = bytes(4)
    content[begin + 22 : begin + 26] = ogg_checksum(content[begin:end])
    path.write_bytes(content)
    assert number_in(decode_first_frame(path, 1, 96).frames[0]) == 3


def test_losing_the_very_end_is_survived(tmp_path: Path) -> None:
    path = tmp_path / "v.mkv"
    content = whole(path)
    path.write_bytes(content[: int(len(content) * 0.96)])
    clip = decode_clip(path, 8, 64)
    assert 0.9 * FRAMES < clip.frame_count < FRAMES


def test_a_cover_picture_is_not_a_video(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    with av.open(str(path), "w") as output:
        sound = output.add_stream("aac", rate=16000)
        cover = output.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        output.mux(cover.encode(picture.reformat(format="yuvj420p")))
        output.mux(cover.encode(None))
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        output.mux(sound.encode(frame))
        output.mux(sound.encode(None))
    with pytest.raises(UnreadableVideoError, match="cover picture"):
        decode_clip(path, 8, 64)
