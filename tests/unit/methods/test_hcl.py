"""HCL: matching by looking at every pair, losses by their sums, and the released batch as an episode."""

import itertools
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from test_every_method import WAY, Episode, built, episode, lesson, scores, tokens_of

from fsarctl.errors import ConfigError
from fsarctl.methods.hcl.contrast import contrast, cycle
from fsarctl.methods.hcl.matching import HierarchicalMatching
from fsarctl.methods.hcl.method import contrast_losses
from fsarctl.methods.hcl.place_encoder import PlaceEncoder
from fsarctl.methods.protocol import BaseClasses, FewShotMethod

SMALL = {"width": 16, "heads": 2, "hidden": 8}
FRAMES, PLACES, WIDTH = 4, 3, 6


def matching(pairs: int = 3, places: int = 2) -> HierarchicalMatching:
    torch.manual_seed(0)
    return HierarchicalMatching(WIDTH, FRAMES, pairs=pairs, places=places).double().eval()


def clips(many: int) -> Any:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(many, FRAMES * PLACES, WIDTH, generator=generator, dtype=torch.float64)


def prepared(**options: Any) -> FewShotMethod:
    model = built("hcl", **{**SMALL, **options})
    model.prepare(BaseClasses(tuple("abcdef"), tokens_of(model, 6)))
    return model


def test_matching_is_what_looking_at_every_pair_gives() -> None:
    made = matching()
    tokens = clips(5)
    pairs = list(itertools.combinations(range(FRAMES), 2))

    def unit_pairs(x: Any) -> list[Any]:
        means = x.reshape(FRAMES, PLACES, WIDTH).mean(1)
        return [F.normalize(made.bi_linear(torch.cat([means[a], means[b]])), dim=0) for a, b in pairs]

    with torch.no_grad():
        found = made(made.cues(tokens[:2]), made.cues(tokens[2:]), spatial_pairs=2)
        for q, s in itertools.product(range(2), range(3)):
            query, support = tokens[q], tokens[2 + s]
            u, v = unit_pairs(query), unit_pairs(support)
            best = sorted(
                ((max((float(a @ b), k) for k, b in enumerate(v)), n) for n, a in enumerate(u)), reverse=True
            )[:3]
            mean_u = torch.stack([u[n] for _, n in best]).mean(0)
            mean_v = torch.stack([v[k] for (_, k), _ in best]).mean(0)
            assert float(found.temporal[q, s]) == pytest.approx(float(mean_u @ mean_v))
            w, x = F.normalize(query, dim=-1), F.normalize(support, dim=-1)
            seen, matched = [], []
            for (_, k), n in best[:2]:
                here = [f * PLACES + p for f in pairs[n] for p in range(PLACES)]
                there = [f * PLACES + p for f in pairs[k] for p in range(PLACES)]
                ranked = sorted((max((float(w[a] @ x[b]), b) for b in there), a) for a in here)
                for (_, b), a in ranked[-2:]:
                    seen.append(w[a])
                    matched.append(x[b])
            expected = torch.stack(seen).mean(0) @ torch.stack(matched).mean(0)
            assert float(found.spatial[q, s]) == pytest.approx(float(expected))
            assert float(found.whole[q, s]) == pytest.approx(float(w.mean(0) @ x.mean(0)))


def test_more_pairs_and_places_than_there_are_keep_all() -> None:
    tokens = clips(3)
    some, all_of_them = matching(6, 2 * PLACES), matching(99, 99)
    for each, other in zip(
        some(some.cues(tokens), some.cues(tokens)),
        all_of_them(all_of_them.cues(tokens), all_of_them.cues(tokens)),
        strict=True,
    ):
        torch.testing.assert_close(each, other)


