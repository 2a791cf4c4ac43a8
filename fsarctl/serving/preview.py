"""The picture of a stream with what is seen in it, for a browser on this machine: MJPEG over HTTP."""

import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import av
import numpy as np

from fsarctl.errors import InputError
from fsarctl.errors.addresses import LOOPBACK_HOSTS
from fsarctl.video.rotate_and_resize import UPRIGHT, Orientation, orientation_of

__all__ = ["Preview"]

WIDTH = 640
TALLEST = 4 * WIDTH
QUALITY = 80
BOUNDARY = "picture"
HEAD = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n".encode()
BAR = 36
PATIENCE_S = 10.0
"""How long a browser may take to ask, and for a picture."""
PAUSE_S = 0.1
"""Ten pictures a second are enough to look at."""


class Preview:
    """What is shown now. Any thread may show a frame or say what is seen in it."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._frame: av.VideoFrame | None = None
        self._orientation, self._pixel_aspect = UPRIGHT, 1.0
        self._words = ""
        self._number = 0
        self._over = False

    def show(self, frame: av.VideoFrame, pixel_aspect: float = 1.0) -> None:
        """Another frame of the stream. ``pixel_aspect``: width / height of a pixel as it is stored."""
        with self._news:
            self._frame = frame
            self._orientation = orientation_of(frame, self._orientation)
            self._pixel_aspect = pixel_aspect
            self._number += 1
            self._news.notify_all()

    def say(self, words: str) -> None:
        """What is seen from now on."""
        with self._news:
            self._words = words

    @contextmanager
    def served(self, port: int) -> Iterator[str]:
        """The address of the pictures, while the block lasts.

        Raises:
            InputError: another program has that port.
        """
        preview = self

        class Handler(BaseHTTPRequestHandler):
            timeout = PATIENCE_S

            def do_GET(self) -> None:
                host = re.sub(r":\d+$", "", self.headers.get("Host") or "")  # no browser says port 80
                if host not in LOOPBACK_HOSTS:  # a page of elsewhere that calls itself this machine
                    self.send_error(403)
                    return
                self.send_response(200)
                self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
                self.end_headers()
                with suppress(OSError):  # who looked has gone
                    for picture in preview._pictures():
                        self.wfile.write(HEAD % len(picture) + picture + b"\r\n")

            def log_message(self, *_: object) -> None: ...

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """Who asked has gone, or speaks no HTTP: nothing to be said in a terminal."""

        try:
            server = Server(("127.0.0.1", port), Handler)
        except OSError as error:
            raise InputError(
                f"port {port} for the preview cannot be had: {error.strerror}",
                next_step="Choose another: --preview 0 takes any that is free.",
            ) from None
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True, name="preview")
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            with self._news:
                self._over = True
                self._news.notify_all()
            server.shutdown()
            server.server_close()
            thread.join()

    def _pictures(self) -> Iterator[bytes]:
        """Each as JPEG, as they come, up to ten a second."""
        last = 0
        pause = threading.Event()
        while True:
            with self._news:
                self._news.wait_for(lambda before=last: self._over or self._number > before)  # type: ignore[misc]
                if self._over:
                    return
                frame, words, last = self._frame, self._words, self._number
                laid = self._orientation, self._pixel_aspect
            if frame is not None:
                yield _annotated(frame, words, *laid)
            pause.wait(PAUSE_S)


def _annotated(frame: av.VideoFrame, words: str, orientation: Orientation, pixel_aspect: float) -> bytes:
    from PIL import Image, ImageDraw, ImageFont

    aspect = frame.width / frame.height * pixel_aspect
    height = min(max(round(WIDTH * aspect if orientation.swapped else WIDTH / aspect), 1), TALLEST)
    stored = (height, WIDTH) if orientation.swapped else (WIDTH, height)
    scaled = frame.reformat(*stored, "rgb24").to_ndarray().astype(np.uint8, copy=False)
    shown = np.ascontiguousarray(orientation.apply(scaled))
    picture = Image.new("RGB", (WIDTH, height + BAR), "#0e1216")
    picture.paste(Image.fromarray(shown), (0, 0))
    ImageDraw.Draw(picture).text((10, height + 6), words, fill="#e7eaee", font=ImageFont.load_default(20))
    written = io.BytesIO()
    picture.save(written, format="JPEG", quality=QUALITY)
    return written.getvalue()
