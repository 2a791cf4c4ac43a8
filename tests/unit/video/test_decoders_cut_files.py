"""Files that end too early: whichever decoder answers, the frames are those that come of decoding it all.

The reference is a loop over the packets that knows nothing of fsarctl's decoders; painted numbers say which
frames it gave.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import av
import pytest
from av.video.reformatter import VideoReformatter
from video_zoo import number_in, write

from fsarctl.video.container.demuxing import UnreadableVideoError
from fsarctl.video.decode_clip import decode_clip
from fsarctl.video.sampling import segment_centres

COUNT, SIDE = 30, 96
PLACES = 60
FASTSTART = {"movflags": "faststart"}
HEVC = "log-level=none:keyint=12:bframes=3:pools=1"
B_FRAMES = "open-gop=0:keyint=12:bframes=3:b-adapt=0"
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov"}

MADE: dict[str, Callable[[Path], Path]] = {
    "MP4, H.264": lambda at: write(at / "v.mp4", count=COUNT, muxer=FASTSTART, bf="0", g="12"),
    "MP4, H.264, GOP 250": lambda at: write(at / "v.mp4", count=COUNT, muxer=FASTSTART, bf="0", g="250"),
    "MP4, B-frames": lambda at: write(at / "v.mp4", count=COUNT, muxer=FASTSTART, x264_params=B_FRAMES),
    "MP4, H.265": lambda at: write(
        at / "v.mp4", "libx265", COUNT, muxer=FASTSTART, preset="ultrafast", x265_params=HEVC
    ),
    "MP4, MPEG-4": lambda at: write(at / "v.mp4", "mpeg4", COUNT, muxer=FASTSTART, g="12"),
    "MP4, VP9": lambda at: write(
        at / "v.mp4", "libvpx-vp9", COUNT, muxer=FASTSTART, g="12", deadline="realtime", cpu_used="8"
    ),
    "MP4, fragments": lambda at: write(at / "v.mp4", count=COUNT, muxer=FRAGMENTED, bf="0", g="12"),
    "QuickTime, Motion JPEG": lambda at: write(
        at / "v.mov", "mjpeg", COUNT, pixels="yuvj420p", muxer=FASTSTART
    ),
    "AVI, Motion JPEG": lambda at: write(at / "v.avi", "mjpeg", COUNT, pixels="yuvj420p"),
    "AVI, MPEG-4": lambda at: write(at / "v.avi", "mpeg4", COUNT, g="12"),
    "Matroska, H.264": lambda at: write(at / "v.mkv", count=COUNT, bf="0", g="12"),
    "WebM, VP8": lambda at: write(at / "v.webm", "libvpx", COUNT, g="12", deadline="realtime", cpu_used="8"),
}


SCALER = VideoReformatter()
"""Each frame's own would be set up for it alone, which takes longer than all the rest."""


class Whole(NamedTuple):
    """What decoding every packet gives: the frames, and whether something was lost."""

    frames: list[av.VideoFrame]
    lost: bool

    def number(self, index: int) -> int:
        """The number that is painted in a frame."""
        return number_in(SCALER.reformat(self.frames[index], SIDE, SIDE, "rgb24").to_ndarray())


def decoded_whole(path: Path) -> Whole:
    given: list[av.VideoFrame] = []
    lost = False
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        for packet in container.demux(stream):
            lost |= packet.is_corrupt
            try:
                frames = packet.decode()
            except av.FFmpegError:
                lost = True
                continue
            for frame in frames:
                lost |= frame.is_corrupt
                given.append(frame)
    return Whole(given, lost)


def check(path: Path, frames: int) -> bool:
    """False where the file is refused; else its frames must be right, and a loss must be said."""
    try:
        clip = decode_clip(path, frames, SIDE)
    except UnreadableVideoError:
        return False
    whole = decoded_whole(path)
    assert clip.frame_count == len(whole.frames)
    assert clip.indices == segment_centres(len(whole.frames), frames)
    assert [number_in(each) for each in clip.frames] == [whole.number(index) for index in clip.indices]
    assert clip.problems or not whole.lost
    return True


@pytest.mark.parametrize("kind", MADE)
def test_a_file_cut_in_its_last_tenth_gives_what_decoding_it_all_gives(tmp_path: Path, kind: str) -> None:
    path = MADE[kind](tmp_path)
    size = path.stat().st_size
    right = 0
    for place in reversed(range(PLACES)):
        os.truncate(path, size * (9 * PLACES + place) // (10 * PLACES))  # writing it anew waits for the disk
        right += check(path, 8)
    assert right > 0


@pytest.mark.parametrize("kind", MADE)
def test_a_download_whose_end_was_never_written_gives_what_decoding_it_all_gives(
    tmp_path: Path, kind: str
) -> None:
    """Its whole length was set aside in advance, and is zero where nothing came."""
    whole = MADE[kind](tmp_path)
    content = whole.read_bytes()
    with av.open(str(whole)) as container:
        packets = [packet for packet in container.demux(container.streams.video[0]) if packet.size]
        last = sorted((packet.pos or 0, packet.size) for packet in packets)[-4:]
    for begin, _ in last:
        end = last[-1][0] + last[-1][1]
        blank = tmp_path / f"blank{whole.suffix}"
        blank.write_bytes(content[:begin] + bytes(end - begin) + content[end:])
        check(blank, 3)


def test_the_last_packet_is_counted_only_when_it_is_whole(tmp_path: Path) -> None:
    """By hand: 30 pictures of one packet each, all intact but the last one, of which half is there."""
    path = write(tmp_path / "v.mov", "mjpeg", COUNT, pixels="yuvj420p", muxer=FASTSTART)
    with av.open(str(path)) as container:
        last = [packet for packet in container.demux(container.streams.video[0]) if packet.size][-1]
        assert last.pos is not None
        end = last.pos + last.size // 2
    content = path.read_bytes()
    path.write_bytes(content[:end])
    clip = decode_clip(path, 8, SIDE)
    assert clip.frame_count == COUNT - 1
    assert any("incomplete" in each for each in clip.problems)
    path.write_bytes(content)
    assert decode_clip(path, 8, SIDE).problems == ()
