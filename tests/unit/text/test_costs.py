"""Tokens and money, by hand."""

import pytest

from fsarctl.config.tables import DescribeConfig
from fsarctl.errors import ConfigError
from fsarctl.text.llm.costs import Prices, Tally, amount


def test_a_cost_is_each_kind_of_token_times_its_price() -> None:
    assert Prices(2.5, 10.0).cost(2_000_000, 500_000) == pytest.approx(5.0 + 5.0)
    assert Prices(2.5, 0.0).cost(1_000_000, 1) == pytest.approx(2.5)
    assert Prices().cost(1_000_000, 1_000_000) is None


def test_words_without_prices_speak_of_tokens_alone() -> None:
    assert Prices().words(12_345, 67) == "12,345 + 67 tokens"
    assert (
        Prices(2.5, 10).words(12_345, 6_700) == "12,345 + 6,700 tokens, about 0.098 at 2.5 and 10 a million"
    )


@pytest.mark.parametrize(
    ("cost", "words"),
    [(0.0, "0"), (12.345, "12.35"), (0.5, "0.50"), (0.0871, "0.087"), (0.000123, "0.00012")],
)
def test_small_amounts_have_more_decimals(cost: float, words: str) -> None:
    assert amount(cost) == words


def test_replies_without_counts_are_told_of() -> None:
    tally = Tally()
    tally.add({"prompt_tokens": 10, "completion_tokens": 5})
    tally.add(None)
    assert tally.usage is None
    assert tally.words(Prices()) == "10 + 5 tokens, 1 of 2 replies not counted by the server"


@pytest.mark.parametrize("price", [-1.0, float("inf"), float("nan")])
def test_a_price_is_a_number(price: float) -> None:
    with pytest.raises(ConfigError, match="price_in"):
        DescribeConfig(price_in=price)
