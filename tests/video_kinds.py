"""One video of each sort: codecs, containers, ways of timing, hiding and laying down frames."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from video_zoo import cut, packed, resized_halfway, trim, without_index, write

__all__ = ["KINDS", "PLAIN", "Kind"]


@dataclass(frozen=True)
class Kind:
    """One sort of video.

    ``decoder`` answers for it. ``why`` is part of the remark that says why decord does not.
    ``numbers``: what is shown, all 100 by default. ``alone``: what decord gives without the gates,
    "right", "wrong" (other frames, or another count, or nothing at all), or "" where it depends.
    """

    make: Callable[[Path], Path]
    decoder: str = "decord"
    why: str = ""
    numbers: range = range(100)
    alone: str = "right"


def x265(at: Path, params: str = "", **more: str) -> Path:
    params = f"log-level=none:keyint=12:bframes=3{params}"
    return write(at / "v.mp4", "libx265", preset="ultrafast", x265_params=params, **more)


def vpx(path: Path, codec: str = "libvpx", **more: object) -> Path:
    return write(path, codec, **{"g": "12", "deadline": "realtime", "cpu_used": "8", **more})  # type: ignore[arg-type]


PLAIN = {"bf": "0", "g": "12"}
CLOSED = {"x264_params": "open-gop=0:keyint=12:bframes=3:b-adapt=0"}
OPEN = {"x264_params": "open-gop=1:keyint=12:bframes=3:b-adapt=0:scenecut=0"}
HIDDEN_FRAMES = {"auto_alt_ref": "1", "lag_in_frames": "16", "deadline": "good", "b": "100k"}
GAPS = [number + 40 * (number > 30) + 3 * (number > 60) for number in range(100)]
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov"}

KINDS: dict[str, Kind] = {
    "H.264, GOP 12": Kind(lambda at: write(at / "v.mp4", **PLAIN)),
    "H.264, GOP 250": Kind(lambda at: write(at / "v.mp4", bf="0", g="250", sc_threshold="0")),
    "H.264, B-frames": Kind(lambda at: write(at / "v.mp4", **CLOSED)),
    "H.264, open GOP": Kind(lambda at: write(at / "v.mp4", **OPEN), "pyav", "open GOP", alone="wrong"),
    "H.264 in AVI": Kind(lambda at: write(at / "v.avi", **PLAIN), "pyav", "container avi", alone="wrong"),
    "H.265, closed GOP": Kind(lambda at: x265(at, ":open-gop=0")),
    "H.265, as x265 does it": Kind(x265, "pyav", "open GOP", alone="wrong"),
    "H.265, 10 bits": Kind(
        lambda at: x265(at, pixels="yuv420p10le"), "pyav", "open GOP", alone="wrong"
    ),
    "VP8": Kind(lambda at: vpx(at / "v.webm")),
    "VP8, hidden frames": Kind(lambda at: vpx(at / "v.webm", **HIDDEN_FRAMES)),
    "VP9": Kind(lambda at: vpx(at / "v.webm", "libvpx-vp9")),
    "VP9, GOP 250": Kind(lambda at: vpx(at / "v.webm", "libvpx-vp9", g="250")),
    "VP9, hidden frames": Kind(lambda at: vpx(at / "v.webm", "libvpx-vp9", **HIDDEN_FRAMES)),
    "AV1": Kind(
        lambda at: write(at / "v.mp4", "libsvtav1", 40, preset="8", g="12"),
        "pyav", "codec", range(40), "wrong",
    ),
    "MPEG-4 AVI": Kind(lambda at: write(at / "v.avi", "mpeg4", g="12"), "pyav", "container avi"),
    "MPEG-4 AVI, B-frames": Kind(
        lambda at: write(at / "v.avi", "mpeg4", g="12", bf="2"), "pyav", "container avi", alone=""
    ),
    "MPEG-4 AVI, packed B-frames": Kind(
        lambda at: packed(at / "v.avi"), "pyav", "container avi", alone="wrong"
    ),
    "MPEG-4 AVI, no index": Kind(
        lambda at: without_index(write(at / "v.avi", "mpeg4", g="12")), "pyav", "container avi"
    ),
    "DivX 3": Kind(lambda at: write(at / "v.mkv", "msmpeg4v3", g="12"), "pyav", "codec", alone=""),
    "MPEG-1": Kind(
        lambda at: write(at / "v.mpg", "mpeg1video", g="12", bf="2"), "pyav", "container mpeg", alone="wrong"
    ),
    "H.263 AVI": Kind(
        lambda at: write(at / "v.avi", "h263", height=144, g="30"), "pyav", "container avi", alone="wrong"
    ),
    "Windows Media": Kind(
        lambda at: write(at / "v.wmv", "wmv2", g="12"), "pyav", "container asf", alone="wrong"
    ),
    "Flash": Kind(lambda at: write(at / "v.flv", g="12", bf="2"), "pyav", "container flv"),
    "transport stream": Kind(
        lambda at: write(at / "v.ts", container="mpegts", g="12", bf="2"), "pyav", "transport", alone="wrong"
    ),
    "Matroska": Kind(lambda at: write(at / "v.mkv", **PLAIN)),
    "QuickTime": Kind(lambda at: write(at / "v.mov", **PLAIN)),
    "QuickTime, Motion JPEG": Kind(lambda at: write(at / "v.mov", "mjpeg", pixels="yuvj420p")),
    "animated GIF": Kind(
        lambda at: write(at / "v.gif", "gif", 30, pixels="rgb8"),
        "pyav", "container gif", range(30), "wrong",
    ),
    "fragmented": Kind(
        lambda at: write(at / "v.mp4", muxer=FRAGMENTED, **PLAIN), "pyav", "fragmented", alone=""
    ),
    "fragmented, every frame a key frame": Kind(
        lambda at: write(at / "v.mp4", "mpeg4", muxer=FRAGMENTED, g="1", bf="2"),
        "pyav", "fragmented", alone="wrong",
    ),
    "live WebM, no index": Kind(
        lambda at: vpx(at / "v.webm", muxer={"live": "1"}), "pyav", "cannot read it", alone="wrong"
    ),
    "variable rate with gaps": Kind(lambda at: write(at / "v.mp4", times=GAPS, **CLOSED)),
    "variable rate in Matroska": Kind(lambda at: write(at / "v.mkv", times=GAPS, **CLOSED)),
    "odd size, 4:4:4": Kind(lambda at: write(at / "v.mp4", width=177, height=97, pixels="yuv444p", **PLAIN)),
    "odd size, VP9": Kind(lambda at: vpx(at / "v.webm", "libvpx-vp9", width=177, height=97)),
    "10 bits": Kind(lambda at: write(at / "v.mp4", pixels="yuv420p10le", **PLAIN)),
    "interlaced": Kind(
        lambda at: write(at / "v.mpg", "mpeg2video", flags="+ildct+ilme", g="12"),
        "pyav", "container mpeg", alone="wrong",
    ),
    "interlaced H.264": Kind(lambda at: write(at / "v.mp4", x264_params="tff=1:keyint=12:bframes=2")),
    "stream copy with an edit list": Kind(
        lambda at: cut(write(at / "whole.mp4", **PLAIN), at / "v.mp4", 20),
        "pyav", "edit list", range(29, 100), "wrong",
    ),
    "edit list and B-frames": Kind(
        lambda at: cut(write(at / "whole.mp4", g="12", bf="2"), at / "v.mp4", 20),
        "pyav", "edit list", range(29, 100), "wrong",
    ),
    "edit list that hides the end too": Kind(
        lambda at: trim(write(at / "v.mp4", **PLAIN), 20, 50), "pyav", "edit list", range(20, 70), "wrong"
    ),
    "starts late": Kind(lambda at: write(at / "v.mp4", times=range(30, 130), sound="first", **CLOSED)),
    "audio first": Kind(lambda at: write(at / "v.mp4", sound="first", **PLAIN)),
    "audio last": Kind(lambda at: write(at / "v.mkv", sound="last", **PLAIN)),
    "another size from the middle on": Kind(
        lambda at: resized_halfway(at / "v.webm"), numbers=range(80)
    ),
    "one frame": Kind(lambda at: write(at / "v.mp4", count=1), numbers=range(1)),
    "three frames": Kind(lambda at: write(at / "v.mp4", count=3, **PLAIN), numbers=range(3)),
    "turned by 90": Kind(lambda at: write(at / "v.mp4", turn=90, **PLAIN)),
    "turned by 180": Kind(lambda at: write(at / "v.mp4", turn=180, **PLAIN)),
    "turned by 270": Kind(lambda at: write(at / "v.mp4", turn=270, **PLAIN)),
    "turned by 90 in Matroska": Kind(
        lambda at: write(at / "v.mkv", turn=90, **PLAIN), "pyav", "turned", alone="wrong"
    ),
    "turned by 270, open GOP": Kind(
        lambda at: write(at / "v.mp4", turn=270, **OPEN), "pyav", "open GOP", alone="wrong"
    ),
    "mirrored": Kind(
        lambda at: write(at / "v.mp4", hflip=True, **PLAIN), "pyav", "mirrored", alone="wrong"
    ),
}  # fmt: skip
