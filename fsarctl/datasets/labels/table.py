"""A file that was given as a label list and is a table: what it is, and its columns by name.

Every line of a label list would be asked of a language model and paid for, so what is no such list is told
from one before that. Labels have commas ("Putting something, then taking it") and digits ("5 minute run"), so
a separator alone makes no table: what counts is what all lines share.
"""

import ast
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import yaml

from fsarctl.datasets.labels.lines import DATA, ENDINGS, HEADERS, Line, Rows, lined_table, numbered_columns
from fsarctl.datasets.yaml_text import read_yaml

__all__ = ["NAMES_OF_LABELS", "Table", "table_in"]

NAMES_OF_LABELS = (
    *("template", "label", "label_name", "class_name", "classname", "class", "action", "action_name"),
)
"""Headers that can be of nothing else than labels, the surest first."""
LABEL_COLUMNS = (*NAMES_OF_LABELS, "name", "category", "activity", "title", "text")
"""Headers under which labels stand, the surest first."""
NUMBER_COLUMNS = ("id", "idx", "index", "label_id", "class_id", "number", "num", "no")
_NUMBERED_PATH = re.compile(r"[^\s/]*+/(?=\S*+\Z)\S*\d")
"""No white space, and a digit after a slash; in a time that grows as the cell does."""
NUMBER = re.compile(r"\D{0,9}\d+")
HEADINGS = HEADERS | {"taxonomy", "database", "annotations", "data", "items", "vocabulary", "label_map"}
"""Keys whose only value is what the file is about."""
MOST_CELLS = 2_000_000
LARGEST_LITERAL = 2**22
UNREADABLE = "JSON or program text that cannot be read", (), ()
_SPLITS = {"train", "training", "val", "valid", "validate", "validation", "test", "testing", "split"}


@dataclass(frozen=True)
class Table:
    """``kind``: what the file looks like, for people ("a CSV table"). ``rows``: (line, cells).

    ``columns``: their names, or their numbers from 1 where they have none.
    """

    kind: str
    columns: tuple[str, ...]
    rows: Rows

    def cells(self, column: str) -> list[tuple[int, str | None]]:
        """(line, cell) of a column, called by its name or its number; None where a line is too short or long.

        Raises:
            KeyError: there is no such column.
        """
        place = self._place(column)
        last = place == len(self.columns) - 1
        return [
            (line, None if place >= len(cells) or (last and len(cells) > len(self.columns)) else cells[place])
            for line, cells in self.rows
        ]

    @property
    def labels(self) -> str | None:
        """The column that holds labels, most likely; None if none has words in it."""
        words = {name: _share(self._values(place), _is_words) for place, name in enumerate(self.columns)}
        likely = [name for name in self.columns if words[name] > 0.5]
        named = [name for known in LABEL_COLUMNS for name in likely if name.strip().casefold() == known]
        return named[0] if named else max(likely, key=lambda name: words[name], default=None)

    @property
    def videos(self) -> bool:
        """Whether its first column names videos."""
        return _share(self._values(0), _is_video) > 0.5 if self.columns else False

    @property
    def numbers(self) -> str | None:
        """The column that numbers the labels; None if there is none. It is one of that name, or the first
        whose numbers are each there once.
        """
        values = {name: self._values(place) for place, name in enumerate(self.columns)}
        numeric = [
            name for name, cells in values.items() if cells and all(NUMBER.fullmatch(cell) for cell in cells)
        ]
        named = [name for known in NUMBER_COLUMNS for name in numeric if name.strip().casefold() == known]
        distinct = [name for name in numeric if len(set(values[name])) == len(values[name])]
        return next(iter([*named, *distinct]), None)

    def _place(self, column: str) -> int:
        folded = [name.strip().casefold() for name in self.columns]
        if column.strip().casefold() in folded:
            return folded.index(column.strip().casefold())
        number = column.strip()
        if number.isdecimal() and len(number) < 9 and 1 <= int(number) <= len(self.columns):
            return int(number) - 1
        raise KeyError(column)

    def _values(self, place: int) -> list[str]:
        return [cells[place] for _, cells in self.rows if place < len(cells)]


