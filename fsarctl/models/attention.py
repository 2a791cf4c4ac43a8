"""Frozen multi-head attention, reused along any axis of a batch of tokens."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["attend", "frozen_block"]


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
    weight, bias = attention.in_proj_weight, attention.in_proj_bias
    batch = x.shape[:-2]
    # Contiguous, since a linear layer falls back to slow batched products on strided input.
    x = x.reshape(-1, x.shape[-2], width).contiguous()  # (B, length, width)
    if queries is None:
        # (B, length, 3*width) -> three of (B, length, heads, width/heads)
        query, key, value = F.linear(x, weight, bias).view(*x.shape[:2], 3, heads, -1).unbind(2)
    else:
        query = F.linear(queries, weight[:width], bias[:width])
        query = query.view(len(x), queries.shape[-2], heads, -1)  # (B, n, heads, width/heads)
        key, value = F.linear(x, weight[width:], bias[width:]).view(*x.shape[:2], 2, heads, -1).unbind(2)
    attended = F.scaled_dot_product_attention(
        query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), is_causal=causal
    )  # (B, heads, length or n, width/heads)
    attended = attended.transpose(1, 2).reshape(*batch, -1, width)  # (..., length or n, width)
    return F.linear(attended, attention.out_proj.weight, attention.out_proj.bias)


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
