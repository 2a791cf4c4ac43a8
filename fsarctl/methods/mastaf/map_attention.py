"""Maps weighted place by place by what they have in common with themselves and with another, of MASTAF."""

import math
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from fsarctl.models.metrics.cosines import cosines

__all__ = ["MapAttention", "MapMatch", "match_maps"]

TEMPERATURE = 0.025
"""Of the softmax over places."""
COSINE_SCALE = 7
"""Cosines are multiplied by this."""


class MapMatch(NamedTuple):
    """What an episode's maps come to."""

    scores: Tensor
    """(..., Q, C)."""
    places: Tensor
    """(..., Q, C, L): the same at each place of the query."""
    support_self: Tensor
    """(..., C, L): the weights of a class's places, by its own map."""
    query_cross: Tensor
    """(..., Q, C, L): the weights of a query's places, by a class's map."""


class MapAttention(nn.Module):
    """Weights of a map's places, from its similarities with a map.

    k = W2 relu(BN(W1 m)) of the mean m over the places that are weighted, v the mean over the others of
    similarities times k, and the weights 1 + softmax(v / 0.025).

    Args:
        places: L of every map.
        hidden: between W1 and W2.
    """

    def __init__(self, places: int, hidden: int = 6) -> None:
        super().__init__()
        self.conv1 = nn.Linear(places, hidden)
        self.bn = nn.BatchNorm1d(hidden)
        self.conv2 = nn.Linear(hidden, places)
        for layer in (self.conv1, self.conv2):
            nn.init.normal_(layer.weight, std=math.sqrt(2 / layer.out_features))

    def forward(self, similarities: Tensor, *, normalised: bool) -> Tensor:
        """Shapes: (..., L, M), the places to be weighted first -> (..., L).

        ``normalised``: whether there is a batch normalisation, over all leading axes while training.
        """
        hidden = self.conv1(similarities.mean(dim=-2))
        if normalised:
            hidden = self.bn(hidden.flatten(0, -2)).reshape(hidden.shape)
        kernel = self.conv2(F.relu(hidden)).unsqueeze(-1)  # (..., M, 1)
        v = (similarities @ kernel).squeeze(-1) / similarities.shape[-1]
        weights: Tensor = 1 + F.softmax(v / TEMPERATURE, dim=-1)
        return weights


def match_maps(
    attention: MapAttention,
    classes: Tensor,
    query: Tensor,
    *,
    alpha: float = 1.0,
    scale: float = COSINE_SCALE,
    normalise_queries: bool = False,
) -> MapMatch:
    """Cosines of what is read of a class and of a query, where they look at each other and at themselves.

    The released code leaves the batch normalisation out where a tensor's last side is 1: for a single class,
    and for a query's own weights where it is the only query, so that a query's score depends on how many
    there are. ``normalise_queries`` tells which: never, as it was trained there, or always.

    Shapes: classes (..., C, L, D), query (..., Q, L, D).
    """
    normalised = classes.shape[-3] > 1
    own = attention(cosines(classes, classes), normalised=normalised)  # (..., C, L)
    seen = attention(cosines(query, query), normalised=normalise_queries)  # (..., Q, L)
    pairs = cosines(classes.unsqueeze(-4), query.unsqueeze(-3))  # (..., Q, C, L, L), the class's places first
    of_classes = attention(pairs, normalised=normalised)  # (..., Q, C, L)
    of_query = attention(pairs.mT, normalised=normalised)
    # Means of weighted places, which are products.
    prototypes = (own.unsqueeze(-2) @ classes).squeeze(-2)  # (..., C, D)
    told = (of_classes.unsqueeze(-2) @ classes.unsqueeze(-4)).squeeze(-2)  # (..., Q, C, D)
    asked = of_query @ query  # (..., Q, C, D)
    by_itself = (seen.unsqueeze(-2) @ query).squeeze(-2)  # (..., Q, D)
    crossed = (F.normalize(told, dim=-1) * F.normalize(asked, dim=-1)).sum(dim=-1)
    scores = scale * (crossed + alpha * cosines(by_itself, prototypes))
    # A weight changes no direction: at a place, a query's map is itself, whoever weighs it.
    at_places = cosines(told, query) + alpha * cosines(prototypes.unsqueeze(-3), query)
    return MapMatch(scores, scale * at_places, own, of_query)