def table_in(text: str) -> Table | None:
    """The table that ``text`` is; None if each of its lines is a label.

    A table without rows is a file of another kind, which no column can be taken of.
    """
    lines = [Line(n, line.strip()) for n, line in enumerate(re.split(r"\r\n|\n|\r", text), 1) if line.strip()]
    if not lines:
        return None
    try:
        found = _other_kind(text, lines) or _structured(text, lines) or lined_table(lines)
    except (RecursionError, TypeError, ValueError):  # values without an end, or that no cell can hold
        return Table(*UNREADABLE)
    if found and len(found[1]) * len(found[2]) > MOST_CELLS:  # keys that are different in each row, say
        return Table(f"{found[0]} of {len(found[1]):,} columns and {len(found[2]):,} rows", (), ())
    return Table(*found) if found else None


def _other_kind(text: str, lines: Sequence[Line]) -> tuple[str, tuple[str, ...], Rows] | None:
    """Files that hold no labels as they are."""
    first = lines[0].text
    if re.match(r"<\?xml|<svg", first, re.IGNORECASE):
        return "XML", (), ()
    if re.match(r"<(!doctype|!--|html|head|body|table|tr|td|ul|ol|li|div|p|select|option)\b", first, re.I):
        return "HTML", (), ()
    if re.search(r"</(html|table|tr|td|ul|ol|li|div|p|option|span|a)>", text, re.IGNORECASE):
        return "HTML", (), ()
    if re.match(r"<([\w:.-]+)(\s[^<>]*)?>", first) and re.search(r"</[\w:.-]+>\s*$", text):
        return "XML", (), ()
    if first.startswith("version https://git-lfs"):
        return "a Git LFS pointer, whose content was not fetched (git lfs pull)", (), ()
    return None


def _structured(text: str, lines: Sequence[Line]) -> tuple[str, tuple[str, ...], Rows] | None:
    """JSON, JSON lines, Python's literals, protocol buffers as text, and YAML."""
    whole = text.lstrip("\ufeff").strip()
    for language, read in (("JSON", json.loads), ("Python", _literal)):
        try:
            value = read(whole)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
        if isinstance(value, (dict, list, tuple, set, frozenset)):
            return f"a {language} {_named(value, language)}", *_columns(value)
    found = _pieces(lines) or _json_lines(lines) or _buffers(whole) or _yaml(whole, lines)
    if found is None and re.match(r"[\[{]\s*$|\{\s*[\"']|\[\s*[\"'\[{]", whole, re.MULTILINE):
        return UNREADABLE
    return found


def _literal(text: str) -> object:
    """A Python literal, perhaps with the name that it is given."""
    named = re.match(r"\A(?:(?:const|let|var)\s+)?[A-Za-z_][\w.]*\s*(?::\s*[\w\[\], ]+)?=\s*(?=[\[({])", text)
    bare = (text[named.end() :] if named else text).rstrip().rstrip(";")
    if len(bare) > LARGEST_LITERAL:
        raise ValueError("what Python makes of it would fill the memory")
    return ast.literal_eval(bare)


def _pieces(lines: Sequence[Line]) -> tuple[str, tuple[str, ...], Rows] | None:
    """What stands between the brackets of a list: 'abseiling', on each line."""
    inner = [line for line in lines if not re.fullmatch(r"(\w+\s*=\s*)?[\[\](){},;]+", line.text)]
    body = inner[:-1] if len(inner) > 1 else inner
    if not inner or not all(line.text.endswith(",") and line.text.count(",") == 1 for line in body):
        return None
    if any(re.search(r"[\"']\s*:", line.text) for line in inner):  # of a dictionary
        return None
    values = [(line.number, (line.text.rstrip(",").strip().strip("\"'"),)) for line in inner]
    quoted = all(line.text[0] in "\"'" for line in inner)
    kind = "the inside of a Python or JSON list" if quoted else "a list with a comma after each label"
    return kind, ("1",), tuple(values)


def _json_lines(lines: Sequence[Line]) -> tuple[str, tuple[str, ...], Rows] | None:
    if lines[0].text[0] not in "{[":
        return None
    try:
        values = [json.loads(line.text) for line in lines]
    except (ValueError, RecursionError):
        return None
    return "JSON lines", *_columns(values)


