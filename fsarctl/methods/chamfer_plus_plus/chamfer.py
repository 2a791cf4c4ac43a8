"""Chamfer similarity: two sets of features, each member with the most similar one of the other set."""

from typing import Literal

from torch import Tensor

__all__ = ["Side", "chamfer"]

Side = Literal["both", "query", "support"]


def chamfer(similarities: Tensor, side: Side = "both") -> Tensor:
    """The mean over one side of each member's largest similarity to the other side, or the mean of both.

    Shapes: (..., query members, support members) -> (...).
    """
    of_query = similarities.amax(dim=-1).mean(dim=-1)
    of_support = similarities.amax(dim=-2).mean(dim=-1)
    return {"query": of_query, "support": of_support, "both": (of_query + of_support) / 2}[side]
