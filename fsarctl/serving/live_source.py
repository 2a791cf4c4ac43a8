"""Frames of a camera, a stream or a growing file as they come, read by a thread of its own.

A stream that stops is tried again, with longer and longer pauses, until it was away for too long. One that
comes faster than it is decoded loses frames up to the next key frame, which are counted.
"""

import re
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import av
from av.codec.context import Flags
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition

from fsarctl.errors import InputError
from fsarctl.errors.addresses import hidden
from fsarctl.serving.stream_clock import StreamClock
from fsarctl.video.container.crop_and_codec_tag import Crop, cropping
from fsarctl.video.container.first_bytes import HEAD_BYTES, Content, content_of
from fsarctl.video.container.truncation import boxes

__all__ = ["LiveFrame", "LiveSource"]

ANSWER_S = 3.0
"""How long a source may take to be opened, and then be silent."""
FIRST_S = 4.0
"""How long a source may take for its first frame until it is said not to be there."""
GROWS_S = 2.0
"""How long a file may take to begin as a video does."""
CLOCKLESS = {"mpjpeg"}
"""JPEG pictures over HTTP have no times, and libav counts 25 a second: each is shown when it comes. Some
cameras say a size of what never ends."""
LISTS = {"hls", "dash"}
"""Their size is that of the list, and a stream's list has one, too; a file's says how long it is."""
NUMBER = re.compile("[0-9]{1,9}")
"""Of a camera."""
PAUSES_S = (0.2, 0.5, 1.0, 2.0, 4.0)
POLLED_S = 0.05

PROTOCOLS = "http,https,httpproxy,tcp,tls,udp,rtp,rtsp,rtsps,crypto"
"""What a stream may lead to: no file."""


SAME_STREAMS = {"merge_pmt_versions": "1"}
"""An MPEG-TS whose camera starts again may number its streams anew: they are those from before, not others
that nobody asked for."""


@dataclass(frozen=True)
class LiveFrame:
    """``time_s``: since the source was opened, by the stream's clock. ``shown_at``: when it was to be shown,
    by ``time.monotonic``; the source is behind by what is between that and now. ``pixel_aspect``, ``crop``:
    as of a ``Scale``."""

    time_s: float
    shown_at: float
    frame: av.VideoFrame
    pixel_aspect: float = 1.0
    crop: Crop | None = None


