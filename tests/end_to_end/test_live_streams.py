"""`fsarctl watch` on streams of servers on loopback: ffmpeg over HTTP, and an RTSP server from a package."""

import contextlib
import http.server
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from imageio_ffmpeg import get_ffmpeg_exe
from typed import FSARCTL, plain_environment, type_in
from video_zoo import write

pytestmark = pytest.mark.slow

FILE = """
[datasets.shapes]
kind = "shapes"
[model]
backbone = "tiny"
weights = "shipped"
text_layers = 2
"""
RATE = 12
SHOWN = ("--support", "examples", "--frozen", "--json", "--length", "1", "--every", "0.5")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("watch")
    (folder / "fsarctl.toml").write_text(FILE)
    for label, first in (("early", 0), ("late", 200)):
        (folder / "examples" / label).mkdir(parents=True)
        write(folder / "examples" / label / "0.mp4", numbers=range(first, first + RATE), rate=RATE)
    write(folder / "film.mp4", count=20 * RATE, rate=RATE, g=str(RATE), bf="0")
    return folder


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def ffmpeg(project: Path, port: int) -> "subprocess.Popen[bytes]":
    """Plays the film over HTTP, at its own speed and again and again, to whoever comes first."""
    words = ("-re", "-stream_loop", "-1", "-i", str(project / "film.mp4"), "-c", "copy", "-f", "mpegts")
    address = f"http://127.0.0.1:{port}/"
    return subprocess.Popen(
        [get_ffmpeg_exe(), "-v", "error", *words, "-listen", "1", address],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _listens(port: int) -> bool:
    """Whether some process waits for connections there; asking by connecting would be the only one served."""
    entries = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(each.split()[1].endswith(f":{port:04X}") and each.split()[3] == "0A" for each in entries)


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_stream_that_stops_and_comes_back(project: Path) -> None:
    port = free_port()
    server = ffmpeg(project, port)
    while not _listens(port):
        assert server.poll() is None
    words = ("watch", f"http://127.0.0.1:{port}/", *SHOWN, "--give-up", "4")
    with subprocess.Popen(
        [str(FSARCTL), *words],
        cwd=project,
        env=plain_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watch:
        assert watch.stdout is not None
        assert watch.stderr is not None
        try:
            told = [json.loads(watch.stdout.readline()) for _ in range(4)]
            server.kill()
            server.wait()
            server = ffmpeg(project, port)
            while not told[-1]["gaps"]:
                told.append(json.loads(watch.stdout.readline()))
            server.kill()
            server.wait()
            _, said = watch.communicate(timeout=60)
        finally:
            watch.kill()
            server.kill()
            server.wait()
    assert watch.returncode == 3
    assert all(each["schema"] == "fsarctl.watch/1" and each["latency_s"] >= 0 for each in told)
    assert {each["top"][0]["class"] for each in told} <= {"early", "late"}
    spans = [each["end_s"] - each["start_s"] for each in told]
    assert spans == pytest.approx([1.0] * len(told), abs=0.01)
    assert re.search(r"stopped \(.+\); trying again", said)
    assert "is back after" in said
    assert "did not come back within 4 s" in said
    assert re.search(r"watched [\d.]+ s; latency [\d.]+ s, 95 % within [\d.]+ s; \d+ windows? left out", said)
    assert "Traceback" not in said


@contextlib.contextmanager
def rtsp_server(folder: Path) -> Iterator[int]:
    program = shutil.which("rtsp-server", path=Path(sys.executable).parent)
    if program is None:
        pytest.skip("no RTSP server: pip install aio-rtsp-toolkit")
    port, control = free_port(), free_port()
    words = ("-d", str(folder), "-H", "127.0.0.1", "-p", str(port), "-cp", str(control))
    with subprocess.Popen(
        [program, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            while True:
                assert server.poll() is None
                with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port)):
                    break
            yield port
        finally:
            server.kill()


def test_rtsp(project: Path) -> None:
    with rtsp_server(project) as port:
        done = type_in(project, "watch", f"rtsp://127.0.0.1:{port}/film.mp4", *SHOWN, "--seconds", "4")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert told
    assert all(each["latency_s"] >= 0 for each in told)
    assert "watched" in done.stderr


def test_a_file_on_a_server_and_one_here_say_the_same(project: Path) -> None:
    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *given: object) -> None:
            super().__init__(*given, directory=str(project))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None: ...

    (project / "film.ts").write_bytes(
        write(project / "whole.ts", count=5 * RATE, rate=RATE, bf="0").read_bytes()
    )
    write(project / "whole.mp4", count=5 * RATE, rate=RATE, bf="0")
    here = type_in(project, "watch", "film.ts", *SHOWN, "--give-up", "0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        there = type_in(project, "watch", f"http://127.0.0.1:{server.server_port}/whole.mp4", *SHOWN)
        server.shutdown()
    lists = [[json.loads(line) for line in done.stdout.splitlines()] for done in (here, there)]
    assert len(lists[0]) == len(lists[1]) == 8
    for ours, theirs in zip(*lists, strict=True):
        assert ours["top"][0]["score"] == pytest.approx(theirs["top"][0]["score"], abs=0.01)
        assert (ours["latency_s"], ours["dropped_windows"]) == (None, 0)
    lines = type_in(
        project, "watch", "film.ts", *SHOWN[:3], "--length", "1", "--give-up", "0.1", "--threshold", "0"
    ).stdout
    assert re.search(r"^0:01\.00  (early|late)  0\.\d\d$", lines, re.MULTILINE)
