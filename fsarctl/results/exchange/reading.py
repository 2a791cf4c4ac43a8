"""Reading a file of results, which somebody else has written: nothing is believed before it is checked."""

import json
import math
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from fsarctl.errors import InputError
from fsarctl.progress import first_of
from fsarctl.results.clip_intervals import intervals_of
from fsarctl.results.exchange.document import MOST_BYTES, SCHEMA
from fsarctl.results.intervals import estimate
from fsarctl.results.predictions import Predictions
from fsarctl.results.result import intervals_as_json

__all__ = ["ExportedClip", "ExportedResult", "choose_pair", "parse_results", "read_results"]

GZIP = b"\x1f\x8b"
MOST_SCORES = 10**8
LONGEST = 4096
MOST_LISTED = 6
DIGEST = re.compile(r"[0-9a-f]{64}")
STEP = "Ask for a file that `fsarctl results export` wrote, and has not been changed since."


@dataclass(frozen=True)
class ExportedClip:
    """A clip as it is told apart from others: ``sha256`` of the video file, "" where nobody knows."""

    name: str
    label: str
    sha256: str


@dataclass(frozen=True)
class ExportedResult:
    """A result with the clips that its predictions are of: ``clips`` by row.

    The scores of ``predictions`` are 1 at what was predicted, else 0. ``record``: way, shot, query,
    query_mode, seed, accuracy, half_width, intervals, headline and what else its result.json has.
    """

    slot: str
    key: str
    title: str
    record: Mapping[str, Any]
    predictions: Predictions
    clips: tuple[ExportedClip, ...]


def read_results(path: Path) -> list[ExportedResult]:
    """The results in a file, at least one.

    Raises:
        InputError: it cannot be read, is no such file, is of another version, or contradicts itself.
    """
    try:
        document = json.loads(_content(path), parse_constant=_no_number)
    except RecursionError:
        raise _refused(path, "it is nested too deeply") from None
    except (ValueError, UnicodeError) as error:
        raise _refused(path, f"it is not JSON ({error})") from None
    try:
        return parse_results(document)
    except _WrongError as error:
        raise _refused(path, str(error)) from None


def parse_results(document: Any) -> list[ExportedResult]:
    """The results of a document.

    Raises:
        ValueError: it is none, and why.
    """
    top = _Value(document, "the file")
    schema = top.table.get("schema")
    if schema != SCHEMA:
        shown = json.dumps(schema)[:60]
        if str(schema).startswith(SCHEMA.partition("/")[0] + "/"):
            raise _WrongError(f"its schema is {shown}, and this fsarctl reads {SCHEMA}: it is older or newer")
        raise _WrongError(f"it is not of schema {SCHEMA}" + (f" but of {shown}" if schema else ""))
    clips = [_clips(each) for each in top["clips"].entries]
    episodes = [_episodes(each, clips) for each in top["episodes"].entries]
    found = [_result(each, episodes) for each in top["results"].entries]
    if not found:
        raise _WrongError("it holds no result")
    return found


def choose_pair(
    first: Sequence[ExportedResult], second: Sequence[ExportedResult]
) -> tuple[ExportedResult, ExportedResult]:
    """One of each side: the only ones, or else the only ones of the same shots, and then of the same model.

    Raises:
        InputError: there is none on a side, or there are several.
    """
    for side, name in ((first, "A"), (second, "B")):
        if not side:
            raise InputError(
                f"{name} has no such result", next_step="Name FILE alone to see which results it has."
            )
    pairs = [(one, other) for one in first for other in second]
    for alike in (_shot_of, _model_of):
        some = [pair for pair in pairs if alike(pair[0]) == alike(pair[1])]
        pairs = some if len(pairs) > 1 and some else pairs
    if len(pairs) > 1:
        several = max((first, second), key=len)
        listed = first_of([f"{each.slot!r} ({each.key[:12]})" for each in several], MOST_LISTED)
        raise InputError(
            f"a file has {len(several)} results, and which one is meant is not clear: {listed}",
            next_step="Write FILE::RESULT, with its slot or how its key begins.",
        )
    return pairs[0]


