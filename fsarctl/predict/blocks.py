"""Predictions of many clips, a block at a time: each in a file of its own, whoever names its clips."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fsarctl.artifacts.unfinished.blocks import Blocks
from fsarctl.artifacts.unfinished.sealed import sealed_json
from fsarctl.datasets.clip_files import ClipFile
from fsarctl.predict.predictor import ClassScore, Prediction, Predictor
from fsarctl.predict.support_set import Support

__all__ = ["clip_blocks", "load_predictions", "predict_all", "predict_block"]

BLOCK_CLIPS = 16
FILE = "predictions.json"


def clip_blocks(clips: int, scratch: Path, of: str) -> Blocks:
    """The blocks of so many clips; ``of`` is the build that ``scratch`` belongs to."""
    return Blocks(clips, BLOCK_CLIPS, scratch, of, ".json", "Its clips are named again.")


def predict_block(
    number: int,
    predictor: Predictor,
    support: Support,
    clips: Sequence[ClipFile],
    blocks: Blocks,
    require_unchanged: Callable[[Sequence[str]], None] = lambda names: None,
) -> None:
    """Name the clips of a block, if it is not there yet.

    ``require_unchanged`` raises where what was read of clips, by name, is not what was planned.
    """
    if blocks.is_done(number):
        return
    mine = [clips[each] for each in blocks.within(number)]
    named = [asdict(each) for each in predictor.predict(support, mine)]
    require_unchanged([each.name for each in mine])

    def write(path: Path, seal: str) -> None:
        path.write_bytes(sealed_json({"predictions": named}, seal))

    blocks.keep(number, write)


def predict_all(
    predictor: Predictor, support: Support, clips: Sequence[ClipFile], folder: Path, blocks: Blocks
) -> None:
    """All blocks, and of them the file that ``load_predictions`` reads, in ``folder``."""
    named: list[Mapping[str, Any]] = []
    for number in range(len(blocks)):
        predict_block(number, predictor, support, clips, blocks)
        named += json.loads(blocks.path(number).read_bytes())["predictions"]
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
