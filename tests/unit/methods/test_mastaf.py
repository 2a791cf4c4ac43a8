"""MASTAF: weights of places by hand, queries that stand alone while it trains, and its two losses."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from test_every_method import WAY, built, episode, lesson, scores, tokens_of

from fsarctl.errors import ConfigError
from fsarctl.methods.mastaf.map_attention import MapAttention, match_maps
from fsarctl.methods.mastaf.method import MapScores
from fsarctl.methods.protocol import BaseClasses, FewShotMethod
from fsarctl.models.pooled_map import pooled_map


def cosine(x: Any, y: Any) -> float:
    return float(F.cosine_similarity(x, y, dim=0))


def attention(places: int) -> MapAttention:
    torch.manual_seed(0)
    made = MapAttention(places, 3).eval()
    made.bn.running_mean.normal_()
    made.bn.running_var.uniform_(0.5, 2)
    return made.double()


def prepared(**options: Any) -> FewShotMethod:
    model = built("mastaf", **options)
    model.prepare(BaseClasses(tuple("abcdef"), tokens_of(model, 6)))
    return model


def test_scores_are_what_place_by_place_gives() -> None:
    made = attention(4)
    classes, query = torch.randn(2, 4, 5, dtype=torch.float64), torch.randn(3, 4, 5, dtype=torch.float64)

    def weights(x: Any, y: Any, *, normalised: bool) -> Any:
        similar = torch.tensor([[cosine(a, b) for b in y] for a in x], dtype=torch.float64)
        hidden = made.conv1(similar.mean(0))
        if normalised:
            hidden = made.bn(hidden[None])[0]
        kernel = made.conv2(hidden.relu())
        v = torch.stack([sum(a * k for a, k in zip(row, kernel, strict=True)) / 4 for row in similar])
        return 1 + (v / 0.025).softmax(0)

    with torch.no_grad():
        found = match_maps(made, classes, query, alpha=0.5)
        for j, q in enumerate(query):
            own_q = weights(q, q, normalised=False)[:, None] * q
            for c, p in enumerate(classes):
                own_p = weights(p, p, normalised=True)[:, None] * p
                p_hat = weights(p, q, normalised=True)[:, None] * p
                q_hat = weights(q, p, normalised=True)[:, None] * q
                expected = 7 * cosine(p_hat.mean(0), q_hat.mean(0))
                expected += 0.5 * 7 * cosine(own_p.mean(0), own_q.mean(0))
                assert float(found.scores[j, c]) == pytest.approx(expected)
                for place in range(4):
                    there = 7 * cosine(p_hat.mean(0), q_hat[place])
                    there += 0.5 * 7 * cosine(own_p.mean(0), own_q[place])
                    assert float(found.places[j, c, place]) == pytest.approx(there)


def test_by_the_released_rule_a_query_in_company_is_another_one() -> None:
    made = attention(4)
    classes, query = torch.randn(3, 4, 5, dtype=torch.float64), torch.randn(2, 4, 5, dtype=torch.float64)
    with torch.no_grad():
        alone = match_maps(made, classes, query[:1]).scores
        torch.testing.assert_close(match_maps(made, classes, query).scores[:1], alone)
        released = match_maps(made, classes, query, normalise_queries=True).scores[:1]
    assert not torch.allclose(released, alone, rtol=1e-3)


def test_a_map_is_pooled_in_squares_and_a_small_one_is_left() -> None:
    maps = torch.randn(2, 4, 4, 3)
    squares = maps.reshape(2, 2, 2, 2, 2, 3).mean((2, 4)).flatten(1, 2)
    torch.testing.assert_close(pooled_map(maps, 2), squares)
    assert torch.equal(pooled_map(maps, 7), maps.flatten(1, 2))


def test_the_loss_is_that_of_places_and_of_base_classes() -> None:
    model = prepared(place_weight=0.0)
    given = episode(model)
    with torch.no_grad():
        made = lesson(model, given)
        assert isinstance(made.scores, MapScores)
        assert made.scores.places is not None
        assert made.scores.query_cross is not None
        of_base = of_places = 0.0
        places = made.query.shape[1]
        for j, target in enumerate(made.targets.tolist()):
            for place in range(places):
                seen = made.scores.query_cross[j, target, place] * made.query[j, place]
                logits = model.heads["places"](seen)
                of_base += float(F.cross_entropy(logits, made.query_classes[j])) / (4 * places)
                at_place = made.scores.places[j, :, place]
                of_places += float(F.cross_entropy(at_place, made.targets[j])) / (4 * places)
        assert float(model.training_loss(made)) == pytest.approx(of_base, rel=1e-5)
        other = prepared(place_weight=0.5)
        assert float(other.training_loss(lesson(other, given))) == pytest.approx(
            of_base + 0.5 * of_places, rel=1e-5
        )


def test_the_attention_starts_as_published() -> None:
    torch.manual_seed(0)
    made = MapAttention(400, 100)
    assert float(made.conv1.weight.detach().std()) == pytest.approx(math.sqrt(2 / 100), rel=0.05)
    assert float(made.conv2.weight.detach().std()) == pytest.approx(math.sqrt(2 / 400), rel=0.05)


def test_frames_in_another_order_are_the_same_clip() -> None:
    model = built("mastaf")
    given = episode(model)
    turned = type(given)(given.support, given.query.flip(1), given.tokens)
    torch.testing.assert_close(scores(model, turned), scores(model, given), rtol=1e-4, atol=1e-5)
    assert scores(model, given).shape == (4, WAY)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("side", 0, "side is 0; it must be 1 or more"),
        ("hidden", 0, "hidden is 0; it must be 1 or more"),
        ("place_weight", -1.0, r"place_weight is -1\.0; it must be 0 or more"),
    ],
)
def test_options_that_make_no_method_are_refused(option: str, value: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        built("mastaf", **{option: value})
