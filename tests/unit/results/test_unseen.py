"""What scores of known and unseen queries come to, on scores that are drawn from what is known."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_model import episode as noise
from small_model import small_model

from fsarctl.episodes.loader import EpisodeLoader
from fsarctl.episodes.unseen import score_unseen, ways_of
from fsarctl.errors import InputError
from fsarctl.progress import SILENT
from fsarctl.results.unseen import Unseen, load_unseen, measured, write_unseen

FACTS = {"logit_scale": 2.0, "model": "frozen", "shot": 2}


def drawn(episodes: int, seed: int, sharper: float) -> Unseen:
    """Logits whose softmax over ``sharper`` is how likely each class is; strangers score 3 less."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(size=(episodes, 6, 4)) * 2
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    targets = (shares.cumsum(-1) > draw.random((episodes, 6, 1))).argmax(-1)
    strange = np.broadcast_to(np.arange(6) >= 3, targets.shape)
    scores = sharper * (logits - 3 * strange[..., None]) / 2
    best = 2 * scores.max(-1)
    arrays = {
        "targets": np.where(strange, -1, targets),
        "video.scores": scores.astype(np.float32),
        "video.there": best[:, :3].astype(np.float32),
        "video.gone": best[:, 3:].astype(np.float32),
    }
    return Unseen(FACTS, arrays)


def test_a_calibration_gives_back_what_scores_were_drawn_from(tmp_path: Path) -> None:
    told, asked = drawn(3000, 0, 5.0), drawn(3000, 1, 5.0)
    write_unseen(tmp_path, told.arrays, FACTS)
    told = load_unseen(tmp_path)
    assert told.kinds == ["video"]
    calibration = told.calibration("video")
    assert calibration.temperature == pytest.approx(5, rel=0.05)
    assert calibration.known is not None
    # Each support set's own rule takes a fit: that of a tenth of the episodes.
    few = drawn(300, 1, 5.0)
    asked.arrays["video.there"] = asked.arrays["video.there"][:, :0]
    found, own = (measured(each, calibration, "video") for each in (asked, few))
    assert (own["known"], own["unseen"]) == (900, 900)
    assert own["open"]["calibrated"]["error"] < own["open"]["plain"]["error"]
    assert own["rules"]["support"]["auroc"] > 0.75
    assert (found["known"], found["unseen"]) == (9000, 9000)
    assert found["closed"]["calibrated"]["error"] < 0.02 < 0.15 < found["closed"]["plain"]["error"]
    assert found["open"]["calibrated"]["error"] < found["open"]["plain"]["error"]
    # a shift of all classes is nothing to a softmax, and all that tells strangers
    assert found["rules"]["softmax"]["auroc"] == pytest.approx(0.5, abs=0.02)
    assert found["rules"]["score"]["auroc"] > 0.8
    best = asked.logits("video").max(-1)
    rule = found["rules"]["score"]
    known = best[:, :3] >= calibration.known.sigmoid.middle
    assert rule["recall"] == pytest.approx(known.mean())
    assert rule["recall"] > 0.7 > 0.3 > rule["false_positives"]


def test_with_one_shot_a_support_set_tells_nothing_of_itself() -> None:
    one = drawn(50, 2, 1.0)
    arrays = {**one.arrays, "video.there": np.zeros((50, 0), np.float32)}
    found = measured(Unseen(FACTS, arrays), one.calibration("video"), "video")
    assert set(found["rules"]) == {"softmax", "score"}


@pytest.mark.parametrize(
    ("classes", "way", "expected"),
    [(24, 5, (5, 5)), (12, 5, (5, 5)), (8, 5, (4, 4)), (3, 5, (2, 1)), (5, 5, (2, 2)), (6, 2, (2, 2))],
)
def test_up_to_half_of_the_classes_are_answers(classes: int, way: int, expected: tuple[int, int]) -> None:
    assert ways_of(classes, way, "mine/val") == expected


def test_two_classes_are_too_few() -> None:
    with pytest.raises(InputError, match="mine/val has 2 classes"):
        ways_of(2, 5, "mine/val")


def test_queries_are_scored_as_by_the_plain_model_and_those_of_other_classes_have_no_target(
    make_store: Callable[..., Any], tmp_path: Path
) -> None:
    """Two answers, and a third class that gives queries alone."""
    model, store = small_model().eval(), make_store(4, 6)
    tokens = dict(zip(store.classes, noise(way=4)[2], strict=True))
    loader = EpisodeLoader(
        store, tokens, "val/unseen", seed=0, way=3, shot=2, query=2, side=16, crop="centre"
    )
    found = score_unseen(
        model, loader, way=2, episodes=3, scratch=tmp_path, reporter=SILENT, title="", of="calibrate 0"
    )
    label = {row: name for name in store.classes for row in store.rows_of(name)}
    for number in range(3):
        episode, batch = loader.episode(number), loader.load(number)
        answers = list(episode.classes[:2])
        targets = [answers.index(label[row]) if label[row] in answers else -1 for row in episode.query]
        assert targets.count(-1) == 2
        assert found["targets"][number].tolist() == targets
        support, query = model.normalise(batch.support[:4]), model.normalise(batch.query)
        with torch.inference_mode():
            plain = model(support, query, batch.tokens[:2], way=2, query_mode="independent")
        for kind, expected in (("text", plain.score), ("video", plain.video)):
            np.testing.assert_allclose(found[f"{kind}.scores"][number], expected, rtol=1e-4, atol=1e-5)
