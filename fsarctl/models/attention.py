"""Frozen multi-head attention, reused along any axis of a batch of tokens."""

from collections.abc import Iterable
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from fsarctl.models.precision import linear, rounded

__all__ = ["attend", "attend_projected", "flop_of", "frozen_block", "projected"]


def attend(
    attention: nn.MultiheadAttention, x: Tensor, *, queries: Tensor | None = None, causal: bool = False
) -> Tensor:
    """Self-attention of ``attention``'s weights over the last but one axis of ``x``.

    Every other axis is batch, so a caller moves the axis it wants to attend over there: frames (T-MSA),
    patches (S-MSA), videos (Task-MSA) or sub-actions (O-MSA).

    Shapes: x (..., length, width) -> (..., length, width); with ``queries`` (..., n, width), only those
    positions are asked and the result is (..., n, width).
    """
    width, heads = attention.embed_dim, attention.num_heads
    weight, bias = rounded(attention.in_proj_weight), attention.in_proj_bias
    batch = x.shape[:-2]
    # Contiguous, since a linear layer falls back to slow batched products on strided input.
    x = x.reshape(-1, x.shape[-2], width).contiguous()  # (B, length, width)
    if queries is None and x.shape[1] == 1:  # a softmax over one is 1, so that its value is what is attended
        value = F.linear(x, weight[2 * width :], bias[2 * width :])
        return linear(value, attention.out_proj.weight, attention.out_proj.bias).view(*batch, 1, width)
    if queries is None:
        return attend_projected(attention, projected(attention, x), causal=causal).view(*batch, -1, width)
    query = F.linear(queries, weight[:width], bias[:width])
    query = query.view(x.shape[0], queries.shape[-2], heads, -1)  # (B, n, heads, width/heads)
    key, value = F.linear(x, weight[width:], bias[width:]).view(*x.shape[:2], 2, heads, -1).unbind(2)
    return _attended(attention, query, key, value, causal=causal).view(*batch, -1, width)


def projected(attention: nn.MultiheadAttention, x: Tensor) -> Tensor:
    """Query, key and value of every position, side by side, which depend on that position alone.

    Shapes: (..., width) -> (..., 3*width).
    """
    return linear(x, attention.in_proj_weight, attention.in_proj_bias)


def attend_projected(attention: nn.MultiheadAttention, x: Tensor, *, causal: bool = False) -> Tensor:
    """:func:`attend` from what :func:`projected` gave.

    Shapes: (..., length, 3*width) -> (..., length, width).
    """
    batch, heads = x.shape[:-2], attention.num_heads
    # three of (B, length, heads, width/heads)
    query, key, value = x.reshape(-1, x.shape[-2], 3, heads, attention.head_dim).unbind(2)
    return _attended(attention, query, key, value, causal=causal).view(*batch, x.shape[-2], -1)


def _attended(
    attention: nn.MultiheadAttention, query: Tensor, key: Tensor, value: Tensor, *, causal: bool
) -> Tensor:
    """Shapes: (B, n, heads, width/heads), (B, length, heads, width/heads) twice -> (B, n, width)."""
    attended = F.scaled_dot_product_attention(
        query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), is_causal=causal
    )  # (B, heads, n, width/heads)
    attended = attended.transpose(1, 2).flatten(2)  # (B, n, width)
    return linear(attended, attention.out_proj.weight, attention.out_proj.bias)


def frozen_block(block: Any, x: Tensor, *, causal: bool = False, class_only: bool = False) -> Tensor:
    """One of CLIP's own residual blocks, unchanged (Eq. 1-2); ``block`` is open_clip's, which is untyped.

    Shapes: (..., length, width) -> the same, or the first position alone (..., 1, width) with ``class_only``.
    """
    y = block.ln_1(x)
    if class_only:
        x = x[..., :1, :] + attend(block.attn, y, queries=y[..., :1, :])
    else:
        x = x + attend(block.attn, y, causal=causal)
    mlp: Tensor = block.mlp(block.ln_2(x))
    return x + mlp


def flop_of(modules: Iterable[nn.Module], tokens: int) -> int:
    """About how many floating-point operations these take for so many tokens: two a weight and token."""
    return 2 * tokens * sum(each.numel() for module in modules for each in module.parameters())
