"""A folder with a model and its support set: ONNX, on request int8 and ``torch.export``, and how to use them.

``model.json`` says what each file is and how frames become its input; ``classify.py`` does all of it, without
fsarctl and without torch.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from glob import escape
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fsarctl.artifacts.atomic_write import PARTIAL, is_abandoned, partial_of
from fsarctl.errors import InputError
from fsarctl.predict.export.comparison import (
    Difference,
    answers_of_files,
    answers_of_ours,
    difference,
    require_same,
)
from fsarctl.predict.export.graphs import Encoder, Head, onnx_of, quiet, traced, without_unread
from fsarctl.predict.predictor import Predictor
from fsarctl.predict.support_set import Support
from fsarctl.progress import SILENT, Reporter

__all__ = ["FACTS", "SCHEMA", "Exported", "write_model"]

SCHEMA = "fsarctl.model/1"
FACTS = "model.json"
SCRIPT = "classify.py"
BEFORE = "before"
ENCODER, HEAD = "encoder", "head"
FILES = {
    "onnx": {ENCODER: "encoder.onnx", HEAD: "head.onnx"},
    "int8": {ENCODER: "encoder-int8.onnx", HEAD: "head-int8.onnx"},
    "torch": {ENCODER: "encoder.pt2", HEAD: "head.pt2"},
}


@dataclass(frozen=True)
class Exported:
    """What was written: ``files`` (name -> bytes); and of how many ``clips`` the answers were compared."""

    files: Mapping[str, int]
    clips: int
    differences: Mapping[str, Difference]


def write_model(
    predictor: Predictor,
    support: Support,
    folder: Path,
    clips: NDArray[np.uint8],
    *,
    int8: bool = False,
    for_torch: bool = False,
    reporter: Reporter = SILENT,
) -> Exported:
    """Fill ``folder``, which is new, empty, or from an earlier export; it is whole, or as it was.

    Args:
        clips: (clips, T, S, S, 3), of which answers are compared with the predictor's.
        int8: also with weights and products of 8 bits.
        for_torch: also for ``torch.export.load``.

    Raises:
        InputError: the method cannot be exported, its scores come out otherwise, or the folder cannot be
            written.
    """
    kinds = ["onnx", *(["int8"] if int8 else []), *(["torch"] if for_torch else [])]
    encoder, head = Encoder(predictor), Head(predictor, support)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        with _beside(folder) as scratch:
            place = scratch / folder.name
            place.mkdir()
            with reporter.task("export", 2 * len(kinds), "file") as advance:
                _write_graphs(encoder, head, place, clips[0], kinds, lambda: advance(1))
            ours = answers_of_ours(predictor, support, clips)
            differences = {}
            for kind in [each for each in kinds if each != "torch"]:
                first, second = (place / FILES[kind][part] for part in (ENCODER, HEAD))
                differences[kind] = difference(answers_of_files(first, second, clips), ours)
            require_same(differences["onnx"], ours)
            facts = _facts(predictor, support, kinds, head.outputs, (len(clips), differences))
            (place / FACTS).write_text(json.dumps(facts, ensure_ascii=False, indent=1) + "\n", "utf-8")
            shutil.copyfile(Path(__file__).with_name(SCRIPT), place / SCRIPT)
            sizes = {each.name: each.stat().st_size for each in sorted(place.iterdir())}
            if folder.exists():
                folder.rename(scratch / BEFORE)
            place.rename(folder)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be written: {error.strerror}", next_step="Name another place: -o FOLDER."
        ) from None
    return Exported(sizes, len(clips), differences)


@contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """A hidden folder beside ``folder``, whose name says whose it is, while the block lasts."""
    place = partial_of(folder)
    place.mkdir()
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Remove what exports to ``folder`` left that were killed; one had perhaps moved the earlier one away."""
    for each in folder.parent.glob(f".{escape(folder.name)}.*{PARTIAL}"):
        if is_abandoned(each):
            if not folder.exists() and (each / BEFORE).is_dir():
                (each / BEFORE).rename(folder)
            shutil.rmtree(each, ignore_errors=True)


@torch.no_grad()
def _write_graphs(
    encoder: Encoder,
    head: Head,
    place: Path,
    clip: NDArray[np.uint8],
    kinds: Sequence[str],
    advance: Callable[[], None],
) -> None:
    pixels = torch.from_numpy(clip)  # (T, S, S, 3)
    features = encoder(pixels)
    for part, module, example, name, outputs in (
        (ENCODER, encoder, pixels, "pixels", ["features"]),
        (HEAD, head, features, "features", list(head.outputs)),
    ):
        program = traced(module, example, any_number=part == ENCODER)
        onnx_of(module, program, [name], outputs).save(place / FILES["onnx"][part])
        advance()
        if "int8" in kinds:
            _quantise(place / FILES["onnx"][part], place / FILES["int8"][part])
            advance()
        if "torch" in kinds:
            with quiet():
                torch.export.save(without_unread(program), place / FILES["torch"][part])
            advance()


def _quantise(onnx: Path, int8: Path) -> None:
    """Dynamically: weights to 8 bits now, what they are multiplied with when a clip is read."""
    from onnxruntime.quantization import quantize_dynamic

    with quiet():
        quantize_dynamic(onnx, int8, op_types_to_quantize=["MatMul", "Gemm"], per_channel=True)


def _facts(
    predictor: Predictor,
    support: Support,
    kinds: Sequence[str],
    outputs: Sequence[str],
    exported: tuple[int, Mapping[str, Difference]],
) -> dict[str, Any]:
    """What whoever uses the folder has to know."""
    return {
        "schema": SCHEMA,
        "fsarctl": version("fsarctl"),
        "model": {**support.made_by, "model.precision": "float32"},
        "classes": list(support.labels),
        "text": support.text is not None,
        "frames": predictor.model.frames,
        "sampling": "frame (2i + 1) n / 2T, rounded down, for i = 0 ... T - 1, of n frames",
        "size": predictor.size,
        "resize": predictor.resize,
        "pixels": "uint8 (frames, size, size, 3), RGB; squash: both sides are scaled to size; aspect: the"
        " shorter one, and the middle is kept; bilinear, in the orientation in which a player shows it",
        "outputs": list(outputs),
        "files": {kind: FILES[kind] for kind in kinds},
        "compared": {
            "clips": exported[0],
            **{kind: asdict(each) for kind, each in exported[1].items()},
        },
    }
