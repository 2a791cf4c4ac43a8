"""Metrics against loops that read like their definitions, and what each can and cannot see."""

import pytest
import torch
from torch.nn.functional import cosine_similarity
from torch.testing import assert_close

from fsarctl.models.metrics import METRICS


def looped(metric, queries, prototypes):
    scores = torch.zeros(len(queries), len(prototypes))
    for q, query in enumerate(queries):
        for c, prototype in enumerate(prototypes):
            scores[q, c] = metric(query, prototype)
    return scores


BRUTE_FORCE = {
    "protonet_frames": lambda q, p: cosine_similarity(q, p, dim=1).mean(),
    "protonet_means": lambda q, p: cosine_similarity(q.mean(0), p.mean(0), dim=0),
    "protonet_sequence": lambda q, p: (q * p).sum() / (q.norm() * p.norm()),
}


def features(frames, seed=0):
    torch.manual_seed(seed)
    return torch.randn(4, frames, 6), torch.randn(3, frames, 6)


def test_every_metric_is_tested():
    assert BRUTE_FORCE.keys() == METRICS.keys()


@pytest.mark.parametrize("frames", [2, 8])
@pytest.mark.parametrize("name", METRICS)
def test_brute_force(name, frames):
    queries, prototypes = features(frames)
    assert_close(METRICS[name](queries, prototypes), looped(BRUTE_FORCE[name], queries, prototypes))


@pytest.mark.parametrize("name", METRICS)
def test_batched_and_identical_is_nearest(name):
    queries, prototypes = torch.randn(5, 4, 8, 6), torch.randn(5, 4, 8, 6)
    scores = METRICS[name](queries, prototypes)
    assert scores.shape == (5, 4, 4)
    for i in range(5):
        assert_close(scores[i], METRICS[name](queries[i], prototypes[i]))
    same = METRICS[name](queries, queries)
    assert (same.argmax(-1) == torch.arange(4)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("frames", [2, 3, 8, 32])
@pytest.mark.parametrize("name", METRICS)
def test_finite_and_differentiable(name, frames, dtype):
    queries, prototypes = (part.to(dtype).requires_grad_() for part in features(frames))
    scores = METRICS[name](queries, prototypes)
    scores.sum().backward()
    for tensor in (scores, queries.grad, prototypes.grad):
        assert tensor.isfinite().all()


def test_only_temporal_means_are_blind_to_order():
    queries, prototypes = features(8)
    for name, metric in METRICS.items():
        moved = (metric(queries.flip(1), prototypes) - metric(queries, prototypes)).abs().max()
        assert (moved < 1e-6) == (name == "protonet_means"), name
