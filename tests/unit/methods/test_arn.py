"""ARN: descriptors by hand, what the order of frames is to them, and how weights start."""

import math
from typing import Any

import pytest
import torch
from test_every_method import built, episode, lesson, scores

from fsarctl.errors import ConfigError
from fsarctl.methods.arn.autocorrelation import (
    PlaceAttention,
    RelationComparator,
    autocorrelation,
    start_relation,
)
from fsarctl.methods.arn.method import ARN

SMALL = {"channels": 16, "comparator_channels": 4}


def test_a_descriptor_is_what_channel_by_channel_gives() -> None:
    h = torch.randn(3, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    together = [[sum(float(a * b) for a, b in zip(x, y, strict=True)) / 7 for y in h] for x in h]
    trace = sum(together[c][c] for c in range(3))
    found = autocorrelation(h, 5.0)
    for i in range(3):
        for j in range(3):
            assert float(found[i, j]) == pytest.approx(math.tanh(5 * together[i][j] / trace / 2))


def test_a_descriptor_sees_neither_brightness_nor_where_a_place_is() -> None:
    h = torch.randn(2, 4, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = autocorrelation(h)
    torch.testing.assert_close(autocorrelation(3 * h), found)
    torch.testing.assert_close(autocorrelation(h[..., torch.randperm(9)]), found)


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 8, 20])
def test_attention_is_one_picture_however_many_frames_there_are(frames: int) -> None:
    torch.manual_seed(0)
    attention = PlaceAttention(6, 3).eval()
    found = attention(torch.randn(2, 6, frames, 3, 4))
    assert found.shape == (2, 1, 1, 3, 4)
    assert ((found > 1) & (found < 2)).all()


def test_a_pair_is_compared_by_itself() -> None:
    torch.manual_seed(0)
    comparator = RelationComparator(16, 4).eval()
    classes, query = torch.randn(3, 16, 16), torch.randn(2, 16, 16)
    with torch.no_grad():
        found = comparator(classes, query)
        for j, q in enumerate(query):
            for c, p in enumerate(classes):
                x = torch.stack([p, q])[None]
                x = torch.max_pool2d(comparator.layer1(x), 2)
                for layer in (comparator.layer2, comparator.layer3, comparator.layer4):
                    x = torch.max_pool2d(x + layer(x), 2)
                expected = comparator.fc2(comparator.fc1(x.flatten()).relu())
                torch.testing.assert_close(found[j, c], expected[0], rtol=1e-4, atol=1e-5)


def test_weights_start_as_released() -> None:
    torch.manual_seed(0)
    attention, comparator = PlaceAttention(32, 32), RelationComparator(64, 32, hidden=50)
    start_relation(attention)
    start_relation(comparator)
    # Two of three sides of a kernel are counted.
    within: Any = attention.sd1[4]
    assert float(within.weight.detach().std()) == pytest.approx(math.sqrt(2 / (9 * 32)), rel=0.05)
    assert float(comparator.fc1.weight.detach().std()) == pytest.approx(0.01, rel=0.05)
    assert (comparator.fc1.bias == 1).all()
    assert (comparator.fc2.bias == 1).all()


def test_training_is_by_the_cross_entropy_of_the_episode_alone() -> None:
    model = built("arn", **SMALL)
    given = episode(model)
    made = lesson(model, given)
    expected = torch.nn.functional.cross_entropy(scores(model, given), made.targets)
    assert float(model.training_loss(made).detach()) == pytest.approx(float(expected), rel=1e-5)
    assert not model.heads
    assert "episode's cross-entropy alone" in " ".join((ARN.__doc__ or "").split())


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("channels", 40, "channels is 40; it must be a multiple of 16"),
        ("hidden", 0, "hidden is 0; it must be 1 or more"),
        ("sigma", 0.0, r"sigma is 0\.0; it must be above 0"),
    ],
)
def test_options_that_make_no_method_are_refused(option: str, value: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        built("arn", **{option: value})
