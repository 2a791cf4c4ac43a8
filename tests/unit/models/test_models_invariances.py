"""Who may see whom: queries, classes, support and query sets, episodes in one batch."""

import pytest
import torch
from small_model import episode, small_model
from torch.testing import assert_close

CLOSE = {"rtol": 1e-4, "atol": 1e-5}
FORMULATIONS = ["paper", "released"]


@pytest.mark.parametrize("mode", ["joint", "independent"])
@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_permuting_queries_permutes_scores_and_nothing_else(formulation, mode):
    model = small_model(formulation=formulation)
    support, query, tokens = episode(queries=5)
    order = torch.tensor([3, 0, 4, 1, 2])
    plain = model(support, query, tokens, query_mode=mode)
    permuted = model(support, query[order], tokens, query_mode=mode)
    for name in ("video", "text", "score", "query_features", "aligned_query_features"):
        assert_close(getattr(permuted, name), getattr(plain, name)[order], **CLOSE)
    for name in ("support_features", "prototypes", "text_features"):
        assert_close(getattr(permuted, name), getattr(plain, name), **CLOSE)


@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_permuting_classes_permutes_columns(formulation):
    model = small_model(formulation=formulation)
    support, query, tokens = episode(way=3, shot=2)
    order = torch.tensor([2, 0, 1])
    plain = model(support, query, tokens)
    permuted = model(support.view(3, 2, *support.shape[1:])[order].flatten(0, 1), query, tokens[order])
    for name in ("video", "text", "score"):
        assert_close(getattr(permuted, name), getattr(plain, name)[:, order], **CLOSE)
    assert_close(permuted.query_features, plain.query_features, **CLOSE)


def test_support_and_query_sets_never_see_each_other():
    model = small_model()
    support, query, tokens = episode(seed=0)
    other_support, other_query, _ = episode(seed=1)
    plain = model(support, query, tokens)
    assert_close(model(other_support, query, tokens).query_features, plain.query_features, rtol=0, atol=0)
    assert_close(model(support, other_query, tokens).support_features, plain.support_features, rtol=0, atol=0)


def test_videos_of_a_set_do_see_each_other():
    model = small_model()
    support, query, tokens = episode(queries=4)
    changed = query.clone()
    changed[3] = 0
    plain, other = model(support, query, tokens), model(support, changed, tokens)
    assert (plain.query_features[0] - other.query_features[0]).abs().max() > 1e-3


@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_an_independent_query_depends_on_no_other(formulation):
    model = small_model(formulation=formulation)
    support, query, tokens = episode(queries=4)
    together = model(support, query, tokens, query_mode="independent")
    for i in range(4):
        for mode in ("joint", "independent"):  # of one query alone, these are the same thing
            alone = model(support, query[i : i + 1], tokens, query_mode=mode)
            for name in ("video", "text", "score"):
                assert_close(getattr(alone, name)[0], getattr(together, name)[i], **CLOSE)


@pytest.mark.parametrize("mode", ["joint", "independent"])
def test_a_batch_of_episodes_is_each_episode(mode):
    model = small_model()
    episodes = [episode(seed=seed) for seed in range(3)]
    longest = [torch.stack(parts) for parts in zip(*episodes, strict=True)]
    batched = model(*longest, query_mode=mode)
    for i, parts in enumerate(episodes):
        single = model(*parts, query_mode=mode)
        for name in ("video", "text", "score", "query_features", "aligned_query_features"):
            assert_close(getattr(batched, name)[i], getattr(single, name), **CLOSE)
    labels = torch.tensor([[0, 1, 2, 0]] * 3)
    losses = [
        model.loss(model(*parts, query_mode=mode), row) for parts, row in zip(episodes, labels, strict=True)
    ]
    assert_close(model.loss(batched, labels), torch.stack(losses).mean(), **CLOSE)


def test_sub_actions_are_an_order():
    model = small_model()
    support, query, tokens = episode()
    plain = model(support, query, tokens)
    assert (model(support, query, tokens.flip(1)).text - plain.text).abs().max() > 1e-3
    assert (model(support, query.flip(1), tokens).text - plain.text).abs().max() > 1e-3
