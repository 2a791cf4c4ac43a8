"""The report's page in headless Chromium, at a phone's and a desk's width, in both themes."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from headless_chromium import Browser, chromium, find_chromium

sys.path.append(str(Path(__file__).parents[1] / "unit"))
from report_document import NASTY, document, pictures, read

from fsarctl.report.page import render

PROGRAM = find_chromium()
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no Chromium on this machine")
WIDTHS = (390, 1440)
THEMES = ("light", "dark")

OPEN_ALL = "for (const each of document.querySelectorAll('details')) each.open = true"
# Text that is seen, its colour, and what is under it: backgrounds of its ancestors laid over each other.
CONTRASTS = """
(() => {
  const parse = (text) => {
    const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
    return [r, g, b, a];
  };
  const over = (top, bottom) => [0, 1, 2].map((n) => top[3] * top[n] + (1 - top[3]) * bottom[n]);
  const luminance = (colour) => {
    const [r, g, b] = colour.map((c) => ((c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const scale = (text) => Math.hypot(text.getScreenCTM().a, text.getScreenCTM().b);
  const seen = (text) => text.data.trim() && text.parentElement.checkVisibility();
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    if (!seen(walker.currentNode) || parent.closest("script, style")) continue;
    const style = getComputedStyle(parent);
    const grounds = [];
    for (let each = parent; each; each = each.parentElement)
      grounds.push(parse(getComputedStyle(each).backgroundColor));
    const ground = grounds.reduceRight((bottom, top) => over(top, bottom), [255, 255, 255]);
    const colour = over(parse(parent.closest("svg") ? style.fill : style.color), ground);
    const [light, dark] = [luminance(colour), luminance(ground)].sort((a, b) => b - a);
    const size = parseFloat(style.fontSize) * (parent.closest("svg") ? scale(parent) : 1);
    const text = walker.currentNode.data.trim().slice(0, 40);
    found.push({ text, contrast: (light + 0.05) / (dark + 0.05), size });
  }
  return found;
})()
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render(document(), pictures(), read), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert PROGRAM is not None
    with chromium(PROGRAM, tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(params=[(width, theme) for width in WIDTHS for theme in THEMES], ids=str)
def shown(browser: Browser, page: Path, request: Any) -> Browser:
    """The page, every part of it unfolded."""
    width, theme = request.param
    browser.open(page, width=width, theme=theme)
    browser.evaluate(OPEN_ALL)
    return browser


def test_nothing_is_complained_of_and_nothing_is_loaded(shown: Browser, page: Path) -> None:
    assert shown.complaints() == []
    assert [url for url in shown.requests() if not url.startswith("data:")] == [page.as_uri()]
    assert shown.evaluate("document.title").startswith(NASTY[0])


def test_every_picture_is_there(shown: Browser) -> None:
    sizes = shown.evaluate("[...document.images].map((each) => [each.complete, each.naturalWidth])")
    assert len(sizes) == 2 * (5 + 3 * 4)
    assert all(complete and width > 500 for complete, width in sizes)
    charts = shown.evaluate(
        "[...document.querySelectorAll('svg')].map((each) => each.getBoundingClientRect().width)"
    )
    assert len(charts) == 4
    assert all(width > 250 for width in charts)


def test_all_text_is_legible(shown: Browser) -> None:
    found = shown.evaluate(CONTRASTS)
    assert len(found) > 300
    faint = [each for each in found if each["contrast"] < 4.5]
    assert faint == []
    small = [each for each in found if each["size"] < 10.5]
    assert small == []


def test_the_page_is_as_wide_as_the_screen(shown: Browser) -> None:
    assert shown.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    # What is wider scrolls in a box of its own, and is inside the screen.
    wide = shown.evaluate(
        "[...document.querySelectorAll('main *')].filter((each) => !each.closest('.scroll, svg') "
        "&& each.getBoundingClientRect().right > innerWidth + 1).map((each) => each.outerHTML.slice(0, 80))"
    )
    assert wide == []


def test_classes_are_sorted_by_any_column(browser: Browser, page: Path) -> None:
    browser.open(page, width=1440, theme="light")
    table = "document.querySelector('table.sortable')"
    column = f"[...{table}.tBodies[0].rows].map((row) => row.cells[{{}}].textContent)"
    press = f"{table}.tHead.rows[0].cells[{{}}].firstElementChild.click()"
    assert browser.evaluate(column.format(0)) == ["1", "2", "3", "4", "5"]
    browser.evaluate(press.format(2))
    assert [cell.split()[0] for cell in browser.evaluate(column.format(2))] == [
        "50.0",
        "60.0",
        "70.0",
        "80.0",
        "90.0",
    ]
    browser.evaluate(press.format(2))
    assert [cell.split()[0] for cell in browser.evaluate(column.format(2))] == [
        "90.0",
        "80.0",
        "70.0",
        "60.0",
        "50.0",
    ]
    browser.evaluate(press.format(4))
    assert browser.evaluate(column.format(4)) == ["30", "31", "32", "33", "34"]
    assert browser.evaluate(f"{table}.querySelectorAll('[aria-sort]').length") == 1


def test_a_link_to_what_is_folded_unfolds_it(browser: Browser, page: Path) -> None:
    browser.open(page, width=390, theme="light")
    browser.evaluate("document.querySelector('#classes details').id = 'folded'")
    browser.evaluate("document.querySelector('#folded').open = false")
    browser.evaluate(
        "new Promise((done) => { addEventListener('hashchange', done); location.hash = 'folded' })"
    )
    assert browser.evaluate("document.querySelector('#folded').open")


def test_it_prints_in_ink_on_white_unfolded(browser: Browser, page: Path) -> None:
    browser.open(page, width=794, theme="dark")
    browser.call("Emulation.setEmulatedMedia", media="print")
    browser.evaluate("dispatchEvent(new Event('beforeprint'))")
    try:
        assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert browser.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
        assert browser.evaluate("document.querySelectorAll('#classes details:not([open])').length") == 0
        assert [each for each in browser.evaluate(CONTRASTS) if each["contrast"] < 4.5] == []
    finally:
        browser.call("Emulation.setEmulatedMedia", media="screen")