def _shot_of(result: ExportedResult) -> int:
    return int(result.record["shot"])


def _model_of(result: ExportedResult) -> str:
    return result.title


class _WrongError(ValueError):
    """What is wrong with a document."""


@dataclass(frozen=True)
class _Value:
    """A value and where it stands, asked for by type."""

    value: Any
    where: str

    def __getitem__(self, name: str) -> "_Value":
        if name not in self.table:
            raise _WrongError(f"{self.where} has no {name}")
        return _Value(self.value[name], f"{name} of {self.where}" if self.where != "the file" else name)

    @property
    def table(self) -> dict[str, Any]:
        found: dict[str, Any] = self._of(dict, "a table")
        return found

    @property
    def entries(self) -> list["_Value"]:
        return [_Value(e, f"{self.where}, entry {n}") for n, e in enumerate(self._of(list, "a list"), 1)]

    @property
    def text(self) -> str:
        """Text that a terminal may show."""
        text: str = self._of(str, "text")
        if len(text) > LONGEST:
            raise _WrongError(f"{self.where} is {len(text):,} letters long")
        return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(each.text for each in self.entries)

    def whole(self, low: int, high: int) -> int:
        number: int = self._of(int, "a whole number")
        if isinstance(number, bool) or not low <= number <= high:
            raise _WrongError(f"{self.where} is {str(number)[:20]}, not a whole number of {low} to {high}")
        return number

    @property
    def share(self) -> float:
        number = self.value
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 1:
            raise _WrongError(f"{self.where} is no number of 0 to 1")
        return float(number)

    def rows(self, width: int | None, below: int) -> npt.NDArray[np.int64]:
        """(rows, width) whole numbers from 0 to ``below`` - 1."""
        rows = self._of(list, "a list")
        width = len(rows[0]) if width is None and rows and isinstance(rows[0], list) else width
        for number, row in enumerate(rows, 1):
            if not (isinstance(row, list) and len(row) == width and all(type(each) is int for each in row)):
                raise _WrongError(f"row {number} of {self.where} is not {width} whole numbers")
            if row and not 0 <= min(row) <= max(row) < below:
                raise _WrongError(
                    f"row {number} of {self.where} has a number that is not from 0 to {below - 1}"
                )
        return np.array(rows, np.int64).reshape(len(rows), width or 0)

    def _of(self, kind: type, called: str) -> Any:
        if not isinstance(self.value, kind):
            raise _WrongError(f"{self.where} is not {called}")
        return self.value


def _clips(entry: _Value) -> tuple[ExportedClip, ...]:
    found = []
    for row in entry["clips"].entries:
        cells = row.texts
        if len(cells) != 3 or (cells[2] and not DIGEST.fullmatch(cells[2])):
            raise _WrongError(f"{row.where} is not a name, a label and a SHA-256")
        found.append(ExportedClip(*cells))
    if len({each.name for each in found}) != len(found):
        raise _WrongError(f"{entry.where} has a clip's name twice")
    return tuple(found)


@dataclass(frozen=True)
class _Episodes:
    shot: int
    clips: tuple[ExportedClip, ...]
    asked: Predictions


