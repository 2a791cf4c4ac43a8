"""What labels that are numbers mean: ``classInd.txt``, ``label_map.txt``, or any table of both."""

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

from fsarctl.config.dataset_table import DatasetConfig
from fsarctl.config.paths import located
from fsarctl.config.read_settings import toml_key
from fsarctl.config.text_file import BYTE_ORDER_MARK, read_text
from fsarctl.datasets.labels.label_list import LabelList, read_labels
from fsarctl.datasets.labels.spelling import loosely
from fsarctl.datasets.labels.table import table_in
from fsarctl.errors import InputError
from fsarctl.progress import first_of

__all__ = ["LabelMap", "are_numbers", "find_label_map", "named_labels", "number_remarks", "read_label_map"]

SHAPE = "A label map has a number and a label on each line, such as: 3 juggling balls"
NUMBERED = re.compile(r"(\d+)[.):,;\s]\s*(\S.*)")
MAP_NAME = re.compile(r".*(class|label|categor|action|name).*\.(txt|csv|tsv|json|ya?ml|pbtxt)", re.IGNORECASE)
LARGEST = 2**20  # bytes of a file that may be a label map
MOST_DIGITS = 18
SHOWN = 3


@dataclass(frozen=True)
class LabelMap:
    """``names``: number, or another identifier, as text without leading zeros -> label.

    ``counted``: the file has labels alone, and their numbers are those of its lines, from 0.
    """

    path: Path
    names: Mapping[str, str]
    counted: bool = False

    def label(self, written: str) -> str | None:
        """The label that a number stands for, or the label itself; None if it is neither."""
        named = self.names.get(_number(written))
        if named is not None:
            return named
        spelled = {loosely(each): each for each in self.names.values()}
        return spelled.get(loosely(written))


def read_label_map(path: Path) -> LabelMap:
    """The label map in a file: a table with a column of numbers and one of labels, or labels alone.

    Raises:
        InputError: it cannot be read, holds no labels, or has a number twice.
    """
    text = read_text(path, "label map", SHAPE).removeprefix(BYTE_ORDER_MARK)
    lines = [NUMBERED.fullmatch(line.strip()) for line in text.splitlines() if line.strip()]
    pairs = [(match[1], match[2]) for match in lines if match]
    table = table_in(text)
    if table is not None and (len(pairs) < len(lines) or len(table.columns) > 2):
        if table.labels is None:
            raise InputError(f"{path} is {table.kind}, in which no column holds labels", next_step=SHAPE)
        if table.numbers is None or table.numbers == table.labels:
            return _counted(path, read_labels(path, table.labels))
        cells = zip(table.cells(table.numbers), table.cells(table.labels), strict=True)
        pairs = [(number, label) for (_, number), (_, label) in cells if number and label]
    elif not pairs or len(pairs) < len(lines):
        return _counted(path, read_labels(path, "line"))
    names: dict[str, str] = {}
    for number, label in pairs:
        plain = normalize("NFC", label.strip().strip("\"'"))
        if names.setdefault(_number(number), plain) != plain:
            raise InputError(
                f"{path} gives the number {number} to {names[_number(number)]!r} and to {plain!r}",
                next_step="Delete one of the two.",
            )
    return LabelMap(path, names)


def named_labels(name: str, config: DatasetConfig, project: Path, labels: Iterable[str]) -> dict[str, str]:
    """Label of dataset ``name`` as it is written -> what it is called, by its ``label_map`` if it has one.

    Raises:
        InputError: the map cannot be read, or does not have one of them.
    """
    written = list(dict.fromkeys(labels))
    if not config.label_map:
        return {label: label for label in written}
    found = read_label_map(located(config.label_map, project))
    named = {label: found.label(label) for label in written}
    missing = [label for label, known in named.items() if known is None]
    if missing:
        raise InputError(
            f"dataset {name!r}: {found.path} has no label for {first_of(missing, SHOWN)};"
            f" it has {_range(found)}",
            next_step=_how_to_number(found)
            if found.counted
            else f"Add it there, or correct datasets.{name}.label_map.",
        )
    return {label: known for label, known in named.items() if known is not None}


def are_numbers(labels: Iterable[str]) -> bool:
    """Whether all labels are, which say nothing to a text encoder or a language model."""
    listed = list(labels)
    return bool(listed) and all(label.isdecimal() for label in listed)


def number_remarks(name: str, config: DatasetConfig, project: Path, named: Mapping[str, str]) -> list[str]:
    """What a user may want to know of the labels' numbers; ``named`` is what ``named_labels`` gave."""
    if config.label_map:
        found = read_label_map(located(config.label_map, project))
        pairs = [f"{written} is {label!r}" for written, label in sorted(named.items()) if written != label]
        return (
            [f"labels by line of {config.label_map}, from 0: {first_of(pairs, SHOWN)}"]
            if found.counted
            else []
        )
    if not are_numbers(named):
        return []
    place = located(config.file, project).parent if config.file else located(config.root, project)
    beside = find_label_map(place, named) or Path("classInd.txt")
    file = beside.relative_to(project) if beside.is_relative_to(project) else beside
    numbers = first_of([*map(repr, sorted(named))], SHOWN)
    return [
        f"the labels are numbers ({numbers}), which say nothing of an action: name"
        f' the file that says what they mean, label_map = "{file.as_posix()}" in [datasets.{toml_key(name)}]'
    ]


def find_label_map(place: Path, labels: Iterable[str]) -> Path | None:
    """A file in a directory, or in the one above, that has a label for each of these numbers."""
    numbers = list(labels)
    for folder in (place, place.parent):
        try:
            files = sorted(each for each in folder.iterdir() if MAP_NAME.fullmatch(each.name))
        except OSError:
            continue
        for file in files:
            try:
                if not file.is_file() or file.stat().st_size > LARGEST:
                    continue
                found = read_label_map(file)
            except (InputError, OSError):
                continue
            if all(_number(number) in found.names for number in numbers) and not are_numbers(
                found.names.values()
            ):
                return file
    return None


def _counted(path: Path, listed: LabelList) -> LabelMap:
    """Labels by their place; where one is there twice, what follows it would be of another number."""
    if listed.repeated:
        raise InputError(
            f"{path} has no numbers and labels twice, so its lines count no classes ({listed.repeated})",
            next_step=f"Write the number of each class before its label. {SHAPE}",
        )
    names = {str(number): normalize("NFC", label) for number, label in enumerate(listed.labels)}
    return LabelMap(path, names, counted=True)


def _how_to_number(found: LabelMap) -> str:
    if table_in(read_text(found.path, "label map", SHAPE)) is not None:  # its lines are not its labels
        return f"Write the numbers that the dataset has before the labels. {SHAPE}"
    return (
        "Number its lines as the dataset does, from 1 for example: "
        f"awk '{{print NR, $0}}' {shlex.quote(str(found.path))} > classInd.txt"
    )


def _number(text: str) -> str:
    """As numbers are compared: 01 is 1."""
    bare = text.strip()
    return str(int(bare)) if _is_number(bare) else bare


def _is_number(text: str) -> bool:
    """Whether it is one that labels may have; a thousand digits are a name at best."""
    return text.isdecimal() and len(text) <= MOST_DIGITS


def _range(found: LabelMap) -> str:
    numbers = sorted(int(number) for number in found.names if _is_number(number))
    if not numbers:
        return f"{len(found.names)} others"
    return f"{numbers[0]} to {numbers[-1]}" + (", counted from 0" if found.counted else "")
