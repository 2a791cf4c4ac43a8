"""Videos whose frames carry their own number, and the means to read it back.

A painted frame has a white strip along the top and a black one along the bottom; between them two rows
of bars: a white guard, nine bits, a black guard, and under each its opposite. A picture that is mirrored,
turned, torn between two frames or beyond reading has no number (-1).
"""

import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe
from numpy.typing import NDArray

BITS = 9
BARS = BITS + 2
WIDTH, HEIGHT = 176, 96
WHITE, BLACK = 235, 16
NOT_CODED = b"\x00\x00\x01\xb6\x50\x4f"
USER_DATA = b"\x00\x00\x01\xb2made by nobody"

Picture = NDArray[np.uint8]


def painted(number: int, width: int = WIDTH, height: int = HEIGHT) -> Picture:
    """(height, width, 3) with ``number``, 0 to 511, in it."""
    picture = np.full((height, width, 3), WHITE, np.uint8)
    picture[5 * height // 6 :] = BLACK
    for bar, white in enumerate([True, *(bool(number >> bit & 1) for bit in range(BITS)), False]):
        columns = slice(bar * width // BARS, (bar + 1) * width // BARS)
        picture[height // 6 : height // 2, columns] = WHITE if white else BLACK
        picture[height // 2 : 5 * height // 6, columns] = BLACK if white else WHITE
    return picture


def number_in(picture: Picture) -> int:
    """The number of a painted picture of any size; -1 when it is not upright or cannot be read."""
    height, width = picture.shape[:2]
    rows = [picture[int((third + 1.5) / 6 * height)].mean(1) for third in (0, 2)]
    columns = [int((bar + 0.5) * width / BARS) for bar in range(BARS)]
    upper, lower = ([row[column] > 128 for column in columns] for row in rows)
    upright = picture[height // 20].mean() > 128 > picture[-1 - height // 20].mean()
    if not upright or not upper[0] or upper[-1] or any(a == b for a, b in zip(upper, lower, strict=True)):
        return -1
    return sum(int(bit) << place for place, bit in enumerate(upper[1:-1]))


def write(
    path: Path,
    codec: str = "libx264",
    count: int = 100,
    *,
    width: int = WIDTH,
    height: int = HEIGHT,
    pixels: str = "yuv420p",
    rate: int = 25,
    numbers: Sequence[int] | None = None,
    times: Iterable[int] | None = None,
    turn: int = 0,
    hflip: bool = False,
    vflip: bool = False,
    sound: str = "",
    container: str | None = None,
    muxer: dict[str, str] | None = None,
    flags: str = "",
    **options: str,
) -> Path:
    """Encode ``count`` painted frames, or those of ``numbers``.

    ``times`` are their presentation times in frames. ``turn``, ``hflip`` and ``vflip`` are written into
    the container, and the frames laid down so that a player shows them upright. ``sound`` is "first" or
    "last": where among the streams an audio stream stands.
    """
    if codec == "libx264":
        options = {"preset": "ultrafast", **options}
    with as_urgent_as_before(), av.open(str(path), "w", format=container, options=muxer or {}) as output:
        audio = _Sound(output, path) if sound == "first" else None
        stream: Any = output.add_stream(
            codec, rate=rate, options={name.replace("_", "-"): value for name, value in options.items()}
        )
        stream.width, stream.height = (height, width) if turn % 180 else (width, height)
        stream.pix_fmt = pixels
        if turn or hflip or vflip:
            stream.set_display_rotation(turn, hflip=hflip, vflip=vflip)
        if flags:
            stream.codec_context.options = {"flags": flags}
        audio = _Sound(output, path) if sound == "last" else audio
        numbers = range(count) if numbers is None else numbers
        for number, time in zip(numbers, times or range(len(numbers)), strict=False):
            if audio is not None:
                audio.play(number / rate)
            # The matrix turns first and mirrors then, so what undoes it mirrors first.
            picture = painted(number, width, height)
            picture = picture[:, ::-1] if hflip else picture
            picture = picture[::-1] if vflip else picture
            picture = np.ascontiguousarray(np.rot90(picture, -turn // 90))
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, rate)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if audio is not None:
            audio.stop()
    return path


@contextmanager
def as_urgent_as_before() -> Iterator[None]:
    """Of the superuser SVT-AV1 makes a process that waits for no other, and so are all that it starts."""
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        if os.sched_getscheduler(0) != policy:
            os.sched_setscheduler(0, policy, priority)


def cut(source: Path, target: Path, first_packet: int) -> Path:
    """A stream copy that begins after a key frame's time: the muxer hides frames by an edit list."""
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


def cut_at_a_key_frame(source: Path, target: Path) -> Path:
    """A stream copy from the second key frame on: of an open GOP, frames before it in time come along."""
    with av.open(str(source)) as given, av.open(str(target), "w") as output:
        stream = given.streams.video[0]
        copy = output.add_stream_from_template(stream)
        packets = [packet for packet in given.demux(stream) if packet.size]
        start = [place for place, packet in enumerate(packets) if packet.is_keyframe][1]
        for packet in packets[start:]:
            packet.stream = copy
            output.mux(packet)
    return target


def trim(path: Path, first: int, count: int) -> Path:
    """Rewrite the edit list of an MP4 that ``write`` made, to show ``count`` frames from ``first``."""
    content = bytearray(path.read_bytes())
    place = content.index(b"elst") + 8  # after the name, version and flags
    movie_scale = int.from_bytes(content[(at := content.index(b"mvhd") + 16) : at + 4])
    media_scale = int.from_bytes(content[(at := content.index(b"mdhd") + 16) : at + 4])
    assert content[place : place + 4] == (1).to_bytes(4)
    begin = int.from_bytes(content[place + 8 : place + 12]) + first * media_scale // 25
    content[place + 4 : place + 12] = (count * movie_scale // 25).to_bytes(4) + begin.to_bytes(4)
    path.write_bytes(content)
    return path


def without_index(path: Path) -> Path:
    """Remove an AVI's index, which stands at its end."""
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"idx1")])
    return path


def with_repeats(path: Path, numbers: Sequence[int] = (), gop: int = 12) -> Path:
    """Theora, of which a frame that is the one before it is an empty packet: every tenth but the first, or
    where ``numbers`` do not go on."""
    numbers = numbers or [number - number // 10 for number in range(40)]
    source = write(path.with_name("source.mkv"), "ffv1", numbers=numbers)
    words = [
        "-v",
        "error",
        "-y",
        "-i",
        str(source),
        "-c:v",
        "libtheora",
        "-g",
        str(gop),
        "-q:v",
        "8",
        str(path),
    ]
    subprocess.run([get_ffmpeg_exe(), *words], check=True)
    return path


def with_hidden_frames(path: Path, codec: str) -> Path:
    """Two passes of libvpx, which then refers to frames that are never shown, as video sites have them."""
    source = write(path.with_name("source.mp4"), bf="0", g="12")
    options = f"-c:v {codec} -b:v 100k -auto-alt-ref 1 -lag-in-frames 25 -g 50 -deadline good -cpu-used 4"
    begin = [get_ffmpeg_exe(), "-v", "error", "-y", "-i", str(source), *options.split()]
    for number in "12":
        log = ["-passlogfile", str(path.with_name("log")), "-pass", number]
        subprocess.run([*begin, *log, str(path)], check=True)
    return path


def without_sync_table(path: Path) -> Path:
    """Take away what tells an MP4's key frames from the others: now every frame is said to be one."""
    path.write_bytes(path.read_bytes().replace(b"stss", b"free"))
    return path


def with_frames_not_coded(path: Path, say_more_from: int = 50) -> Path:
    """MPEG-4 in which a packet that codes nothing follows every tenth: no frame comes of it.

    Those after frame ``say_more_from`` say who made them before that.
    """
    source = write(path.with_name("source.avi"), "mpeg4", g="12")
    with av.open(str(source)) as given, av.open(str(path), "w") as output:
        copy = output.add_stream_from_template(given.streams.video[0])
        contents = []
        for number, packet in enumerate(given.demux(given.streams.video[0])):
            if packet.size:
                contents.append((bytes(packet), packet.is_keyframe))
                contents += [(USER_DATA * (number > say_more_from) + NOT_CODED, False)] * (number % 10 == 5)
        for number, (content, is_key) in enumerate(contents):
            packet = av.Packet(content)
            packet.stream, packet.time_base, packet.is_keyframe = copy, Fraction(1, 25), is_key
            packet.pts = packet.dts = number
            output.mux(packet)
    return path


def with_a_late_time(path: Path, number: int = 40) -> Path:
    """One packet's time, in a file whose frames are shown as they stand, is damaged: half a second late."""
    source = write(path.with_name("source.webm"), "libvpx", g="12", deadline="realtime", cpu_used="8")
    with av.open(str(source)) as given, av.open(str(path), "w") as output:
        copy = output.add_stream_from_template(given.streams.video[0])
        packets = [packet for packet in given.demux(given.streams.video[0]) if packet.size]
        for place, packet in enumerate(packets):
            packet.stream = copy
            packet.pts += 510 if place == number else 0  # ms
            output.mux(packet)
    return path


def with_times_of_decoding(source: Path, target: Path) -> Path:
    """A stream copy that takes the times of decoding for those of showing, as AVI makes tools do."""
    with av.open(str(source)) as given, av.open(str(target), "w") as output:
        copy = output.add_stream_from_template(given.streams.video[0])
        packets = [packet for packet in given.demux(given.streams.video[0]) if packet.size]
        early = packets[0].dts
        for packet in packets:
            packet.stream, packet.pts, packet.dts = copy, packet.dts - early, packet.dts - early
            output.mux(packet)
    return target


def with_noise(path: Path, packets: Iterable[int], after: int = 0) -> Path:
    """Overwrite these packets of pictures, but for the first bytes of each."""
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for begin, size in (places[number] for number in packets):
        content[begin + after : begin + size] = b"\xff" * (size - after)
    path.write_bytes(content)
    return path


def with_b_frames_marked(path: Path) -> Path:
    """An MP4 that ends with its index says which frames no other refers to (ISO/IEC 14496-12, 8.6.4)."""
    with av.open(str(path)) as container:
        times = [packet.pts for packet in container.demux(video=0) if packet.size]
    marks = [0x18 if time < max(times[: place + 1]) else 0x10 for place, time in enumerate(times)]
    box = (12 + len(marks)).to_bytes(4) + b"sdtp" + bytes([0, 0, 0, 0, *marks])
    content = bytearray(path.read_bytes())
    end = 0
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        place = content.rindex(name) - 4
        length = int.from_bytes(content[place : place + 4])
        content[place : place + 4] = (length + len(box)).to_bytes(4)
        end = place + length
    path.write_bytes(content[:end] + box + content[end:])
    return path


def spliced(path: Path) -> Path:
    """H.265 whose key frames but the first say that what was before them is gone."""
    content = path.read_bytes()
    with av.open(str(path)) as container:
        keys = [packet for packet in container.demux(video=0) if packet.size and packet.is_keyframe]
    changed = bytearray(content)
    for packet in keys[1:]:
        unit = packet.pos + 4
        while changed[unit] >> 1 & 63 >= 32:  # what stands before the picture
            unit += 4 + int.from_bytes(changed[unit - 4 : unit], "big")
        assert changed[unit] >> 1 & 63 == 21
        changed[unit] = 16 << 1
    path.write_bytes(changed)
    return path


def packed(path: Path, count: int = 100) -> Path:
    """MPEG-4 in AVI as DivX 5 packed it: a B-frame shares a chunk with the frame before it in the file,
    and a chunk that codes nothing fills the gap, so that AVI's one clock suffices."""
    encoder = av.CodecContext.create("mpeg4", "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 25), 25
    encoder.options = {"bf": "1", "g": "12"}
    coded: list[Any] = []
    for number in range(count):
        frame = av.VideoFrame.from_ndarray(painted(number), format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, 25)
        coded += encoder.encode(frame)
    coded += encoder.encode(None)
    picture = b"\x00\x00\x01\xb6"
    chunks: list[bytes] = []
    latest = -1
    for packet in coded:
        if packet.pts > latest:
            chunks.append(bytes(packet))
            latest = packet.pts
        else:
            chunks[-1] += bytes(packet)
            chunks.append(NOT_CODED)
    # A decoder takes packing from the encoder's name, which stands before the first picture.
    header = min(place for code in (picture, b"\x00\x00\x01\xb3") if (place := chunks[0].find(code)) >= 0)
    chunks[0] = chunks[0][:header] + b"\x00\x00\x01\xb2DivX503b1393p" + chunks[0][header:]
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.codec_tag = "DX50"
        for number, chunk in enumerate(chunks):
            packet = av.Packet(chunk)
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = number
            packet.is_keyframe = b"\x00\x00\x01\xb0" in chunk
            output.mux(packet)
    return path


def resized_halfway(path: Path, count: int = 80) -> Path:
    """VP8 in WebM whose second half is twice as large, as a conference recorder leaves it."""
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("libvpx", rate=25, options={"deadline": "realtime"})
        larger: Any = av.CodecContext.create("libvpx", "w")
        larger.time_base, larger.framerate = Fraction(1, 25), 25
        larger.options = {"deadline": "realtime"}
        for encoder, scale, numbers in (
            (stream, 1, range(count // 2)),
            (larger, 2, range(count // 2, count)),
        ):
            encoder.width, encoder.height, encoder.pix_fmt = WIDTH * scale, HEIGHT * scale, "yuv420p"
            packets: list[Any] = []
            for number in numbers:
                picture = painted(number, WIDTH * scale, HEIGHT * scale)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                packets += encoder.encode(frame)
            for packet in packets + encoder.encode(None):
                packet.stream = stream
                output.mux(packet)
    return path


class _Sound:
    """An audio stream of silence beside the pictures."""

    def __init__(self, output: Any, path: Path) -> None:
        self._stream = output.add_stream("libopus" if path.suffix == ".webm" else "aac", rate=48000)
        self._stream.layout = "mono"
        self._output, self._samples = output, 0

    def play(self, until_s: float) -> None:
        while self._samples / 48000 <= until_s:
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = 48000, self._samples
            self._samples += 960
            self._output.mux(self._stream.encode(frame))

    def stop(self) -> None:
        self._output.mux(self._stream.encode(None))


def shown_frames(path: Path) -> list[int]:
    """What a player shows from the first frame to the last: PyAV, all frames, one after another."""
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        return [number_in(_upright(frame)) for frame in container.decode(stream)]


def ffmpeg_shows(path: Path, width: int = WIDTH, height: int = HEIGHT) -> list[int]:
    """The same by the ffmpeg program, which shares no code with us but libav itself."""
    words = f"-map 0:v:0 -fps_mode passthrough -s {width}x{height} -f rawvideo -pix_fmt rgb24 -".split()
    command = [get_ffmpeg_exe(), "-v", "error", "-i", str(path), *words]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return [number_in(picture) for picture in np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)]


def _upright(frame: av.VideoFrame) -> Picture:
    picture = frame.to_ndarray(format="rgb24")
    try:
        matrix = np.frombuffer(bytes(frame.side_data["DISPLAYMATRIX"]), np.int32).reshape(3, 3)[:2, :2] >> 16
    except KeyError:
        return picture
    # A pixel at (x, y) goes to (x, y) times the matrix, then everything is moved back to the origin.
    height, width = picture.shape[:2]
    y, x = np.mgrid[:height, :width]
    places = np.stack([x, y], -1) @ matrix
    places -= places.min((0, 1))
    turned = np.zeros((*(places.max((0, 1)) + 1)[::-1], 3), np.uint8)
    turned[places[..., 1], places[..., 0]] = picture
    return turned
