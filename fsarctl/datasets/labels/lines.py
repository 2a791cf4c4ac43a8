"""Lines that only together show that they are no labels: separators, numbering, bullets, comments, paths."""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from fsarctl.datasets.video_tree import VIDEO_EXTENSIONS

__all__ = ["Line", "Rows", "lined_table", "numbered_columns"]

Rows: TypeAlias = tuple[tuple[int, tuple[str, ...]], ...]
"""(line, cells) each."""
Found: TypeAlias = tuple[str, tuple[str, ...], Rows]
"""What the lines look like, the columns' names or numbers, and the rows."""

# fmt: off
LONE_HEADERS = frozenset((
    "label", "labels", "label_name", "class", "classes", "class_name", "classname", "name", "names", "action",
    "actions", "category",
))
HEADERS = LONE_HEADERS | frozenset((
    "id", "idx", "index", "label_id", "class_id", "action_name", "categories", "activity", "template", "key",
    "placeholders", "title", "text", "num", "verb", "noun", "path", "file", "filename", "video",
    "fold", "videos", "video_id", "youtube_id", "youtube_url", "yt_id", "url", "start", "end", "time_start",
    "target", "time_end", "start_time", "end_time", "duration", "split", "subset", "set", "count", "number",
    "instances", "value", "description",
))
# fmt: on
SEPARATORS = {"\t": "tabs", ";": "semicolons", "|": "bars", ",": "commas"}
COMMENT = re.compile(r"#|//|%|/\*|<!--")
BULLET = re.compile(r"(?:[-*+\u2022\u2023\u25e6\u2013\u2014]|\[[ xX]?\])\s+(?:\[[ xX]?\]\s+)?(\S.*)")
POINTED = re.compile(
    r"[\[(#]?(?P<id>[A-Za-z]{0,6}[_-]?\d+)"
    r"(?:[.)\]:\u3001](?:\s+|(?=[^\W\d_]))|\s*(?:=>|->|[:=|\u2013\u2014])\s*|\s+-\s+)(?P<rest>[^\s\d].*)"
)
NUMBERED = re.compile(r"(?P<id>(?P<prefix>[A-Za-z]{0,6}[_-]?)(?P<number>\d+))\s+(?P<rest>\S.*)")
TRAILING = re.compile(r"(?P<rest>\S.*?)(?P<mark>\s*(?:=>|->|[:=|])\s*|\s+)(?P<number>\d+)")
COUNTED = re.compile(r"(?P<rest>\S.*?)((?:\s+-?\d+(?:\.\d+)?){2,})")
KEYED = re.compile(r"(?P<key>[^:=]{1,80}?)(?:\s*:\s+|\s*=\s*|\s+->\s+|\s*=>\s*)(?P<value>\S.*)")
ENDINGS = "|".join(sorted({each[1:] for each in VIDEO_EXTENSIONS} | {"jpg", "jpeg", "png", "webp", "npy"}))
VIDEO = re.compile(rf"(?P<path>\S.*?\.(?:{ENDINGS})|https?://\S+|\S*/\S*\d\S*)(?:\s+(?P<rest>\S.*))?", re.I)
DATA = re.compile(
    r"[-+]?\d+([.:]\d+)*%?|true|false|none|null|nan|train\w*|val\w*|test\w*|[A-Za-z]{0,3}_?\d+"
    rf"|.*://.*|.*\.(?:{ENDINGS})|(?=.*[\d_-])(?=.*[A-Za-z])[\w-]{{11}}|",
    re.IGNORECASE,
)
"""A cell of a table that no label is: a number, a time, a split, a path, an address, an identifier."""
RULE = re.compile(r":?-+:?")
LONGEST_LINE = 1000
MOST = 0.9
MANY = 8


@dataclass(frozen=True)
class Line:
    """A line that is not blank, without the spaces around it, and its number from 1."""

    number: int
    text: str


def numbered_columns(count: int) -> tuple[str, ...]:
    """The names of columns that have none."""
    return tuple(str(number) for number in range(1, count + 1))


def lined_table(lines: Sequence[Line]) -> Found | None:
    """What these lines look like, if they are no labels; none is read of which one is longer than any row.

    That bounds the time, which grows with the square of a line.
    """
    if any(len(line.text) > LONGEST_LINE for line in lines):
        return None
    return (
        _commented(lines)
        or _bulleted(lines)
        or _separated(lines)
        or _counted(lines)
        or _listed_videos(lines)
        or _pointed(lines)
        or _numbered(lines)
        or _trailing(lines)
        or _keyed(lines)
        or _bare_numbers(lines)
        or _one_line(lines)
        or _headed(lines)
    )