def test_an_own_entry_stays_in_the_sum_and_other_partners_do_not() -> None:
    similar = torch.rand(6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    classes = torch.tensor([4, 4, 4, 1, 1, 1])
    total = []
    for i in range(6):
        for p in range(6):
            if p != i and classes[p] == classes[i]:
                rest = sum(
                    math.exp(float(similar[i, k]) / 0.07) for k in range(6) if classes[k] != classes[i]
                )
                positive = math.exp(float(similar[i, p]) / 0.07)
                total.append(-math.log(positive / (positive + 1 + rest)))
    assert float(contrast(similar, classes)) == pytest.approx(sum(total) / len(total))


def test_one_shot_and_one_query_are_the_released_batch() -> None:
    similar = torch.rand(6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    partner = [3, 4, 5, 0, 1, 2]  # three supports, then a query of each
    zeroed = similar.clone().fill_diagonal_(0)
    expected = F.cross_entropy(zeroed / 0.07, torch.tensor(partner))
    assert float(contrast(similar, torch.tensor([0, 1, 2, 0, 1, 2]))) == pytest.approx(float(expected))


def test_the_cycle_leads_there_and_back() -> None:
    x, y = clips(2)[:, :4], clips(4)[2:, :5]
    total = []
    for a, b in zip(x, y, strict=True):
        for k in range(4):
            z = (a[k] @ b.T).softmax(0) @ b
            logits = (a @ z) / 0.07
            total.append(-float(logits.log_softmax(0)[k]))
    assert float(cycle(x, y)) == pytest.approx(sum(total) / len(total))


def test_the_losses_do_not_depend_on_the_order_of_clips() -> None:
    made, tokens, classes = matching(), clips(6), torch.tensor([0, 0, 1, 1, 2, 2])
    order = torch.tensor([5, 2, 0, 3, 1, 4])
    with torch.no_grad():
        found = contrast_losses(made, tokens, classes)
        other = contrast_losses(made, tokens[order], classes[order])
    for name, each in vars(found).items():
        torch.testing.assert_close(each, vars(other)[name])


def test_positions_are_in_queries_and_keys_alone() -> None:
    torch.manual_seed(0)
    encoder = PlaceEncoder(5, 6, frames=2, side=2, heads=2, hidden=4).eval()
    same = torch.randn(1, 1, 1, 5).expand(2, 2, 2, 5)
    # Values are alike at all places, so that wherever one looks, one sees the same.
    encoded = encoder(same)
    torch.testing.assert_close(encoded, encoded[:1].expand(8, -1))
    other = torch.randn(2, 2, 2, 5)
    assert not torch.allclose(encoder(other.flip(0))[4:], encoder(other)[:4], rtol=1e-3)


def test_the_loss_is_a_sum_of_weighted_parts() -> None:
    names = ["global_weight", "temporal_weight", "spatial_weight", "temporal_cycle", "spatial_cycle"]
    none = dict.fromkeys(names, 0.0)
    model = prepared(**none)
    given = episode(model)

    def loss_of(**weights: float) -> float:
        model = prepared(**{**none, **weights})
        with torch.no_grad():
            return float(model.training_loss(lesson(model, given)))

    made = lesson(model, given)
    assert made.support is not None
    tokens = torch.cat([made.support, made.query])
    classes = torch.cat([made.support_classes, made.query_classes])
    with torch.no_grad():
        of_base = float(F.cross_entropy(model.heads["clips"](tokens.mean(-2)), classes))
        parts = contrast_losses(model.matching, tokens, classes)  # type: ignore[arg-type]
    assert loss_of() == pytest.approx(of_base, rel=1e-5)
    for name, part in zip(names, vars(parts).values(), strict=True):
        assert loss_of(**{name: 0.5}) == pytest.approx(of_base + 0.5 * float(part), rel=1e-4)


def test_shots_are_averaged() -> None:
    model = built("hcl", **SMALL)
    given = episode(model)
    shots = given.support.unflatten(0, (WAY, -1))
    each = [scores(model, Episode(shots[:, k], given.query, given.tokens)) for k in range(shots.shape[1])]
    torch.testing.assert_close(scores(model, given), torch.stack(each).mean(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("side", 0, "side is 0; it must be 1 or more"),
        ("places", 0, "places is 0; it must be 1 or more"),
        ("width", 100, "width is 100; it must be 3 or more, and a multiple of heads, 8"),
        ("temporal_cycle", -1.0, r"temporal_cycle is -1\.0; it must be 0 or more"),
    ],
)
def test_options_that_make_no_method_are_refused(option: str, value: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        built("hcl", **{option: value})
