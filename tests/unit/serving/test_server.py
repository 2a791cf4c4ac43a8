"""The server over loopback: right answers, and one sentence for whatever is wrong."""

import io
import json
import socket
import sys
import threading
import time
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2
import psutil
import pytest
from documents import blocks
from PIL import Image
from typed import type_in

pytest.importorskip("fastapi_offline", reason="pip install 'fsarctl[serve]'")
pytest.importorskip("uvicorn", reason="pip install 'fsarctl[serve]'")

from small_server import running, served, write_examples
from video_zoo import write

from fsarctl.serving.uploads import Limits
from fsarctl.video.processes.worker_pool import temporary_folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("serving")
    write_examples(folder / "supports" / "mine")
    (folder / "videos" / "deep").mkdir(parents=True)
    write(folder / "videos" / "deep" / "new.mp4", numbers=range(200, 248), rate=12)
    (folder / "secret.mp4").write_bytes((folder / "videos" / "deep" / "new.mp4").read_bytes())
    (folder / "videos" / "link.mp4").symlink_to(folder / "secret.mp4")
    return folder


@pytest.fixture(scope="module")
def url(place: Path) -> Iterator[str]:
    with running(
        served(place / "supports", videos=place / "videos", limits=Limits(megabytes=1), hosts=["127.0.0.1"])
    ) as address:
        yield address


@pytest.fixture
def ask(url: str) -> Iterator[Any]:
    with httpx2.Client(base_url=url, timeout=120) as client:
        yield client


def left() -> list[str]:
    return [each.name for each in temporary_folder().iterdir() if each.name.startswith("tmp")]


def wrong(answer: Any, status: int, says: str) -> None:
    assert answer.status_code == status, answer.text
    assert says in answer.json()["error"]
    assert "Traceback" not in answer.text


