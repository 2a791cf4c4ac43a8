"""One video of each sort: codecs, containers, ways of timing, hiding and laying down frames."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from video_zoo import (
    cut,
    cut_at_a_key_frame,
    packed,
    resized_halfway,
    trim,
    with_a_late_time,
    with_frames_not_coded,
    with_hidden_frames,
    with_repeats,
    with_times_of_decoding,
    without_index,
    without_sync_table,
    write,
)

__all__ = ["KINDS", "PLAIN", "Kind"]


@dataclass(frozen=True)
class Kind:
    """One sort of video.

    ``linear``: part of the remark that says why every frame has to be decoded, "" where it has not.
    ``numbers``: what is shown, all 100 by default. ``decord``: what it gives, "right", "wrong" (other
    frames, or another count, or nothing at all), or "" where it depends. ``repeats``: it has packets that
    show the frame before once more, which libav's own programs leave out.
    """

    make: Callable[[Path], Path]
    linear: str = ""
    numbers: Sequence[int] = range(100)
    decord: str = "right"
    repeats: bool = False


def x265(at: Path, params: str = "", count: int = 100, suffix: str = "mp4", **more: str) -> Path:
    params = f"log-level=none:keyint=12:bframes=3{params}"
    return write(at / f"v.{suffix}", "libx265", count, preset="ultrafast", x265_params=params, **more)


def vpx(path: Path, codec: str = "libvpx", **more: object) -> Path:
    return write(path, codec, **{"g": "12", "deadline": "realtime", "cpu_used": "8", **more})  # type: ignore[arg-type]


PLAIN = {"bf": "0", "g": "12"}
CLOSED = {"x264_params": "open-gop=0:keyint=12:bframes=3:b-adapt=0"}
OPEN = {"x264_params": "open-gop=1:keyint=12:bframes=3:b-adapt=0:scenecut=0"}
GAPS = [number + 40 * (number > 30) + 3 * (number > 60) for number in range(100)]
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov"}

KINDS: dict[str, Kind] = {
    "H.264, GOP 12": Kind(lambda at: write(at / "v.mp4", **PLAIN)),
    "H.264, GOP 250": Kind(lambda at: write(at / "v.mp4", bf="0", g="250", sc_threshold="0")),
    "H.264, B-frames": Kind(lambda at: write(at / "v.mp4", **CLOSED)),
    "H.264, open GOP": Kind(lambda at: write(at / "v.mp4", **OPEN), decord="wrong"),
    "H.264, as x264 does it": Kind(lambda at: write(at / "v.mp4", preset="medium")),
    "H.264, intra refresh": Kind(
        lambda at: write(at / "v.mp4", x264_params="intra-refresh=1:keyint=12:bframes=0"),
        "did not come", decord="wrong",
    ),
    "H.264, every frame said to be a key frame": Kind(
        lambda at: without_sync_table(write(at / "v.mp4", **PLAIN)), decord="wrong"
    ),
    "MPEG-4, every frame said to be a key frame": Kind(
        lambda at: without_sync_table(write(at / "v.mp4", "mpeg4", g="12")), "damaged", decord="wrong"
    ),
    "H.264 in AVI": Kind(lambda at: write(at / "v.avi", **PLAIN), "codec h264", decord="wrong"),
    "H.265, closed GOP": Kind(lambda at: x265(at, ":open-gop=0")),
    "H.265, as x265 does it": Kind(x265, decord="wrong"),
    "H.265, 10 bits": Kind(
        lambda at: x265(at, pixels="yuv420p10le"), decord="wrong"
    ),
    "VP8": Kind(lambda at: vpx(at / "v.webm")),
    "VP8, hidden frames": Kind(lambda at: with_hidden_frames(at / "v.webm", "libvpx"), decord="wrong"),
    "VP8, a time that is too late": Kind(
        lambda at: with_a_late_time(at / "v.webm"), "timestamps go back", decord="wrong"
    ),
    "VP9": Kind(lambda at: vpx(at / "v.webm", "libvpx-vp9")),
    "VP9, GOP 250": Kind(lambda at: vpx(at / "v.webm", "libvpx-vp9", g="250")),
    "VP9, hidden frames": Kind(lambda at: with_hidden_frames(at / "v.webm", "libvpx-vp9")),
    "AV1": Kind(
        lambda at: write(at / "v.mp4", "libsvtav1", 40, preset="8", g="12"),
        numbers=range(40), decord="wrong",
    ),
    "MPEG-4 AVI": Kind(lambda at: write(at / "v.avi", "mpeg4", g="12")),
    "MPEG-4 AVI, B-frames": Kind(
        lambda at: write(at / "v.avi", "mpeg4", g="12", bf="2"), "B-frames", decord=""
    ),
    "MPEG-4 AVI, packed B-frames": Kind(
        lambda at: packed(at / "v.avi"), "B-frames", decord="wrong"
    ),
    "MPEG-4 AVI, no index": Kind(
        lambda at: without_index(write(at / "v.avi", "mpeg4", g="12"))
    ),
    "MPEG-4, frames not coded": Kind(
        lambda at: with_frames_not_coded(at / "v.mkv"), "without a picture", decord="wrong"
    ),
    "DivX 3": Kind(lambda at: write(at / "v.mkv", "msmpeg4v3", g="12"), "codec", decord=""),
    "MPEG-1": Kind(
        lambda at: write(at / "v.mpg", "mpeg1video", g="12", bf="2"), "container mpeg", decord="wrong"
    ),
    "H.263 AVI": Kind(
        lambda at: write(at / "v.avi", "h263", height=144, g="30"), "codec h263", decord="wrong"
    ),
    "Windows Media": Kind(
        lambda at: write(at / "v.wmv", "wmv2", g="12"), "container asf", decord="wrong"
    ),
    "Flash": Kind(lambda at: write(at / "v.flv", g="12", bf="2"), "container flv"),
    "transport stream": Kind(
        lambda at: write(at / "v.ts", container="mpegts", g="12", bf="2"), "transport", decord="wrong"
    ),
    "Matroska": Kind(lambda at: write(at / "v.mkv", **PLAIN)),
    "QuickTime": Kind(lambda at: write(at / "v.mov", **PLAIN)),
    "QuickTime, Motion JPEG": Kind(lambda at: write(at / "v.mov", "mjpeg", pixels="yuvj420p")),
    "3GPP2": Kind(lambda at: write(at / "v.3g2", count=40, **PLAIN), numbers=range(40)),
    "F4V": Kind(lambda at: write(at / "v.f4v", count=40, **PLAIN), numbers=range(40)),
    "raw H.264": Kind(
        lambda at: write(at / "v.h264", count=40, g="12", bf="2"), "raw stream", range(40), "wrong"
    ),
    "raw H.265": Kind(
        lambda at: x265(at, count=40, suffix="hevc"), "raw stream", range(40), "wrong"
    ),
    "raw MPEG-4": Kind(
        lambda at: write(at / "v.m4v", "mpeg4", 40, container="m4v", g="12", bf="2"),
        "raw stream", range(40), "wrong",
    ),
    "raw MPEG-2": Kind(
        lambda at: write(at / "v.m2v", "mpeg2video", 40, g="12", bf="2"), "raw stream", range(40), "wrong"
    ),
    "raw Motion JPEG": Kind(
        lambda at: write(at / "v.mjpeg", "mjpeg", 40, pixels="yuvj420p"), "raw stream", range(40), "wrong"
    ),
    "raw AV1": Kind(
        lambda at: write(at / "v.obu", "libsvtav1", 40, preset="8", g="12"), "raw stream", range(40), "wrong"
    ),
    "raw H.263": Kind(
        lambda at: write(at / "v.h263", "h263", 40, height=144, g="12"), "raw stream", range(40), ""
    ),
    "raw H.261": Kind(
        lambda at: write(at / "v.h261", "h261", 40, height=144, g="12"), "raw stream", range(40), ""
    ),
    "SWF": Kind(lambda at: write(at / "v.swf", "flv", 40, g="12"), "container swf", range(40), ""),
    "AVIF, a sequence": Kind(
        lambda at: write(at / "v.avif", "libsvtav1", 40, preset="8", g="12"), "", range(40), ""
    ),
    "YUV4MPEG": Kind(
        lambda at: write(at / "v.y4m", "wrapped_avframe", 40), "container yuv4mpegpipe", range(40), "right"
    ),
    "IVF": Kind(lambda at: vpx(at / "v.ivf", count=40), "container ivf", range(40), ""),
    "NUT": Kind(lambda at: write(at / "v.nut", count=40, **PLAIN), "container nut", range(40), ""),
    "DV": Kind(
        lambda at: write(at / "v.dv", "dvvideo", 20, width=720, height=576), "container dv", range(20), ""
    ),
    "RealMedia": Kind(
        lambda at: write(at / "v.rm", "rv20", 40, height=144, g="12"), "container rm", range(40), ""
    ),
    "MXF": Kind(
        lambda at: write(at / "v.mxf", "mpeg2video", 40, g="12"), "container mxf", range(40), ""
    ),
    "Theora, frames as before": Kind(
        lambda at: with_repeats(at / "v.ogv"), "container ogg",
        tuple(number - number // 10 for number in range(40)), "wrong", repeats=True,
    ),
    "animated PNG": Kind(
        lambda at: write(at / "v.apng", "apng", 20, pixels="rgb24"), "container apng", range(20), ""
    ),
    "animated GIF": Kind(
        lambda at: write(at / "v.gif", "gif", 30, pixels="rgb8"),
        "container gif", range(30), "wrong",
    ),
    "fragmented": Kind(
        lambda at: write(at / "v.mp4", muxer=FRAGMENTED, **PLAIN), decord=""
    ),
    "fragmented, every frame a key frame": Kind(
        lambda at: write(at / "v.mp4", "mpeg4", muxer=FRAGMENTED, g="1", bf="2"),
        "reordered", decord="wrong",
    ),
    "live WebM, no index": Kind(
        lambda at: vpx(at / "v.webm", muxer={"live": "1"}), decord="wrong"
    ),
    "variable rate with gaps": Kind(lambda at: write(at / "v.mp4", times=GAPS, **CLOSED)),
    "variable rate in Matroska": Kind(lambda at: write(at / "v.mkv", times=GAPS, **CLOSED)),
    "odd size, 4:4:4": Kind(lambda at: write(at / "v.mp4", width=177, height=97, pixels="yuv444p", **PLAIN)),
    "odd size, VP9": Kind(lambda at: vpx(at / "v.webm", "libvpx-vp9", width=177, height=97)),
    "10 bits": Kind(lambda at: write(at / "v.mp4", pixels="yuv420p10le", **PLAIN)),
    "interlaced": Kind(
        lambda at: write(at / "v.mpg", "mpeg2video", flags="+ildct+ilme", g="12"),
        "container mpeg", decord="wrong",
    ),
    "interlaced H.264": Kind(lambda at: write(at / "v.mp4", x264_params="tff=1:keyint=12:bframes=2")),
    "stream copy with an edit list": Kind(
        lambda at: cut(write(at / "whole.mp4", **PLAIN), at / "v.mp4", 20),
        numbers=range(29, 100), decord="wrong",
    ),
    "edit list and B-frames": Kind(
        lambda at: cut(write(at / "whole.mp4", g="12", bf="2"), at / "v.mp4", 20),
        numbers=range(29, 100), decord="wrong",
    ),
    "edit list that hides the end too": Kind(
        lambda at: trim(write(at / "v.mp4", **PLAIN), 20, 50), numbers=range(20, 70), decord="wrong"
    ),
    "B-frames with times of decoding": Kind(
        lambda at: with_times_of_decoding(write(at / "whole.mp4", **CLOSED), at / "v.mkv"),
        "their times are not", decord="",
    ),
    "B-frames with times of decoding, MP4": Kind(
        lambda at: with_times_of_decoding(write(at / "whole.mp4", **CLOSED), at / "v.mp4"),
        "their times are not", decord="",
    ),
    "cut at an open GOP": Kind(
        lambda at: cut_at_a_key_frame(x265(at), at / "cut.mkv"),
        "before the first key frame", range(12, 100), "wrong",
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
        lambda at: write(at / "v.mkv", turn=90, **PLAIN), decord="wrong"
    ),
    "turned by 270, open GOP": Kind(
        lambda at: write(at / "v.mp4", turn=270, **OPEN), decord="wrong"
    ),
    "mirrored": Kind(
        lambda at: write(at / "v.mp4", hflip=True, **PLAIN), decord="wrong"
    ),
}  # fmt: skip
