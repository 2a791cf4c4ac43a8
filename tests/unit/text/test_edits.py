"""Corrections: the file that holds them, and a description as a person edits it."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsarctl.errors import InputError
from fsarctl.text.corpus import sub_actions_from
from fsarctl.text.edits import EDITS, as_text, from_text, keep_edit, load_edits, with_problem

JUMP = ("Run up for momentum.", "Take off with a powerful leap.", "Land and maintain balance.")
SENTENCE = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=40)


def test_a_correction_is_found_again_and_replaces_the_former_one(tmp_path: Path) -> None:
    assert load_edits(tmp_path) == {}
    keep_edit(tmp_path, "long jump", ("A.", "B.", "C."))
    keep_edit(tmp_path, "体操 ../x", ("D.", "E.", "F."))
    assert keep_edit(tmp_path, "long jump", JUMP) == tmp_path / EDITS
    assert load_edits(tmp_path) == {"long jump": JUMP, "体操 ../x": ("D.", "E.", "F.")}
    assert json.loads((tmp_path / EDITS).read_text(encoding="utf-8"))["long jump"] == list(JUMP)
    assert [path.name for path in tmp_path.iterdir()] == [EDITS]


def test_a_label_that_is_no_unicode_is_kept_too(tmp_path: Path) -> None:
    keep_edit(tmp_path, "jump\udcff", JUMP)
    assert load_edits(tmp_path) == {"jump\udcff": JUMP}


def test_a_file_that_was_written_by_hand_and_is_broken_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / EDITS).write_text('{"long jump": [')
    with pytest.raises(InputError, match=EDITS):
        keep_edit(tmp_path, "long jump", JUMP)
    assert (tmp_path / EDITS).read_text() == '{"long jump": ['


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / EDITS).mkdir()
    with pytest.raises(InputError, match=EDITS):
        keep_edit(tmp_path, "long jump", JUMP)


@given(SENTENCE, SENTENCE, SENTENCE)
def test_what_is_not_edited_comes_back_as_it_was(one: str, two: str, three: str) -> None:
    try:
        sub_actions = sub_actions_from([one, two, three])
    except ValueError:
        return
    if any(each[0] == each[-1] == '"' for each in sub_actions):
        return
    assert from_text(as_text("any label\nof two lines", sub_actions).replace("\nof", "\n# of")) == sub_actions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("end: C.\n# a remark\n\n  BEGINNING :  A: #1.  \nprocess: B.", ("A: #1.", "B.", "C.")),
        ('\ufeffbeginning: "A."\r\nprocess: B.\r\nend: C.\r\n', ("A.", "B.", "C.")),
        ('beginning: Say "A".\nprocess: B.\nend: "C.', ('Say "A".', "B.", '"C.')),
        ("", None),
        ("# only\n\n# remarks\n", None),
    ],
)
def test_lines_are_read_in_any_order(text: str, expected: object) -> None:
    assert from_text(text) == expected


def test_a_description_is_read_as_files_and_the_documents_have_it() -> None:
    listed, page = "  - Run up.\n  - Leap.\n  - Land.\n", Path("docs/tutorials/own-clips.md").read_text()
    (documented,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    wave = from_text(documented, "waving one hand")
    assert wave is not None
    assert wave[2] == "The arm comes down to the side."
    expected = ("Run up.", "Leap.", "Land.")
    for text in (
        f"long jump:\n{listed}",
        f"# a remark\nLong_Jump:\n{listed}",
        f"beginning:\nprocess:\nend:\nlong jump:\n{listed}",
        "- Run up.\n- Leap.\n- Land.",
        '{"long jump": ["Run up.", "Leap.", "Land."]}',
        "long jump: [Run up., Leap., 'Land.']",
        "long jump:\n  beginning: Run up.\n  process: Leap.\n  end: Land.",
        "beginning:\n  Run\n  up.\nprocess:\n  Leap.\nend:\n  Land.",
    ):
        assert from_text(text, "long jump") == expected, text
    for text, reason in (
        (f"high jump:\n{listed}", "is of 'high jump', and not of 'long jump'"),
        (f"long jump:\n{listed}rowing:\n{listed}", "is of several labels \\(long jump, rowing\\)"),
        ("long jump:\n  - Arm: up.\n  - B.\n  - C.", "a sentence with a colon, which YAML wants in quotes"),
        ("long jump:\n  - A.\n  - B.", "has 2 stages"),
        ("long jump: [A", "is not YAML"),
        ("long jump:", "begins with none of"),
        ("long jump:\n  middle: A.", "begins with none of .*: 'middle'"),
        ("- *a", "is not YAML"),
    ):
        with pytest.raises(ValueError, match=reason):
            from_text(text, "long jump")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("beginning: A.\nend: C.", "has no line for the process"),
        ("beginning: A.\nprocess: B.\nend:", "has an empty end"),
        ("beginning: A.\nprocess: A.\nend: C.", "says the same for two stages"),
        ("beginning: A.\nand on\nprocess: B.\nend: C.", "begins with none of .*: 'and on'"),
        ("middle: A.", "begins with none of"),
        ("end: A.\nend: B.", "has two lines for the end"),
        (f"beginning: {'x' * 241}\nprocess: B.\nend: C.", "has 241 characters in its beginning"),
    ],
)
def test_what_is_no_description_says_why(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        from_text(text)


def test_what_is_wrong_stands_on_top_and_goes_away_again() -> None:
    text = as_text("long jump", JUMP)
    once = with_problem(text, "has an empty end")
    assert once.splitlines()[0] == "# NOT KEPT: the description has an empty end"
    twice = with_problem(once, "has an empty process")
    assert "empty end" not in twice
    assert twice.splitlines()[1:] == text.splitlines()
    assert from_text(twice) == JUMP