def _fields(told: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Of a prediction, and of a class in it."""
    return list(told), list(told["classes"][0])


def test_predict_and_spot_say_what_a_recogniser_says(ask: Any, place: Path) -> None:
    video = place / "videos" / "deep" / "new.mp4"
    recogniser = served(place / "supports").supports.recogniser("mine")
    expected = recogniser.predict(video)
    by_path = ask.post("/predict", params={"support": "mine", "path": "deep/new.mp4"}).json()
    with ThreadPoolExecutor(6) as threads:
        ways = {"params": {"support": "mine", "look": "true"}, "content": video.read_bytes()}
        uploads = [each.json() for each in threads.map(lambda _: ask.post("/predict", **ways), range(6))]
    for told in (by_path, *uploads):
        assert [each["class"] for each in told["classes"]] == [each.label for each in expected.classes]
        for each, ours in zip(told["classes"], expected.classes, strict=True):
            assert each["score"] == pytest.approx(ours.score, abs=1e-5)
    assert uploads[0]["look"].startswith("data:image/webp;base64,")
    assert "look" not in by_path
    (block,) = (each for each in blocks("console") if each.document == "docs/serve.md")
    assert _fields(json.loads(block.sessions[0][1])) == _fields(by_path)

    told = ask.post(
        "/spot", params={"support": "mine", "length": [1, 2], "threshold": 0.2}, content=video.read_bytes()
    ).json()
    from fsarctl.predict.event_rules import EventRules

    events = recogniser.spot(video, lengths=[1, 2], rules=EventRules(threshold=0.2))
    assert told["events"] == [pytest.approx(vars(each)) for each in events]
    assert events
    recogniser.close()
    assert left() == []


@pytest.mark.parametrize(
    "path",
    ["../secret.mp4", "deep/../../secret.mp4", "link.mp4", "{}/secret.mp4", "deep", "", "a\0b", "x" * 5000],
)
def test_no_path_leads_out_of_the_folder(ask: Any, place: Path, path: str) -> None:
    answer = ask.post("/predict", params={"support": "mine", "path": path.format(place)})
    wrong(answer, 422 if path else 400, "there is no video")


def test_what_is_wrong_is_a_sentence(ask: Any, url: str, place: Path) -> None:
    mine = {"support": "mine"}
    wrong(ask.post("/predict", params=mine, content=b"no video"), 422, "cannot be read: it is not a video")
    wrong(ask.post("/spot", params={**mine, "length": 1}, content=b"no video"), 422, "cannot be read")
    wrong(ask.post("/spot", params=mine, content=b"no video"), 422, "how long the examples are")
    wrong(ask.post("/predict", params={"support": "mein"}, content=b"x"), 422, "no support 'mein'")
    wrong(ask.post("/predict", params={"support": "../supports/mine"}, content=b"x"), 422, "no support")
    wrong(ask.post("/predict", params=mine, content=bytes(2**20 + 1)), 413, "larger than 1 MiB")
    wrong(ask.post("/predict", params=mine, content=iter([bytes(2**19)] * 3)), 413, "larger than 1 MiB")
    wrong(ask.post("/predict", params=mine, files={"file": b"x"}), 415, "a form is not read")
    wrong(ask.get("/supports", headers={"origin": "http://elsewhere.example"}), 403, "may not ask")
    assert ask.get("/supports", headers={"origin": url}).status_code == 200
    assert ask.get("/supports", headers={"host": "elsewhere.example"}).status_code == 400
    for parameters, name in (({}, "support"), ({**mine, "top": 0}, "top"), ({**mine, "top": "x"}, "top")):
        wrong(ask.post("/predict", params=parameters, content=b"x"), 422, f"{name}: ")
    wrong(ask.post("/spot", params={**mine, "length": 1e-6}, content=b"x"), 422, "greater than or equal")
    wrong(ask.get("/nowhere"), 404, "not found")
    wrong(ask.get("/predict"), 405, "not allowed")
    assert left() == []


def test_truncated_uploads_and_killed_workers_harm_nobody_else(ask: Any, url: str, place: Path) -> None:
    video = (place / "videos" / "deep" / "new.mp4").read_bytes()
    head = b"POST /predict?support=mine HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9999\r\n\r\n"
    for _ in range(20):
        with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port)) as broken:
            broken.sendall(head + video[:500])
    assert ask.post("/predict", params={"support": "mine"}, content=video).status_code == 200
    if sys.platform != "win32":
        for each in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # what an earlier test left may just be ending
                if "forkserver" in " ".join(each.cmdline()) and not each.children():
                    each.kill()
    assert ask.post("/predict", params={"support": "mine"}, content=video).status_code == 200
    told = ask.get("/health").json()
    assert (told["status"], told["working"], told["waiting"]) == ("ok", 0, 0)
    assert left() == []


def test_examples_become_a_folder_of_clips(ask: Any, place: Path) -> None:
    video = (place / "videos" / "deep" / "new.mp4").read_bytes()
    for label in ("wave 👋", "bow", "bow"):
        answer = ask.post("/supports/new set", params={"label": label}, content=video)
        assert answer.status_code == 200, answer.text
    folder = place / "supports" / "new set"
    assert sorted(str(each.relative_to(folder)) for each in folder.rglob("*.mp4")) == [
        *("bow/0001.mp4", "bow/0002.mp4", "wave 👋/0001.mp4")
    ]
    assert (folder / "bow" / "0001.mp4").read_bytes() == video
    told = {each["name"]: each["classes"] for each in ask.get("/supports").json()["supports"]}
    assert told["new set"] == {"bow": ["0001.mp4", "0002.mp4"], "wave 👋": ["0001.mp4"]}
    one = {"label": "bow", "example": "0001.mp4"}
    assert ask.get("/supports/new set", params=one).content == video
    before = ask.post("/predict", params={"support": "new set"}, content=video).json()
    assert before["same_frames_as"]
    # What is taken away, or added, is seen with the next question.
    assert ask.delete("/supports/new set", params=one).status_code == 200
    wrong(ask.delete("/supports/new set", params=one), 422, "has no example")
    assert ask.delete("/supports/new set", params={**one, "example": "0002.mp4"}).status_code == 200
    assert not (folder / "bow").exists()
    wrong(ask.post("/predict", params={"support": "new set"}, content=video), 422, "one class alone")

    # One name, however its letters are composed.
    for form in ("NFC", "NFD"):
        name = quote(unicodedata.normalize(form, "café"))
        assert ask.post(f"/supports/{name}", params={"label": "bow"}, content=video).status_code == 200
        told = {each["name"]: each["classes"] for each in ask.get("/supports").json()["supports"]}
    assert told["café"] == {"bow": ["0001.mp4", "0002.mp4"]}
    pictures = place / "supports" / "café" / "folder" / "clip"
    pictures.mkdir(parents=True)
    for number in range(2):
        Image.new("RGB", (8, 8)).save(pictures / f"{number}.jpg")
    clip = {"label": "folder", "example": "clip"}
    wrong(ask.delete("/supports/café", params=clip), 422, "a folder of images")
    wrong(ask.get("/supports/café", params=clip), 422, "it is a folder")

    everything = sorted(place.rglob("*"))
    motion_jpeg = b"".join(_jpeg(number) for number in range(9))
    wrong(ask.post("/supports/other", params={"label": "x"}, content=motion_jpeg), 422, "what kind of video")
    for label in (
        "CACHEDIR.TAG",
        "../../x",
        "a/b",
        "..",
        ".x",
        "",
        " x",
        "x" * 200,
        "a\0b",
        "a\nb",
        "a:b",
        "\u202ex",
    ):
        wrong(
            ask.post("/supports/other", params={"label": label}, content=video), 422, "a folder of that name"
        )
    for name in ("%2e%2e", quote("..\\x"), ".x"):
        wrong(
            ask.post(f"/supports/{name}", params={"label": "x"}, content=video), 422, "a folder of that name"
        )
    wrong(ask.post("/supports/other", params={"label": "x"}, content=b"no video"), 422, "cannot be read")
    for example in ("../late/0.mp4", "/etc/passwd", "0.mp4\0"):
        wrong(
            ask.get("/supports/mine", params={"label": "early", "example": example}), 422, "no such example"
        )
        wrong(ask.delete("/supports/mine", params={"label": "early", "example": example}), 422, "no example")
    assert sorted(place.rglob("*")) == everything


def _jpeg(number: int) -> bytes:
    held = io.BytesIO()
    Image.new("RGB", (64, 64), (25 * number, 0, 0)).save(held, "jpeg")
    return held.getvalue()


def test_the_pages_load_nothing_from_elsewhere(ask: Any) -> None:
    for address in ("/", "/page.js", "/camera.js", "/page.css", "/docs"):
        answer = ask.get(address)
        assert answer.status_code == 200
        assert "://" not in answer.text.replace("http://www.w3.org", ""), address
    paths = ask.get("/openapi.json").json()["paths"]
    assert {"/predict", "/spot", "/health", "/supports"} <= set(paths)
    assert "application/octet-stream" in paths["/predict"]["post"]["requestBody"]["content"]


def test_who_is_slow_or_too_many_is_sent_away(place: Path) -> None:
    """One place, nobody waits: a connection that sends a part of its video has it, until its time is over."""
    limits = Limits(seconds=2, at_once=1, waiting=0)
    with running(served(place / "supports", limits=limits, token="a secret")) as url:
        port = urlsplit(url).port
        head = "POST /predict?support=mine HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a secret\r\n"
        with (
            httpx2.Client(base_url=url, timeout=120) as ask,
            socket.create_connection(("127.0.0.1", port)) as slow,
        ):
            wrong(ask.get("/supports"), 401, "token is missing or wrong")
            wrong(ask.get("/supports", headers={"authorization": "Bearer a secre"}), 401, "token")
            ask.headers["authorization"] = "Bearer a secret"
            slow.sendall(f"{head}Content-Length: 9999\r\n\r\n".encode() + bytes(10))
            while ask.get("/health").json()["working"] == 0:
                pass
            wrong(ask.post("/predict", params={"support": "mine"}, content=b"x"), 503, "are waiting already")
            assert b" 408 " in slow.recv(4096).split(b"\r\n")[0]
            while ask.get("/health").json()["working"]:
                pass
            answer = ask.post("/supports/mine", params={"label": "late"}, content=b"x")
            wrong(answer, 422, "cannot be read")
    assert left() == []


def test_what_takes_too_long_is_ended(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline has passed when the first windows are finished."""
    ticks = iter([0.0])
    monkeypatch.setattr("fsarctl.serving.work.monotonic", lambda: next(ticks, 1e9))
    with running(served(place / "supports")) as url:
        video = (place / "videos" / "deep" / "new.mp4").read_bytes()
        answer = httpx2.post(
            f"{url}/spot", params={"support": "mine", "length": 1}, content=video, timeout=120
        )
        wrong(answer, 504, "no answer within 60 s")
    assert left() == []


def test_a_server_that_ends_waits_for_no_long_video(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, ended = threading.Event(), threading.Event()

    def find(*_: object, reporter: Any, **__: object) -> None:
        try:
            with reporter.task("spot", 1, "window") as advance:
                while True:
                    begun.set()
                    advance(1)
                    time.sleep(0.01)
        finally:
            ended.set()

    monkeypatch.setattr("fsarctl.predict.recogniser.Recogniser.spot", find)
    with ThreadPoolExecutor(1) as threads:
        with running(served(place / "supports", limits=Limits(seconds=300))) as url:
            video = (place / "videos" / "deep" / "new.mp4").read_bytes()
            asked = threads.submit(
                lambda: httpx2.post(f"{url}/spot", params={"support": "mine"}, content=video, timeout=120)
            )
            assert begun.wait(60)
            begin = time.monotonic()
        assert ended.is_set()
        assert time.monotonic() - begin < 120
        asked.exception()


def test_a_fault_is_a_sentence_too(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    given = served(place / "supports", note=said.append)
    monkeypatch.setattr(given.supports, "names", lambda: 1 / 0)
    with running(given) as url:
        wrong(httpx2.get(f"{url}/supports"), 500, "a bug in fsarctl")
        assert httpx2.get(f"{url}/health").status_code == 200
    assert said == ["error: ZeroDivisionError: division by zero; a bug in fsarctl: --debug shows where"]


def test_what_cannot_be_served_is_said_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("uvicorn", "fsarctl.predict.recogniser", "fsarctl.serving.app", "fsarctl.serving.run"):
        monkeypatch.setitem(sys.modules, module, None)  # nothing is loaded that takes seconds
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    (tmp_path / "fsarctl.toml").write_text('[datasets.shapes]\nkind = "shapes"\n')
    (tmp_path / "file").write_text("x")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = type_in(tmp_path, f"fsarctl serve --port {port}", expect=3)
    assert f"port {port} of 127.0.0.1 is taken" in done.stderr
    assert "--port 0" in done.stderr
    for words, code, says in (
        ("--host 0.0.0.0", 2, "FSARCTL_TOKEN is not set"),
        ("file", 2, "file is a file"),
        ("--videos nowhere", 2, "no folder nowhere"),
        ("--host 203.0.113.1 --port 0", 3, "cannot be had"),
        ("--frozen --shots 1", 2, "Leave out one of them"),
    ):
        given = {"FSARCTL_TOKEN": "x"} if "203" in words else {}
        assert says in type_in(tmp_path, f"fsarctl serve {words}", expect=code, **given).stderr
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "fsarctl.toml"]
