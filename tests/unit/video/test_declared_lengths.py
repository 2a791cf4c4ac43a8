"""A complete video is read however long its header says it is; a cut one is not taken for complete."""

import re
import subprocess
from pathlib import Path

import av
import pytest
from built import BuiltOnce
from declared_videos import COUNT, DECLARED, PLAIN
from imageio_ffmpeg import get_ffmpeg_exe
from video_zoo import ffmpeg_shows, number_in, write

from fsarctl.video.container.demuxing import MOV, UnreadableVideoError
from fsarctl.video.container.truncation import ending_of
from fsarctl.video.decode_clip import decode_clip
from fsarctl.video.sampling import segment_centres


@pytest.fixture(scope="module", params=DECLARED)
def declared(request: pytest.FixtureRequest, built_once: BuiltOnce) -> tuple[Path, str]:
    make, says = DECLARED[request.param]
    folder = built_once(
        f"declared {list(DECLARED).index(request.param)}",
        lambda at: (at / "name").write_text(make(at).name) and None,
    )
    return folder / (folder / "name").read_text(), says


def test_what_is_complete_is_read(declared: tuple[Path, str]) -> None:
    path, says = declared
    clip = decode_clip(path, 8, 96)
    assert ffmpeg_shows(path) == list(range(COUNT))
    assert clip.indices == segment_centres(COUNT, 8)
    assert [number_in(picture) for picture in clip.frames] == list(clip.indices)
    remarks = [problem for problem in clip.problems if not problem.startswith("pyav: ")]
    if says:
        assert len(remarks) == 1
        assert says in remarks[0]
        assert "its pictures are complete" in remarks[0]
    else:
        assert remarks == []


