"""HyRSM and HyRSM++: positions, who sees whom, the two forms, coherence counted out, and their losses."""

import math
from typing import Any

import pytest
import torch
from test_every_method import WAY, Episode, built, episode, lesson, scores, tokens_of

from fsarctl.config.training_tables import TrainConfig
from fsarctl.episodes.training.optimisation import Optimisation
from fsarctl.errors import ConfigError
from fsarctl.methods.hyrsm.hybrid_relation import HybridRelation
from fsarctl.methods.hyrsm_plus_plus.temporal_coherence import temporal_incoherence
from fsarctl.methods.protocol import BaseClasses, FewShotMethod
from fsarctl.models.positions import ScaledPositions, channel_sinusoids

NAMES = ["hyrsm", "hyrsm++"]


def prepared(name: str, **options: Any) -> FewShotMethod:
    model = built(name, **options)
    model.prepare(BaseClasses(tuple("abcdef"), tokens_of(model, 6)))
    return model


def loss_of(model: FewShotMethod, given: Episode) -> float:
    return float(model.training_loss(lesson(model, given)).detach())


def test_each_channel_has_a_frequency_of_its_own() -> None:
    found = channel_sinusoids(5, 6)
    for n in range(5):
        for c in range(6):
            angle = n / 10000 ** (2 * c / 6)
            expected = math.cos(angle) if c % 2 else math.sin(angle)
            assert found[n, c].item() == pytest.approx(expected, abs=1e-6)


def test_features_are_scaled_by_width_and_positions_by_their_weight() -> None:
    frames = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0))
    told = ScaledPositions(3, 8, divisor=2.0, weight=0.5).eval()(frames)
    torch.testing.assert_close(told, 2 * frames + 0.5 * channel_sinusoids(3, 8))


@pytest.mark.parametrize("form", ["classes", "clips"])
def test_fusion_is_that_of_a_frame_and_what_its_clip_is_to_the_task(form: Any) -> None:
    torch.manual_seed(0)
    relation = HybridRelation(4, 8, 2).eval()
    shots, query = torch.randn(3, 2, 4, 8), torch.randn(2, 4, 8)
    found = relation.across_task(shots, query, form)
    clips = list(shots.mean(1)) if form == "classes" else [clip for each in shots for clip in each]
    for j, asked in enumerate(query):
        tokens = torch.stack([clip.mean(0) for clip in (*clips, asked)])
        task = relation.across(tokens).relu()
        for n, clip in enumerate((*clips, asked)):
            expected = relation.fuse(torch.cat([clip, task[n].expand(4, -1)], dim=-1))
            seen = found.query[j] if n == len(clips) else found.support[j].flatten(0, 1)[n]
            torch.testing.assert_close(seen, expected, rtol=1e-4, atol=1e-5)


def test_forms_agree_on_one_shot_and_differ_from_the_second_on() -> None:
    models = [built("hyrsm", form=form) for form in ("classes", "clips")]
    given = episode(models[0])
    shots = given.support.unflatten(0, (WAY, -1))
    one = Episode(shots[:, 0], given.query, given.tokens)
    torch.testing.assert_close(scores(models[0], one), scores(models[1], one), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(scores(models[0], given), scores(models[1], given), rtol=1e-3)


@pytest.mark.parametrize(("window", "sigma", "balance"), [(1, 5.0, 2.0), (3, 23.0, 10.0), (0, 51.0, 1.0)])
def test_coherence_is_what_counting_pairs_gives(window: int, sigma: float, balance: float) -> None:
    sequences = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    total = []
    for x in sequences:
        for i in range(6):
            for j in range(6):
                apart = 1 - float(x[i] @ x[j] / (x[i].norm() * x[j].norm()))
                gap = abs(i - j)
                if gap <= window:
                    total.append(apart / (gap**2 + 1))
                else:
                    margin = 1 - math.exp(-((gap - window) ** 2) / sigma)
                    total.append(balance * max(0.0, margin - apart))
    found = temporal_incoherence(sequences, window=window, sigma=sigma, balance=balance)
    assert float(found) == pytest.approx(sum(total) / len(total), rel=1e-6)


def test_a_still_clip_is_coherent_where_all_frames_are_near() -> None:
    still = torch.ones(3, 4, 5)
    assert float(temporal_incoherence(still, window=4, sigma=23.0)) == pytest.approx(0, abs=1e-6)
    assert float(temporal_incoherence(still, window=1, sigma=23.0)) > 0.01


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_is_a_sum_of_weighted_parts(name: str) -> None:
    weights = {"frame_weight": 0.0} | ({"coherence_weight": 0.0} if name == "hyrsm++" else {})
    model = prepared(name, **weights)
    given = episode(model)
    episodic = torch.nn.functional.cross_entropy(scores(model, given), torch.arange(4) % WAY)
    assert loss_of(model, given) == pytest.approx(float(episodic), rel=1e-5)
    for weight in weights:
        once, twice = (loss_of(prepared(name, **{**weights, weight: by}), given) for by in (1.0, 2.0))
        assert once > float(episodic) + 1e-3
        assert twice - once == pytest.approx(once - float(episodic), rel=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_the_classifier_of_frames_is_in_no_artifact(name: str) -> None:
    model = prepared(name)
    assert any(each.startswith("heads.frames") for each in model.training_state())
    assert not any(each.startswith("heads") for each in model.adapter_state())


def test_norms_do_not_decay() -> None:
    model = prepared("hyrsm")
    groups = Optimisation(model, TrainConfig(optimiser="adam", weight_decay=1e-3)).optimiser.param_groups
    kept = {id(each) for group in groups if group["weight_decay"] == 0 for each in group["params"]}
    names = {name for name, each in model.named_parameters() if id(each) in kept}
    own = {f"relation.{part}.norm.{each}" for part in ("within", "across") for each in ("weight", "bias")}
    assert names == own


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("heads", 0, "heads is 0; it must be 1 or more"),
        ("heads", 17, "heads is 17; it must be within 1 and 16"),
        ("divisor", 0.0, r"divisor is 0\.0; it must be above 0"),
        ("frame_weight", -1.0, r"frame_weight is -1\.0; it must be 0 or more"),
        ("sigma", 0.0, r"sigma is 0\.0; it must be above 0"),
        ("window", -1, "window is -1; it must be 0 or more"),
    ],
)
def test_options_that_make_no_method_are_refused(option: str, value: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        built("hyrsm++", **{option: value})