class LiveSource:
    """What ``fsarctl watch`` reads: a camera's number, /dev/video0, an address, or a file.

    Args:
        address: which.
        give_up_s: seconds that a stream may be away, or a file not grow.
        note: hears when a stream stops, and when it is back; of no login.
    """

    def __init__(self, address: str, give_up_s: float, note: Callable[[str], None]) -> None:
        scheme, mark, rest = address.partition("://")
        self.address = f"{scheme.lower()}{mark}{rest}" if mark else address
        if NUMBER.fullmatch(address):
            self.address = _device(int(address))
        self._give_up_s = give_up_s
        self._note: Callable[[str], None] = lambda words: note(hidden(words))
        self._closed = threading.Event()
        self.is_file = "://" not in self.address and not self.address.startswith("/dev/")
        self.finite = self.is_file
        """Whether it is a file, here or on a server: it waits for who reads it, and ends."""
        self.dropped = 0
        """Frames that were not decoded, since the stream was behind."""
        self._stops = 0
        self._came = 0.0
        self._clock = StreamClock()

    @property
    def gaps(self) -> int:
        """How often it stopped, or the times of a file leapt."""
        return self._stops + self._clock.leaps

    def close(self) -> None:
        """End reading, soon."""
        self._closed.set()

    def frames(self) -> Generator[LiveFrame, None, None]:
        """Every frame, until the source ends.

        Raises:
            InputError: it is not there, was away for too long, or is a file that breaks off.
        """
        self._clock = StreamClock()
        self._came = time.monotonic()
        pauses = iter(PAUSES_S)
        seen = away = False
        while not self._closed.is_set():
            try:
                with ExitStack() as stack:
                    container = self._open(stack)
                    if self.address.startswith(("http://", "https://")):
                        sized = container.size > 0 and container.format.name not in LISTS | CLOCKLESS
                        self.finite = sized or (container.duration or 0) > 0
                    for frame in self._decoded(container):
                        if frame is not None:
                            if away:
                                self._note(f"{self.address} is back after {self._silent_s:.0f} s")
                            away, seen, pauses = False, True, iter(PAUSES_S)
                            self._came = time.monotonic()
                            yield frame
                        elif not self.finite and self._silent_s > max(self._give_up_s, ANSWER_S):
                            raise ValueError("no picture can be read")
                        if self._closed.is_set():
                            return
                if self.finite:
                    return
                trouble = "it ended"
            except (OSError, ValueError, av.FFmpegError) as error:
                trouble = _words(error)
            if self._closed.is_set():
                return
            if not seen:
                raise self._absent(trouble)
            if self.finite:
                raise InputError(
                    f"{self.address} broke off after {self._clock.time_s:.1f} s: {trouble}",
                    next_step="Fetch all of it, and watch that.",
                )
            if self._silent_s > self._give_up_s:
                raise InputError(
                    f"{self.address} stopped ({trouble}) and did not come back within {self._give_up_s:g} s",
                    next_step="Check the camera and the network; --give-up waits longer.",
                )
            if not away:
                away = True
                self._stops += 1
                self._note(f"{self.address} stopped ({trouble}); trying again")
            self._closed.wait(next(pauses, PAUSES_S[-1]))

    @property
    def _silent_s(self) -> float:
        """Since its latest picture came, or was dropped."""
        return time.monotonic() - self._came

    @property
    def may_come(self) -> bool:
        """Whether it is a file that may yet grow to a picture: it begins as a video does, or is empty."""
        return self.is_file and not self._is_other

    def absent(self) -> InputError:
        """What is to be said where nothing came within the time for the first frame."""
        if self._is_other:
            return self._absent(self._content().refusal)
        return self._absent(f"no picture within {FIRST_S:g} s")

    @property
    def _is_other(self) -> bool:
        return self.is_file and not self._content().video

    def _content(self) -> Content:
        """What a file is; a video, as long as nothing of it is there."""
        try:
            with _opened(Path(self.address)) as file:
                head = file.read(HEAD_BYTES)
        except OSError:
            head = b""
        return content_of(head) if head else Content(True, "")

    def _absent(self, why: str) -> InputError:
        if self.address.startswith("/dev/"):
            there = sorted(str(each) for each in Path("/dev").glob("video*"))
            return InputError(
                f"there is no camera {self.address} ({why})",
                next_step=f"Cameras here: {', '.join(there)}." if there else "No camera is connected here.",
            )
        return InputError(
            f"{self.address} cannot be watched: {why}",
            next_step="Give a camera's number, rtsp://, http://, or a file that can be read while it grows:"
            " MPEG-TS, MKV or fragmented MP4.",
        )

    def _open(self, stack: ExitStack) -> InputContainer:
        """The source, which ``stack`` closes."""
        limits = (ANSWER_S, ANSWER_S)
        if self.is_file:
            file = stack.enter_context(_opened(Path(self.address)))
            if _ends_with_its_index(Path(self.address)):
                return stack.enter_context(av.open(file, "r"))
            try:
                growing = _Growing(file, self._give_up_s, self._closed)
                return stack.enter_context(av.open(growing, "r", options={**SAME_STREAMS}))
            except av.InvalidDataError:
                raise ValueError("it is damaged, or not whole and cannot be read while it grows") from None
        if self.address.startswith("/dev/"):
            if not Path(self.address).exists():
                raise FileNotFoundError(2, "no such device")
            return stack.enter_context(av.open(self.address, "r", format="v4l2", timeout=limits))
        options = {"protocol_whitelist": PROTOCOLS, **SAME_STREAMS}
        if self.address.startswith(("rtsp://", "rtsps://")):
            options |= {"rtsp_transport": "tcp"}
        return stack.enter_context(av.open(self.address, "r", options=options, timeout=limits))

    def _decoded(self, container: InputContainer) -> Generator[LiveFrame | None, None, None]:
        """Its pictures; None for what comes and shows none."""
        stream: Any = container.streams.best("video")  # PyAV's stub does not say of which kind
        if stream is None:
            raise ValueError("it holds no video")
        if stream.disposition & Disposition.attached_pic:
            raise ValueError("it holds no video, only a cover picture")
        if stream.codec_context is None:
            raise ValueError("its pictures are in a format that is not known here")
        stream.thread_type = "NONE"
        stream.codec_context.flags |= Flags.unaligned  # as of a file that is whole
        shape = (float(stream.sample_aspect_ratio or 1), cropping(container, stream))
        timed = container.format.name not in CLOCKLESS
        self._clock.connect(float(stream.average_rate or 25), finite=self.finite, timed=timed)
        waiting_for_key = False
        keys = 0
        for packet, waited_s in _waited_for(container.demux()):
            self._clock.waits(waited_s)
            if packet.stream is not stream:  # sound may come, and no picture
                yield None
                continue
            if waiting_for_key and packet.size and not packet.is_keyframe:
                self.dropped += 1
                self._came = time.monotonic()
                continue
            keys += packet.is_keyframe
            try:
                decoded = stream.decode(packet)
            except av.InvalidDataError:  # a damaged packet; the next key frame mends it
                decoded = []
            if not decoded:
                yield None
            for frame in decoded:
                shown_at = self._clock.shows(frame.time)
                yield LiveFrame(self._clock.time_s, shown_at, frame, *shape)
            waiting_for_key = (
                self._clock.is_behind() and keys > 1
            )  # of some streams the first is the only one