def _buffers(text: str) -> tuple[str, tuple[str, ...], Rows] | None:
    """Label maps of TensorFlow and AVA: item { id: 1 name: "bend" }."""
    bare = re.sub(r"^\s*#.*", "", text, flags=re.MULTILINE)
    *blocks, rest = bare.split("}")
    parts = [re.fullmatch(r"\s*\w+\s*\{([^{]*)", block) for block in blocks]
    if not blocks or rest.strip() or not all(parts):
        return None
    pattern = r"\b(\w+)\s*:\s*(\"[^\"]*\"|'[^']*'|\S+)"
    items = [
        {key: value.strip("\"',") for key, value in re.findall(pattern, part[1])} for part in parts if part
    ]
    return "a protocol buffer as text", *_columns(items)


def _yaml(text: str, lines: Sequence[Line]) -> tuple[str, tuple[str, ...], Rows] | None:
    """A YAML list, or a mapping that more than one value shows to be one."""
    heading = lines[0].text == "---" or any(re.fullmatch(r"[\w \"']+:", line.text) for line in lines)
    bullets = all(re.match(r"-\s+\S", line.text) for line in lines)
    if not (heading or bullets):
        return None
    try:
        value = read_yaml(text)
    except yaml.YAMLError:
        return None
    if not isinstance(value, (dict, list)):
        return None
    kind = "a list with bullets, as in YAML or Markdown" if bullets else f"a YAML {_named(value, 'YAML')}"
    return kind, *_columns(value)


def _named(value: object, language: str) -> str:
    if isinstance(value, Mapping):
        return {"JSON": "object", "Python": "dictionary", "YAML": "mapping"}[language]
    return "list" if isinstance(value, list) else "tuple" if isinstance(value, tuple) else "set"


def _columns(value: object) -> tuple[tuple[str, ...], Rows]:
    """Columns and rows of nested values; a row's number is its place."""
    if isinstance(value, Mapping):
        inner = [each for each in value.values() if isinstance(each, (Mapping, list, tuple)) and each]
        if len(inner) == 1 and (len(value) > 1 or str(next(iter(value))).casefold() in HEADINGS):
            return _columns(inner[0])  # {"labels": [...]}, perhaps beside a version and the like
        items: list[tuple[object, object]] = []
        for key, each in value.items():
            items += [(key, one) for one in each] if isinstance(each, (list, tuple, set)) else [(key, each)]
        if all(isinstance(each, Mapping) for _, each in items):
            return _records([{"key": key, **each} for key, each in items if isinstance(each, Mapping)])
        return ("key", "value"), _rows([key, each] for key, each in items)
    entries = list(value) if isinstance(value, Iterable) else []
    if entries and all(isinstance(each, Mapping) for each in entries):
        return _records([each for each in entries if isinstance(each, Mapping)])
    if entries and all(isinstance(each, (list, tuple)) for each in entries):
        listed = [list(each) for each in entries if isinstance(each, (list, tuple))]
        return numbered_columns(max(map(len, listed))), _rows(listed)
    return ("1",), _rows([each] for each in entries)


def _records(records: Sequence[Mapping[object, object]]) -> tuple[tuple[str, ...], Rows]:
    names = list(dict.fromkeys(name for record in records for name in record))
    if len(names) * len(records) > MOST_CELLS:
        raise ValueError("no table has so many cells")
    return tuple(map(str, names)), _rows([record.get(name, "") for name in names] for record in records)


def _rows(values: Iterable[Sequence[object]]) -> Rows:
    return tuple(
        (number, tuple(each if isinstance(each, str) else json.dumps(each, default=str) for each in row))
        for number, row in enumerate(values, 1)
    )


def _is_words(cell: str) -> bool:
    """Whether a cell may be a label: it has a letter, and is no path, address, split or identifier."""
    bare = cell.strip()
    if len(re.findall(r"[^\W\d_]", bare)) < 2 or bare.casefold() in _SPLITS:
        return not bare.isascii() and not DATA.fullmatch(bare)
    if re.search(r"://|^(/|\./|\.\./|[A-Za-z]:\\)|\.\w{2,4}$", bare):
        return False
    if _NUMBERED_PATH.match(bare):
        return False
    return not DATA.fullmatch(bare) and not re.fullmatch(r"\w+\s*:\s*\d+", bare)


def _is_video(cell: str) -> bool:
    return bool(re.fullmatch(rf".*\.({ENDINGS})", cell, re.IGNORECASE) or _NUMBERED_PATH.match(cell))


def _share(values: Sequence[str], holds: Callable[[str], bool]) -> float:
    """The share of different values for which ``holds``."""
    counts = Counter(values)
    return sum(map(holds, counts)) / len(counts) if counts else 0.0
