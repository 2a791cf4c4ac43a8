"""STRM: pooling, enrichment and both branches counted out, and what of it is trained."""

from itertools import combinations
from typing import Any

import pytest
import torch
from test_every_method import WAY, built, episode, lesson, scores

from fsarctl.errors import ConfigError
from fsarctl.methods.strm.enrichment import FrameEnrichment, PatchEnrichment
from fsarctl.methods.strm.tuple_similarity import TupleSimilarity
from fsarctl.models.frame_encoder import FrameFeatures
from fsarctl.models.metrics.trx import sinusoids


def test_a_map_is_pooled_by_its_largest() -> None:
    model = built("strm", grid=2)
    maps = torch.randn(3, 4, 6, 6, 5)
    found = model.of_frames(FrameFeatures(maps, maps, maps))
    assert found.shape == (3, 4, 4, 5)
    for place, (row, column) in enumerate(((0, 0), (0, 3), (3, 0), (3, 3))):
        expected = maps[:, :, row : row + 3, column : column + 3].amax(dim=(2, 3))
        assert torch.equal(found[:, :, place], expected)
    small = model.of_frames(FrameFeatures(maps, maps, maps[:, :, :1, :1]))
    assert torch.equal(small, maps[:, :, :1, 0].expand(-1, -1, 4, -1))


def test_patches_attend_unscaled_at_their_share() -> None:
    torch.manual_seed(0)
    module = PatchEnrichment(3, 6).eval()
    patches = torch.randn(2, 3, 6)
    for share in (0.0, 0.8):
        with torch.no_grad():
            module.gamma.fill_(share)
        x = patches + 0.1 * sinusoids(3, 6)
        weights = (module.query(x) @ module.key(x).mT).softmax(-1)
        y = share * weights @ module.value(x) + x
        torch.testing.assert_close(module(patches), module.mlp(y) + y, rtol=1e-4, atol=1e-5)


def test_frames_are_mixed_over_time_and_then_over_channels() -> None:
    torch.manual_seed(0)
    module = FrameEnrichment(4, 6).eval()
    frames = torch.randn(2, 4, 6)
    x = frames + 0.1 * sinusoids(4, 6)
    first, last = module.over_time[0], module.over_time[2]
    y = torch.stack([last(first(x[..., c]).relu()) for c in range(6)], dim=-1) + x
    torch.testing.assert_close(module(frames), module.over_channels(y) + y, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("sizes", [[2], [2, 3], [1, 9]])
def test_similarity_is_the_distance_to_the_nearest_tuple_of_any_shot(sizes: list[int]) -> None:
    torch.manual_seed(0)
    branch = TupleSimilarity(6, 4, sizes).eval()
    queries, shots = torch.randn(3, 4, 6), torch.randn(2, 3, 4, 6)
    branch.requires_grad_(False)
    found = branch.distances(queries, shots)
    sizes = [size for size in sizes if size <= 4]
    for j in range(3):
        for c in range(2):
            parts = []
            for size, project in zip(sizes, branch.projections, strict=True):
                chosen = list(combinations(range(4), size))
                asked = [project(queries[j, list(each)].flatten()).relu() for each in chosen]
                told = [project(shot[list(each)].flatten()).relu() for shot in shots[c] for each in chosen]
                parts.append(sum(min(float((a - b).norm()) for b in told) for a in asked) / len(asked))
            assert float(found[j, c]) == pytest.approx(sum(parts) / len(parts), rel=1e-4)


@pytest.mark.parametrize("share", [0.0, 0.1, 2.0])
def test_the_second_branch_has_its_share_of_logits_and_loss(share: float) -> None:
    model = built("strm", similarity_weight=share)
    given = episode(model)
    made = lesson(model, given)
    parts: Any = made.scores
    torch.testing.assert_close(parts.score, parts.video + share * parts.similarity)
    right = [
        float(each.softmax(-1)[j, j % WAY].log().detach())
        for each in (parts.video, parts.similarity)
        for j in range(4)
    ]
    expected = -sum(right[:4]) - share * sum(right[4:])
    assert float(model.training_loss(made).detach()) == pytest.approx(expected, rel=1e-4)


def test_the_second_branch_is_trained_or_stays_as_it_started() -> None:
    def of(formulation: str) -> tuple[set[str], Any]:
        model = built("strm", formulation=formulation)
        trained = {name for name, each in model.named_parameters() if each.requires_grad}
        return {name for name in trained if name.startswith("similarity")}, model

    assert of("paper")[0] == {"similarity.projections.0.weight", "similarity.projections.0.bias"}
    frozen, model = of("released")
    assert frozen == set()
    # Another seed's model, as an evaluation builds it, has another start: the artifact brings this one's.
    state, given = model.adapter_state(), episode(model)
    expected = scores(model, given)
    other = of("released")[1]
    with torch.no_grad():
        other.similarity.projections[0].weight.add_(1)
    assert not torch.allclose(scores(other, given), expected)
    other.load_adapter_state(state)
    assert torch.equal(scores(other, given), expected)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("grid", 0, "grid is 0; it must be 1 or more"),
        ("similarity_weight", -0.1, r"similarity_weight is -0\.1; it must be 0 or more"),
        ("formulation", "theirs", "formulation"),
        ("sizes", [7], r"sizes is \[7\], and clips have 4 frames"),
    ],
)
def test_options_that_make_no_method_are_refused(option: str, value: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        built("strm", **{option: value})
