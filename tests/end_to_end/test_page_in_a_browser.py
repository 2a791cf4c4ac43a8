"""The server's page in headless Chromium: examples from files and a camera, then a clip, then the camera."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from headless_chromium import Browser, chromium, find_chromium
from video_zoo import painted, write

pytest.importorskip("fastapi_offline", reason="pip install 'fsarctl[serve]'")
pytest.importorskip("uvicorn", reason="pip install 'fsarctl[serve]'")

from small_server import running, served

from fsarctl.datasets.clip_files import open_support_folder

PROGRAM = find_chromium()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium on this machine"),
]

UNTIL = """
new Promise((done, failed) => {
  const end = Date.now() + 60000;
  const look = () => {
    if (CONDITION) return done(true);
    if (Date.now() > end) return failed(new Error(document.body.innerText));
    setTimeout(look, 50);
  };
  look();
})
"""
FITS = "document.documentElement.scrollWidth <= innerWidth"


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """Whose camera shows numbered frames."""
    assert PROGRAM is not None
    with av.open(str(tmp_path / "camera.y4m"), "w", format="yuv4mpegpipe") as output:
        stream: Any = output.add_stream("wrapped_avframe", rate=15)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(60):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(painted(number, 320, 240))))
        output.mux(stream.encode(None))
    flags = (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={tmp_path / 'camera.y4m'}",
    )
    with chromium(PROGRAM, tmp_path / "profile", *flags) as opened:
        yield opened


def until(browser: Browser, condition: str) -> None:
    browser.evaluate(UNTIL.replace("CONDITION", condition))


def choose(browser: Browser, selector: str, *files: Path) -> None:
    found = browser.call("Runtime.evaluate", expression=f"document.querySelector({json.dumps(selector)})")
    element = found["result"]["objectId"]
    browser.call("DOM.setFileInputFiles", files=[str(each) for each in files], objectId=element)


def add_class(browser: Browser, label: str) -> None:
    browser.evaluate(
        f"label.value = {json.dumps(label)}; document.querySelector('#new-class button').click()"
    )


def test_examples_and_answers(browser: Browser, tmp_path: Path) -> None:
    late = write(tmp_path / "late.mp4", numbers=range(200, 212), rate=12)
    supports = tmp_path / "supports"
    with running(served(supports, token="a secret")) as url:
        browser.open(url, width=390, theme="light")
        until(browser, "document.querySelector('#ask').open")
        browser.evaluate("token.value = 'a secret'; document.querySelector('#ask button').click()")
        until(browser, "document.querySelector('#support').value === 'mine'")
        browser.evaluate("seconds.value = '1'; undefined")

        browser.evaluate("watch.click()")
        until(browser, "document.querySelector('#try-said').innerText.includes('no support')")
        add_class(browser, "waving &amp; one hand")
        browser.evaluate("document.querySelector('.record').click()")
        until(browser, "document.querySelector('#classes h3').innerText === 'waving &amp; one hand (1)'")
        until(browser, "document.querySelector('.clips video').videoWidth === 320")
        add_class(browser, "../late")
        choose(browser, "[aria-label='Add clips of ../late']", late)
        until(browser, "document.querySelector('#examples-said').innerText.includes('a folder of that name')")
        add_class(browser, "late")
        choose(browser, "[aria-label='Add clips of late']", late, late)
        until(browser, "[...document.querySelectorAll('h3')].some((each) => each.innerText === 'late (2)')")

        choose(browser, "#clip", late)
        until(browser, "document.querySelector('#try-said').innerText.includes('one of the examples')")
        assert browser.evaluate("document.querySelectorAll('#ranks li').length") == 3
        assert browser.evaluate("document.querySelector('#ranks li span').innerText") == "late"
        until(browser, "document.querySelector('#look').naturalWidth === 4 * 116 - 4")
        assert browser.evaluate(FITS)
        browser.screenshot(tmp_path / "page-390.png")

        browser.evaluate("document.querySelector('#ranks').replaceChildren()")
        browser.evaluate("watch.click()")
        until(browser, "document.querySelectorAll('#ranks li').length === 3")
        browser.evaluate("off.click()")
        until(browser, "document.querySelector('#camera').hidden")
        choose(browser, "#clip", tmp_path / "camera.y4m")
        until(browser, "document.querySelectorAll('#ranks li').length === 3")

        # Whoever comes back finds what is there.
        browser.open(url, width=1440, theme="dark")
        until(browser, "document.querySelectorAll('.clips video').length === 3")
        assert browser.evaluate(FITS)
        browser.screenshot(tmp_path / "page-1440.png")
        said = [each for each in browser.complaints() if each["method"] == "Runtime.exceptionThrown"]
        assert said == []
        assert {each.split("/")[2] for each in browser.requests() if "//" in each[:9]} == {url[7:]}
    found = {(clip.label, Path(clip.path).suffix) for clip in open_support_folder(supports / "mine").clips}
    assert found == {("late", ".mp4"), ("waving &amp; one hand", ".webm")}


def look_for(browser: Browser, words: str) -> None:
    field = "document.querySelector('#find')"
    browser.evaluate(f"{field}.value = {json.dumps(words)}; {field}.dispatchEvent(new Event('input'))")


def test_a_thousand_classes_are_found_by_name_and_each_clip_is_asked_for_once(
    browser: Browser, tmp_path: Path
) -> None:
    clip = write(tmp_path / "clip.mp4", numbers=range(12), rate=12).read_bytes()
    for number in range(1000):
        (folder := tmp_path / "supports" / "many" / f"class {number:03}").mkdir(parents=True)
        (folder / "0001.mp4").write_bytes(clip)
    with running(served(tmp_path / "supports")) as url:
        for width in (390, 1440):
            browser.open(url, width=width, theme="light")
            until(browser, "document.querySelector('#found').innerText === '6 of 1000 classes are shown.'")
            until(browser, "[...document.querySelectorAll('.clips video')].some((each) => each.videoWidth)")
            assert browser.evaluate(FITS)
            assert browser.evaluate("document.documentElement.scrollHeight") < 3000
        until(browser, "document.querySelector('.clips video').videoWidth")
        browser.events.clear()
        look_for(browser, "CLASS 77")
        until(browser, "document.querySelector('#found').innerText === '6 of 1000 classes are shown.'")
        look_for(browser, "class 777")
        until(browser, "document.querySelectorAll('#classes li').length === 1")
        # What was added is the last, whatever is looked for; and again after it has clips.
        add_class(browser, "class 000")
        add_class(browser, "new")
        names = "[...document.querySelectorAll('h3')].map((each) => each.innerText).join()"
        until(browser, f"{names} === 'class 777 (1),class 000 (1),new (0)'")
        for count in (1, 2):
            choose(browser, "[aria-label='Add clips of new']", tmp_path / "clip.mp4")
            until(browser, f"{names} === 'class 777 (1),class 000 (1),new ({count})'")
        until(browser, "[...document.querySelectorAll('.clips video')].every((each) => each.videoWidth)")
        asked = [each.partition("label=")[2] for each in browser.requests() if "example=" in each]
        first, new = ("class+777&example=0001.mp4", "new&example=0001.mp4")
        assert sorted(each for each in asked if "class+00" not in each and "+77" not in each) == [
            *(new, "new&example=0002.mp4")
        ]
        assert asked.count(first) == 1
        assert not any("class+000" in each for each in asked), "it was seen before"
        # A clip that takes the name of one that is gone is another clip.
        browser.evaluate("confirm = () => true; undefined")
        browser.evaluate("document.querySelector('[aria-label=\\'Delete 0001.mp4 of new\\']').click()")
        until(browser, f"{names} === 'class 777 (1),class 000 (1),new (1)'")
        choose(browser, "[aria-label='Add clips of new']", tmp_path / "clip.mp4")
        until(browser, f"{names} === 'class 777 (1),class 000 (1),new (2)'")
        until(browser, "[...document.querySelectorAll('.clips video')].every((each) => each.videoWidth)")
        asked = [each.partition("label=")[2] for each in browser.requests() if "example=" in each]
        assert asked.count(new) == 3, "seen, deleted, and seen anew"
