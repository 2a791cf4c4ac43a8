import math

import numpy as np
import pytest

from fsarctl.results.intervals import T_975, estimate, estimate_over_seeds, wilson


def test_interval_is_that_of_the_formula() -> None:
    # s = 1 for 1, 2, 3, so the half-width is 1.96 / sqrt(3).
    result = estimate([1.0, 2.0, 3.0])
    assert result.mean == pytest.approx(2.0)
    assert result.half_width == pytest.approx(1.96 / math.sqrt(3))
    assert result.low == pytest.approx(2.0 - 1.96 / math.sqrt(3))
    assert result.high == pytest.approx(2.0 + 1.96 / math.sqrt(3))


def test_one_value_has_no_interval() -> None:
    assert estimate([0.4]).half_width == math.inf


def test_no_values_are_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        estimate([])


@pytest.mark.parametrize(
    ("values", "t"),
    [([1.0, 2.0], 12.706), ([1.0, 2.0, 4.0], 4.303), ([float(n) for n in range(11)], 2.228)],
)
def test_few_seeds_make_a_wide_interval(values: list[float], t: float) -> None:
    mean = sum(values) / len(values)
    s = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    result = estimate_over_seeds(values)
    assert result.mean == pytest.approx(mean)
    assert result.half_width == pytest.approx(t * s / math.sqrt(len(values)))


@pytest.mark.parametrize("degrees", range(1, len(T_975) + 1))
def test_between_the_points_of_students_t_lie_95_percent(degrees: int) -> None:
    """Its density, integrated."""
    scale = math.gamma((degrees + 1) / 2) / math.sqrt(degrees * math.pi) / math.gamma(degrees / 2)
    at = np.linspace(0, T_975[degrees - 1], 100_001)
    inside = 2 * np.trapezoid(scale * (1 + at**2 / degrees) ** (-(degrees + 1) / 2), at)
    assert inside == pytest.approx(0.95, abs=1e-4)


@pytest.mark.parametrize(("hits", "count"), [(14, 14), (0, 14), (1, 4), (1, 1), (271, 300)])
def test_wilsons_interval_is_where_the_z_test_changes_its_mind(hits: int, count: int) -> None:
    low, high = wilson(hits, count)
    assert 0 <= low <= hits / count <= high <= 1
    for end in {low, high} - {0.0, 1.0}:
        assert abs(hits / count - end) / math.sqrt(end * (1 - end) / count) == pytest.approx(1.96)


def test_fourteen_hits_of_fourteen_are_not_certain() -> None:
    assert wilson(14, 14) == pytest.approx((14 / (14 + 1.96**2), 1.0))
    assert wilson(0, 14) == pytest.approx((0.0, 1.96**2 / (14 + 1.96**2)))


def test_many_seeds_are_like_episodes() -> None:
    values = [float(n % 7) for n in range(100)]
    assert estimate_over_seeds(values).half_width == pytest.approx(estimate(values).half_width, rel=0.05)