def _commented(lines: Sequence[Line]) -> Found | None:
    """Comments, and whatever stands between them."""
    rest = [line for line in lines if not COMMENT.match(line.text)]
    trailing = [line for line in rest if re.search(r"\s(#|//)\s", line.text)]
    hashtags = all(re.match(r"#\w", line.text) for line in lines)
    if hashtags or (len(rest) == len(lines) and not trailing):
        return None
    bare = [Line(line.number, re.split(r"\s(?:#|//)\s", line.text)[0].strip()) for line in rest]
    kind = "text with comments (# and the like)"
    found = lined_table(bare) if bare else None
    if found:
        return f"{found[0]}, with comments", *found[1:]
    return kind, ("1",), tuple((line.number, (line.text,)) for line in bare)


def _bulleted(lines: Sequence[Line]) -> Found | None:
    found = [(line.number, BULLET.fullmatch(line.text)) for line in lines]
    rows = tuple((number, (match[1],)) for number, match in found if match)
    if not rows:
        return None
    return "a list with bullets, as in Markdown", ("1",), rows


def _separated(lines: Sequence[Line]) -> Found | None:
    for separator, name in SEPARATORS.items():
        rows = _cells(lines, separator)
        if not rows:  # nothing but rules
            continue
        counts = Counter(len(cells) for _, cells in rows)
        columns, same = counts.most_common(1)[0]
        if max(counts) == 1:
            continue
        headed = _is_header(rows)
        if separator == ",":
            sure = _comma_table(lines, rows, headed=headed, even=len(counts) == 1)
        else:
            sure = separator == "\t" or headed or (columns > 1 and same >= MOST * len(rows) and len(rows) > 1)
        if sure:
            rows = rows if headed else _kept_together(rows)
            columns = Counter(len(cells) for _, cells in rows).most_common(1)[0][0]
            kind = f"a table, its columns separated by {name}"
            if headed:
                (_, names), *rows = rows
                return kind, names, tuple(rows)
            width = max(counts) if separator == "\t" else columns
            return kind, numbered_columns(max(width, 2)), tuple(rows)
    return None


def _cells(lines: Sequence[Line], separator: str) -> list[tuple[int, tuple[str, ...]]]:
    """The cells of each line; a rule of Markdown's between header and rows is none."""
    rows = []
    for line in lines:
        text = line.text.strip("|") if separator == "|" else line.text
        if separator in text or '"' in text:
            (cells,) = csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=True)
        else:
            cells = [text]  # a reader for each of many lines takes seconds
        if not all(RULE.fullmatch(cell.strip()) for cell in cells):
            rows.append((line.number, tuple(cell.strip() for cell in cells)))
    return rows


def _kept_together(rows: list[tuple[int, tuple[str, ...]]]) -> list[tuple[int, tuple[str, ...]]]:
    """``0,Putting something, then taking it``: a number, and a label whose commas nobody quoted."""
    if len({len(cells) for _, cells in rows}) < 2:
        return rows
    if all(re.search(r"\d$", cells[0]) for _, cells in rows):
        return [(number, (cells[0], ", ".join(cells[1:]))) for number, cells in rows]
    if all(cells[-1].isdecimal() for _, cells in rows):
        return [(number, (", ".join(cells[:-1]), cells[-1])) for number, cells in rows]
    return rows


def _is_header(rows: Sequence[tuple[int, tuple[str, ...]]]) -> bool:
    first = [cell.casefold().replace(" ", "_") for cell in rows[0][1]]
    if len(first) < 2 or len(rows) < 2 or not all(first):
        return False
    if len(HEADERS & {*first}) >= 2 or (HEADERS & {*first} and max(map(len, first)) < 20):
        return True
    # a word above nothing but numbers
    below = zip(*(cells for _, cells in rows[1:] if len(cells) == len(first)), strict=True)
    return any(
        not DATA.fullmatch(name) and all(re.fullmatch(r"[-+]?\d+([.:]\d+)*", cell) for cell in column)
        for name, column in zip(first, below, strict=False)
    )


def _comma_table(
    lines: Sequence[Line], rows: Sequence[tuple[int, tuple[str, ...]]], *, headed: bool, even: bool
) -> bool:
    """Whether commas separate cells rather than the parts of a label's sentence."""
    body = [cells for _, cells in (rows[1:] if headed else rows)]
    if headed:
        return True
    if all(re.match(r"\"?[A-Za-z]{0,3}_?\d+\"?\s*,", line.text) for line in lines) and (
        len(lines) > 1 or re.match(r"\"?\d+\"?,\S", lines[0].text)
    ):
        return True
    if len(body) > 1 and all(re.search(r",\s*\"?\d+(\.\d+)?\"?$", line.text) for line in lines):
        return True
    if not even:
        return False
    if any(all(DATA.fullmatch(cell) for cell in column) for column in zip(*body, strict=True)):
        return True
    if len(body) > 1 and not any(re.search(r",\s", line.text) for line in lines):
        return True
    followers = [cell for cells in body for cell in cells[1:]]
    return len(body) >= 3 and all(" " not in cell for cell in followers)


