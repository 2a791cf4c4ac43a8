"""Where the model looks: the class token's attention over the patches in the last block (Figure 11)."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from fsarctl.models.vit_with_task_adapters import BlockAdapters, VisualBranch

__all__ = ["class_attention", "features_and_attention"]


@torch.inference_mode()
def features_and_attention(
    visual: VisualBranch, query: Tensor, features: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """What ``features`` makes of the query videos of an episode, and where ``visual``'s last S-MSA looks.

    The maps are the class token's attention weights, mean over heads, patches alone (what it pays to itself
    is left out). In a block with adapters, S-MSA is the attention of Eq. 7, after T-MSA.

    Shapes: normalised frames (queries, T, 3, H, W) -> features (queries, T, embed) and maps
    (queries, T, rows of patches, columns of patches).

    Args:
        features: from the frames to their features; it runs ``visual`` once.
    """
    block = visual.vit.transformer.resblocks[visual.last]
    read: list[Tensor] = []
    # Every attention of a block reads what the block's first LayerNorm gives.
    handle = block.ln_1.register_forward_hook(lambda module, arguments, output: read.append(output))
    try:
        read_off = features(query)
    finally:
        handle.remove()
    vit = visual.vit
    tokens = read[_spatial_among(visual)].reshape(*query.shape[:2], -1, vit.conv1.out_channels)
    rows, columns = (query.shape[axis] // vit.conv1.stride[0] for axis in (-2, -1))
    return read_off, class_attention(block.attn, tokens).view(*query.shape[:2], rows, columns)


def class_attention(attention: nn.MultiheadAttention, tokens: Tensor) -> Tensor:
    """The weights with which the first token attends to each of the others, mean over heads.

    softmax(q k^T / sqrt(width / heads)) over all tokens, the first one's own column left out.

    Shapes: (..., N+1, width) -> (..., N).
    """
    width, heads = attention.embed_dim, attention.num_heads
    weight, bias = attention.in_proj_weight, attention.in_proj_bias
    split = (heads, width // heads)
    query = linear(tokens[..., :1, :], weight[:width], bias[:width]).unflatten(-1, split)  # type: ignore[no-untyped-call]
    key = linear(tokens, weight[width : 2 * width], bias[width : 2 * width]).unflatten(-1, split)  # type: ignore[no-untyped-call]
    # (..., heads, 1, N+1)
    products = query.transpose(-3, -2) @ key.transpose(-3, -2).mT / math.sqrt(width // heads)
    weights: Tensor = products.softmax(dim=-1)[..., 0, 1:].mean(dim=-2)
    return weights


def _spatial_among(visual: VisualBranch) -> int:
    """S-MSA's place among the attentions of the last block."""
    if str(visual.last) not in visual.adapters:
        return 0
    adapters = visual.adapters[str(visual.last)]
    assert isinstance(adapters, BlockAdapters)
    return [*adapters.steps_alone, *adapters.steps_together].index("spatial")
