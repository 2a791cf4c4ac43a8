"""Watching streams: which frames a window reads, what is left out, what stops, and what is not there."""

import io
import itertools
import json
import os
import queue
import socket
import struct
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import httpx2
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext
from av.stream import Disposition
from PIL import Image
from video_zoo import number_in, painted, write

from fsarctl.cli.terminal.console import say
from fsarctl.cli.watch import _watch
from fsarctl.errors import InputError
from fsarctl.predict.windows import Windows, WindowSize
from fsarctl.serving import live_source, stream_clock
from fsarctl.serving.live_source import ANSWER_S, FIRST_S, LiveFrame, LiveSource
from fsarctl.serving.preview import Preview
from fsarctl.serving.rolling_window import RollingWindow
from fsarctl.serving.stream_clock import LAG_S, STILL
from fsarctl.serving.watching import Sight, Watch
from fsarctl.video.read_through import course_of, pictures_at

T, SIDE, RATE = 4, 96, 12


class Reader:
    """Stands for a recogniser: answers with the numbers of the frames that a window reads."""

    predictor = SimpleNamespace(model=SimpleNamespace(frames=T), size=SIDE, resize="squash")

    def __init__(self, before: Callable[[], object] = lambda: None) -> None:
        self._before = before

    def answer(self, clips: Any) -> list[Any]:
        self._before()
        return [[number_in(frame) for frame in clip.frames] for _, clip in clips]


def watched(
    source: Any, length_s: float, every_s: float, reader: Any = None, shown: Any = lambda _: None
) -> Iterator[Sight]:
    watch = Watch(source, shown)
    watch.open()
    return watch.sights(reader or Reader(), length_s, every_s)


def test_a_window_reads_what_is_shown_in_the_middle_of_its_segments() -> None:
    """Against the windows of a whole video, at a rate that varies."""
    random = np.random.default_rng(0)
    times = np.cumsum(random.uniform(0.07, 0.15, 200)).tolist()
    rolling = RollingWindow(2.0, T, 0.5)
    windows = Windows.over([WindowSize(Fraction(2), Fraction(1, 2))], T, Fraction(15), Fraction(1, 10))
    expected: dict[int, list[int]] = {}
    for slot in windows.slots():
        shown = sum(time_s <= slot.time_s + times[0] for time_s in times) - 1
        expected.setdefault(slot.number, []).append(shown)
    number = 0
    for index, time_s in enumerate(times):
        rolling.add(time_s, np.full((1, 1, 3), index, np.uint8) if rolling.wants(time_s) else None)
        while rolling.ends_within(times[0] + 2 + number / 2):
            read = rolling.window(times[0] + 2 + number / 2)[:, 0, 0, 0].tolist()
            if number in expected:
                assert read == expected[number]
            number += 1
    assert number > 20
    assert not rolling.ends_within(1e9)
    rolling.clear()
    assert not rolling.ends_within(times[-1])


def test_a_window_is_due_wherever_its_stream_begins() -> None:
    """Also where (begin + length) - length is not begin: after a gap ``watch`` waited for ever for some."""
    beginnings = np.random.default_rng(0).uniform(0, 10_000, 1000)
    lengths = np.random.default_rng(1).uniform(0.1, 20, 1000)
    assert np.any(beginnings + lengths - lengths < beginnings), "some are such"
    for begin_s, length_s in zip(beginnings.tolist(), lengths.tolist(), strict=True):
        rolling = RollingWindow(length_s, T, length_s)
        rolling.add(begin_s, None)
        assert not rolling.ends_within(begin_s + length_s)
        rolling.add(begin_s + length_s, None)
        assert rolling.ends_within(begin_s + length_s)
        assert not rolling.ends_within(begin_s + length_s * 0.999)