def _waited_for(packets: "Iterator[Packet[Any]]") -> "Iterator[tuple[Packet[Any], float]]":
    """Each, and for how many seconds it was waited."""
    while True:
        asked = time.monotonic()
        try:
            packet = next(packets, None)
        except IndexError:  # PyAV has no name for a stream that came later, and ends all of them by name
            packet = None
        if packet is None:
            return
        yield packet, time.monotonic() - asked


class _Growing:
    """A file that others write, to be read as it grows, up to where it has not grown for some seconds."""

    def __init__(self, file: BinaryIO, patience_s: float, closed: threading.Event) -> None:
        self._file, self._patience_s, self._closed = file, patience_s, closed
        self._waits_since: float | None = None

    def read(self, count: int) -> bytes:
        while True:
            data = self._file.read(count)
            if data:
                self._waits_since = None
                return data
            if self._waits_since is None:
                self._waits_since = time.monotonic()
            # At the end of a file libav reads more than once: it waits for growth but the first time.
            if self._closed.is_set() or time.monotonic() - self._waits_since > self._patience_s:
                return data
            self._closed.wait(POLLED_S)


def _ends_with_its_index(path: Path) -> bool:
    """Whether it is an MP4 that is whole, and can only be read from its end on."""
    places = boxes(path)
    return b"mdat" in places and places.get(b"moov", 0) > places[b"mdat"]


def _opened(path: Path) -> BinaryIO:
    if path.is_dir():
        raise IsADirectoryError(21, "it is a folder")
    if not path.is_file():
        raise FileNotFoundError(2, "it is no file" if path.exists() else "there is no such file")
    return path.open("rb")


def _device(number: int) -> str:
    if sys.platform != "linux":
        raise InputError(
            "cameras are read by their number on Linux alone",
            next_step="Give an address: rtsp:// or http:// of a program that shares the camera.",
        )
    return f"/dev/video{number}"


def _words(error: Exception) -> str:
    """Why it cannot be read, without the address that libav repeats."""
    if isinstance(error, (av.ExitError, TimeoutError)):
        return f"no answer within {ANSWER_S:g} s"
    if isinstance(error, (OSError, av.FFmpegError)) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    return str(error)
