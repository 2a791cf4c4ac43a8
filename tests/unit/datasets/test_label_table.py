"""Telling tables from label lists: the kinds of files that people have, and labels that look odd."""

import csv
import io
import json
from pathlib import Path

import pytest

from fsarctl.datasets.labels.label_list import read_labels
from fsarctl.datasets.labels.table import table_in
from fsarctl.errors import InputError

NAMES = ["abseiling", "air drumming", "playing cello"]
# What a file looks like -> its text. Each of them lists NAMES, and says so in a column.
TABLES = {
    "id,name": "id,name\n0,abseiling\n1,air drumming\n2,playing cello\n",
    "quoted": '"id","name"\n"0","abseiling"\n"1","air drumming"\n"2","playing cello"\n',
    "without a header": "0,abseiling\n1,air drumming\n2,playing cello\n",
    "number last": "abseiling,0\nair drumming,1\nplaying cello,2\n",
    "spaces after commas": "abseiling, 0\nair drumming, 1\nplaying cello, 2\n",
    "annotations": "label,youtube_id,time_start,time_end,split\n"
    "abseiling,---0dWlqevI,19,29,train\nair drumming,--56QUhyDQM,185,195,train\n"
    '"playing cello",-3B32lodo2M,1,11,val\n"playing cello",-3B32lodo2N,1,11,val\n',
    "annotations without a header": "abseiling,---0dWlqevI,19,29,train\n"
    "air drumming,--56QUhyDQM,185,195,train\n"
    "playing cello,-3B32lodo2M,1,11,val\n",
    "semicolons": "id;name\n0;abseiling\n1;air drumming\n2;playing cello\n",
    "semicolons without a header": "0;abseiling\n1;air drumming\n2;playing cello\n",
    "bars": "0|abseiling\n1|air drumming\n2|playing cello\n",
    "tabs": "0\tabseiling\n1\tair drumming\n2\tplaying cello\n",
    "tabs with a header": "id\tname\n0\tabseiling\n1\tair drumming\n2\tplaying cello\n",
    "categories": "abseiling,sports\nair drumming,music\nplaying cello,music\n",
    "a Markdown table": "| id | name |\n|---|:---|\n"
    "| 0 | abseiling |\n| 1 | air drumming |\n| 2 | playing cello |\n",
    "bullets": "- abseiling\n- air drumming\n- playing cello\n",
    "stars": "# Actions\n\n* abseiling\n* air drumming\n* playing cello\n",
    "boxes": "- [ ] abseiling\n- [x] air drumming\n- [ ] playing cello\n",
    "1 label": "1 abseiling\n2 air drumming\n3 playing cello\n",
    "0 label": "0 abseiling\n1 air drumming\n2 playing cello\n",
    "id name": "id name\n0 abseiling\n1 air drumming\n2 playing cello\n",
    "1.": "1. abseiling\n2. air drumming\n3. playing cello\n",
    "1)": "1) abseiling\n2) air drumming\n3) playing cello\n",
    "(1)": "(1) abseiling\n(2) air drumming\n(3) playing cello\n",
    "1:": "1: abseiling\n2: air drumming\n3: playing cello\n",
    "1 -": "1 - abseiling\n2 - air drumming\n3 - playing cello\n",
    "0=": "0=abseiling\n1=air drumming\n2=playing cello\n",
    "codes": "c000 abseiling\nc001 air drumming\nc002 playing cello\n",
    "codes with points": "A1. abseiling\nA2. air drumming\nA3. playing cello\n",
    "label 0": "abseiling 0\nair drumming 1\nplaying cello 2\n",
    "label: 0": "abseiling: 0\nair drumming: 1\nplaying cello: 2\n",
    "counts": "abseiling 1146\nair drumming 1132\nplaying cello 1081\n",
    "a JSON object": json.dumps({name: number for number, name in enumerate(NAMES)}, indent=1),
    "numbers as text": json.dumps({name: str(number) for number, name in enumerate(NAMES)}),
    "numbers first": json.dumps({str(number): name for number, name in enumerate(NAMES)}),
    "a JSON list": json.dumps(NAMES),
    "JSON records": json.dumps([{"id": str(n), "name": name} for n, name in enumerate(NAMES)]),
    "templates": json.dumps(
        [{"id": "1", "label": f"{name} outside", "template": name, "placeholders": []} for name in NAMES]
    ),
    "JSON lists": json.dumps([[n, name] for n, name in enumerate(NAMES)]),
    "JSON under a heading": json.dumps({"version": "1.3", "labels": NAMES}),
    "JSON lines": "".join(json.dumps({"id": n, "name": name}) + "\n" for n, name in enumerate(NAMES)),
    "the inside of a list": "'abseiling',\n'air drumming',\n'playing cello',\n",
    "a list with commas": "abseiling,\nair drumming,\nplaying cello,\n",
    "a Python list": repr(NAMES),
    "a Python tuple": repr(tuple(NAMES)),
    "a Python dictionary": repr(dict(enumerate(NAMES))),
    "Python": f"CLASSES = {NAMES!r}\n",
    "a JSON list with its last comma": '[\n "abseiling",\n "air drumming",\n "playing cello",\n]\n',
    "JavaScript": f"const labels = {NAMES!r};\n",
    "TOML": f"labels = {json.dumps(NAMES)}\n",
    "YAML": "labels:\n  - abseiling\n  - air drumming\n  - playing cello\n",
    "a YAML mapping": "names:\n  0: abseiling\n  1: air drumming\n  2: playing cello\n",
    "comments": "# my labels\nabseiling\nair drumming\nplaying cello\n",
    "comments behind": "abseiling  # outside\nair drumming\nplaying cello\n",
    "comments in a table": "# made by hand\nid,name\n0,abseiling\n1,air drumming\n2,playing cello\n",
    "a header": "label\nabseiling\nair drumming\nplaying cello\n",
    "videos": "a/1.mp4 abseiling\na/2.mp4 air drumming\na/3.mp4 playing cello\n",
    "videos, CSV": "a/1.mp4,abseiling\na/2.mp4,air drumming\na/3.mp4,playing cello\n",
    "addresses": "https://x.org/a abseiling\nhttps://x.org/b air drumming\nhttps://x.org/c playing cello\n",
    "a label map of TensorFlow": "".join(
        f'item {{\n  id: {n}\n  name: "{m}"\n}}\n' for n, m in enumerate(NAMES)
    ),
    "a label map of AVA": "".join(
        f'label {{ name: "{m}" label_id: {n} label_type: PERSON_MOVEMENT }}\n' for n, m in enumerate(NAMES)
    ),
    "Windows": "id,name\r\n0,abseiling\r\n1,air drumming\r\n2,playing cello\r\n",
    "one line": "abseiling; air drumming; playing cello\n",
}
# Files without a column of labels.
OTHERS = {
    "HTML": "<html><body><ul><li>abseiling</li><li>air drumming</li></ul></body></html>\n",
    "a piece of HTML": "<ul>\n<li>abseiling</li>\n<li>air drumming</li>\n</ul>\n",
    "XML": '<?xml version="1.0"?>\n<labels><label>abseiling</label></labels>\n',
    "XML of its own kind": "<annotation><label>abseiling</label></annotation>\n",
    "broken JSON": '{"abseiling": 0,\n "air drumming": }\n',
    "numbers": "0\n1\n2\n",
    "videos with numbers": "r1.mp4 0\nr2.mp4 0\nb1.mp4 1\n",
    "a train list": "Archery/v_Archery_g08_c01.avi 1\nArchery/v_Archery_g08_c02.avi 1\n",
    "a test list": "Archery/v_Archery_g08_c01.avi\nArchery/v_Archery_g08_c02.avi\n",
    "frame folders": "clips/v_1 120 0\nclips/v_2 77 1\n",
    "a pointer": "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n",
}
# Labels that are labels: commas, digits, slashes, brackets, quotes.
LABELS = [
    ["Putting something, then taking it", "Opening something, then closing it"],
    ["Putting something, something and something on the table", "Pushing something so that it falls"],
    ["Lifting something up, then letting it drop down", "Throwing something, then letting it drop down"],
    ["5 minute run", "10 minute run", "high five"],
    ["5 minute run", "100 meter dash", "3 point shot"],
    ["5 minute run"],
    ["1 mile run", "2 mile run"],
    ["high five", "low five"],
    ["step 1", "step 2", "step 3"],
    ["swim 50 m", "swim 100 m"],
    ["freestyle 100", "backstroke 100", "butterfly 200"],
    ["50m run", "4x100m relay", "3x3 basketball"],
    ["360 flip", "180 flip"],
    ["50/50 grind", "5-0 grind"],
    ["push/pull", "sit down/stand up"],
    ["[Something] falling like a feather", "Putting [something] on [something]"],
    ["'tis it", "rock 'n' roll"],
    ["clean & jerk", "salt & pepper"],
    ["running (fast)", "walking (slow)"],
    ["tic-tac-toe", "rock, paper, scissors"],
    ["jump, then land: hard", "run"],
    ["jump #1", "jump #2"],
    ["#floss", "#renegade"],
    ["-ing forms", "*bow*"],
    ["../../x", "zumba"],
    ["Swiping Left", "Doing other things"],
    ["手を振る", "跳ぶ"],
    ["label"],
    ["a\u2028b", "c\u0085d"],
]


