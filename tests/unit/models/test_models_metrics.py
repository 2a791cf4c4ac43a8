"""Metrics against loops that read like their definitions, and what each can and cannot see."""

import math
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cosine_similarity, layer_norm
from torch.testing import assert_close

from fsarctl.models.metrics import METRICS, bi_mhm, metric_of, otam, trx
from fsarctl.models.metrics.otam import soft_path_cost
from fsarctl.models.metrics.trx import TRX

NAMES = [*METRICS, "trx"]
EMBED = 6
WIDTH = 32


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    """TRX's keys and values, narrow enough for loops over tuples."""
    monkeypatch.setattr(trx, "WIDTH", WIDTH)


def make(name, frames=8, embed=EMBED):
    return metric_of(name, embed, frames, generator=torch.Generator().manual_seed(0))


def looped(metric, queries, prototypes):
    scores = torch.zeros(len(queries), len(prototypes), dtype=torch.float64)
    for q, query in enumerate(queries):
        for c, prototype in enumerate(prototypes):
            scores[q, c] = metric(query.double(), prototype.double())
    return scores


def looped_bi_mhm(query, prototype):
    distances = [[1 - cosine_similarity(q, p, dim=0).item() for p in prototype] for q in query]
    return sum(map(min, distances)) + sum(map(min, zip(*distances, strict=True)))


def path_costs(distances, row, column):
    """The cost of every path of OTAM that ends at one cell of the padded matrix."""
    if row == 0:
        return [sum(distances[0][: column + 1])]
    if column == 0:
        return [0.0]
    last = len(distances[0]) - 1
    before = [(row - 1, column - 1), (row, column - 1)]
    if column in (1, last):
        before.append((row - 1, column))
    return [distances[row][column] + cost for cell in before for cost in path_costs(distances, *cell)]


def enumerated_otam(query, prototype):
    total = 0.0
    for a, b in ((query, prototype), (prototype, query)):
        padded = [[0.0, *(1 - cosine_similarity(q, p, dim=0).item() for p in b), 0.0] for q in a]
        costs = path_costs(padded, len(padded) - 1, len(padded[0]) - 1)
        least = min(costs)
        total += least - 0.1 * math.log(sum(math.exp((least - cost) / 0.1) for cost in costs))
    return total


def looped_trx(metric, query, shots):
    """d of one query and one class, tuple by tuple."""
    frames, embed = query.shape
    positions = torch.zeros(frames, embed, dtype=torch.float64)
    for t in range(frames):
        for i in range(0, embed, 2):
            positions[t, i] = 0.1 * math.sin(t / 10000 ** (i / embed))
            if i + 1 < embed:
                positions[t, i + 1] = 0.1 * math.cos(t / 10000 ** (i / embed))
    distances = []
    for size, part in zip((2, 3), metric.tuples, strict=False):
        weights = {name: tensor.double() for name, tensor in part.state_dict().items()}

        def key(chosen, w=weights):
            projected = w["key.weight"] @ chosen + w["key.bias"]
            return layer_norm(projected, (WIDTH,), w["norm.weight"], w["norm.bias"])

        def value(chosen, w=weights):
            return w["value.weight"] @ chosen + w["value.bias"]

        def tuples(video, n=size):
            return [torch.cat([video[i] + positions[i] for i in c]) for c in combinations(range(frames), n)]

        of_class = [chosen for shot in shots for chosen in tuples(shot)]
        of_query = []
        for chosen in tuples(query):
            logits = torch.stack([key(chosen) @ key(other) / math.sqrt(WIDTH) for other in of_class])
            rebuilt = sum(w * value(other) for w, other in zip(logits.softmax(0), of_class, strict=True))
            of_query.append(((value(chosen) - rebuilt) ** 2).sum())
        distances.append(sum(of_query) / len(of_query))
    return sum(distances) / len(distances)


BRUTE_FORCE = {
    "protonet_frames": lambda q, p: cosine_similarity(q, p, dim=1).mean(),
    "protonet_means": lambda q, p: cosine_similarity(q.mean(0), p.mean(0), dim=0),
    "protonet_sequence": lambda q, p: (q * p).sum() / (q.norm() * p.norm()),
}
DISTANCES = {
    "bi_mhm": looped_bi_mhm,
    "otam": enumerated_otam,
    "trx": lambda q, p: looped_trx(make("trx", len(q)), q, [p]),
}


def features(frames, seed=0):
    torch.manual_seed(seed)
    return torch.randn(4, frames, EMBED), torch.randn(3, frames, EMBED)


def test_every_metric_is_tested():
    assert BRUTE_FORCE.keys() | DISTANCES.keys() == set(NAMES)


