"""What asking costs: tokens as the server counts them, and money where the user says the prices."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Prices", "Tally", "amount"]


@dataclass(frozen=True)
class Prices:
    """What a million tokens cost, in any currency; 0 and 0 where nobody said so."""

    prompt: float = 0.0
    completion: float = 0.0

    def cost(self, prompt_tokens: float, completion_tokens: float) -> float | None:
        """The price of so many tokens; None without prices."""
        if not (self.prompt or self.completion):
            return None
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6

    def words(self, prompt_tokens: float, completion_tokens: float) -> str:
        """``1,200 + 340 tokens``, and the estimated cost where the prices are known."""
        tokens = f"{prompt_tokens:,.0f} + {completion_tokens:,.0f} tokens"
        cost = self.cost(prompt_tokens, completion_tokens)
        if cost is None:
            return tokens
        return f"{tokens}, about {amount(cost)} at {self.prompt:g} and {self.completion:g} a million"


def amount(cost: float) -> str:
    """An amount of money as people write it: two decimals, and more where it is smaller than those.

    >>> amount(12.345), amount(0.00012)
    ('12.35', '0.00012')
    """
    return f"{cost:.{max(2, 1 - math.floor(math.log10(cost)))}f}" if cost else "0"


@dataclass
class Tally:
    """The tokens of a run: of every answer, the broken ones included, for they are paid as well."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    replies: int = 0
    uncounted: int = 0
    """Replies whose tokens the server did not count."""

    def add(self, usage: Mapping[str, int] | None) -> None:
        """Count one reply."""
        self.replies += 1
        if usage is None:
            self.uncounted += 1
            return
        self.prompt_tokens += usage["prompt_tokens"]
        self.completion_tokens += usage["completion_tokens"]

    @property
    def usage(self) -> dict[str, int] | None:
        """Both counts; None if not every reply was counted."""
        if self.uncounted:
            return None
        return {"prompt_tokens": self.prompt_tokens, "completion_tokens": self.completion_tokens}

    def words(self, prices: Prices) -> str:
        """The tokens, their cost, and what is missing from both."""
        if self.replies and self.uncounted == self.replies:
            return "the server counts no tokens"
        words = prices.words(self.prompt_tokens, self.completion_tokens)
        if self.uncounted:
            words += f", {self.uncounted} of {self.replies} replies not counted by the server"
        return words
