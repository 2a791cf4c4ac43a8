"""ProtoNet as a method: its four metrics by their definitions."""

from typing import Any

import pytest
import torch
from test_every_method import WAY, built
from torch import Tensor

from fsarctl.errors import ConfigError


def cosine(a: Tensor, b: Tensor) -> float:
    return float(a @ b / (a.norm() * b.norm()))


EXPECTED = {
    "means": lambda q, p: 10 * cosine(q.mean(0), p.mean(0)),
    "frames": lambda q, p: 10 * sum(cosine(a, b) for a, b in zip(q, p, strict=True)) / len(q),
    "sequence": lambda q, p: 10 * cosine(q.flatten(), p.flatten()),
    "euclidean": lambda q, p: -float(sum((q.mean(0) - p.mean(0)) ** 2)),
}


@pytest.mark.parametrize("metric", EXPECTED)
def test_a_logit_is_by_the_mean_of_a_class(metric: Any) -> None:
    model = built("protonet", metric=metric, temperature=10.0)
    generator = torch.Generator().manual_seed(0)
    support = torch.randn(WAY, 2, 4, 5, generator=generator)
    query = torch.randn(3, 4, 5, generator=generator)
    found = model.score_features(support.flatten(0, 1), query, None, way=WAY).score
    for j in range(3):
        for c in range(WAY):
            expected = EXPECTED[metric](query[j], support[c].mean(0))
            assert found[j, c].item() == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_a_temperature_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"temperature is 0.0; it must be above 0"):
        built("protonet", temperature=0.0)