def write(folder: Path, text: str, name: str = "labels.txt") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_is_no_label_list_and_the_column_that_the_error_names_holds_its_labels(
    kind: str, tmp_path: Path
) -> None:
    path = write(tmp_path, TABLES[kind])
    with pytest.raises(InputError) as refused:
        read_labels(path)
    _, advised, column = refused.value.next_step.split(";")[0].partition(" --column ")
    assert advised
    assert list(read_labels(path, column).labels) == NAMES


@pytest.mark.parametrize("kind", OTHERS)
def test_what_holds_no_labels_is_refused_in_words_that_promise_no_column(kind: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        read_labels(write(tmp_path, OTHERS[kind]))
    assert " --column 1" not in refused.value.next_step
    assert refused.value.next_step


@pytest.mark.parametrize("labels", LABELS, ids=lambda labels: labels[0])
def test_labels_with_commas_and_digits_are_labels(labels: list[str], tmp_path: Path) -> None:
    assert list(read_labels(write(tmp_path, "\n".join(labels) + "\n")).labels) == labels
    assert list(read_labels(write(tmp_path, "\n".join(labels), "labels.csv")).labels) == labels


def test_whole_lines_are_labels_where_the_user_says_so(tmp_path: Path) -> None:
    path = write(tmp_path, "1 mile run\n2 handed shot\n")
    with pytest.raises(InputError, match="a numbered list"):
        read_labels(path)
    assert read_labels(path, "line").labels == ("1 mile run", "2 handed shot")


def test_the_error_shows_the_columns_and_a_row(tmp_path: Path) -> None:
    path = write(tmp_path, TABLES["id,name"])
    with pytest.raises(InputError) as refused:
        read_labels(path, command="fsarctl describe --labels mine.csv")
    assert refused.value.message == (
        f"{path} is a table, its columns separated by commas, not a list with one label on each line"
        " (columns: id, name; row 2: '0, abseiling')"
    )
    assert refused.value.next_step == (
        "Name the column of the labels: fsarctl describe --labels mine.csv --column name;"
        " if each line is a label as it stands: --column line"
    )


def test_a_column_is_called_by_its_header_in_any_case_or_by_its_number(tmp_path: Path) -> None:
    path = write(tmp_path, TABLES["id,name"])
    assert list(read_labels(path, "NAME").labels) == list(read_labels(path, "2").labels) == NAMES


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        (TABLES["id,name"], "nam", "no column 'nam'"),
        (TABLES["id,name"], "3", "no column '3'"),
        (TABLES["id,name"], "id", "holds numbers"),
        ("id,name\n0,wave, then bow\n1,bow\n", "name", "more or fewer cells .* on line 2"),
        ("waving\njumping\n", "name", "no column 'name': it has a label on each line"),
    ],
)
def test_a_wrong_column_is_refused_with_what_is_there(
    text: str, column: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message) as refused:
        read_labels(write(tmp_path, text), column)
    assert refused.value.next_step


