"""Clips that show none of the classes: how high a score has to be, negatives, and what the command says."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_clips import S, made_frames, read_seed
from small_model import small_backbone, small_model
from test_prediction import DESCRIPTIONS, RAGGED, plant, predictor, queries
from typed import type_in

from fsarctl.datasets.clips import Clip
from fsarctl.episodes.left_out import left_out_logits
from fsarctl.methods.otam.method import OTAM
from fsarctl.methods.protocol import FewShotMethod
from fsarctl.predict.none_of_these import confidences_of
from fsarctl.predict.predictor import Predictor
from fsarctl.predict.support_set import load_support
from fsarctl.results.calibration import Calibration, Known, Sigmoid, sigmoid_of


def strangers(folder: Path, *seeds: int) -> list[Clip]:
    folder.mkdir()
    return plant(folder, {"_none": [*seeds]})


@pytest.mark.parametrize("text", [True, False])
def test_a_threshold_is_of_supports_without_the_clip_and_without_its_class(
    text: bool, tmp_path: Path
) -> None:
    """Against support sets that are made anew for each clip; these models' videos do not see each other."""
    model: FewShotMethod = small_model(strategy="frozen") if text else OTAM(small_backbone(), frames=4)
    made = predictor(model)
    even = dict(zip(RAGGED, ([1, 7], [2, 3], [5, 6]), strict=True))
    clips = plant(tmp_path, RAGGED if text else even)
    examples = made.examples(clips, DESCRIPTIONS, strangers(tmp_path / "none", 70, 71))
    support = made.support_of(examples)

    def best(left: list[Clip], seed: int) -> float:
        if not text:  # as many of each class, the first ones
            of = {label: [each for each in left if each.label == label] for label in RAGGED}
            left = [one for some in of.values() for one in some[: min(len(x) for x in of.values() if x)]]
        again, _ = made.support(left, DESCRIPTIONS)
        return model.logit_scale * made.scores(again, made_frames(seed)).score.max().item()

    there, gone = [], []
    for clip in sorted(clips, key=lambda each: each.label):
        seed = int(Path(clip.path).read_text())
        left = [each for each in clips if each is not clip]
        if len({each.label for each in left}) == 3:
            there.append(best(left, seed))
        gone.append(best([each for each in clips if each.label != clip.label], seed))
    numbers = range(len(clips))
    asked = [model.query_features(each[None], query_mode="independent") for each in examples.videos]
    found = left_out_logits(model, support.features, support.classes.tolist(), support.text, asked, numbers)
    assert found[0] == pytest.approx(there, abs=1e-4)
    assert found[1] == pytest.approx(gone, abs=1e-4)
    strange = [best(clips, seed) for seed in (70, 71)]
    known = made.knowing(support, examples).known
    assert known is not None
    assert (known.told_by, known.held, known.negatives) == ("support", 5 if text else 6, 2)
    expected = sigmoid_of(there, [*gone, *strange])
    assert known.sigmoid.middle == pytest.approx(expected.middle, abs=1e-2)


def test_clips_of_one_group_do_not_tell_of_each_other() -> None:
    model = small_model(strategy="frozen")
    features = torch.randn(4, 4, 16, generator=torch.Generator().manual_seed(0))
    asked = [each[None] for each in features]
    groups = ["x", "x", "y", "z"]
    there, gone = left_out_logits(model, features, [0, 0, 1, 1], None, asked, range(4), groups)
    assert (len(there), len(gone)) == (2, 4)  # 0 and 1 have nobody of their class that is not of their group


def test_one_clip_a_class_leaves_it_to_validation(tmp_path: Path) -> None:
    told = Known(Sigmoid(2.0, 3.0), "validation", 40)
    made = Predictor(small_model(), size=S, decode=read_seed, calibrations={"text": Calibration(2.0, told)})
    examples = made.examples(
        plant(tmp_path, {label: [k] for k, label in enumerate(DESCRIPTIONS)}), DESCRIPTIONS
    )
    support = made.knowing(made.support_of(examples), examples)
    assert support.known is None
    assert made.known(support) == told
    (found,) = made.predict(support, queries(tmp_path, 50))
    scores = made.scores(support, made_frames(50)).score[0].double()
    there = 1 / (1 + np.exp(-2 * (64 * scores.max().item() - 3)))
    assert found.none == pytest.approx(1 - there, abs=1e-4)
    shares = torch.softmax(64 * scores / 2, 0).max().item()
    assert found.classes[0].confidence == pytest.approx(there * shares, abs=1e-4)
    assert found.is_none == (there < 0.5)
    assert found.none + sum(each.confidence for each in found.classes) == pytest.approx(1)
    never = Predictor(small_model(), size=S, decode=read_seed, says_none=False)
    assert never.known(support) is None
    (named,) = never.predict(support, queries(tmp_path, 50))
    assert (named.none, named.is_none) == (None, False)