@pytest.mark.parametrize("frames", [2, 3, 5])
@pytest.mark.parametrize("name", NAMES)
def test_brute_force(name, frames):
    queries, prototypes = features(frames)
    if name in DISTANCES:
        expected = (-looped(DISTANCES[name], queries, prototypes)).softmax(1)
    else:
        expected = looped(BRUTE_FORCE[name], queries, prototypes)
    assert_close(make(name, frames)(queries, prototypes).double(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("distance", "brute_force"), [(bi_mhm, looped_bi_mhm), (otam, enumerated_otam)])
@pytest.mark.parametrize(("frames", "others"), [(2, 2), (3, 5), (4, 1), (6, 6)])
def test_distances_are_their_definitions(distance, brute_force, frames, others):
    torch.manual_seed(frames)
    queries, prototypes = torch.randn(2, frames, EMBED), torch.randn(3, others, EMBED)
    expected = looped(brute_force, queries, prototypes)
    assert_close(distance(queries, prototypes).double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shots", [1, 3])
def test_trx_pools_the_tuples_of_all_shots(shots):
    torch.manual_seed(0)
    metric = TRX(EMBED, 4, pooled=True)
    queries, classes = torch.randn(2, 4, EMBED), torch.randn(3, shots, 4, EMBED)
    expected = looped(lambda q, s: looped_trx(metric, q, s), queries, classes)
    assert_close(metric.distances(queries, classes).double(), expected, rtol=1e-5, atol=1e-5)
    if shots == 1:
        assert_close(metric(queries, classes[:, 0]), metric.of_shots(queries, classes))


def test_trx_has_28_pairs_and_56_triples_of_eight_frames(monkeypatch):
    monkeypatch.undo()
    metric = TRX(512, 8)
    assert [len(part._places) for part in metric.tuples] == [28, 56]
    per_tuple = [2 * (size * 512 + 1) * 1152 + 2 * 1152 for size in (2, 3)]
    assert sum(p.numel() for p in metric.parameters()) == sum(per_tuple)
    assert len(TRX(512, 2).tuples) == 1, "two frames make no triple"


@pytest.mark.parametrize("name", NAMES)
def test_batched_and_identical_is_nearest(name):
    torch.manual_seed(0)
    metric = make(name)
    queries, prototypes = torch.randn(5, 4, 8, EMBED), torch.randn(5, 4, 8, EMBED)
    scores = metric(queries, prototypes)
    assert scores.shape == (5, 4, 4)
    for i in range(5):
        assert_close(scores[i], metric(queries[i], prototypes[i]))
    same = metric(queries, queries)
    assert (same.argmax(-1) == torch.arange(4)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("frames", [2, 3, 8, 32])
@pytest.mark.parametrize("name", NAMES)
def test_finite_and_differentiable(name, frames, dtype):
    if name == "trx":
        frames = min(frames, 16)  # of 32 there are 496 pairs, which take seconds, and 120 of 16
    # Opposite frames are as far apart as frames can be: where exp(-d / 0.1) overflows or vanishes.
    for opposite in (False, True):
        queries, prototypes = (part[:2] for part in features(frames))
        if opposite:
            one = queries[:1, :1]
            queries, prototypes = one.expand(2, frames, -1), -one.expand(2, frames, -1)
        queries, prototypes = (part.to(dtype).contiguous().requires_grad_() for part in (queries, prototypes))
        scores = make(name, frames)(queries, prototypes)
        scores[:, 0].sum().backward()
        for tensor in (scores, queries.grad, prototypes.grad):
            assert tensor.isfinite().all()


@pytest.mark.parametrize("name", ["bi_mhm", "otam", "trx"])
def test_distances_become_probabilities(name):
    scores = make(name)(*features(8))
    assert_close(scores.sum(-1), torch.ones(4))
    assert (scores > 0).all()


@pytest.mark.parametrize("frames", [2, 5])
def test_gradients_of_otam_are_those_of_differences(frames):
    torch.manual_seed(0)
    distances = (2 * torch.rand(2, frames, frames)).requires_grad_()
    soft_path_cost(distances).sum().backward()
    step = 1e-3
    for row in range(frames):
        for column in range(frames):
            costs = []
            for sign in (1, -1):
                moved = distances.detach().double()
                moved[:, row, column] += sign * step
                costs.append(soft_path_cost(moved))
            assert_close(
                distances.grad[:, row, column].double(),
                (costs[0] - costs[1]) / (2 * step),
                rtol=1e-3,
                atol=1e-3,
            )


def test_who_is_blind_to_order():
    queries, prototypes = features(8)
    for name in NAMES:
        metric = make(name)
        moved = (metric(queries.flip(1), prototypes) - metric(queries, prototypes)).abs().max()
        assert (moved < 1e-6) == (name in ("protonet_means", "bi_mhm")), name


@settings(max_examples=20, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    frames=st.integers(2, 9),
    order=st.permutations(range(4)),
    seed=st.integers(0, 2**16),
)
def test_permuting_classes_or_queries_permutes_scores(name, frames, order, seed):
    torch.manual_seed(seed)
    metric = make(name, frames)
    queries, prototypes = torch.randn(4, frames, EMBED), torch.randn(4, frames, EMBED)
    scores = metric(queries, prototypes)
    assert_close(metric(queries, prototypes[order]), scores[:, order], rtol=1e-4, atol=1e-5)
    assert_close(metric(queries[order], prototypes), scores[order], rtol=1e-4, atol=1e-5)
