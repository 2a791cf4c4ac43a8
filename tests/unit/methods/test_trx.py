"""TRX as a method: its loss, its cardinalities, and what it refuses; its arithmetic is the metric's."""

from typing import Any

import pytest
import torch
from test_every_method import built, episode, lesson, scores

from fsarctl.errors import ConfigError


def test_the_loss_is_a_sum_over_queries_unless_said_otherwise() -> None:
    given = episode(built("trx"))
    of = {}
    for loss in ("sum", "mean"):
        model = built("trx", loss=loss)
        of[loss] = float(model.training_loss(lesson(model, given)).detach())
    probabilities = scores(model, given).softmax(-1)
    expected = -sum(float(probabilities[j, j % 3].log()) for j in range(4))
    assert of["sum"] == pytest.approx(expected, rel=1e-5)
    assert of["sum"] == pytest.approx(4 * of["mean"], rel=1e-5)


def test_logits_are_the_mean_of_those_of_pairs_and_of_triples() -> None:
    both = built("trx", sizes=[2, 3])
    given, apart = episode(both), []
    for size, part in zip((2, 3), both.tuples.tuples, strict=True):
        one = built("trx", sizes=[size])
        one.tuples.tuples[0].load_state_dict(part.state_dict())
        apart.append(scores(one, given))
    torch.testing.assert_close(scores(both, given), (apart[0] + apart[1]) / 2, rtol=1e-5, atol=1e-5)


def test_frames_with_their_positions_are_dropped_in_training() -> None:
    model, given = built("trx", dropout=0.5), episode(built("trx"))
    assert not torch.equal(scores(model.train(), given), scores(model, given))
    assert torch.equal(scores(model.eval(), given), scores(model, given))
    model = built("trx", dropout=0.0)
    assert torch.equal(scores(model.train(), given), scores(model.eval(), given))


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("sizes", [5, 6], r"sizes is \[5, 6\], and clips have 4 frames"),
        ("sizes", [2, 2], "sizes is .2, 2.; it must be different numbers"),
        ("width", 0, "width is 0; it must be 1 or more"),
        ("dropout", 1.0, "dropout is 1.0; it must be 0 or more and below 1"),
    ],
)
def test_options_that_make_no_method_are_refused(option: str, value: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        built("trx", **{option: value})
