"""The page of events in headless Chromium: it fits, complains of nothing, and jumps in the video."""

from pathlib import Path

import numpy as np
import pytest
from headless_chromium import chromium, find_chromium
from video_zoo import write

from fsarctl.report.timeline import BINS, TimelineEvent, TimelineVideo, render_timeline

PROGRAM = find_chromium()
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no Chromium on this machine")

JUMP = """
(async () => {
  const player = document.querySelector("video");
  if (player.readyState < 1) await new Promise((done) => player.addEventListener("loadedmetadata", done));
  document.querySelectorAll("[data-start]")[1].click();
  const event = player.currentTime;
  const lane = document.querySelector(".lane svg").getBoundingClientRect();
  const click = { bubbles: true, clientX: lane.left + lane.width / 4, clientY: lane.top + 1 };
  document.querySelector(".lane svg path").dispatchEvent(new MouseEvent("click", click));
  return [event, player.currentTime, player.videoWidth, document.documentElement.scrollWidth - innerWidth];
})()
"""


def test_a_click_jumps(tmp_path: Path) -> None:
    assert PROGRAM is not None
    write(tmp_path / "long video.mp4", count=150, rate=15, g="15")
    events = [TimelineEvent(1.0, 3.0, "a " * 60, 0.9), TimelineEvent(6.4, 8.4, "b" * 80, 0.7)]
    video = TimelineVideo(
        "long video.mp4", "long%20video.mp4", 10.0, ["a " * 60, "b" * 80], np.full((2, BINS), 0.4), events
    )
    page = render_timeline([video], title="t" * 80, about="about", threshold=0.5, note="note")
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    with chromium(PROGRAM, tmp_path / "profile") as browser:
        for width in (390, 1440):
            browser.open(tmp_path / "page.html", width=width, theme="dark")
            event, lane, pixels, beyond = browser.evaluate(JUMP)
            assert event == pytest.approx(6.4)
            assert lane == pytest.approx(2.5, abs=0.1)
            assert pixels == 176
            assert beyond <= 0
            said = [each for each in browser.complaints() if each["method"] != "Network.loadingFailed"]
            assert said == []