def _listed_videos(lines: Sequence[Line]) -> Found | None:
    found = [(line.number, VIDEO.fullmatch(line.text)) for line in lines]
    rows = tuple((n, tuple(each for each in match.groups() if each)) for n, match in found if match)
    if len(rows) < MOST * len(lines):
        return None
    width = max(len(cells) for _, cells in rows)
    return "a list of videos" + (" and their labels" if width > 1 else ""), numbered_columns(width), rows


def _pointed(lines: Sequence[Line]) -> Found | None:
    found = [(line.number, POINTED.fullmatch(line.text)) for line in lines]
    rows = tuple((n, (match["id"], match["rest"])) for n, match in found if match)
    if len(rows) < MOST * len(lines):
        return None
    return "a numbered list", ("1", "2"), rows


def _numbered(lines: Sequence[Line]) -> Found | None:
    """``1 label``: each line its own number, and what follows is not the same twice."""
    matches = [NUMBERED.fullmatch(line.text) for line in lines]
    headed = _spaced_header(lines, matches[0] is None)
    found = [
        (line.number, match)
        for line, match in list(zip(lines, matches, strict=True))[headed:]
        if match is not None
    ]
    if not found or len(found) + headed < len(lines):
        return None
    numbers = [int(match["number"]) for _, match in found]
    prefixes = {match["prefix"] for _, match in found}
    coded = prefixes != {""} and len(prefixes) == 1 and len(found) > 2 and len({*numbers}) == len(numbers)
    if not coded and not (prefixes == {""} and len(found) > 1 and _count_up(numbers)):
        return None
    if _repeats([match["rest"] for _, match in found]):
        return None
    names = tuple(lines[0].text.split(maxsplit=1)) if headed else ("1", "2")
    return "a numbered list", names, tuple((n, (match["id"], match["rest"])) for n, match in found)


def _spaced_header(lines: Sequence[Line], unlike: bool) -> int:
    """1 if the first line is a header such as ``id name``, else 0."""
    words = lines[0].text.casefold().split()
    return int(unlike and len(lines) > 1 and len(words) == 2 and bool(HEADERS & {*words}))


def _repeats(texts: Sequence[str]) -> bool:
    return len({text.casefold() for text in texts}) < len(texts)


def _count_up(numbers: Sequence[int], many: int = MANY) -> bool:
    """Whether numbers are those of a list: each there once, and all from 0 or 1 on, or at least ``many``."""
    if len({*numbers}) < len(numbers):
        return False
    return len(numbers) >= many or sorted(numbers) in (
        list(range(len(numbers))),
        list(range(1, len(numbers) + 1)),
    )


def _counted(lines: Sequence[Line]) -> Found | None:
    """A folder of frames, their number and the label's."""
    found = [(line.number, match) for line in lines if (match := COUNTED.fullmatch(line.text))]
    if len(found) < len(lines) or len(lines) < 2:
        return None
    rows = tuple((n, (match["rest"], *match[2].split())) for n, match in found)
    return "a list with numbers after each name", numbered_columns(max(len(c) for _, c in rows)), rows


def _trailing(lines: Sequence[Line]) -> Found | None:
    """``label 1``."""
    found = [(line.number, match) for line in lines if (match := TRAILING.fullmatch(line.text))]
    if len(found) < max(2, len(lines)) or _repeats([match["rest"] for _, match in found]):
        return None
    marked = all(match["mark"].strip() for _, match in found)
    if not marked and not _count_up([int(match["number"]) for _, match in found], many=3):
        return None
    rows = tuple((n, (match["rest"], match["number"])) for n, match in found)
    return "a list with a number after each name", ("1", "2"), rows


def _keyed(lines: Sequence[Line]) -> Found | None:
    """``key: value`` or ``key = value`` on every line."""
    found = [(line.number, match) for line in lines if (match := KEYED.fullmatch(line.text))]
    if len(found) < len(lines) or len(lines) < 2:
        return None
    rows = tuple((n, (match["key"].strip("\"' "), match["value"].strip("\"' "))) for n, match in found)
    return "a mapping, a key and a value on each line", ("key", "value"), rows


def _bare_numbers(lines: Sequence[Line]) -> Found | None:
    if len(lines) < 2 or not all(re.fullmatch(r"[-+]?\d+(\.\d+)?", line.text) for line in lines):
        return None
    return "a list of numbers", ("1",), tuple((line.number, (line.text,)) for line in lines)


def _one_line(lines: Sequence[Line]) -> Found | None:
    """All labels on a single line."""
    if len(lines) != 1:
        return None
    for separator, least in ((";", 2), ("|", 2), (",", 4)):
        parts = [part.strip() for part in lines[0].text.split(separator)]
        if len(parts) > least and all(parts):
            return "one line with several labels", ("1",), tuple((1, (part,)) for part in parts)
    return None


def _headed(lines: Sequence[Line]) -> Found | None:
    """A column under its header."""
    name = lines[0].text.strip("\"'")
    if len(lines) < 2 or name.casefold().replace(" ", "_") not in LONE_HEADERS:
        return None
    return "a column with a header", (name,), tuple((line.number, (line.text,)) for line in lines[1:])