def test_a_clip_that_is_a_negative_is_none_of_these(tmp_path: Path) -> None:
    made = predictor()
    examples = made.examples(plant(tmp_path, RAGGED), DESCRIPTIONS, strangers(tmp_path / "n", 70))
    support = made.knowing(made.support_of(examples), examples)
    again, other = made.predict(support, queries(tmp_path, 70, 1))
    assert again.is_none
    assert other.none is not None
    assert again.none is not None
    assert other.none < again.none
    # by hand: prototypes and the negative, each a class, by video alone
    videos = torch.stack([made._video(made_frames(seed)) for seed in (70, 1)])
    _, beside = made.scores_beside(support, videos)
    features = [*support.prototypes, made.model.support_features(made._video(made_frames(70))[None])[0]]
    for row, video in enumerate(videos):
        asked = made.model.query_features(video[None], query_mode="independent")[0]
        cosines = [torch.cosine_similarity(asked, each, dim=-1).mean().item() for each in features]
        assert beside is not None
        assert beside[row].item() == pytest.approx(max(cosines[:-1]) - cosines[-1], abs=1e-5)
    support.save(tmp_path / "s.safetensors")
    read = load_support(tmp_path / "s.safetensors")
    assert read.known == support.known
    assert read.negative_pictures == support.negative_pictures
    assert list(made.predict(read, queries(tmp_path, 70, 1))) == [again, other]


def test_confidences_and_none_are_one() -> None:
    scores = np.random.default_rng(0).normal(size=(9, 4))
    found = confidences_of(scores, 8.0, None, Known(Sigmoid(0.3, 1.0), "support", 4), scores[:, 0])
    assert found.none is not None
    np.testing.assert_allclose(found.classes.sum(1) + found.none, 1)
    without = confidences_of(scores, 8.0, None, None)
    np.testing.assert_allclose(without.classes.sum(1), 1)
    assert without.none is None


def test_the_command(shapes: Path, tmp_path: Path) -> None:
    folders = sorted({path.parent for path in shapes.glob("cache/artifacts/render/*/**/*.mp4")})
    support, strange = tmp_path / "support", tmp_path / "strange"
    for folder, place in (*((each, support / each.name) for each in folders[:2]), (folders[2], strange)):
        place.mkdir(parents=True)
        for path in sorted(folder.glob("*.mp4"))[:2]:
            (place / path.name).write_bytes(path.read_bytes())
    clip = str(next(iter(sorted(strange.glob("*.mp4")))))
    words = ("predict", "--support", str(support), "--frozen", "--workers", "1", clip)

    def said(*more: str) -> Any:
        return json.loads(type_in(shapes, *words, *more, "--json").stdout)

    plain = said()
    assert plain["confidence"]["temperature"] is None
    assert plain["confidence"]["none"]["clips"] == 4
    (one,) = plain["clips"]
    assert one["answer"] == (None if one["none"] > 0.5 else one["top"][0]["class"])
    with_negatives = said("--negatives", str(strange))
    assert with_negatives["confidence"]["none"]["negatives"] == with_negatives["support"]["negatives"] == 2
    assert with_negatives["clips"][0]["answer"] is None
    (support / "_none").symlink_to(strange)
    assert said()["clips"] == with_negatives["clips"]
    table = type_in(shapes, *words).stdout
    assert table.index("none of these") < table.index(f"{with_negatives['clips'][0]['top'][0]['class']}"[:12])
    assert "2 negatives, or a negative is nearer" in " ".join(table.split())
    always = said("--always")
    assert (always["clips"][0]["none"], always["confidence"]["none"]) == (None, None)
    assert always["clips"][0]["answer"] is not None
