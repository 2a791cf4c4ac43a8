"""The report's page in headless Chromium, at a phone's and a desk's width, in both themes."""

import sys
from collections.abc import Iterator
from pathlib import Path

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


# What is wider than the paper, for which a browser shrinks the whole document.
BEYOND = """
[...document.querySelectorAll("main *")]
  .filter((each) => !each.closest("svg") && each.getBoundingClientRect().right > innerWidth + 1)
  .map((each) => [each.outerHTML.slice(0, 80), each.getBoundingClientRect().right])
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


@pytest.mark.parametrize(("width", "theme"), [(width, theme) for width in WIDTHS for theme in THEMES])
def test_the_page_is_whole_legible_and_as_wide_as_the_screen(
    browser: Browser, page: Path, width: int, theme: str
) -> None:
    browser.open(page, width=width, theme=theme)
    browser.evaluate(OPEN_ALL)
    nothing_is_complained_of_and_nothing_is_loaded(browser, page)
    every_picture_is_there(browser)
    all_text_is_legible(browser)
    it_is_as_wide_as_the_screen(browser)


def nothing_is_complained_of_and_nothing_is_loaded(shown: Browser, page: Path) -> None:
    assert shown.complaints() == []
    assert [url for url in shown.requests() if not url.startswith("data:")] == [page.as_uri()]
    assert shown.evaluate("document.title").startswith(NASTY[0])


def every_picture_is_there(shown: Browser) -> None:
    sizes = shown.evaluate("[...document.images].map((each) => [each.complete, each.naturalWidth])")
    assert len(sizes) == 2 * (5 + 3 * 4)
    assert all(complete and width > 500 for complete, width in sizes)
    charts = shown.evaluate(
        "[...document.querySelectorAll('svg')].map((each) => each.getBoundingClientRect().width)"
    )
    assert len(charts) == 5
    assert all(width > 250 for width in charts)


def all_text_is_legible(shown: Browser) -> None:
    found = shown.evaluate(CONTRASTS)
    assert len(found) > 300
    faint = [each for each in found if each["contrast"] < 4.5]
    assert faint == []
    small = [each for each in found if each["size"] < 10.5]
    assert small == []


def it_is_as_wide_as_the_screen(shown: Browser) -> None:
    assert shown.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    # What is wider scrolls in a box of its own, and is inside the screen.
    wide = shown.evaluate(
        "[...document.querySelectorAll('main *')].filter((each) => !each.closest('.scroll, svg') "
        "&& each.getBoundingClientRect().right > innerWidth + 1).map((each) => each.outerHTML.slice(0, 80))"
    )
    assert wide == []


@pytest.fixture(scope="module")
def long_ablation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page whose ablation has cells of 250 characters, with and without spaces, and many columns."""
    many = document()
    columns = ["part", *(f"part {n}" for n in range(6))]
    for each in many["ablations"]:
        each["columns"] = columns
        each["rows"][0] |= {"name": "a row", "cells": ["a row", *["✓"] * 5, "word " * 50]}
        each["rows"][1] |= {"name": "w" * 250, "cells": ["w" * 250, *["×"] * 5, "x" * 250]}
    path = tmp_path_factory.mktemp("page") / "long.html"
    path.write_text(render(many, pictures(), read), encoding="utf-8")
    return path


def many_classes(folder: Path, count: int) -> Path:
    """A page whose matrices have this many rows and columns."""
    many = document()
    for each in many["classes"]:
        labels = [f"class number {n}" for n in range(count)]
        each["rows"] = [{**each["rows"][0], "label": label} for label in labels]
        each["confusion"] = {"labels": labels, "given": [[1] * count] * count, "met": [[1] * count] * count}
    path = folder / "many.html"
    path.write_text(render(many, pictures(), read), encoding="utf-8")
    return path


def test_a_phone_shows_each_rows_name_and_accuracy(browser: Browser, long_ablation: Path) -> None:
    browser.open(long_ablation, width=390, theme="light")
    ends = browser.evaluate(
        "[...document.querySelector('.ablation').tBodies[0].rows].map((row) => "
        "[row.cells[0].textContent.slice(0, 5), row.cells[1].querySelector('.number').textContent, "
        "row.cells[1].querySelector('.number').getBoundingClientRect().right])"
    )
    assert [(name, number) for name, number, _ in ends] == [
        ("a row", "61.7 [51.1, 72.4]"),
        ("wwwww", "61.7 [51.1, 72.4]"),
    ]
    assert all(right < 375 for _, _, right in ends)


def test_a_long_cell_wraps(browser: Browser, long_ablation: Path) -> None:
    browser.open(long_ablation, width=1440, theme="light")
    assert browser.evaluate("document.querySelector('.ablation').offsetWidth") < 1600
    widths = browser.evaluate(
        "[...document.querySelectorAll('.ablation .cell')].map((each) => each.scrollWidth)"
    )
    assert max(widths) < 300


def test_what_scrolls_says_so(browser: Browser, long_ablation: Path) -> None:
    browser.open(long_ablation, width=390, theme="dark")
    browser.evaluate(OPEN_ALL)
    settled = "new Promise((done) => requestAnimationFrame(() => setTimeout(done, 300)))"
    browser.evaluate(settled)
    cues = (
        "[...document.querySelectorAll('.scroll')].map((each) => ['::before', '::after'].map((side) =>"
        " Number(getComputedStyle(each.parentElement, side).opacity)))"
    )
    wider = browser.evaluate(
        "[...document.querySelectorAll('.scroll')].map((each) => each.scrollWidth > each.clientWidth + 1)"
    )
    assert any(wider)
    assert not all(wider)
    assert browser.evaluate(cues) == [[0, int(each)] for each in wider]
    browser.evaluate("for (const each of document.querySelectorAll('.scroll')) each.scrollLeft = 1e6")
    browser.evaluate(settled)
    assert browser.evaluate(cues) == [[int(each), 0] for each in wider]


def test_chance_is_seen_where_a_model_is_no_better(browser: Browser, page: Path) -> None:
    browser.open(page, width=390, theme="light")
    chance, tick = (
        browser.evaluate(
            f"(({{top, bottom}}) => [top, bottom])"
            f"(document.querySelector('.track {each}').getBoundingClientRect())"
        )
        for each in (".chance", ".tick")
    )
    assert chance[0] <= tick[0] - 4
    assert chance[1] >= tick[1] + 4


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


@pytest.mark.parametrize("classes", [5, 40])
def test_it_prints_in_ink_on_white_unfolded(
    browser: Browser, long_ablation: Path, tmp_path: Path, classes: int
) -> None:
    paper = long_ablation if classes == 5 else many_classes(tmp_path, classes)
    # A4 less the margins that browsers leave.
    browser.open(paper, width=718, theme="dark")
    browser.call("Emulation.setEmulatedMedia", media="print")
    browser.evaluate("dispatchEvent(new Event('beforeprint'))")
    try:
        assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert browser.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
        assert browser.evaluate("document.querySelectorAll('#classes details:not([open])').length") == 0
        beyond = browser.evaluate(BEYOND)
        assert beyond == []
        assert [each for each in browser.evaluate(CONTRASTS) if each["contrast"] < 4.5] == []
    finally:
        browser.call("Emulation.setEmulatedMedia", media="screen")
