"""TS-FSAR: representations and matching counted out, where the ladder starts, the product, the rates."""

import pytest
import torch
from test_every_method import backbone, built, episode
from torch import Tensor

from fsarctl.config.training_tables import TrainConfig
from fsarctl.episodes.training.optimisation import Optimisation
from fsarctl.errors import ConfigError
from fsarctl.methods.ts_fsar.distance_correlation import distance_correlation
from fsarctl.methods.ts_fsar.ladder import LadderNetwork, SideBlock, _principal_rows, states, temporal_blocks
from fsarctl.methods.ts_fsar.method import Matching

NARROW = {"width": 16}


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_representation_is_its_definition() -> None:
    tokens = noise(1 + 5, 3).double()
    token, patches = tokens[0], tokens[1:]
    y = torch.stack([(token @ p / (token.norm() * p.norm())) * p for p in patches])  # (P, d)
    b = torch.tensor(
        [
            [(float((y[:, i] - y[:, j]).square().sum()) / 10 + 1e-5) ** 0.4 for j in range(3)]
            for i in range(3)
        ],
        dtype=torch.float64,
    )
    centred = b - b.mean(1, keepdim=True) - b.mean(0, keepdim=True) + b.mean()
    expected = torch.stack([centred[i, j] for i in range(3) for j in range(i, 3)])
    torch.testing.assert_close(distance_correlation(tokens, 0.4), expected)


def test_matching_is_a_sum_over_pairs_of_frames() -> None:
    torch.manual_seed(0)
    matching = Matching(3, 4)
    query, prototypes = noise(2, 3, 7), noise(5, 3, 7, seed=1)
    asked, told = noise(2, 3, 4, seed=2), noise(10, 3, 4, seed=3)
    scores = matching(matching.similarities(query, prototypes), matching.weights(asked, told))
    g = (matching.generator.weight @ (asked[1].mean(0) + told.flatten(0, 1).mean(0))).view(3, 3)
    total = torch.zeros(())
    for s in range(3):
        for m in range(3):
            q, p = query[1, s], prototypes[4, m]
            total = total + g[s, m] * (q @ p) / (q.norm() * p.norm() + 0.01)
    torch.testing.assert_close(scores[1, 4], total)


def test_blocks_over_time_are_every_other_of_the_upper_half() -> None:
    assert [list(temporal_blocks(n)) for n in (12, 4, 3, 1)] == [[6, 8, 10], [2], [1], [0]]


def test_the_ladder_climbs_in_equal_shares_at_the_start() -> None:
    torch.manual_seed(0)
    vit = backbone().visual
    ladder = LadderNetwork(vit, 16, 4, "orthogonal")
    read = states(vit, noise(2, 4, 3, 16, 16))
    assert read.shape == (2, 4, 4, 65, 32)
    torch.testing.assert_close(read[:, 0], vit.ln_pre(_embedded(vit, noise(2, 4, 3, 16, 16))))
    rungs = [
        rung(norm(each)) for rung, norm, each in zip(ladder.rungs, ladder.norms, read.unbind(1), strict=True)
    ]
    x = rungs[0]
    for side, other in zip(ladder.sides, rungs[1:], strict=True):
        x = (side(x) + other) / 2
    torch.testing.assert_close(ladder(read), x)


def _embedded(vit: torch.nn.Module, frames: Tensor) -> Tensor:
    x = vit.conv1(frames.flatten(0, 1)).flatten(2).mT  # type: ignore[operator]
    classes = vit.class_embedding.expand(len(x), 1, -1)  # type: ignore[operator]
    x = torch.cat([classes, x], 1) + vit.positional_embedding
    return x.view(*frames.shape[:2], *x.shape[1:])


def test_a_block_over_time_mixes_frames_and_another_does_not() -> None:
    torch.manual_seed(0)
    x = noise(4, 5, 8)
    other = x.clone()
    other[3] = noise(5, 8, seed=1)
    for temporal in (True, False):
        block = SideBlock(8, 2, temporal=temporal)
        assert torch.allclose(block(x)[0], block(other)[0]) != temporal


def test_principal_rows_hold_the_most_variance_that_so_many_can() -> None:
    matrix = noise(6, 40)
    found = _principal_rows(matrix, 3)
    spread = torch.linalg.svdvals(matrix - matrix.mean(1, keepdim=True))[:3].square()
    torch.testing.assert_close(found @ found.T, torch.diag(spread), rtol=1e-3, atol=1e-3)
    tall = _principal_rows(matrix.T.contiguous(), 8)
    assert tall.shape == (8, 6)
    assert not tall[6:].any()  # six columns have no more components


def test_the_start_is_of_clip_or_orthogonal() -> None:
    vit = backbone().visual
    torch.manual_seed(0)
    pca = LadderNetwork(vit, 16, 4, "pca").sides[0]
    own = LadderNetwork(vit, 16, 4, "orthogonal").sides[0]
    weight = own.attn.in_proj_weight[:16]
    torch.testing.assert_close(weight @ weight.T, torch.eye(16), atol=1e-5, rtol=1e-5)
    theirs = vit.transformer.resblocks[0].attn.in_proj_weight[32:64]  # keys
    expected = _principal_rows(_principal_rows(theirs, 16).T, 16).T
    torch.testing.assert_close(pca.attn.in_proj_weight[16:32], expected)
    assert built("ts-fsar", start="pca", **NARROW) is not None
    with pytest.raises(ConfigError, match="the ladder network is 64 wide, and the backbone 32"):
        built("ts-fsar", start="pca", width=64)
    with pytest.raises(ConfigError, match="width is 30; it must be a multiple of heads, 4"):
        built("ts-fsar", width=30)


def test_an_answer_is_the_product_of_three() -> None:
    shares = {"clip_share": 0.3, "vision_share": 0.5, "ladder_share": 0.2}
    given = episode(built("ts-fsar", **NARROW))
    parts = {}
    for name in shares:
        alone = dict.fromkeys(shares, 0.0) | {name: 1.0}
        with torch.no_grad():
            parts[name] = built("ts-fsar", **NARROW, **alone)(
                given.support, given.query, given.tokens
            ).score.exp()
    torch.testing.assert_close(parts["clip_share"].sum(-1), torch.ones(4))
    with torch.no_grad():
        found = built("ts-fsar", **NARROW, **shares)(given.support, given.query, given.tokens).score.exp()
    expected = torch.stack([parts[name] ** share for name, share in shares.items()]).prod(0)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_generator_of_frame_weights_has_its_own_rate() -> None:
    model = built("ts-fsar", generator_rate=0.5, **NARROW)
    groups = Optimisation(model, TrainConfig(optimiser="adamw", lr=2e-4)).optimiser.param_groups
    rates = {id(each): group["lr"] for group in groups for each in group["params"]}
    own = {name: rates[id(each)] for name, each in model.named_parameters() if each.requires_grad}
    assert own.pop("matching.generator.weight") == 1e-4
    assert set(own.values()) == {2e-4}
