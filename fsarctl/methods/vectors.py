"""Vectors of other people's code: inputs, weights and outputs in one .npz file, and ours compared with them.

Floating arrays are float32; integers named ``..._x8`` are eight times their value. ``w.NAME`` are weights.
"""

import lzma
import struct
import tokenize
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from zipfile import BadZipFile, ZipFile

import numpy as np
import torch
from torch import Tensor, nn

from fsarctl.errors import InputError

__all__ = [
    "Arrays",
    "Difference",
    "class_major",
    "compare",
    "fill",
    "largest_error",
    "read_arrays",
    "renamed",
    "under",
    "unstacked",
]

Arrays: TypeAlias = Mapping[str, Tensor]
TOLERANCE = 1e-5
"""Of the largest entry expected."""
MOST_BYTES = 2**30
"""More than this no file of vectors unpacks to."""
UNREADABLE = (
    *(OSError, EOFError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, SyntaxError),
    *(RuntimeError, MemoryError, BadZipFile, zlib.error, lzma.LZMAError, struct.error, tokenize.TokenError),
)
"""What numpy and zipfile raise for archives and headers that are damaged, or of another kind."""
MULTIPLES = {"_x2": 2, "_x4": 4, "_x8": 8}


@dataclass(frozen=True)
class Difference:
    """How far one array is from what was expected."""

    name: str
    """As in the file."""
    relative: float
    """Largest absolute difference over the largest absolute entry expected; infinite if either is missing."""
    tolerance: float = TOLERANCE

    @property
    def passes(self) -> bool:
        """Within the tolerance."""
        return self.relative <= self.tolerance


def read_arrays(path: Path) -> dict[str, Tensor]:
    """Every array of a file, by name, as numbers.

    Raises:
        InputError: no such file, or it is not one.
    """
    try:
        with ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MOST_BYTES:
            raise ValueError(
                f"it unpacks to {size / 2**20:,.0f} MiB; {MOST_BYTES / 2**20:,.0f} are read at most"
            )
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = {name: torch.from_numpy(np.asarray(arrays[name])) for name in arrays.files}
    except UNREADABLE as error:
        raise InputError(
            f"{path} cannot be read: {error or type(error).__name__}",
            next_step="Give an .npz file of vectors.",
        ) from error
    # The model computes in float32, whatever the file was computed in.
    found = {name: each.float() if each.is_floating_point() else each for name, each in found.items()}
    for ending, times in MULTIPLES.items():
        for name in [each for each in found if each.endswith(ending)]:
            found[name.removesuffix(ending)] = found.pop(name).float() / times
    return found


def under(prefix: str, arrays: Arrays) -> dict[str, Tensor]:
    """The arrays whose names begin with ``prefix``, without it."""
    return {name.removeprefix(prefix): each for name, each in arrays.items() if name.startswith(prefix)}


def renamed(weights: Arrays, names: Mapping[str, str]) -> dict[str, Tensor]:
    """Weights whose names begin as ours do: the first of ``names`` that one begins with, theirs -> ours."""
    found = {}
    for name, each in weights.items():
        theirs = next((start for start in names if name.startswith(start)), "")
        found[names.get(theirs, "") + name.removeprefix(theirs)] = each
    return found


def unstacked(weights: Arrays) -> dict[str, Tensor]:
    """Weights in which ``to_qkv`` is ``to_q``, ``to_k`` and ``to_v``, whose rows it has in this order."""
    found: dict[str, Tensor] = {}
    for name, each in weights.items():
        before, stacked, after = name.rpartition("to_qkv")
        parts = zip("qkv", each.chunk(3), strict=True) if stacked else ()
        found |= {f"{before}to_{letter}{after}": part for letter, part in parts} or {name: each}
    return found


def class_major(support: Tensor, labels: Tensor | None) -> Tensor:
    """Support clips class by class, classes in ascending label. Shapes: (videos, ...), (videos,) -> same."""
    return support if labels is None else support[labels.argsort(stable=True)]


def compare(
    arrays: Arrays,
    computed: Arrays,
    *,
    inputs: Collection[str],
    absolute: Mapping[str, float] | None = None,
) -> list[Difference]:
    """Everything in ``arrays`` but inputs and weights, against what was computed under the same name.

    ``absolute``: arrays that are small, whose error is counted as it is, and how large it may be.
    """
    outputs = [name for name in arrays if name not in inputs and not name.startswith("w.")]
    found = []
    for name in outputs:
        scale = (absolute or {}).get(name)
        error = largest_error(computed.get(name), arrays[name], relative=scale is None)
        found.append(Difference(name, error, scale or TOLERANCE))
    return found


def largest_error(ours: Tensor | None, expected: Tensor | None, *, relative: bool = True) -> float:
    """The largest difference, as a part of the largest entry expected; infinite where shapes differ."""
    if ours is None or expected is None or ours.shape != expected.shape:
        return float("inf")
    difference = (ours.detach().double() - expected.double()).abs().max().item()
    return difference / (expected.double().abs().max().item() or 1.0) if relative else difference


def fill(module: nn.Module, weights: Arrays) -> None:
    """Load ``weights`` into a module of the same names.

    Raises:
        InputError: names or shapes are not the module's.
    """
    try:
        module.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise InputError(
            f"the weights of the file do not fit: {str(error).splitlines()[-1].strip()}",
            next_step="Compare its names with the method's specification.",
        ) from None
