"""The report's page, without a browser: well-formed, whole, harmless, and saying what the document says."""

import base64
import hashlib
import json
import re
from collections import Counter
from functools import cache
from html.parser import HTMLParser
from importlib import resources
from typing import Any
from unittest import mock

import pytest
from report_document import NASTY, decoded, document, pictures, read, told

from fsarctl.report.figures import (
    accuracy_by_shots,
    accuracy_by_way,
    reliability_diagram,
    training_curves,
)
from fsarctl.report.page import render

VOID = {"meta", "link", "img", "br", "hr", "input"}
# What the parser must not close by itself to be strict; a page of ours closes everything.
CHARTS = {each.__name__: each for each in (accuracy_by_shots, accuracy_by_way, training_curves)}


class Page(HTMLParser):
    """Elements as (tag, attributes, text) of a page that must be well-formed."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        assert len(dict(attrs)) == len(attrs), f"an attribute of {tag} stands twice"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        assert "svg" in self.open or tag in VOID, f"<{tag}/> closes nothing in HTML"

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data)

    def values(self, *attributes: str) -> list[str]:
        return [attrs[name] for _, attrs in self.elements for name in attributes if name in attrs]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@cache
def _drawn(chart: str, given: str) -> str:
    return CHARTS[chart](*json.loads(given))


def rendered(*given: Any, **how: Any) -> str:
    """What ``render`` gives; a chart of the same numbers is drawn but once."""
    charts = {name: lambda *numbers, name=name: _drawn(name, json.dumps(numbers)) for name in CHARTS}
    with mock.patch.multiple("fsarctl.report.page.figures", **charts):
        return render(*given, **how)


@pytest.fixture(scope="module")
def html() -> str:
    return render(document(), pictures(), read)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_it_is_one_well_formed_page(html: str, page: Page) -> None:
    assert html.startswith('<!doctype html>\n<html lang="en">')
    tags = Counter(tag for tag, _ in page.elements)
    assert (tags["html"], tags["main"], tags["h1"], tags["title"]) == (1, 1, 1, 1)
    assert tags["svg"] == 5  # by shots, by way, two trainings, reliability
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    targets = [link[1:] for link in page.values("href") if link.startswith("#")]
    assert set(targets) <= set(ids)
    assert {f"url(#{name})" for name in re.findall(r"url\(#([^)]*)\)", html)} <= {
        f"url(#{id_})" for id_ in ids
    }


def test_it_loads_nothing(html: str, page: Page) -> None:
    for link in page.values("src", "href", "srcset", "data", "action", "poster"):
        assert link.startswith(("#", "data:image/webp;base64,")) or link == "data:,", link[:80]
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    assert "http://" not in html
    assert "https://" not in html
    policy = next(attrs["content"] for tag, attrs in page.elements if attrs.get("http-equiv"))
    assert policy.startswith("default-src 'none'")


def test_the_policy_names_the_pages_own_script_and_no_other(html: str) -> None:
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html


def test_names_are_text_and_never_markup(html: str, page: Page) -> None:
    for name in NASTY:
        assert name in page.words, "shown as it is"
    assert html.count("<script") == 1
    assert html.count("<img") == sum("webp" in source for source in page.values("src"))
    assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on")]


def test_every_picture_decodes_and_says_what_it_shows(page: Page) -> None:
    shown = [attrs for tag, attrs in page.elements if tag == "img"]
    # Two episodes of 5 support clips and 3 queries, each of them plain and as 3 models see it.
    assert len(shown) == 2 * (5 + 3 * (1 + 3))
    for attrs in shown:
        width, height = decoded(attrs["src"])
        assert (attrs["width"], attrs["height"]) == (str(width), str(height))
        assert attrs["alt"]


def test_it_says_what_the_document_says(page: Page) -> None:
    words = page.words
    for result in document()["results"]:
        clips, classes = (
            "[" + ", ".join(f"{100 * result['intervals'][name][end]:.1f}" for end in ("low", "high")) + "]"
            for name in ("clips", "classes")
        )
        assert f"{100 * result['accuracy']:.1f} {clips} {classes}" in words
        assert result["command"] in words
    for number in (
        "95.3",
        "+30.0 [+16.4, +43.5]",
        "71.2 [61.2, 81.2]",
        "65.4 [60.4, 70.4]",
        "+5.8 [+0.8, +10.8]",
        "61.7 [51.1, 72.4]",
        "+5.2 [+0.2, +10.2]*",
        "71.3",
        "1,500 queries whose class is an answer, and 1,499 whose class is none",
        "error 8.5 % as a softmax, 30.7 % calibrated",
        "4.2 % and, at temperature 0.44, 15.4 %",
        "largest softmax 74.4 86.8",
        "best score 82.7 64.1",
    ):
        assert number in words, number
    for part in (
        "fsarctl eval --shots 3",
        "fsarctl ablate mine",
        "it is no video",
        "0123456789 with changes",
        "12.5 s",
    ):
        assert part in words, part
    assert f"1 of the classes of {NASTY[0]} are not novel" in words


def test_each_class_has_the_interval_of_its_own(page: Page) -> None:
    for number in range(len(NASTY)):
        low, high = 81.23 - 10 * number, 94.56 - 10 * number
        assert f"{90 - 10 * number}.0 {low:.1f} to {high:.1f}" in page.words


def test_an_ablations_rows_have_names_then_numbers_then_their_cells() -> None:
    changed = document()
    (ours, _) = changed["ablations"]
    ours["rows"][1] |= {"name": "frozen backbone", "cells": ["another", "×"]}
    ours["rows"][0] |= {"name": "all parts", "cells": ["a part", "✓"]}
    words = Page(rendered(changed, None, read)).words
    assert f"row 1-shot difference over seeds paper part {NASTY[2]} all parts 61.7 [51.1, 72.4]" in words
    assert "61.7 [51.1, 72.4] +5.2 [+0.2, +10.2]* ± 2.0 71.3 a part" in words
    assert "± 2.0 71.3 a part ✓ frozen backbone 61.7 [51.1, 72.4]" in words
    assert "71.3 another ×" in words
    # One column that repeats the names stands there but once.
    ours["columns"] = ["method"]
    for row in ours["rows"]:
        row["cells"] = [row["name"]]
    words = Page(rendered(changed, None, read)).words
    assert "row 1-shot difference over seeds paper all parts 61.7" in words
    assert "71.3 frozen backbone 61.7" in words


def test_a_table_of_another_dataset_says_so(page: Page) -> None:
    captions = [each for each in page.text if each.startswith(f"{NASTY[1]} (Table 4)")]
    assert [each.strip() for each in captions] == [
        f"{NASTY[1]} (Table 4)",
        f"{NASTY[1]} (Table 4), on {NASTY[0]}",
    ]
    assert f"2 rows; eval.x={NASTY[1]}; 2026-01-02 03:04 UTC" in page.words


def test_one_of_a_thing_is_not_several() -> None:
    one = document()
    one["episodes"] |= {"episodes": 1, "classes": 1}
    one["descriptions"]["labels"] = one["descriptions"]["labels"][:1]
    for each in one["training"]:
        each["val_episodes"] = 1
    words = Page(rendered(one, pictures(), read)).words
    for part in ("1 5-way episode of 1 test class with", "1 validation episode.", "1 label and what"):
        assert part in words
    assert "and 1 more clip " in words
    assert "40 5-way episodes of 5 test classes with" in Page(rendered(document(), None, read)).words


def test_the_strategy_is_called_by_its_name_where_its_first_shot_is_missing() -> None:
    partial = document()
    del partial["results"][1]
    html = rendered(partial, None, read)
    assert '<i class="tick own"></i>Task-Adapter++</span>' in html
    assert '<i class="tick frozen"></i>frozen CLIP</span>' in html
    bold = re.findall(r'<tr class="own"><td class="right">(\d)</td><th scope="row">([^<]*)', html)
    assert bold == [("5", "Task-Adapter++")]


def test_a_failed_run_is_named_under_its_table() -> None:
    changed = document()
    assert "failed:" not in Page(rendered(changed, None, read)).words
    changed["ablations"][0]["failed"] = {"all parts, 1-shot": f"exit code 3 {NASTY[0]}"}
    words = Page(rendered(changed, None, read)).words
    assert words.count(f"failed: all parts, 1-shot (exit code 3 {NASTY[0]})") == 1
    assert words.count("exit code 3") == 1


def test_the_bars_of_a_mistake_are_of_what_the_query_was_taken_for() -> None:
    shown = pictures()
    (query, *_), classes = shown["episodes"][0]["queries"], shown["episodes"][0]["classes"]
    assert [each["column"] for each in query["stages"]] == [0, 1]
    shown["episodes"] = [{**shown["episodes"][0], "queries": [query], "classes": classes}]
    query["predictions"]["task-adapter++"] = 1
    words = Page(rendered(document(), shown, read)).words
    assert "B what it was taken for" in words
    assert "runner-up" not in words
    query["predictions"]["task-adapter++"] = 0
    words = Page(rendered(document(), shown, read)).words
    assert "B the runner-up" in words
    assert "what it was taken for" not in words


def test_clips_that_are_missing_are_counted_and_named(page: Page) -> None:
    words = page.words
    assert "with 1,234 of 1,259 clips" in words.split("Results")[0]
    assert "expected found without frames" in words
    assert "1,259 1,235 1 decord 1,200" in words
    assert "24 clips of" in words
    for number in (0, 19):
        assert f"gone/{number:02}" in words
    assert "and 4 more" in words
    whole = document()
    whole["episodes"] |= {"clips_expected": 1234}
    whole["data"] = [{**each, "missing": [], "missing_more": 0} for each in whole["data"]]
    words = Page(rendered(whole, pictures(), read)).words
    assert "with 1,234 clips" in words
    assert "missing" not in words.split("Data")[-1]


def test_a_matrix_cell_is_the_share_of_the_queries_that_met_the_class(page: Page) -> None:
    cells = [
        attrs
        for tag, attrs in page.elements
        if tag == "td" and attrs.get("class") in ("hit", "miss", "never")
    ]
    assert len(cells) == 2 * 25
    # 23 of 30 on the diagonal, 3 of 30 off it, two pairs that never met.
    assert Counter(attrs["class"] for attrs in cells) == {"hit": 10, "miss": 36, "never": 4}
    assert {attrs["style"] for attrs in cells if attrs["class"] == "hit"} == {
        f"--a:{round(0.8 * 23 / 30, 3)}"
    }
    assert {attrs["title"].split(":")[0] for attrs in cells if attrs["class"] == "miss"} == {"3 of 30"}


@pytest.mark.parametrize("scores", [[-9.0, -1.0, -3.0], [-2.0, 6.0, 0.0], [0.5, 4.5, 1.5]])
def test_of_two_scores_the_better_has_the_longer_bar(scores: list[float]) -> None:
    drawn = pictures(way=3, stages=False)
    own = drawn["models"][-1]
    for episode in drawn["episodes"]:
        for query in episode["queries"]:
            query["scores"][own] = scores
    page = rendered(document(way=3), drawn, read)
    rows = re.findall(r'<b class="letter">\w</b>.*?--w:([\d.]+)%', page)
    bars = [float(width) for width in rows[:3]]
    least = min(0.0, *scores)
    # from the least, or from nothing, to the most; in parts of a hundred
    assert bars == [pytest.approx(100 * (each - least) / (max(scores) - least), abs=0.06) for each in scores]


def test_the_same_store_gives_the_same_bytes(html: str) -> None:
    assert render(document(), pictures(), read) == html


def test_what_is_missing_names_the_command_that_makes_it() -> None:
    bare = document(paper=False, ways=False)
    commands = ["fsarctl eval --shots 1 5 --set eval.query_mode=independent"]
    bare |= {"query_modes": {"rows": [], "commands": commands}, "ablations": [], "training": []}
    page = Page(rendered(bare, None, read, no_pictures="There are no pictures: <b>."))
    for part in (*commands, "fsarctl ablate fig9", "fsarctl ablate table4", "There are no pictures: <b>."):
        assert part in page.words
    assert "paper" not in page.words.split("Comparisons")[0].lower()


def test_what_was_made_stands_last_first_and_what_no_order_knows_after_it() -> None:
    beside = document()
    (extract, *_) = artifacts = beside["provenance"]["artifacts"]
    artifacts.insert(0, extract | {"slot": "beside", "stage": "beside", "key": "ef" * 32})
    ids = Page(rendered(beside, None, read)).values("id")
    made = [each.removeprefix("made-") for each in ids if each.startswith("made-")]
    assert made[-2:] == ["cd" * 6, "ef" * 6]


def test_video_scores_have_no_stages_and_many_classes_have_letters() -> None:
    page = Page(rendered(document(way=30), pictures(way=30, stages=False), read))
    assert "stage by stage" not in page.words
    assert "D1" in page.words


def test_of_many_classes_the_hardest_are_in_the_matrix() -> None:
    many = document()
    labels = [f"class {n}" for n in range(60)]
    size = len(labels)
    for each in many["classes"]:
        row = each["rows"][0]
        each["rows"] = [{**row, "label": label, "accuracy": n / size} for n, label in enumerate(labels)]
        counts = [[1] * size] * size
        each["confusion"] = {"labels": labels, "given": counts, "met": counts}
    html = rendered(many, None, read)
    assert html.count('class="hit"') == 2 * 40
    assert "40 classes with the lowest accuracy" in html


@pytest.mark.parametrize("title", ["$\\undefined{$", "<b>&amp;", "a" * 200])
def test_charts_take_any_title(title: str) -> None:
    points = [{"way": n, "accuracy": 0.5, **told(0.5, None), "chance": 1 / n} for n in (5, 6)]
    svg = accuracy_by_way([{"title": title, "points": points}])
    page = Page(svg)
    assert title in " ".join(page.text)
    assert re.findall(r"#[0-9a-f]{6}\b", svg) == [], "every colour is the page's"


def test_a_point_stands_where_its_number_is() -> None:
    """The line's vertices, measured against the axis: 20 % and 80 % are a known distance apart."""
    results = [
        {"title": "Task-Adapter++", "shot": shot, "accuracy": accuracy, **told(accuracy, 0.1), "chance": 0.2}
        for shot, accuracy in ((1, 0.2), (3, 0.5), (5, 0.8))
    ]
    svg = accuracy_by_shots(results, [])
    ticks = {
        int(text): float(y)
        for y, text in re.findall(r'x="[\d.]+" y="([\d.]+)" transform="[^"]*">(\d+)</text>', svg)
        if text in ("20", "80")
    }
    (line,) = (
        points
        for points, style in re.findall(r'<path d="([^"]*)" clip-path="[^"]*" style="([^"]*)"', svg)
        if "var(--own)" in style and points.count("L") == 2
    )
    heights = [float(y) for y in re.findall(r"[ML] [\d.]+ ([\d.]+)", line)]
    unit = (ticks[20] - ticks[80]) / 60
    assert [round((heights[0] - y) / unit, 1) for y in heights] == [0.0, 30.0, 60.0]


