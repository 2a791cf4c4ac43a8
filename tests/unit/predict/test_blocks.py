"""Blocks of predictions: those of one process, whoever made them; the model is played."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fsarctl.cli.predict import _predictions
from fsarctl.datasets.clip_files import ClipFile
from fsarctl.datasets.findings import Findings
from fsarctl.predict.blocks import clip_blocks, load_predictions, predict_all, predict_block
from fsarctl.predict.predictor import ClassScore, Prediction
from fsarctl.progress import SILENT

CLIPS = [ClipFile(f"clip {number}", Path(f"{number}.mp4")) for number in range(40)]
SUPPORT: Any = None


class Played:
    """Says of every clip what follows from its name; of some, that they cannot be read."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def predict(self, support: Any, clips: Sequence[ClipFile]) -> Iterator[Prediction]:
        for clip in clips:
            self.read.append(clip.name)
            number = int(clip.path.stem)
            scores = tuple(
                ClassScore(label, 0.1 * number / 3, 1 / (number + 1), None, 2**0.5) for label in "ab"
            )
            if number == 7:
                yield Prediction(clip.name, (), "not a video \x1b", ("remark",))
            else:
                yield Prediction(clip.name, scores, "", (), "" if number else "é", number / 7)


def test_predictions_of_several_are_those_of_one_to_the_last_bit(tmp_path: Path) -> None:
    played: Any = Played()
    expected = list(played.predict(SUPPORT, CLIPS))
    for name in ("alone", "shared"):
        (tmp_path / name / "scratch").mkdir(parents=True)
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    predict_all(played, SUPPORT, CLIPS, alone, clip_blocks(40, alone / "scratch", "predict/0"))
    assert load_predictions(alone) == expected

    first, second, last = Played(), Played(), Played()
    blocks = clip_blocks(40, shared / "scratch", "predict/0")
    given: Any = (SUPPORT, CLIPS, blocks)
    predict_block(2, first, *given)  # type: ignore[arg-type]
    predict_block(0, second, *given)  # type: ignore[arg-type]
    predict_block(0, first, *given)  # type: ignore[arg-type]
    assert first.read == [each.name for each in CLIPS[32:]], "what is there is not made again"
    assert blocks.left(SILENT) == [1]
    damaged = shared / "scratch" / "block-00000032.json"
    damaged.write_bytes(damaged.read_bytes().replace(b"clip 33", b"clip 34"))
    assert blocks.left(SILENT) == [1, 2]
    predict_all(last, SUPPORT, CLIPS, shared, blocks)  # type: ignore[arg-type]
    assert last.read == [each.name for each in CLIPS[16:]]
    assert (shared / "predictions.json").read_bytes() == (alone / "predictions.json").read_bytes()


@pytest.mark.parametrize("made", [False, True])
def test_bad_luck_that_was_found_is_tried_again_and_what_was_just_tried_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: bool
) -> None:
    class Unlucky(Played):
        def predict(self, support: Any, clips: Sequence[ClipFile]) -> Iterator[Prediction]:
            for each in super().predict(support, clips):
                yield replace(each, classes=(), failure="too slow", passes=True) if "3" in each.clip else each

    before: Any = Unlucky()
    (tmp_path / "scratch").mkdir()
    predict_all(before, SUPPORT, CLIPS, tmp_path, clip_blocks(40, tmp_path / "scratch", "predict/0"))
    found = load_predictions(tmp_path)
    assert [each.clip for each in found if each.passes] == [each.name for each in CLIPS if "3" in each.name]
    monkeypatch.setattr("fsarctl.stages.predict.unit", lambda *_: None)
    outcome = SimpleNamespace(made=made, artifact=SimpleNamespace(path=tmp_path))
    scheduler: Any = SimpleNamespace(shares=True, make=lambda _: [outcome])
    lucky = Played()
    ready: Any = SimpleNamespace(predictor=lucky, support=SUPPORT)
    session: Any = SimpleNamespace(flags=(), findings=Findings())
    said = _predictions(session, scheduler, ready, CLIPS, ())
    assert said == (found if made else list(Played().predict(SUPPORT, CLIPS)))
    assert lucky.read == ([] if made else [each.name for each in CLIPS if "3" in each.name])
