"""Predictions of many clips, a block at a time: each in a file of its own, whoever names its clips."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fsarctl.artifacts.atomic_write import replacing
from fsarctl.artifacts.sealed import is_there, sealed_json
from fsarctl.datasets.clip_files import ClipFile
from fsarctl.predict.predictor import ClassScore, Prediction, Predictor
from fsarctl.predict.support_set import Support
from fsarctl.progress import SILENT, Reporter

__all__ = ["blocks_left", "load_predictions", "predict_all", "predict_block"]

BLOCK_CLIPS = 16
FILE = "predictions.json"


def blocks_left(clips: int, scratch: Path, reporter: Reporter, of: str) -> list[int]:
    """Which blocks of so many clips are not in ``scratch``, by number; a damaged one is removed there."""
    blocks = range(-(-clips // BLOCK_CLIPS))
    return [number for number in blocks if not _is_done(number, scratch, reporter, of)]


def predict_block(
    number: int, predictor: Predictor, support: Support, clips: Sequence[ClipFile], scratch: Path, of: str
) -> None:
    """Name the clips of a block, if that is not in ``scratch``, and leave it there."""
    if _is_done(number, scratch, SILENT, of):
        return
    mine = clips[number * BLOCK_CLIPS : (number + 1) * BLOCK_CLIPS]
    named = [asdict(each) for each in predictor.predict(support, mine)]
    path = _path(number, scratch)
    with replacing(path, alone=False) as partial:
        partial.write_bytes(sealed_json({"predictions": named}, _seal(path, of)))


def predict_all(
    predictor: Predictor, support: Support, clips: Sequence[ClipFile], folder: Path, scratch: Path, of: str
) -> None:
    """All blocks, and of them the file that ``load_predictions`` reads, in ``folder``."""
    named: list[Mapping[str, Any]] = []
    for number in range(-(-len(clips) // BLOCK_CLIPS)):
        predict_block(number, predictor, support, clips, scratch, of)
        named += json.loads(_path(number, scratch).read_bytes())["predictions"]
    text = json.dumps(named, ensure_ascii=False, allow_nan=False)
    (folder / FILE).write_text(f"{text}\n", encoding="utf-8")


def load_predictions(folder: Path) -> list[Prediction]:
    """What ``predict_all`` wrote, to the last bit."""
    return [
        Prediction(
            **{
                **each,
                "classes": tuple(ClassScore(**scored) for scored in each["classes"]),
                "remarks": tuple(each["remarks"]),
            }
        )
        for each in json.loads((folder / FILE).read_text(encoding="utf-8"))
    ]


def _path(block: int, scratch: Path) -> Path:
    return scratch / f"block-{block:08d}.json"


def _seal(path: Path, of: str) -> str:
    return f"{of} {path.name}"


def _is_done(block: int, scratch: Path, reporter: Reporter, of: str) -> bool:
    path = _path(block, scratch)
    return is_there(path, _seal(path, of), reporter, "Its clips are named again.")
