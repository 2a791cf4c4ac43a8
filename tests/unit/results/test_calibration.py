"""Probabilities made of scores, against closed forms, brute force and what they were drawn from."""

import math

import numpy as np
import pytest

from fsarctl.results.calibration import (
    Bin,
    area_under_roc,
    calibration_error,
    false_positive_rate,
    log_softmax,
    reliability,
    sigmoid_of,
    temperature_of,
)

DRAW = np.random.default_rng(0)


def test_a_temperature_has_the_highest_likelihood() -> None:
    """Two classes, logits 0 and 1: a share p of right answers makes 1/T = log(p / (1 - p))."""
    for share in (0.6, 0.8, 0.95):
        right = np.arange(1000) < 1000 * share
        logits = np.tile([0.0, 1.0], (1000, 1))
        temperature = temperature_of(logits, right.astype(np.int64))
        assert 1 / temperature == pytest.approx(math.log(share / (1 - share)), rel=1e-4)


def test_a_temperature_gives_back_what_was_divided_by_it() -> None:
    logits = DRAW.normal(size=(20_000, 5)) * 2
    shares = np.exp(log_softmax(logits))
    targets = (shares.cumsum(1) > DRAW.random((20_000, 1))).argmax(1)
    assert temperature_of(logits * 7, targets) == pytest.approx(7, rel=0.05)
    # answers that are never wrong have no highest likelihood; it stays a number
    assert temperature_of(logits, logits.argmax(1)) == pytest.approx(0.01, rel=1e-3)


def test_a_sigmoid_is_where_platts_cost_is_lowest() -> None:
    """Against a fine grid."""
    known, unknown = DRAW.normal(3, 1, 12), DRAW.normal(1, 1, 30)
    found = sigmoid_of(known, unknown)

    def cost(slope: np.ndarray, middle: np.ndarray) -> np.ndarray:
        total = np.zeros(np.broadcast(slope, middle).shape)
        for values, target in ((known, 13 / 14), (unknown, 1 / 32)):
            p = 1 / (1 + np.exp(-slope[..., None] * (values - middle[..., None])))
            total += -(target * np.log(p) + (1 - target) * np.log(1 - p)).mean(-1)
        return total

    slopes, middles = np.meshgrid(np.linspace(0.1, 6, 400), np.linspace(0, 4, 400))
    best = np.unravel_index(cost(slopes, middles).argmin(), slopes.shape)
    assert found.slope == pytest.approx(slopes[best], abs=0.03)
    assert found.middle == pytest.approx(middles[best], abs=0.03)
    assert cost(np.array(found.slope), np.array(found.middle)) <= cost(slopes, middles).min() + 1e-9


def test_few_clips_that_can_be_parted_are_no_certainty() -> None:
    """One of each: Platt's targets 2/3 and 1/3 are met exactly, the middle between them."""
    found = sigmoid_of([3.0], [1.0])
    assert found(np.array([1.0, 2.0, 3.0])) == pytest.approx([1 / 3, 1 / 2, 2 / 3], abs=1e-6)
    # the wrong way round it says nothing
    assert sigmoid_of([1.0], [3.0])(np.array([0.0, 9.0])) == pytest.approx([0.5, 0.5])
    assert sigmoid_of([2.0, 2.0], [2.0])(np.array([7.0])) == pytest.approx([0.5])
    with pytest.raises(ValueError, match="with and without"):
        sigmoid_of([], [1.0])
    # whatever the unit of the scores
    far = sigmoid_of([3e6], [1e6])
    assert far(np.array([3e6])) == pytest.approx([2 / 3], abs=1e-6)


def test_reliability_and_its_error_by_hand() -> None:
    confidences = np.array([0.05, 0.91, 0.95, 1.0, 0.55])
    right = np.array([False, True, False, True, True])
    bins = reliability(confidences, right)
    assert [each.count for each in bins] == [1, 0, 0, 0, 0, 1, 0, 0, 0, 3]
    assert bins[-1] == Bin(3, pytest.approx(2.86 / 3), pytest.approx(2 / 3))
    expected = (0.05 + 0.45 + 3 * abs(2 / 3 - 2.86 / 3)) / 5
    assert calibration_error(bins) == pytest.approx(expected)


def test_rates_are_those_of_counting_pairs() -> None:
    for _ in range(20):
        known = DRAW.integers(0, 9, 23).astype(float)
        unknown = DRAW.integers(-3, 6, 17).astype(float)
        pairs = [(a > b) + (a == b) / 2 for a in known for b in unknown]
        assert area_under_roc(known, unknown) == pytest.approx(np.mean(pairs))
        thresholds = [t for t in known if (known >= t).mean() >= 0.95]
        assert false_positive_rate(known, unknown) == (unknown >= max(thresholds)).mean()
