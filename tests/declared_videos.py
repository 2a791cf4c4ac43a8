"""Videos whose container declares more than there is, though nothing of them is missing."""

import struct
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from imageio_ffmpeg import get_ffmpeg_exe
from video_zoo import write

__all__ = ["COUNT", "DECLARED", "ffmpeg"]

COUNT = 40
PLAIN = {"bf": "0", "g": "12"}
FASTSTART = {"movflags": "faststart"}
VPX = {"g": "12", "deadline": "realtime", "cpu_used": "8"}
UNKNOWN_SIZE = (2**56 - 1 | 2**56).to_bytes(8, "big")
PLAY_DURATION = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"), 64  # of ASF's file properties


def ffmpeg(*words: object) -> None:
    subprocess.run([get_ffmpeg_exe(), "-v", "error", "-y", *map(str, words)], check=True)


def patched(path: Path, *changes: tuple[bytes, int, bytes]) -> Path:
    """After each mark, so many bytes behind its begin, other bytes."""
    content = bytearray(path.read_bytes())
    for mark, offset, new in changes:
        place = content.index(mark) + offset
        content[place : place + len(new)] = new
    path.write_bytes(content)
    return path


def captioned(path: Path, cues: list[tuple[int, int]], codec: str, *more: str) -> Path:
    """The video ``path`` with subtitles at these seconds."""
    plain = path.with_name(f"plain{path.suffix}")
    path.rename(plain)
    lines = [f"{n}\n00:00:{a:02},000 --> 00:00:{b:02},000\nwords\n" for n, (a, b) in enumerate(cues, 1)]
    (path.parent / "cues.srt").write_text("\n".join(lines))
    ffmpeg(
        *("-i", plain, "-i", path.parent / "cues.srt", "-map", "0", "-map", "1"),
        *("-c", "copy", "-c:s", codec, *more, path),
    )
    return path


def with_telemetry(path: Path) -> Path:
    """As an action camera lays data down: a packet a second, which together last longer than the pictures."""
    source = write(path.with_name("source.mp4"), count=COUNT, **PLAIN)
    with av.open(str(source)) as given, av.open(str(path), "w", options=FASTSTART) as output:
        copy = output.add_stream_from_template(given.streams.video[0])
        data: Any = output.add_data_stream("bin_data")
        for packet in given.demux(given.streams.video[0]):
            if packet.size:
                packet.stream = copy
                output.mux(packet)
        for second in range(3):
            packet = av.Packet(b"DEVC" + bytes(60))
            packet.stream, packet.time_base = data, Fraction(1, 1000)
            packet.pts = packet.dts = 1000 * second
            packet.duration = 1000
            output.mux(packet)
    return path


def promising(path: Path, frames: int) -> Path:
    """An AVI whose header counts more frames than there are, as of a camera that dropped some."""
    count = frames.to_bytes(4, "little")
    return patched(path, (b"avih", 24, count), (b"strh", 40, count))


def lasting(path: Path, seconds: float, mark: bytes, offset: int) -> Path:
    """Seconds as a number of eight bytes, big end first; Matroska's are milliseconds."""
    return patched(path, (mark, offset, struct.pack(">d", seconds)))


def movie_lasting(path: Path, factor: int) -> Path:
    """An MP4 whose movie header says this many times as long; the index is right."""
    content = path.read_bytes()
    place = content.index(b"mvhd") + 20
    duration = int.from_bytes(content[place : place + 4], "big") or 1000 * COUNT // 25
    return patched(path, (b"mvhd", 20, (duration * factor).to_bytes(4, "big")))


def open_ended(path: Path) -> Path:
    """A Matroska file whose segment leaves its length open, as a stream that was saved."""
    return patched(path, (bytes.fromhex("18538067"), 4, UNKNOWN_SIZE))


def h264(at: Path, suffix: str, **more: Any) -> Path:
    return write(at / f"v.{suffix}", count=COUNT, **PLAIN, **more)


def vp8(at: Path, **more: Any) -> Path:
    return write(at / "v.webm", "libvpx", COUNT, **VPX, **more)


DECLARED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "MKV, subtitles": (lambda at: captioned(h264(at, "mkv"), [(0, 29)], "srt"), ""),
    "WebM, subtitles": (lambda at: captioned(vp8(at), [(0, 29)], "webvtt"), ""),
    "MP4, telemetry as subtitles": (
        lambda at: captioned(
            h264(at, "mp4"), [(n, n + 1) for n in range(3)], "mov_text", "-movflags", "faststart"
        ),
        "",
    ),
    "MP4, a track of data": (lambda at: with_telemetry(at / "v.mp4"), ""),
    "MP4, movie header": (lambda at: movie_lasting(h264(at, "mp4", muxer=FASTSTART), 3), ""),
    "MP4 of fragments": (
        lambda at: movie_lasting(h264(at, "mp4", muxer={"movflags": "frag_keyframe+empty_moov"}), 3),
        "",
    ),
    "WebM, clock on the wall": (lambda at: lasting(vp8(at), 9000, b"\x44\x89\x88", 3), "9.00 s"),
    "WebM, clock on the wall, no length": (
        lambda at: open_ended(lasting(vp8(at), 9000, b"\x44\x89\x88", 3)),
        "9.00 s",
    ),
    "MKV, clock on the wall": (lambda at: lasting(h264(at, "mkv"), 9000, b"\x44\x89\x88", 3), "9.00 s"),
    "Flash, clock on the wall": (lambda at: lasting(h264(at, "flv"), 9, b"duration", 9), "9.00 s"),
    "Windows Media": (
        lambda at: patched(
            write(at / "v.wmv", "wmv2", COUNT, muxer={"packet_size": "300"}, g="12"),
            (*PLAY_DURATION, (121_000_000).to_bytes(8, "little")),
        ),
        "9.00 s",
    ),
    "AVI": (lambda at: promising(write(at / "v.avi", "mpeg4", COUNT, g="12"), 60), "2.40 s"),
    "AVI, Motion JPEG, no index": (
        lambda at: promising(
            write(at / "v.avi", "mjpeg", COUNT, pixels="yuvj420p", muxer={"reserve_index_space": "0"}), 60
        ),
        "2.40 s",
    ),
}
"""Name -> how it is made, and what its header says; "" where another track lasts as long as that."""
