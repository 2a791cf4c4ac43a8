"""Which classes are base, validation and novel: by lists, by a file, or by lot."""

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from unicodedata import normalize

from fsarctl.config.dataset_table import DatasetConfig
from fsarctl.config.paths import located
from fsarctl.config.setting_field import SPLITS
from fsarctl.config.text_file import read_csv
from fsarctl.errors import InputError
from fsarctl.errors.nearest import nearest

__all__ = ["draw_splits", "read_split_file", "split_classes", "split_name"]

ALIASES = {"validation": "val", "valid": "val"}
HEADER = ["class", "split"]
SHAPE = "A split file has a class and its split on each line: waving one hand,train"


def split_classes(
    name: str,
    config: DatasetConfig,
    project: Path,
    classes: Collection[str],
    named: Mapping[str, str] | None = None,
) -> dict[str, list[str]]:
    """Split -> its classes, sorted; without any setting every class is a test class.

    ``classes`` are those that have videos; ``project`` is what split_file is relative to. ``named``: what
    labels are called that are numbers, which the settings may name by either.

    Raises:
        InputError: an unknown class in a split, a class in two splits, a split without classes, a split
            file that cannot be read, or too few classes to share.
    """
    if config.split_ratio:
        return draw_splits(name, classes, config.split_ratio, config.seed)
    if config.split_file:
        path = located(config.split_file, project)
        return _checked(name, f"in {path}", read_split_file(path), classes, named or {})
    if config.splits:
        return _checked(name, f"in datasets.{name}.splits", config.splits, classes, named or {})
    return {"test": sorted(classes)}


def draw_splits(
    name: str, classes: Collection[str], ratio: Sequence[float], seed: int
) -> dict[str, list[str]]:
    """Share ``classes`` in the proportion of ``ratio`` (train, val, test); the lot is drawn by ``seed``.

    A class's place in the draw depends on its name and the seed alone, so that a class that comes or goes
    moves few others. A split with a share gets two classes at least, of which an episode can be drawn, or
    one where there are too few.

    Raises:
        InputError: there are fewer classes than splits with a share.
    """
    drawn = sorted(classes, key=lambda label: hashlib.sha256(f"{seed}/{label}".encode()).digest())
    shares = {split: share for split, share in zip(SPLITS, ratio, strict=True) if share > 0}
    if len(drawn) < len(shares):
        raise InputError(
            f"dataset {name!r}: {len(drawn)} classes cannot be shared among {len(shares)} splits",
            next_step=f"Add classes, or give a split of datasets.{name}.split_ratio the share 0.",
        )
    total = sum(shares.values())
    ends = [round(len(drawn) * part / total) for part in accumulate(shares.values())]
    counts = [end - start for start, end in pairwise([0, *ends])]
    least = min(2, len(drawn) // len(shares))
    while min(counts) < least:
        counts[counts.index(max(counts))] -= 1
        counts[counts.index(min(counts))] += 1
    bounds = [0, *accumulate(counts)]
    return {
        split: sorted(drawn[start:end]) for split, (start, end) in zip(shares, pairwise(bounds), strict=True)
    }


def read_split_file(path: Path) -> dict[str, list[str]]:
    """The splits of a CSV file: ``class,split`` lines, with or without that header.

    Raises:
        InputError: it cannot be read, or a line is not a class and a split; the line is named.
    """
    splits: dict[str, list[str]] = {}
    for number, row in read_csv(path, "split file", SHAPE):
        if not splits and [cell.lower() for cell in row] == HEADER:
            continue
        split = split_name(row[1]) if len(row) == len(HEADER) else None
        if split is None or not row[0]:
            raise InputError(
                f"{path}, line {number}: {','.join(row)!r} is not a class and one of {', '.join(SPLITS)}",
                next_step=SHAPE,
            )
        splits.setdefault(split, []).append(row[0])
    if not splits:
        raise InputError(f"{path} names no class", next_step=SHAPE)
    return splits


def split_name(text: str) -> str | None:
    """train, val or test, as people write them; None if it is none of these."""
    name = ALIASES.get(text.lower(), text.lower())
    return name if name in SPLITS else None


def _checked(
    name: str,
    where: str,
    splits: Mapping[str, Sequence[str]],
    classes: Collection[str],
    named: Mapping[str, str],
) -> dict[str, list[str]]:
    composed = {split: [normalize("NFC", label) for label in labels] for split, labels in splits.items()}
    splits = {split: [named.get(label, label) for label in labels] for split, labels in composed.items()}
    uses = Counter(label for labels in splits.values() for label in labels)
    for split, labels in splits.items():
        if not labels:
            raise InputError(
                f"dataset {name!r}: split {split!r} names no class",
                next_step=f"Name its classes {where}, or leave the split out.",
            )
        for label in labels:
            if label not in classes:
                near = nearest(label, classes, 3, cutoff=0.5)
                raise InputError(
                    f"dataset {name!r}: split {split!r} names {label!r}, but no such class has videos"
                    + (f"; the nearest: {', '.join(map(repr, near))}" if near else ""),
                    next_step=f"Correct it {where}, or add the class with its videos.",
                )
            if uses[label] > 1:
                within = [split for split, labels in splits.items() if label in labels]
                raise InputError(
                    f"dataset {name!r}: class {label!r} stands {uses[label]} times,"
                    f" in {' and '.join(within)}",
                    next_step=f"Splits share no class: keep it once {where}.",
                )
    return {split: sorted(labels) for split, labels in splits.items()}