def test_a_stream_of_many_frames_is_thinned_out() -> None:
    rolling = RollingWindow(8.0, 8, 1.0)
    for index in range(10_000):
        wanted = rolling.wants(index / 1000)
        rolling.add(index / 1000, np.full((1, 1, 3), index // 50, np.uint8) if wanted else None)
    assert len(rolling._shown) <= 8 * 9 + 2
    read = rolling.window(9.0)[:, 0, 0, 0].tolist()
    assert read == pytest.approx([(1.5 + i) * 20 for i in range(8)], abs=3)


@pytest.mark.parametrize("every_s", [0.3, 1.0, 7.0, 1000.0])
@pytest.mark.parametrize("gap_s", [0.04, 0.5, 5.0, 40.0])
@pytest.mark.parametrize("live", [False, True])
def test_no_more_is_kept_than_windows_read(every_s: float, gap_s: float, live: bool) -> None:
    """Against all pictures, also where they are further apart than windows, or windows than they last."""
    random = np.random.default_rng(0)
    count = int(max(400, 2500 / gap_s if every_s == 1000 else 0))
    times = (100 + np.cumsum(random.uniform(0.8 * gap_s, 1.2 * gap_s, count))).tolist()
    rolling = RollingWindow(1.0, T, every_s)
    due_s, read = times[0] + 1.0, 0
    for index, time_s in enumerate(times):
        assert rolling.wants(time_s)
        rolling.add(time_s, np.array([index]))
        assert len(rolling._shown) <= 4 + (1.0 + min(every_s, 1.0)) / (0.8 * gap_s)
        if live and rolling.ends_within(due_s):
            due_s += (time_s - due_s) // every_s * every_s  # those before it are left out
        while rolling.ends_within(due_s):
            middles = [due_s - 1.0 + (2 * i + 1) / (2 * T) for i in range(T)]
            assert rolling.window(due_s)[:, 0].tolist() == [bisect_right(times, each) - 1 for each in middles]
            due_s += every_s
            read += 1
    assert read >= 2


def test_a_file_is_read_as_it_grows(tmp_path: Path) -> None:
    """All of its windows, whatever the pace: none is left out."""
    whole = write(tmp_path / "whole.ts", count=60, rate=RATE, g="12", bf="0").read_bytes()
    growing = tmp_path / "growing.ts"
    growing.touch()

    def grow() -> None:
        for start in range(0, len(whole), 1000):
            with growing.open("ab") as file:
                file.write(whole[start : start + 1000])

    writer = threading.Thread(target=grow)
    writer.start()
    shown: list[LiveFrame] = []
    found = list(watched(LiveSource(str(growing), 1.0, pytest.fail), 1.0, 0.5, shown=shown.append))
    writer.join()
    assert [number_in(each.frame.to_ndarray(format="rgb24")) for each in shown] == list(range(60))
    assert [each.start_s for each in found] == pytest.approx([n / 2 for n in range(len(found))], abs=0.01)
    assert len(found) == 8  # the last frame begins at 4.92 s
    middles = [(2 * i + 1) / (2 * T) for i in range(T)]
    for number, each in enumerate(found):
        assert each.prediction == [int((number / 2 + middle) * RATE) for middle in middles]
        assert (each.latency_s, each.dropped_windows, each.dropped_frames) == (None, 0, 0)


def test_a_file_of_a_picture_every_ten_seconds(tmp_path: Path) -> None:
    path = write(
        tmp_path / "slow.ts", count=5, rate=RATE, times=range(0, 50 * RATE, 10 * RATE), g="1", bf="0"
    )
    found = list(watched(LiveSource(str(path), 0.0, pytest.fail), 2.0, 1.0))
    assert [each.start_s for each in found] == pytest.approx(range(39))
    for each in found:
        assert each.prediction == [int((each.start_s + middle) / 10) for middle in (0.25, 0.75, 1.25, 1.75)]


@pytest.mark.parametrize("rate", [1, RATE])
def test_a_file_whose_times_are_those_of_decoding_lasts_as_long_as_it_does(tmp_path: Path, rate: int) -> None:
    """AVI has no others. Each step back made one of 6 s last 13 s."""
    write(tmp_path / "film.avi", count=60, rate=rate, bf="3", g="12")
    source = LiveSource(str(tmp_path / "film.avi"), 0.0, pytest.fail)
    shown = list(source.frames())
    assert [number_in(each.frame.to_ndarray(format="rgb24")) for each in shown] == list(range(60))
    times = np.array([each.time_s for each in shown])
    assert np.all(np.diff(times) >= 0.99 / rate)
    assert times[-1] == pytest.approx(59 / rate, abs=4 / rate)
    assert source.gaps == 0


def turned_at_key_frames(path: Path) -> Path:
    """H.264 says within its packets which way up a picture is, and says so with key frames alone."""
    whole = write(path.with_name("upright.ts"), count=36, rate=RATE, g="12", bf="0")
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        stream = source.streams.video[0]
        copied = target.add_stream_from_template(stream)
        turning = BitStreamFilterContext("h264_metadata=rotate=90:display_orientation=insert", stream, copied)
        for packet in source.demux(stream):
            for turned in turning.filter(packet if packet.size else None):
                turned.stream = copied
                target.mux(turned)
    return path


SHAPES: dict[str, Callable[[Path], Path]] = {
    "turned": turned_at_key_frames,
    "pixels that are not square": lambda path: write(
        path, count=36, rate=RATE, g="12", bf="0", **{"x264-params": "sar=4/3"}
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_window_reads_pictures_as_spot_does(shape: str, tmp_path: Path) -> None:
    path = SHAPES[shape](tmp_path / "film.ts")
    reader: Any = SimpleNamespace(
        predictor=SimpleNamespace(model=SimpleNamespace(frames=T), size=SIDE, resize="aspect"),
        answer=lambda clips: [clips[0][1].frames],
    )
    found = list(watched(LiveSource(str(path), 0.0, pytest.fail), 1.0, 0.5, reader))
    assert len(found) == 4
    middles = [Fraction(each.start_s) + Fraction(2 * i + 1, 2 * T) for each in found for i in range(T)]
    wanted = {
        moment.asked: moment.picture
        for moment in pictures_at(
            path, course_of(path), ((each, each) for each in sorted({*middles})), SIDE, "aspect"
        )
    }
    np.testing.assert_array_equal(
        np.concatenate([each.prediction for each in found]), np.stack([wanted[each] for each in middles])
    )


def test_a_file_may_be_called_as_an_address_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a file, and ends; it was tried again and again, as a stream that stopped."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "http-film.ts", count=20, rate=RATE, g="12", bf="0")
    assert len(list(LiveSource("http-film.ts", 0.0, pytest.fail).frames())) == 20


def test_a_file_is_read_whose_index_is_at_its_end(tmp_path: Path) -> None:
    path = write(tmp_path / "film.mov", "mjpeg", 150, pixels="yuvj420p", rate=RATE)
    whole = path.read_bytes()
    assert whole.rfind(b"moov") > 40_000, "so much is not held in memory"
    numbers = [
        number_in(each.frame.to_ndarray(format="rgb24"))
        for each in LiveSource(str(path), 0.0, pytest.fail).frames()
    ]
    assert numbers == list(range(150))
    path.write_bytes(whole[:40_000])
    with pytest.raises(InputError, match="it is damaged, or not whole and cannot be read while it grows"):
        list(LiveSource(str(path), 0.0, pytest.fail).frames())


def test_the_end_of_a_file_is_waited_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds of a clock that moves with each look at the file."""
    path = write(tmp_path / "film.ts", count=20, rate=RATE, g="12", bf="0")
    waited: list[float] = []

    class Closed(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout or 0)
            return super().wait(0)

    source = LiveSource(str(path), 3.0, pytest.fail)
    source._closed = Closed()
    monkeypatch.setattr("fsarctl.serving.live_source.time", SimpleNamespace(monotonic=lambda: sum(waited)))
    assert len(list(source.frames())) == 20
    assert 3.0 < sum(waited) < 3.2


class Played:
    """A live source of ten frames a second, whose frames come when the test says so."""

    is_file = finite = False
    address, dropped, gaps = "played", 0, 0

    def __init__(self) -> None:
        self._wanted: queue.Queue[int] = queue.Queue()
        self._number = 0

    def frames(self) -> Iterator[LiveFrame]:
        while (number := self._wanted.get(timeout=60)) >= 0:
            yield LiveFrame(number / 10, time.monotonic(), av.VideoFrame.from_ndarray(painted(number % 512)))
            self._wanted.task_done()
        raise InputError("it stopped", next_step="")

    def play(self, count: int) -> None:
        """So many frames come, and are taken."""
        for _ in range(count):
            self._wanted.put(self._number)
            self._number += 1
        self._wanted.join()

    def close(self) -> None:
        self._wanted.put(-1)


def test_windows_that_come_due_meanwhile_are_left_out_and_counted() -> None:
    source = Played()
    watch = Watch(source)  # type: ignore[arg-type]
    named: list[int] = []

    def play_from_the_question_on() -> None:
        while watch._asked is None:
            time.sleep(0.001)
        source.play(11)

    def while_it_is_named() -> None:
        if not named:
            source.play(13)
        named.append(source._number)

    source._wanted.put(0)
    source._number = 1
    watch.open()  # the first frame is let go by: nothing has been asked
    player = threading.Thread(target=play_from_the_question_on)
    player.start()
    sights = watch.sights(Reader(while_it_is_named), 1.0, 0.2)  # type: ignore[arg-type]
    first = next(sights)
    player.join()
    assert (first.start_s, first.dropped_windows) == (pytest.approx(0.1), 0)
    assert first.prediction == [2, 4, 7, 9]
    # 1.3 seconds had come, and with them six windows: the latest is named, the five before it are not.
    second = next(sights)
    assert (second.start_s, second.dropped_windows) == (pytest.approx(1.3), 5)
    assert second.prediction == [14, 16, 19, 21]
    assert second.latency_s is not None
    assert second.latency_s >= 0

    # After a gap no window holds frames of both sides; the first of them is due wherever it begins.
    source.gaps = 1
    source._number = 31
    assert 3.1 + 1.0 - 1.0 < 3.1
    source.play(11)
    third = next(sights)
    assert third.prediction == [32, 34, 37, 39]
    assert third.gaps == 1
    source.close()
    with pytest.raises(InputError, match="it stopped"):
        next(sights)


class Scripted(LiveSource):
    """A source of connections as written: of each what comes at which second of a clock that they move.

    What comes is a frame's own time, None for a frame without one, "sound", "junk" or an error.
    """

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        *connections: Iterable[tuple[float, Any]],
        give_up_s: float = 10.0,
        finite: bool = False,
        keys: Callable[[int], bool] = lambda _: True,
        decoded_in: Callable[[int], float] = lambda _: 0.0,
    ) -> None:
        self.said: list[str] = []
        self._keys, self._decoded_in = keys, decoded_in
        super().__init__("film.ts" if finite else "rtsp://camera/x", give_up_s, self.said.append)
        self._connections, self._now = iter(connections), 0.0
        self._closed = SimpleNamespace(is_set=lambda: False, wait=self._pause)  # type: ignore[assignment]
        for module in (live_source, stream_clock):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self._now))

    def _pause(self, seconds: float) -> None:
        self._now += seconds

    def _decoded_after(self, packet: Any) -> Any:
        self._now += self._decoded_in(packet.number)
        return packet.frames

    def _open(self, _: Any) -> Any:
        connection = next(self._connections, None)
        if connection is None:
            raise ConnectionRefusedError(111, "Connection refused")
        stream = SimpleNamespace(
            **{"average_rate": 10, "sample_aspect_ratio": None, "index": 0, "disposition": 0},
            codec_context=SimpleNamespace(flags=0),
            decode=self._decoded_after,
        )

        def packets(*_: Any) -> Iterator[Any]:
            for number, (come_s, what) in enumerate(connection):
                self._now = max(self._now, come_s)
                if isinstance(what, Exception):
                    raise what
                frames = [] if isinstance(what, str) else [SimpleNamespace(time=what)]
                yield SimpleNamespace(
                    stream=None if what == "sound" else stream,
                    size=1,
                    is_keyframe=self._keys(number),
                    frames=frames,
                    number=number,
                )

        return SimpleNamespace(
            duration=None,
            format=SimpleNamespace(name="mpegts"),
            streams=SimpleNamespace(best=lambda _: stream),
            dumps_format=str,
            demux=packets,
        )


def steadily(begin_s: float, what: Any, own_s: float = 0.0) -> Iterator[tuple[float, Any]]:
    """Ten a second, for longer than is waited: what is said, or frames whose times go on from there."""
    for number in range(10_000):
        yield begin_s + number / 10, own_s + number / 10 if what == "frames" else what


@pytest.mark.parametrize("what", ["junk", "sound"])
@pytest.mark.parametrize("give_up_s", [0.0, 10.0])
def test_a_stream_that_comes_and_shows_nothing_is_given_up(
    what: str, give_up_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within one connection, and after another: what comes is no picture, and yet the connection stays."""
    film = list(itertools.islice(steadily(0.0, "frames"), 20))
    connections: list[Any] = [itertools.chain(film, steadily(2.0, what))]
    if give_up_s:
        connections = [film, steadily(2.5, what)]
    source = Scripted(monkeypatch, *connections, give_up_s=give_up_s)
    frames = source.frames()
    assert len(list(itertools.islice(frames, 20))) == 20
    with pytest.raises(InputError, match=rf"\(no picture can be read\) and .* within {give_up_s:g} s"):
        next(frames)
    patience_s = max(give_up_s, ANSWER_S)
    assert patience_s < source._now - 1.9 < patience_s + 0.2


def test_a_gap_is_one_however_often_it_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = [(2.5, ConnectionRefusedError(111, "Connection refused"))]
    film = list(itertools.islice(steadily(0.0, "frames"), 20))
    source = Scripted(
        monkeypatch,
        *(film, refused, refused, itertools.islice(steadily(6.0, "frames"), 20), refused),
        give_up_s=5.0,
    )
    source.address = "rtsp://me:secret@camera/x?key=secret"
    with pytest.raises(InputError, match=r"stopped \(connection refused\) and did not come back within 5 s"):
        list(source.frames())
    assert source.said == [  # and no login
        "rtsp://***@camera/x?*** stopped (it ended); trying again",
        "rtsp://***@camera/x?*** is back after 4 s",
        "rtsp://***@camera/x?*** stopped (it ended); trying again",
    ]
    assert source.gaps == 2


def test_the_times_of_a_stream_never_go_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins with seconds that it had kept: it is ahead of the clock when it stops, and when it leaps."""
    kept = [(0.0, number / 10) for number in range(80)]
    later = [(0.5, number / 10) for number in range(20)]
    again = [(1.0, 1e7 / 3 + number / 10) for number in range(20)]
    source = Scripted(monkeypatch, kept, later + again)
    times = [each.time_s for each in itertools.islice(source.frames(), 120)]
    assert times == sorted(times)
    assert times[79] == pytest.approx(7.9)
    assert times[-1] == pytest.approx(7.9 + 1.9 + 1.9)


@pytest.mark.parametrize("group", [10, 1000])
def test_a_stream_that_is_behind_waits_for_key_frames_if_any_come(
    group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoded half as fast as it comes, in the middle. Without another key frame no more would be seen."""
    source = Scripted(
        monkeypatch,
        [(number / 10, number / 10) for number in range(200)],
        keys=lambda number: number % group == 0,
        decoded_in=lambda number: 0.2 if 50 <= number < 150 else 0.0,
    )
    late: list[float] = []
    with pytest.raises(InputError, match="did not come back"):
        late.extend(source._now - each.time_s for each in source.frames())
    assert len(late) + source.dropped == 200
    assert (source.dropped > 0) == (group == 10)
    assert (max(late) < LAG_S + 0.5) == (group == 10)


@pytest.mark.parametrize("slow", [1.0, 1.008, 1.5])
def test_a_stream_whose_clock_is_slow_is_not_behind(slow: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for. Of one whose clock lost a hundredth key frames alone were shown after two minutes."""
    come = [(slow * number / 10, number / 10) for number in range(3000)]
    source = Scripted(monkeypatch, come, keys=lambda number: number % 20 == 0, decoded_in=lambda _: 0.02)
    frames = source.frames()
    for _ in range(3000):
        assert source._now - next(frames).shown_at < LAG_S + 0.2
    assert source.dropped == 0


@pytest.mark.parametrize("own_s", [None, 7.0])
@pytest.mark.parametrize("finite", [False, True])
def test_pictures_without_times_or_all_of_one_go_on(
    own_s: float | None, finite: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a stream are shown when they come, four a second; of a file at its rate, ten a second."""
    come = [(number / 4, own_s) for number in range(40)]
    source = Scripted(monkeypatch, come, finite=finite)
    times = np.array([each.time_s for each in itertools.islice(source.frames(), 40)])
    begun = 0 if own_s is None else STILL
    assert np.all(np.diff(times) >= 0)
    np.testing.assert_allclose(np.diff(times[begun:]), 0.1 if finite else 0.25, atol=1e-9)
    assert source.gaps == 0


@pytest.mark.parametrize("leap", ["on", "back"])
def test_a_file_whose_times_leap_has_a_gap(leap: str, tmp_path: Path) -> None:
    """No window holds frames of both sides, as none does of a stream that stopped."""
    if leap == "on":
        times = [*range(30), *range(30 + 70 * RATE, 60 + 70 * RATE)]
        write(tmp_path / "film.ts", count=60, rate=RATE, times=times, g="12", bf="0")
    else:
        halves = [
            write(tmp_path / f"{begin}.ts", numbers=range(begin, begin + 30), rate=RATE, g="12", bf="0")
            for begin in (0, 30)
        ]
        (tmp_path / "film.ts").write_bytes(b"".join(each.read_bytes() for each in halves))
    found = list(watched(LiveSource(str(tmp_path / "film.ts"), 0.0, pytest.fail), 1.0, 0.5))
    sides = [{number >= 30 for number in each.prediction} for each in found]
    assert sides == 3 * [{False}] + 3 * [{True}]
    starts = [each.start_s for each in found]
    assert starts == pytest.approx([0.0, 0.5, 1.0, 2.5, 3.0, 3.5], abs=0.01)
    assert [each.gaps for each in found] == [0, 0, 0, 1, 1, 1]


def test_streams_that_are_numbered_anew_are_watched_on(tmp_path: Path) -> None:
    """As by a camera that started again: nothing of it was seen any more."""
    first = write(tmp_path / "0.ts", count=30, rate=RATE, g="12", bf="0").read_bytes()
    numbered = {"mpegts_start_pid": "768", "mpegts_pmt_start_pid": "4096"}
    again = write(tmp_path / "1.ts", numbers=range(30, 60), rate=RATE, g="12", bf="0", muxer=numbered)
    (tmp_path / "film.ts").write_bytes(first + again.read_bytes())
    frames = LiveSource(str(tmp_path / "film.ts"), 0.0, pytest.fail).frames()
    numbers = [number_in(each.frame.to_ndarray(format="rgb24")) for each in frames]
    # The last one before has no end of its own, and is lost.
    assert [*dict.fromkeys(numbers)] == [*range(29), *range(30, 60)]


def test_what_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "no.ts").write_text("no video")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
    else:
        (tmp_path / "pipe").mkdir()
    with av.open(str(tmp_path / "cover.mp4"), "w") as album:
        cover = album.add_stream("mjpeg", rate=1, width=96, height=96, pix_fmt="yuvj420p")
        cover.disposition = Disposition.attached_pic
        pictures = [*cover.encode(av.VideoFrame(96, 96, "yuvj420p")), *cover.encode(None)]
        album.mux(pictures)
    for address, says in (
        ("99", "there is no camera /dev/video99"),
        ("/dev/video98", "there is no camera /dev/video98"),
        (
            "rtsp://me:secret@127.0.0.1:9/x",
            r"rtsp://\*\*\*@127.0.0.1:9/x cannot be watched: connection refused",
        ),
        ("http://127.0.0.1:9/x", "cannot be watched: connection refused"),
        ("HTTP://127.0.0.1:9/X", "http://127.0.0.1:9/X cannot be watched: connection refused"),
        ("\N{SUPERSCRIPT TWO}", "there is no such file"),
        ("9" * 5000, "cannot be watched"),
        (str(tmp_path / "pipe"), "it is no file|it is a folder"),
        (str(tmp_path / "cover.mp4"), "it holds no video, only a cover picture"),
        (str(tmp_path / "nowhere.ts"), "there is no such file"),
        (str(tmp_path / "no.ts"), "cannot be watched"),
        (str(tmp_path), "it is a folder"),
        ("ftp://127.0.0.1/x", "cannot be watched"),
    ):
        with pytest.raises(InputError, match=says):
            Watch(LiveSource(address, 0.0, pytest.fail)).open()


@pytest.mark.parametrize("says", ["nothing", "bytes that are no video"])
def test_a_server_that_shows_nothing_is_said_soon(says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert max(ANSWER_S, FIRST_S) < 5, "so soon, as the documents say"
    waits = {"ANSWER_S": 0.3, "FIRST_S": 30.0} if says == "nothing" else {"ANSWER_S": 30.0, "FIRST_S": 0.5}
    for name, seconds in waits.items():
        monkeypatch.setattr(live_source, name, seconds)
    monkeypatch.setattr("fsarctl.serving.watching.FIRST_S", waits["FIRST_S"])
    over = threading.Event()

    def answer(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            if says != "nothing":
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
            while not over.wait(0.02):
                if says != "nothing":
                    with suppress(OSError):
                        connection.sendall(b"x")

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        talking = threading.Thread(target=answer, args=(server,))
        talking.start()
        try:
            wanted = "no answer within 0.3 s" if says == "nothing" else "no picture within 0.5 s"
            with pytest.raises(InputError, match=f"cannot be watched: {wanted}"):
                Watch(LiveSource(f"http://127.0.0.1:{server.getsockname()[1]}/x", 0.0, pytest.fail)).open()
        finally:
            over.set()
            talking.join()


def test_pictures_without_times_are_shown_when_they_come() -> None:
    """A camera's JPEGs over HTTP, of which libav says that they are 25 a second."""
    picture = io.BytesIO()
    Image.fromarray(painted(7)).save(picture, "JPEG")
    part = b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n"
    over = threading.Event()

    def answer(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, suppress(OSError):
            connection.recv(4096)
            connection.sendall(
                b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n"
            )
            connection.sendall(60 * (part % (len(picture.getvalue()), picture.getvalue())))
            over.wait(300)

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        talking = threading.Thread(target=answer, args=(server,))
        talking.start()
        source = LiveSource(f"http://127.0.0.1:{server.getsockname()[1]}/x", 1.0, pytest.fail)
        begun = time.monotonic()
        times = [each.time_s for each, _ in zip(source.frames(), range(50), strict=False)]
        passed = time.monotonic() - begun
        over.set()
        source.close()
        talking.join()
    assert times == sorted(times)
    assert times[-1] - times[0] <= passed


@pytest.mark.parametrize("suffix", ["mkv", "ts"])
@pytest.mark.parametrize("fifths", [4, 5])
def test_a_file_on_a_server_ends_or_is_said_to_break_off(suffix: str, fifths: int, tmp_path: Path) -> None:
    """After its windows are named. MPEG-TS does not say how long it is, but the server how large."""
    whole = write(tmp_path / f"film.{suffix}", count=60, rate=RATE, g="12", bf="0").read_bytes()

    def answer(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(whole))
            connection.sendall(whole[: fifths * len(whole) // 5])

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        talking = threading.Thread(target=answer, args=(server,))
        talking.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}/film.{suffix}"
        sights = watched(LiveSource(address, 1.0, pytest.fail), 1.0, 0.5)
        assert [next(sights).start_s for _ in range(2)] == pytest.approx([0.0, 0.5])
        if fifths == 5:
            assert len(list(sights)) == 6
        else:
            with pytest.raises(InputError, match=r"broke off after [234]\.\d s: input/output error"):
                list(sights)
        talking.join()


@pytest.mark.parametrize(
    ("name", "size", "duration", "finite"),
    [
        ("mpegts", -38, None, False),
        ("mpegts", 98_324, None, True),
        ("matroska", -38, 20_000_000, True),
        ("mpjpeg", 999_999_999, None, False),  # as some cameras say
        ("hls", 333, None, False),  # a list that goes on
        ("hls", 348, 20_000_000, True),
    ],
)
def test_what_a_server_gives_is_a_file_or_a_stream(
    name: str, size: int, duration: int | None, finite: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As libav says of each."""
    source = Scripted(monkeypatch, [(0.0, 0.0)])
    container = source._open(None)
    container.format.name, container.size, container.duration = name, size, duration
    source.address = "http://127.0.0.1/x"
    source._open = lambda _: container  # type: ignore[method-assign]
    next(source.frames())
    assert source.finite == finite


def test_a_file_that_is_no_video_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is one that begins as a video, or is empty, given up before it has grown."""
    monkeypatch.setattr("fsarctl.serving.watching.GROWS_S", 0.1)
    (tmp_path / "notes.txt").write_text("filmed on Monday")
    (tmp_path / "noise").write_bytes(bytes(range(256)) * 20)
    for name, says in (("notes.txt", "known format, but text$"), ("noise", "of a known format$")):
        with pytest.raises(InputError, match=f"{name} cannot be watched: it is not a video .*{says}"):
            Watch(LiveSource(str(tmp_path / name), 30.0, pytest.fail)).open()
    whole = write(tmp_path / "whole.ts", count=20, rate=RATE, g="12", bf="0").read_bytes()
    for begun in (0, 1000):
        (tmp_path / "grows.ts").write_bytes(whole[:begun])
        watch = Watch(LiveSource(str(tmp_path / "grows.ts"), 1.0, pytest.fail))
        timer = threading.Timer(0.3, (tmp_path / "grows.ts").write_bytes, [whole])
        timer.start()
        watch.open()
        watch.close()
        timer.join()


def test_the_preview_shows_what_is_seen(capfd: pytest.CaptureFixture[str]) -> None:
    preview = Preview()
    with preview.served(0) as address:
        preview.say("waving")
        preview.show(av.VideoFrame.from_ndarray(painted(7)))
        with httpx2.stream("GET", address, timeout=60) as answer:
            assert "multipart/x-mixed-replace" in answer.headers["content-type"]
            received = b""
            for chunk in answer.iter_raw():
                received += chunk
                if b"\xff\xd9" in received:
                    break
        picture = received[received.index(b"\xff\xd8") : received.index(b"\xff\xd9") + 2]
        with av.open(io.BytesIO(picture)) as shown:
            (frame,) = shown.decode(video=0)
        assert (frame.width, frame.height) == (640, 349 + 36)
        assert number_in(frame.to_ndarray(format="rgb24")[:349]) == 7
        assert frame.to_ndarray(format="gray")[349:].max() > 150, "what is said is written"
        for host in ("127.0.0.1", "localhost:80", "[::1]", "[::1]:8001"):  # of port 80 browsers say none
            with httpx2.stream("GET", address, headers={"host": host}, timeout=60) as answer:
                assert answer.status_code == 200
        for host in ("elsewhere.example", "elsewhere.example:80", "localhost.elsewhere.example", ""):
            assert httpx2.get(address, headers={"host": host}, timeout=60).status_code == 403
        with (
            pytest.raises(InputError, match=r"port \d+ for the preview cannot be had"),
            preview.served(int(address.rpartition(":")[2])),
        ):
            pass
        for words in (b"GET / HTT", b"GET / HTTP/1.0\r\nHost: x\r\n\r\n", b"GET /" + bytes(70_000)):
            with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))) as asking:
                asking.sendall(words)
                asking.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        time.sleep(0.2)  # until they are heard
        assert capfd.readouterr() == ("", ""), "who has gone is nothing to be told of"
        with pytest.raises(
            OSError, match=r"refused|unreachable|timed out"
        ):  # it listens to this machine alone
            socket.create_connection(("127.0.0.2", int(address.rpartition(":")[2])), timeout=5)


def test_the_preview_is_the_way_up_and_of_the_shape_that_a_player_shows(tmp_path: Path) -> None:
    """A picture taller than any is cut down: that of a strip took gigabytes."""
    write(tmp_path / "turned.mp4", numbers=[7], turn=90)
    with av.open(str(tmp_path / "turned.mp4")) as film:
        (frame,) = film.decode(video=0)
    upright = av.VideoFrame.from_ndarray(painted(7))
    for shown, aspect, height in (
        *((frame, 1.0, 349), (frame, 0.5, 175), (upright, 1.0, 349), (upright, 2.0, 175)),
        (av.VideoFrame(2, 4000, "rgb24"), 1.0, 2560),
    ):
        preview = Preview()
        preview.show(shown, aspect)
        with Image.open(io.BytesIO(next(preview._pictures()))) as picture:
            found = np.asarray(picture)[:-36]
        assert found.shape == (height, 640, 3)
        if shown.width > 2:
            assert number_in(found) == 7


def sight(label: str, confidence: float, *, none: bool = False) -> Any:
    best = SimpleNamespace(label=label, score=0.25, confidence=confidence)
    prediction: Any = SimpleNamespace(classes=[best], is_none=none, none=0.75 if none else 0.125)
    return Sight(1.0, 2.0, prediction, 0.1234, 2, 3, 1)


SIGHTS = [
    *(sight("bow", 0.5), sight("bow", 0.75), sight("wave", 0.49)),
    *(sight("wave", 0.5, none=True), sight("wave", 0.5)),
]


def told(*, as_json: bool) -> list[str]:
    """Tell the sights; what the preview shows."""
    shown: list[str] = []

    def sights() -> Iterator[Sight]:
        yield from SIGHTS

    assert _watch(sights(), 0.5, shown.append, as_json=as_json)  # type: ignore[arg-type]
    return shown


def test_what_is_not_certain_or_is_none_of_them_is_not_seen(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(as_json=False) == ["bow  0.50", "bow  0.75", "-", "-", "wave  0.50"]
    said = capsys.readouterr()
    assert said.out.splitlines() == ["0:02.00  bow  0.50", "0:02.00  -", "0:02.00  wave  0.50"]
    assert said.err == (
        "watched 2.0 s; latency 0.12 s, 95 % within 0.12 s; 2 windows left out; 3 frames dropped; 1 gap\n"
    )


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_nothing_that_is_said_is_written_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said while the panel is there stands above it, and the last line below: both were erased."""
    terminal = Terminal()
    for name, value in {"TERM": "xterm", "COLUMNS": "100", "LINES": "40"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setattr("sys.stderr", terminal)

    def sights() -> Iterator[Sight]:
        yield sight("bow", 0.5)
        while "bow" not in terminal.getvalue():
            time.sleep(0.01)
        say("it stopped; trying again")
        yield sight("wave", 0.5)

    assert _watch(sights(), 0.5, lambda _: None, as_json=False)  # type: ignore[arg-type]
    said = terminal.getvalue()
    assert "\x1b[2Kit stopped; trying again\n" in said, "the panel goes before it comes"
    panel, last = said.split("watched 2.0 s")
    assert panel.endswith("\n\x1b[?25h"), "it is through"
    assert "\x1b" not in last


def test_each_window_is_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    told(as_json=True)
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["class"] for each in documents] == ["bow", "bow", None, None, "wave"]
    assert documents[3] == {
        **{"schema": "fsarctl.watch/1", "start_s": 1.0, "end_s": 2.0, "class": None},
        "top": [{"class": "wave", "score": 0.25, "confidence": 0.5}],
        **{"none": 0.75, "latency_s": 0.123, "dropped_windows": 2, "dropped_frames": 3, "gaps": 1},
    }
