import math

import pytest

from fsarctl.statistics import estimate


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
