"""What public code does with test classes, queries and frames, and the page that tells it."""

from pathlib import Path

from fsarctl.results.published import published
from fsarctl.results.released_code import released_code, table

PAGE = Path(__file__).parents[3] / "docs" / "protocols.md"
SAME_LOOP = {"HyRSM++"}


def test_twelve_of_sixteen_look_at_test_classes() -> None:
    codes = [each for each in released_code() if each.method not in SAME_LOOP]
    assert len(codes) == 16
    assert sum(each.epoch == "test" for each in codes) == 12
    assert {each.method for each in codes if each.epoch != "test"} == {
        "D2ST-Adapter",
        "TRX",
        "STRM",
        "Chamfer++",
    }


def test_the_page_shows_the_data() -> None:
    assert table() in PAGE.read_text(encoding="utf-8")


def test_the_protocol_beside_a_published_number_is_the_same() -> None:
    known = {each.method: each for each in released_code()}
    named = [number for number in published() if number.method in known]
    assert {number.method for number in named} == {*known} - {"TEAM", "EMP-Net", "Chamfer++"}
    for number in named:
        code = known[number.method]
        assert (number.protocol.epoch, number.protocol.queries) == (code.epoch, code.queries), number.method
