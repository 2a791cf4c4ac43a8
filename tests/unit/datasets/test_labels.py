"""Reading label lists: what is cleaned and said, and what is refused with its line numbers."""

from pathlib import Path

import pytest

from fsarctl.datasets.labels.label_list import read_labels
from fsarctl.datasets.labels.spelling import nearest_labels
from fsarctl.errors import InputError


def write(folder: Path, content: bytes) -> Path:
    path = folder / "labels.txt"
    path.write_bytes(content)
    return path


def test_plain_list_keeps_its_order_and_needs_no_remark(tmp_path: Path) -> None:
    found = read_labels(write(tmp_path, "zumba\nébène 🏹\n../../x\n'a' \"b\"".encode()))
    assert found.labels == ("zumba", "ébène 🏹", "../../x", "'a' \"b\"")
    assert found.remarks == ()


def test_byte_order_mark_is_dropped_and_said(tmp_path: Path) -> None:
    found = read_labels(write(tmp_path, b"\xef\xbb\xbfwaving\njumping\n"))
    assert found.labels == ("waving", "jumping")
    assert found.remarks == ("dropped the byte order mark",)


@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
def test_windows_line_ends_are_read_and_said(tmp_path: Path, end: bytes) -> None:
    found = read_labels(write(tmp_path, b"waving" + end + b"jumping" + end))
    assert found.labels == ("waving", "jumping")
    assert found.remarks == ("read Windows line ends as line ends",)


def test_blank_padded_and_repeated_lines_are_named(tmp_path: Path) -> None:
    found = read_labels(write(tmp_path, b"waving\n\n jumping\t\n  \nwaving\njumping\n"))
    assert found.labels == ("waving", "jumping")
    assert found.remarks == (
        "2 blank lines dropped: lines 2, 4",
        "1 padded line stripped of surrounding spaces: line 3",
        "2 repeated lines dropped: lines 5 (as 1), 6 (as 3)",
    )


def test_quotes_around_a_whole_line_are_stripped_and_said(tmp_path: Path) -> None:
    text = '"long jump"\n \' bow \' \n“wave”\n\'a\' or \'b\'\n""\n5\'\n\'\nthe "wave"\n\'tis "it"\n"bow"\n'
    found = read_labels(write(tmp_path, text.encode()))
    assert found.labels == ("long jump", "bow", "wave", "'a' or 'b'", "5'", "'", 'the "wave"', '\'tis "it"')
    assert found.remarks == (
        "1 blank line dropped: line 5",
        "1 padded line stripped of surrounding spaces: line 2",
        "4 quoted lines stripped of the quotes: lines 1, 2, 3, 10",
        "1 repeated line dropped: line 10 (as 2)",
    )


def test_the_nearest_label_is_a_close_one() -> None:
    labels = ["long jump", "High_Jump", "bow"]
    asked = ["long jmup", "raising an arm", "highjumps"]
    assert nearest_labels(asked, labels) == {"long jmup": "long jump", "highjumps": "High_Jump"}


def test_line_separators_inside_a_label_do_not_split_it(tmp_path: Path) -> None:
    assert read_labels(write(tmp_path, "a\u2028b\nc\u0085d\n".encode())).labels == ("a\u2028b", "c\u0085d")


def test_ten_thousand_lines(tmp_path: Path) -> None:
    lines = [f"action {n % 6000}" for n in range(10_000)]
    found = read_labels(write(tmp_path, "\n".join(lines).encode()))
    assert len(found.labels) == 6000
    (remark,) = found.remarks
    assert remark.startswith("4000 repeated lines dropped: lines 6001 (as 1), 6002 (as 2)")
    assert remark.endswith("and 3995 more")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no label"),
        (b"\n  \r\n\t\n", "holds no label"),
        (b"\xef\xbb\xbf", "holds no label"),
        (b"waving\njum\xe9\n", "is not UTF-8: byte 0xe9 on line 2"),
        (b"\xff\xfew\0a\0", "is UTF-16, not UTF-8"),
        (b"waving\n\nPK\x03\x04\0\0", r"is a binary file \(a zero byte on line 3\)"),
        (b"waving\n\x1b[31mjumping\nrunning\x07\n", "control characters on lines 2, 3"),
        (b"waving\n" + b"x" * 301, "more than 300 characters on line 2"),
    ],
)
def test_what_cannot_be_a_label_list_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_labels(write(tmp_path, content))
    assert caught.value.exit_code == 3
    assert caught.value.next_step
    assert "labels.txt" in caught.value.message


def test_no_such_file_and_a_directory(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no label list .*kinetics\.txt"):
        read_labels(tmp_path / "kinetics.txt")
    with pytest.raises(InputError, match="is a directory"):
        read_labels(tmp_path)
    with pytest.raises(InputError, match="cannot read"):
        read_labels(tmp_path / "x\0y")
