"""Bi-MHM as a method: nearest frames counted out, over shots or their mean, and blind to order."""

from typing import Any

import pytest
import torch
from test_every_method import WAY, built, episode, scores
from torch import Tensor


def distance(query: Tensor, shot: Tensor, added: float) -> float:
    apart = [[1 - float(q @ s) / (float(q.norm() * s.norm()) + added) for s in shot] for q in query]
    return sum(map(min, apart)) + sum(map(min, zip(*apart, strict=True)))


@pytest.mark.parametrize("cosine", ["damped", "true"])
@pytest.mark.parametrize("shots", ["mean_of_costs", "class_mean"])
def test_a_logit_is_minus_the_distance_of_sets(shots: Any, cosine: Any) -> None:
    model = built("bi-mhm", shots=shots, cosine=cosine)
    generator = torch.Generator().manual_seed(0)
    support = 0.3 * torch.randn(WAY, 2, 4, 5, generator=generator)
    query = 0.3 * torch.randn(3, 4, 5, generator=generator)
    found = model.score_features(support.flatten(0, 1), query, None, way=WAY).score
    added = 0.01 if cosine == "damped" else 0.0
    for j in range(3):
        for c in range(WAY):
            each = [support[c].mean(0)] if shots == "class_mean" else list(support[c])
            expected = -sum(distance(query[j], shot, added) for shot in each) / len(each)
            assert found[j, c].item() == pytest.approx(expected, rel=1e-4)


def test_order_is_not_seen() -> None:
    model, given = built("bi-mhm"), episode(built("bi-mhm"))
    turned = type(given)(given.support, given.query.flip(1), given.tokens)
    torch.testing.assert_close(scores(model, turned), scores(model, given), rtol=1e-4, atol=1e-5)
