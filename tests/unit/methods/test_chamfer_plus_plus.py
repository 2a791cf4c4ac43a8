"""Chamfer++: its tuples and its matching, counted out."""

from itertools import combinations
from typing import Any

import pytest
import torch
from test_every_method import built
from torch import Tensor

from fsarctl.errors import ConfigError
from fsarctl.methods.chamfer_plus_plus.method import Options, TupleHead, of_classes
from fsarctl.models.metrics.cosines import damped_cosines


def episode(shot: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(4, 5, 6, generator=generator)
    return query, torch.randn(3, shot, 5, 6, generator=generator)


@pytest.mark.parametrize("side", ["both", "query", "support"])
@pytest.mark.parametrize("shots", ["joint", "separate"])
def test_matching_is_what_counting_gives(shots: Any, side: Any) -> None:
    query, support = episode()
    found = of_classes(query, support, Options(shots=shots, side=side))
    for j, c in ((0, 0), (3, 2), (1, 1)):
        sets = [support[c].flatten(0, 1)] if shots == "joint" else list(support[c])
        values = []
        for each in sets:
            pairs = damped_cosines(query[j], each).tolist()
            asked = sum(max(row) for row in pairs) / len(pairs)
            told = sum(max(row[b] for row in pairs) for b in range(len(pairs[0]))) / len(pairs[0])
            values.append({"query": asked, "support": told, "both": (asked + told) / 2}[side])
        assert found[j, c].item() == pytest.approx(sum(values) / len(values), rel=1e-5)


def test_joint_and_separate_differ_from_the_second_shot_on() -> None:
    query, support = episode(1)
    joint, separate = (of_classes(query, support, Options(shots=each)) for each in ("joint", "separate"))
    torch.testing.assert_close(joint, separate)
    query, support = episode(2)
    joint, separate = (of_classes(query, support, Options(shots=each)) for each in ("joint", "separate"))
    assert not torch.allclose(joint, separate)


def test_a_tuple_is_its_frames_in_their_order() -> None:
    head = TupleHead(2, 3, 6)
    with torch.no_grad():
        head.project.weight.copy_(torch.eye(6))
        head.project.bias.zero_()
    frames = torch.randn(5, 2, generator=torch.Generator().manual_seed(1))
    found = head(frames)
    for row, places in zip(found, combinations(range(5), 3), strict=True):
        laid = torch.cat([frames[place] for place in places])
        expected = (laid - laid.mean()) / (laid.var(unbiased=False) + 1e-5).sqrt()
        torch.testing.assert_close(row, expected)


def test_tuples_longer_than_clips_are_refused() -> None:
    with pytest.raises(ConfigError, match="tuple_length is 5, and clips have 4 frames"):
        built("chamfer++", tuple_length=5)
    with pytest.raises(ConfigError, match="tuple_length is 0; it must be 1 or more"):
        built("chamfer++", tuple_length=0)