def _episodes(entry: _Value, known: Sequence[tuple[ExportedClip, ...]]) -> _Episodes:
    clips = known[entry["clips"].whole(0, len(known) - 1)]
    labels = entry["labels"].texts
    if len(set(labels)) != len(labels):
        raise _WrongError(f"labels of {entry.where} has one twice")
    way, shot = entry["way"].whole(2, max(2, len(labels))), entry["shot"].whole(1, max(1, len(clips)))
    classes = entry["classes"].rows(way, len(labels))
    support = entry["support"].rows(way * shot, len(clips))
    query = entry["query"].rows(None, len(clips))
    targets = entry["targets"].rows(query.shape[1], way)
    if not (len(classes) == len(support) == len(query) == len(targets) > 0 and query.shape[1]):
        raise _WrongError(f"{entry.where} has not as many classes, support sets, queries and targets")
    support = support.reshape(-1, way, shot)
    if query.size * way > MOST_SCORES:
        raise _WrongError(f"{entry.where} is larger than any that is known")
    numbers = {label: number for number, label in enumerate(labels)}
    of_clip = np.array([numbers.get(each.label, -1) for each in clips], np.int64)
    if (of_clip[support] != classes[..., None]).any():
        raise _WrongError(f"{entry.where} has support clips of other classes than it says")
    if (of_clip[query] != np.take_along_axis(classes, targets, 1)).any():
        raise _WrongError(f"{entry.where} has queries of other classes than it says")
    groups = None
    if entry["groups"].value is not None:
        groups = _Value([entry["groups"].value], entry["groups"].where).rows(len(clips), 2**31)[0]
    nothing = np.zeros((*query.shape, 0), np.float32)
    return _Episodes(shot, clips, Predictions(labels, classes, support, query, targets, nothing, groups))


def _result(entry: _Value, known: Sequence[_Episodes]) -> ExportedResult:
    episodes = known[entry["episodes"].whole(0, len(known) - 1)]
    way = episodes.asked.classes.shape[1]
    predicted = entry["predicted"].rows(episodes.asked.query.shape[1], way)
    if len(predicted) != len(episodes.asked.query):
        raise _WrongError(
            f"predicted of {entry.where} is of {len(predicted)} episodes, which are"
            f" {len(episodes.asked.query)}"
        )
    scores = (predicted[..., None] == np.arange(way)).astype(np.float32)
    predictions = Predictions(**{**vars(episodes.asked), "scores": scores})
    record = entry["record"]
    for name, value in (("way", way), ("shot", episodes.shot), ("episodes", len(predicted))):
        if record[name].whole(1, 2**31) != value:
            raise _WrongError(f"{record.where} says {name} {record[name].value}, and its episodes {value}")
    accuracy = math.fsum(predictions.episode_accuracies) / len(predicted)
    if abs(record["accuracy"].share - accuracy) > 1e-6:
        raise _WrongError(
            f"{entry.where} says an accuracy of {100 * record['accuracy'].share:.2f} %, and its predictions"
            f" come to {100 * accuracy:.2f} %"
        )
    width = estimate(predictions.episode_accuracies).half_width
    # What is told of it later is what was checked; its intervals are found again from the predictions.
    told = {
        "way": way,
        "shot": episodes.shot,
        "episodes": len(predicted),
        "query": record["query"].whole(1, 2**31),
        "query_mode": record["query_mode"].text,
        "model": record["model"].text,
        "accuracy": accuracy,
        "half_width": width if math.isfinite(width) else None,
        **intervals_as_json(intervals_of(predictions)),
    }
    words = {name: entry[name].text for name in ("slot", "key", "title")}
    return ExportedResult(**words, record=told, predictions=predictions, clips=episodes.clips)


def _content(path: Path) -> bytes:
    """What the file holds, decompressed, and never more than ``MOST_BYTES`` of it."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise _refused(path, error.strerror or "it cannot be read") from None
    if content.startswith(GZIP):
        content = _decompressed(path, content)
    if len(content) > MOST_BYTES:
        raise _refused(path, f"it holds more than {MOST_BYTES / 2**20:.0f} MiB")
    return content


def _decompressed(path: Path, content: bytes) -> bytes:
    stream = zlib.decompressobj(wbits=31)  # gzip, and its checksum
    try:
        whole = stream.decompress(content, MOST_BYTES + 1)
    except zlib.error as error:
        raise _refused(path, f"it is damaged ({error})") from None
    if not stream.eof and len(whole) <= MOST_BYTES:
        raise _refused(path, "it is cut short")
    if stream.unused_data:
        raise _refused(path, "something stands behind its end")
    return whole


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")


def _refused(path: Path, why: str) -> InputError:
    return InputError(f"{path} is no file of results that can be read: {why}", next_step=STEP)
