"""A transformer layer over the frames of a clip, as CLIP-FSAR and its relatives use it."""

import torch.nn.functional as F
from torch import Tensor, nn

from fsarctl.errors import ConfigError

__all__ = ["TemporalAttention", "TemporalTransformer"]


class TemporalAttention(nn.Module):
    """u = z + O MHA(LN z), where queries, keys and values are without bias.

    Args:
        width: D, of the tokens.
        heads: how many.
        head_width: of a head; width / heads by default.
        dropout: after O.

    Raises:
        ConfigError: there is no such number of heads in that width.
    """

    def __init__(
        self, width: int, heads: int = 8, *, head_width: int | None = None, dropout: float = 0.2
    ) -> None:
        super().__init__()
        require_heads(heads, width)
        inner = heads * (head_width or width // heads)
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.to_q = nn.Linear(width, inner, bias=False)
        self.to_k = nn.Linear(width, inner, bias=False)
        self.to_v = nn.Linear(width, inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, width), nn.Dropout(dropout))

    def forward(self, tokens: Tensor) -> Tensor:
        """Shapes: (..., tokens, D) -> the same; tokens of the last two axes see each other."""
        y = self.norm(tokens)
        q, k, v = (by_head(layer(y), self.heads) for layer in (self.to_q, self.to_k, self.to_v))
        attended = F.scaled_dot_product_attention(q, k, v).transpose(-3, -2).flatten(-2)
        u: Tensor = tokens + self.to_out(attended)
        return u


class TemporalTransformer(TemporalAttention):
    """u = z + O MHA(LN z), then u + W2 gelu(W1 u): one LayerNorm, none before the feed-forward, no positions.

    Source: CLIP-FSAR's ``Transformer_v1``.

    Args:
        width, heads, head_width: as of :class:`TemporalAttention`.
        hidden: of the feed-forward layer.
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
        super().__init__(width, heads, head_width=head_width, dropout=dropout[0])
        self.feed_forward = nn.Sequential(
            nn.Linear(width, hidden),
            nn.GELU(),
            nn.Dropout(dropout[1]),
            nn.Linear(hidden, width),
            nn.Dropout(dropout[1]),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Shapes: (..., tokens, D) -> the same; tokens of the last two axes see each other."""
        u = super().forward(tokens)
        out: Tensor = u + self.feed_forward(u)
        return out


def by_head(x: Tensor, heads: int) -> Tensor:
    """Shapes: (..., tokens, heads * width) -> (..., heads, tokens, width)."""
    return x.reshape(*x.shape[:-1], heads, -1).transpose(-3, -2)


def require_heads(heads: int, width: int) -> None:
    """Refuse heads that tokens are too narrow for.

    Raises:
        ConfigError: there are none, or more than channels.
    """
    if not 1 <= heads <= width:
        raise ConfigError(
            f"heads is {heads}; it must be within 1 and {width}, the width of what attends",
            next_step="Set model.options.heads to a number within.",
        )