def test_cells_are_cleaned_like_lines(tmp_path: Path) -> None:
    path = write(tmp_path, "id,name\n0, wave \n1,\n2,wave\n3,bow\n")
    found = read_labels(path, "name")
    assert found.labels == ("wave", "bow")
    assert found.remarks == ("1 blank line dropped: line 3", "1 repeated line dropped: line 4 (as 2)")


def test_a_label_beside_a_number_may_have_commas_that_nobody_quoted(tmp_path: Path) -> None:
    path = write(tmp_path, "0,Putting something, then taking it\n1,waving\n")
    assert read_labels(path, "2").labels == ("Putting something, then taking it", "waving")


@pytest.mark.parametrize("rows", [2, 40, 1000])
def test_what_the_csv_module_writes_is_a_table_whatever_the_labels(rows: int) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["index", "action"])
    labels = [f'Putting {n} things, then "taking" them' for n in range(rows)]
    writer.writerows(enumerate(labels))
    table = table_in(text.getvalue())
    assert table is not None
    assert (table.labels, table.numbers) == ("action", "index")
    assert [cell for _, cell in table.cells("action")] == labels


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"PK\x03\x04\x14\x00\x06\x00", "a ZIP archive, such as an Excel workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"{\\rtf1 waving}", "an RTF document"),
        (b"PAR1\x15\x04", "a Parquet table"),
        ("id,name\n0,wave\n".encode("utf-16"), "UTF-16"),
        ("id,name\n0,wave\n".encode("utf-16-le"), "UTF-16LE"),
        ("id,name\n0,wave\n".encode("utf-16-be"), "UTF-16BE"),
        ("id,name\n0,wave\n".encode("utf-32"), "UTF-32"),
    ],
)
def test_other_bytes_are_named(content: bytes, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=kind):
        read_labels(path)
