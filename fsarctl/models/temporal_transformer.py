"""A transformer layer over the frames of a clip, as CLIP-FSAR and its successors use it."""

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["TemporalTransformer"]


class TemporalTransformer(nn.Module):
    """u = z + O MHA(LN z), then u + W2 gelu(W1 u): one LayerNorm, none before the feed-forward, no positions.

    Queries, keys and values are without bias. Source: CLIP-FSAR's ``Transformer_v1``.

    Args:
        width: D, of the tokens.
        heads: how many.
        hidden: of the feed-forward layer.
        head_width: of a head; width / heads by default.
        dropout: after O, and after each layer of the feed-forward.
    """

    def __init__(
        self,
        width: int,
        heads: int = 8,
        hidden: int = 2048,
        *,
        head_width: int | None = None,
        dropout: tuple[float, float] = (0.2, 0.05),
    ) -> None:
        super().__init__()
        inner = heads * (head_width or width // heads)
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.to_q = nn.Linear(width, inner, bias=False)
        self.to_k = nn.Linear(width, inner, bias=False)
        self.to_v = nn.Linear(width, inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, width), nn.Dropout(dropout[0]))
        self.feed_forward = nn.Sequential(
            nn.Linear(width, hidden),
            nn.GELU(),
            nn.Dropout(dropout[1]),
            nn.Linear(hidden, width),
            nn.Dropout(dropout[1]),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Shapes: (..., tokens, D) -> the same; tokens of the last two axes see each other."""
        y = self.norm(tokens)
        q, k, v = (self._by_head(layer(y)) for layer in (self.to_q, self.to_k, self.to_v))
        attended = F.scaled_dot_product_attention(q, k, v).transpose(-3, -2).flatten(-2)
        u = tokens + self.to_out(attended)
        out: Tensor = u + self.feed_forward(u)
        return out

    def _by_head(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:-1], self.heads, -1).transpose(-3, -2)