def cut(path: Path, part: float) -> Path:
    """Of the packets, the first part: the file ends within one."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size and packet.pos is not None]
    last = packets[int(len(packets) * part)]
    content = path.read_bytes()
    path = path.with_stem(f"cut-{part}")
    path.write_bytes(content[: (last.pos or 0) + last.size // 2])
    return path


def test_the_same_cut_in_half_is_refused(declared: tuple[Path, str], tmp_path: Path) -> None:
    path, _ = declared
    target = tmp_path / path.name
    target.write_bytes(path.read_bytes())
    with pytest.raises(UnreadableVideoError, match=r"truncated: \d+ (of 40 )?frames, \d\.\d\d( of .*)? s"):
        decode_clip(cut(target, 0.5), 8, 96)


def test_the_same_whose_second_half_was_never_written_is_refused(
    declared: tuple[Path, str], tmp_path: Path
) -> None:
    path, _ = declared
    content = path.read_bytes()
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    begin = (packets[COUNT // 2].pos or 0) + 20
    target = tmp_path / path.name
    target.write_bytes(content[:begin] + bytes(len(content) - begin))
    with pytest.raises(UnreadableVideoError, match=r"truncated|damaged"):
        decode_clip(target, 8, 96)


def test_a_little_that_is_missing_is_said(declared: tuple[Path, str], tmp_path: Path) -> None:
    path, says = declared
    target = tmp_path / path.name
    target.write_bytes(path.read_bytes())
    shorter = cut(target, 0.95)
    with av.open(str(shorter)) as container:
        _, share = ending_of(shorter, container.format.name)
    if says == "9.00 s" and not share:  # nothing tells how much there was
        with pytest.raises(UnreadableVideoError, match=r"truncated: 38 frames, 1\.52 of 9\.00 s"):
            decode_clip(shorter, 8, 96)
        return
    clip = decode_clip(shorter, 8, 96)
    assert COUNT - 4 <= clip.frame_count < COUNT
    assert [number_in(picture) for picture in clip.frames] == list(clip.indices)
    assert any("its end is missing" in problem for problem in clip.problems)


@pytest.mark.parametrize("junk", [bytes(5000), b"x" * 50])
@pytest.mark.parametrize(
    ("suffix", "codec", "flags"),
    [
        ("mp4", "libx264", "faststart"),
        ("mp4", "libx264", "frag_keyframe+empty_moov"),
        ("mkv", "libx264", ""),
        ("flv", "libx264", ""),
        ("avi", "mpeg4", ""),
        ("wmv", "wmv2", ""),
    ],
)
def test_what_stands_behind_the_end_does_not_matter(
    tmp_path: Path, suffix: str, codec: str, flags: str, junk: bytes
) -> None:
    path = write(tmp_path / f"v.{suffix}", codec, 30, muxer={"movflags": flags} if flags else {})
    path.write_bytes(path.read_bytes() + junk)
    clip = decode_clip(path, 8, 96)
    assert clip.frame_count == 30
    assert [problem for problem in clip.problems if not problem.startswith("pyav: container")] == []


@pytest.mark.parametrize(
    ("form", "codec"),
    [("matroska", "libx264"), ("webm", "libvpx"), ("flv", "libx264"), ("avi", "mpeg4"), ("asf", "wmv2")],
)
def test_what_was_written_to_a_pipe_is_read(tmp_path: Path, form: str, codec: str) -> None:
    """Whoever wrote it could not go back, so no length in it was filled in."""
    source = write(tmp_path / "source.mkv", "ffv1", 30)
    command = [get_ffmpeg_exe(), "-v", "error", "-i", str(source), "-c:v", codec, "-f", form, "-"]
    path = tmp_path / "v"
    path.write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)
    clip = decode_clip(path, 8, 96)
    assert [number_in(picture) for picture in clip.frames] == list(segment_centres(30, 8))
    assert [problem for problem in clip.problems if not problem.startswith("pyav: container")] == []


CODECS = {
    **{"mp4": "libx264", "mkv": "libx264", "avi": "mpeg4", "flv": "libx264", "wmv": "wmv2", "webm": "libvpx"},
    **{"ogv": "libvpx", "gif": "gif", "apng": "apng", "rm": "rv20"},
}


def last_bytes_matter(path: Path) -> Path:
    """A video of 30 frames in the container that ``path`` ends with."""
    pixels = {".gif": "rgb8", ".apng": "rgb24"}.get(path.suffix, "yuv420p")
    return write(path, CODECS[path.suffix[1:]], 30, height=144, pixels=pixels)


@pytest.mark.parametrize("suffix", CODECS)
def test_a_file_is_whole_with_its_last_byte(tmp_path: Path, suffix: str) -> None:
    path = last_bytes_matter(tmp_path / f"v.{suffix}")
    with av.open(str(path)) as container:
        kind = container.format.name
    content = path.read_bytes()
    assert ending_of(path, kind) == (True, 0)
    # WMV's index is of no account; GIF's last byte is its trailer.
    for missing in {"wmv": (1000,), "gif": (1, 40, 300)}.get(suffix, (40, 300)):
        path.write_bytes(content[:-missing])
        whole, share = ending_of(path, kind)
        assert whole is (None if suffix == "wmv" else False)
        # What follows the part that was cut is not known to be missing.
        assert not share or share == pytest.approx(1 - missing / len(content), abs=0.1)
    path.write_bytes(content[:-300] + bytes(4396))
    assert not ending_of(path, kind).whole
    assert ending_of(path, "mpegts").whole is None


@pytest.mark.parametrize("suffix", ["ogv", "gif", "apng", "rm"])
def test_what_says_nothing_of_its_length_and_is_cut_is_never_taken_for_whole(
    tmp_path: Path, suffix: str
) -> None:
    """Where it counts its frames or bytes half of it is refused, and else the cut is remarked on."""
    path = last_bytes_matter(tmp_path / f"v.{suffix}")
    content = path.read_bytes()
    clip = decode_clip(path, 8, 96)
    assert (clip.frame_count, [each for each in clip.problems if "end" in each]) == (30, [])
    counted = suffix in ("apng", "rm")
    path.write_bytes(content[: len(content) * 55 // 100])
    if counted:
        with pytest.raises(UnreadableVideoError, match=r"truncated: .* s, 5\d% of its bytes, are there"):
            decode_clip(path, 8, 96)
    else:
        assert "its end is missing: " in decode_clip(path, 8, 96).problems[0]
    path.write_bytes(content[: len(content) * 96 // 100])
    assert any("its end is missing: " in each for each in decode_clip(path, 8, 96).problems)


@pytest.mark.parametrize("sound", ["first", "last"])
def test_an_mp4_cut_anywhere_in_its_index_is_never_taken_for_whole(tmp_path: Path, sound: str) -> None:
    """Sound between the pictures makes many chunks, and libav reads as many as the index still has."""
    path = write(tmp_path / "v.mp4", count=100, sound=sound, **PLAIN)
    content = path.read_bytes()
    begin = content.index(b"moov") - 4
    frames = set()
    for end in range(begin + 8, len(content), 67):
        path.write_bytes(content[:end])
        try:
            clip = decode_clip(path, 3, 96)
        except UnreadableVideoError as error:
            assert re.search(r"its index \(moov\) is cut off|truncated: \d+ of 100 frames", str(error))  # noqa: PT017
        else:
            frames.add(clip.frame_count)
            assert clip.frame_count == 100 or "its end is missing" in clip.problems[0]
    assert min(frames) >= 90
    assert max(frames) == 100


def test_a_tenth_may_be_missing_and_no_more(tmp_path: Path) -> None:
    """Of 100 frames that its index lists."""
    path = write(tmp_path / "v.mp4", muxer={"movflags": "faststart"}, **PLAIN)
    content = path.read_bytes()
    with av.open(str(path)) as container:
        ends = [(packet.pos or 0) + packet.size for packet in container.demux(video=0) if packet.size]
    path.write_bytes(content[: ends[89]])
    clip = decode_clip(path, 8, 96)
    assert (clip.frame_count, clip.problems[0].split(",")[0]) == (90, "its end is missing: 90 of 100 frames")
    path.write_bytes(content[: ends[88]])
    with pytest.raises(UnreadableVideoError, match="truncated: 89 of 100 frames"):
        decode_clip(path, 8, 96)


def test_a_file_cut_before_its_first_frame_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "v.mkv", count=COUNT, **PLAIN)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(bytes.fromhex("1f43b675")) + 30])
    with pytest.raises(UnreadableVideoError, match=r"truncated: no frame is there, \d+% of its bytes"):
        decode_clip(path, 8, 96)


def test_the_share_is_of_all_bytes(tmp_path: Path) -> None:
    path = write(tmp_path / "v.mkv", count=30)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert ending_of(path, "matroska,webm") == (False, pytest.approx(0.5, abs=0.001))


def test_fragments_that_the_index_at_the_begin_lists_are_missed(tmp_path: Path) -> None:
    """Cut between two fragments, where nothing but that index tells."""
    flags = "frag_keyframe+empty_moov+default_base_moof+global_sidx"
    path = write(tmp_path / "v.mp4", count=36, muxer={"movflags": flags}, bf="0", g="12")
    content = path.read_bytes()
    assert ending_of(path, MOV).whole
    path.write_bytes(content[: content.rindex(b"moof") - 4])
    whole, share = ending_of(path, MOV)
    assert not whole
    assert 0.5 < share < 0.9
    with pytest.raises(UnreadableVideoError, match=r"truncated: 24 frames, .*% of its bytes"):
        decode_clip(path, 8, 96)


def test_an_index_that_counts_more_than_it_holds_is_read_no_further_than_it_goes(tmp_path: Path) -> None:
    """By hand: it lists all 200 bytes that follow it, and counts one entry more (ISO/IEC 14496-12, 8.16)."""

    def box(name: bytes, content: bytes) -> bytes:
        return (8 + len(content)).to_bytes(4) + name + content

    entries = 2 * ((100).to_bytes(4) + bytes(8))
    index = box(b"sidx", bytes(20) + (3).to_bytes(4) + entries)
    path = tmp_path / "v.mp4"
    path.write_bytes(box(b"ftyp", b"isom") + index + box(b"moof", b"m" * 92) + box(b"mdat", b"m" * 92))
    assert ending_of(path, MOV) == (True, 0)
    path.write_bytes(path.read_bytes()[:-100])
    whole, share = ending_of(path, MOV)
    assert not whole
    assert share == (12 + 56 + 100) / (12 + 56 + 200)