def test_what_is_as_sure_as_right_lies_on_the_diagonal() -> None:
    """The dashed line goes from 0 to 100; the first point is on it, the second as far below as it is off."""
    svg = reliability_diagram(document()["calibration"]["rows"][0])
    paths = re.findall(r'<path d="([^"]*)" clip-path="[^"]*" style="([^"]*)"', svg)

    def points(colour: str) -> list[tuple[float, float]]:
        (line,) = (path for path, style in paths if colour in style and path.count("L") == 1)
        return [(float(x), float(y)) for x, y in re.findall(r"[ML] ([\d.]+) ([\d.]+)", line)]

    (left, bottom), (right, top) = points("stroke-dasharray")
    drawn = [((x - left) / (right - left), (bottom - y) / (bottom - top)) for x, y in points("var(--own)")]
    assert [tuple(round(value, 2) for value in point) for point in drawn] == [(0.2, 0.2), (0.8, 0.5)]


def test_the_kept_epoch_is_ringed() -> None:
    training = document()["training"][0]
    places = []
    for best in (1, 2):
        svg = training_curves({**training, "best_epoch": best})
        # The ring is the only marker that is not filled.
        rings = re.findall(
            r'<use href="[^"]*" x="([\d.]+)" y="[\d.]+" style="fill-opacity: 0; stroke: var\(--ink', svg
        )
        places.append({float(x) for x in rings})
    # In the chart and in the legend; what differs is the chart's, twice as far from 0 for epoch 2.
    (legend,) = places[0] & places[1]
    (first,), (second,) = places[0] - {legend}, places[1] - {legend}
    axis = float(re.findall(r'text-anchor: middle; [^"]*" x="([\d.]+)"[^>]*>0</text>', svg)[0])
    assert (second - axis) == pytest.approx(2 * (first - axis), rel=0.02)


