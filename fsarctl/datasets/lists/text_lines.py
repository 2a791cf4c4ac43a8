"""Lists without columns: a path and a label a line, with or without a count of frames, or a path alone.

clips/7.mp4 waving one hand          a video and its label, as words or as a number
frames/7 120 3                       a folder of frames, how many there are, and the label's number
waving/7                             a path alone, whose folder is the class
test0//videos/waving/7.avi           the split and the class's number before the path
test0/7                              the same as a folder
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unicodedata import normalize

from fsarctl.datasets.lists.rows import Listed, Row, refused
from fsarctl.datasets.video_tree import VIDEO_EXTENSIONS, is_video

__all__ = ["class_folders", "lines_of", "parted", "text_rows"]

ENDINGS = "|".join(sorted(re.escape(extension[1:]) for extension in VIDEO_EXTENSIONS))
VIDEO_AND_LABEL = re.compile(rf"(?P<path>.+?\.(?:{ENDINGS}))\s+(?P<label>\S.*)", re.IGNORECASE)
NUMBERED = re.compile(r"(?P<path>\S(?:.*?\S)?)(?P<numbers>(?:\s+\d+)+)")
SPLIT_AND_NUMBER = re.compile(r"(?P<split>train|val|test)(?P<number>\d+)(?P<slashes>/+)(?P<path>.+)")

MOST_DIGITS = 9
ALONE, LABELLED, COUNTED, SEVERAL = "a path alone", "a path and a label", "a path and two numbers", "several"


@dataclass(frozen=True)
class _Line:
    """``rest``: what stands after the path; ``ends``: whether the path's ending says where it ends."""

    number: int
    text: str
    path: str
    rest: str
    ends: bool = True

    @property
    def numbers(self) -> int | None:
        """How many numbers stand after the path; None if it is a label in words."""
        parts = self.rest.split()
        return len(parts) if all(part.isdecimal() for part in parts) else None

    @property
    def form(self) -> str:
        return {0: ALONE, 1: LABELLED, 2: COUNTED, None: LABELLED}.get(self.numbers, SEVERAL)

    def with_numbers(self, count: int) -> "_Line":
        """With the last numbers alone after the path, the others of which are of its name."""
        parts = self.rest.split()
        before = len(parts) - count
        if self.ends or before < 1:
            return self
        path = re.sub(rf"(?:\s+\d+){{{count}}}$", "", self.text) if count else self.text
        return replace(self, path=path, rest=" ".join(parts[before:]))


def text_rows(file: Path, text: str, split: str = "") -> Listed:
    """The rows of a list without columns. ``split``: whose it is, where each split has a list of its own.

    Raises:
        InputError: a line is of no known form, or of another than the first.
    """
    lines = [_parsed(file, number, line) for number, line in lines_of(text)]
    usual = Counter(line.numbers or 0 for line in lines if not line.ends).most_common(1)
    lines = [line.with_numbers(usual[0][0]) if usual else line for line in lines]
    for line in lines:
        if line.form == SEVERAL:
            why = (
                "has several numbers after its path; a clip is of one class, and of a folder of frames a list"
                " says how many and the class"
            )
            raise refused(file, line.number, line.text, why)
        if line.form != lines[0].form:
            why = f"is {line.form}, and line {lines[0].number} {lines[0].form}"
            if lines[0].form == LABELLED:
                why = "is not the path of a video and a label"
            raise refused(file, line.number, line.text, why)
    if lines and lines[0].form == ALONE:
        return _alone(file, lines, split)
    rows = []
    for line in lines:
        count, label = line.rest.split() if line.form == COUNTED else ("", line.rest)
        images = int(count) if count and len(count) <= MOST_DIGITS else None
        rows.append(Row(line.number, line.path, normalize("NFC", label), images=images))
    return Listed(tuple(rows))


def lines_of(text: str) -> list[tuple[int, str]]:
    """(number, text without surrounding spaces) of each line that is not blank."""
    lines = enumerate(re.split(r"\r\n|\n|\r", text), 1)
    return [(number, line.strip()) for number, line in lines if line.strip()]


def parted(path: str) -> list[str]:
    """The parts of a path as Windows or others write it."""
    return [part for part in re.split(r"[/\\]+", path) if part not in ("", ".")]


def class_folders(rows: Sequence[Row]) -> Mapping[str, str]:
    """Label -> the folder that its clips lie in, if that is one for each label, and no label's is another's.

    Nothing where a folder is a number itself, or where there is but one.
    """
    folders: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        parts = parted(row.path)
        folders[row.label].add(parts[-2] if len(parts) > 1 else "")
    found = {label: next(iter(some)) for label, some in folders.items() if len(some) == 1}
    names = set(found.values())
    numbered = any(re.fullmatch(r"(train|val|test)?\d*", name) for name in names)
    one_each = len(found) == len(folders) == len(names) > 1
    return found if one_each and not numbered else {}


def _parsed(file: Path, number: int, text: str) -> _Line:
    if text.startswith("# "):
        raise refused(file, number, text, "is a comment, and a list has none")
    path, tab, rest = text.partition("\t")
    if tab and (is_video(path.strip()) or _is_path(path)):
        return _Line(number, text, path.strip(), rest.strip())
    if found := VIDEO_AND_LABEL.fullmatch(text):
        return _Line(number, text, found["path"], found["label"])
    if not is_video(text) and (found := NUMBERED.fullmatch(text)):
        return _Line(number, text, found["path"], found["numbers"].strip(), ends=False)
    if _is_path(text):
        return _Line(number, text, text, "", ends=is_video(text))
    raise refused(file, number, text, "is not the path of a video and a label")


def _is_path(text: str) -> bool:
    return bool(re.search(r"[^/\\][/\\]+[^/\\]", text)) and "://" not in text


def _alone(file: Path, lines: Iterable[_Line], split: str) -> Listed:
    """Rows whose label is said by their path."""
    found = [(line, SPLIT_AND_NUMBER.fullmatch(line.path)) for line in lines]
    if all(match for _, match in found):
        return _numbered(found, split)
    rows = []
    for line, _ in found:
        label = parted(line.path)[-2] if len(parted(line.path)) > 1 else ""
        if not label or label == "..":
            raise refused(file, line.number, line.text, "is not the path of a video and a label")
        rows.append(Row(line.number, line.path, normalize("NFC", label)))
    return Listed(tuple(rows))


def _numbered(found: Iterable[tuple[_Line, re.Match[str] | None]], split: str) -> Listed:
    """Rows of test0//path: class 0 of the test split, named by its folder, or else by its number."""
    splits = {match["split"] for _, match in found if match}
    rows = []
    for line, match in found:
        assert match is not None
        several = bool(split) or len(splits) > 1  # each of which counts its classes from 0
        label = match["split"] + match["number"] if several else match["number"]
        path = line.path if match["slashes"] == "/" else match["path"]
        rows.append(Row(line.number, path, label, match["split"] if several else ""))
    names = class_folders(rows) if all("//" in line.path for line, _ in found) else {}
    return Listed(tuple(replace(row, label=names.get(row.label, row.label)) for row in rows))
