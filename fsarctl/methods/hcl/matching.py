"""Clips matched as a whole, by pairs of frames and by places within them, of HCL."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Cues", "HierarchicalMatching", "Similarities"]

NORM_EPSILON = 1e-12


class Cues(NamedTuple):
    """What of a clip is matched, unit vectors all."""

    pairs: Tensor
    """(..., pairs, D): of two frames a < b, in lexical order."""
    tokens: Tensor
    """(..., T*P, D): of places, frame by frame."""


class Similarities(NamedTuple):
    """Of each clip with each, (..., Q, S)."""

    whole: Tensor
    temporal: Tensor
    spatial: Tensor


class HierarchicalMatching(nn.Module):
    """Three similarities of clips, and the projections that only training has.

    Args:
        width: D, of tokens.
        frames: T.
        pairs: pairs of frames of a query that are kept, those that are matched best.
        places: tokens that are kept of two frames, likewise.
    """

    def __init__(self, width: int, frames: int, *, pairs: int = 10, places: int = 40) -> None:
        super().__init__()
        self.frames, self.pairs, self.places = frames, pairs, places
        self.bi_linear = nn.Linear(2 * width, width)
        self.temp_linear = nn.Linear(width, width)
        self.spa_linear = nn.Linear(width, width)
        self.norm_temp = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.norm_spa = nn.LayerNorm(width, eps=NORM_EPSILON)
        self._of_pair: Tensor
        of_pair = torch.combinations(torch.arange(frames), 2)
        self.register_buffer("_of_pair", of_pair, persistent=False)  # (pairs, 2)

    def cues(self, tokens: Tensor, *, projected: bool = False) -> Cues:
        """Shapes: (..., T*P, D). ``projected``: as while training."""
        means = tokens.reshape(*tokens.shape[:-2], self.frames, -1, tokens.shape[-1]).mean(
            dim=-2
        )  # (..., T, D)
        pairs = self.bi_linear(means[..., self._of_pair, :].flatten(-2))
        if projected:
            pairs = self.norm_temp(F.gelu(self.temp_linear(pairs)))
            tokens = self.norm_spa(F.gelu(self.spa_linear(tokens)))
        return Cues(F.normalize(pairs, dim=-1), F.normalize(tokens, dim=-1))

    def best_pairs(self, query: Tensor, support: Tensor) -> tuple[Tensor, Tensor]:
        """The pairs of frames of each query that a support clip matches best, best first, and their matches.

        Shapes: (..., Q, pairs, D), (..., S, pairs, D) -> numbers of pairs (..., Q, S, kept), twice.
        """
        with torch.no_grad():
            found, match = (query.unsqueeze(-3) @ support.unsqueeze(-4).mT).max(dim=-1)  # (..., Q, S, pairs)
            kept = found.topk(min(self.pairs, found.shape[-1]), dim=-1).indices
            return kept, match.gather(-1, kept)

    def forward(self, query: Cues, support: Cues, *, spatial_pairs: int = 5) -> Similarities:
        """``spatial_pairs``: how many of the kept pairs are looked into place by place."""
        kept, match = self.best_pairs(query.pairs, support.pairs)
        temporal = _dot_of_means(query.pairs, kept, support.pairs, match)
        places = [
            self._best_places(query.tokens, support.tokens[..., s, :, :], kept[..., s, :], match[..., s, :])
            for kept, match in [(kept[..., :spatial_pairs], match[..., :spatial_pairs])]
            for s in range(support.tokens.shape[-3])
        ]
        chosen, matched = (torch.stack(each, dim=-2) for each in zip(*places, strict=True))
        spatial = _dot_of_means(query.tokens, chosen, support.tokens, matched)
        whole = query.tokens.mean(dim=-2) @ support.tokens.mean(dim=-2).mT
        return Similarities(whole, temporal, spatial)

    def places_of(self, pairs: Tensor, places: int) -> Tensor:
        """Which tokens are of two frames. Shapes: numbers of pairs (...) -> numbers of tokens (..., 2*P)."""
        first = self._of_pair[pairs].unsqueeze(-1) * places  # (..., 2, 1)
        return (first + torch.arange(places, device=pairs.device)).flatten(-2)

    @torch.no_grad()
    def _best_places(
        self, query: Tensor, support: Tensor, kept: Tensor, match: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Tokens of queries that one support clip matches best in their pairs of frames, and their matches.

        Shapes: (..., Q, T*P, D), (..., T*P, D), numbers of pairs (..., Q, n), twice -> numbers of tokens
        (..., Q, n*kept), twice.
        """
        places = query.shape[-2] // self.frames
        similar = (query @ support.unsqueeze(-3).mT).flatten(-2)  # (..., Q, T*P * T*P)
        here, there = self.places_of(kept, places), self.places_of(match, places)  # (..., Q, n, 2*P)
        both = here.unsqueeze(-1) * query.shape[-2] + there.unsqueeze(-2)  # (..., Q, n, 2*P, 2*P)
        found, best = similar.gather(-1, both.flatten(-3)).reshape(both.shape).max(dim=-1)
        chosen = found.topk(min(self.places, found.shape[-1]), dim=-1).indices
        matched = there.gather(-1, best.gather(-1, chosen))
        return here.gather(-1, chosen).flatten(-2), matched.flatten(-2)


def _dot_of_means(query: Tensor, chosen: Tensor, support: Tensor, matched: Tensor) -> Tensor:
    """Means of chosen vectors of each query with the mean of those that a support clip matches them with.

    Shapes: (..., Q, N, D), numbers of vectors (..., Q, S, n), and the same of S clips -> (..., Q, S).
    """
    of_query = _shares(chosen, query.shape[-2], query.dtype) @ query  # (..., Q, S, D)
    of_support = _shares(matched, support.shape[-2], support.dtype).transpose(-3, -2) @ support
    return (of_query * of_support.transpose(-3, -2)).sum(dim=-1)


def _shares(numbers: Tensor, among: int, dtype: torch.dtype) -> Tensor:
    """How often each is there, of 1. Shapes: (..., n) -> (..., among)."""
    counts = torch.zeros(*numbers.shape[:-1], among, dtype=dtype, device=numbers.device)
    counts.scatter_add_(-1, numbers, torch.ones_like(numbers, dtype=dtype))
    return counts / numbers.shape[-1]