def themes() -> dict[str, dict[str, tuple[float, ...]]]:
    """Variable -> red, green, blue (0 to 255) in both themes of the style, dark ones over the light ones."""
    style = resources.files("fsarctl.report").joinpath("style.css").read_text("utf-8")
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    parsed = []
    for block in blocks[:2]:
        hexes = re.findall(r"--([\w-]+): #(\w{6})", block)
        triples = re.findall(r"--([\w-]+): (\d+) (\d+) (\d+)", block)
        parsed.append(
            {name: tuple(int(code[n : n + 2], 16) for n in (0, 2, 4)) for name, code in hexes}
            | {name: tuple(map(float, rest)) for name, *rest in triples}
        )
    return {"light": parsed[0], "dark": parsed[0] | parsed[1]}


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """WCAG 2's contrast ratio."""

    def luminance(colour: tuple[float, ...]) -> float:
        linear = [
            c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_that_of_the_definition() -> None:
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((119, 119, 119), (255, 255, 255)) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_colour_stands_out(theme: str) -> None:
    colours = themes()[theme]
    for text in ("ink", "muted", "own", "good", "bad"):
        for ground in ("surface", "page"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for series in ("own", "frozen", "third", "paper"):
        assert contrast(colours[series], colours["surface"]) >= 3, series
    for heat in ("heat", "heat-off"):
        for alpha in (0.0, 0.2, 0.4, 0.6, 0.8):
            cell = tuple(
                alpha * a + (1 - alpha) * b for a, b in zip(colours[heat], colours["surface"], strict=True)
            )
            assert contrast(colours["ink"], cell) >= 4.5, (heat, alpha)
