"""The model computed straightforwardly: every clip of every episode, all tokens of all blocks.

The oracle of the fast paths, and what benchmarks compare them with. Attention is torch's own module; nothing
is shared between clips, classes or episodes, and nothing is left out.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fsarctl.methods.task_adapter_plus_plus.method import Scores, TaskAdapterPlusPlus

__all__ = ["plain_features", "plain_scores"]


def plain_scores(
    model: TaskAdapterPlusPlus,
    support: Tensor,
    query: Tensor,
    tokens: Tensor,
    *,
    independent: bool = False,
    touch: Callable[[Tensor], Tensor] = lambda x: x,
) -> Scores:
    """Scores of one episode from normalised frames, (videos, T, 3, H, W) each, and tokens (way, 3, context).

    ``touch`` gets the tokens that enter ``ln_pre``: where a learned input embedding would be added.
    """
    if independent:
        queries = torch.cat([plain_features(model, video[None], touch) for video in query])
    else:
        queries = plain_features(model, query, touch)
    return model.score_features(
        plain_features(model, support, touch),
        queries,
        plain_text(model, tokens),
        way=len(tokens),
        query_mode="independent" if independent else "joint",
    )


def plain_features(
    model: TaskAdapterPlusPlus, frames: Tensor, touch: Callable[[Tensor], Tensor] = lambda x: x
) -> Tensor:
    """Features (videos, T, embed) of one set of videos."""
    vit: Any = model.visual.vit
    x = vit.conv1(frames.flatten(0, 1)).flatten(2).transpose(1, 2)
    x = torch.cat([vit.class_embedding.expand(len(x), 1, -1), x], 1) + vit.positional_embedding
    x = vit.ln_pre(touch(x.view(*frames.shape[:2], *x.shape[1:])))  # (videos, T, N+1, width)
    for number, block in enumerate(vit.transformer.resblocks):
        if str(number) not in model.visual.adapters:
            x = x + _attention(block, x, -2)
            x = x + block.mlp(block.ln_2(x))
            continue
        adapters: Any = model.visual.adapters[str(number)]
        x = x + adapters.temporal(_attention(block, x, -3))
        x = x + adapters.spatial(_attention(block, x, -2))
        x = x + adapters.task(_attention(block, x, -4))
        y = block.ln_2(x)
        x = x + block.mlp(y) + adapters.joint(y)
    return vit.ln_post(x[..., 0, :]) @ vit.proj


def plain_text(model: TaskAdapterPlusPlus, tokens: Tensor) -> Tensor:
    """Features (way, 3, embed) of the classes' sub-actions."""
    branch: Any = model.semantic
    mask = torch.full((tokens.shape[-1],) * 2, float("-inf"), device=tokens.device).triu(1)
    x = branch.token_embedding(tokens) + branch.positional_embedding  # (way, 3, context, width)
    for number, block in enumerate(branch.transformer.resblocks):
        y = block.ln_1(x).flatten(0, 1)
        x = x + block.attn(y, y, y, need_weights=False, attn_mask=mask)[0].view_as(x)
        if str(number) in branch.adapters:
            x = x + branch.adapters[str(number)](_attention(block, x, -3))
        x = x + block.mlp(block.ln_2(x))
    ended = x.take_along_dim(tokens.argmax(-1)[..., None, None], dim=-2).squeeze(-2)
    return branch.ln_final(ended) @ branch.text_projection


def _attention(block: Any, x: Tensor, axis: int) -> Tensor:
    """The block's attention over one axis of its normalised tokens."""
    y = block.ln_1(x).movedim(axis, -2)
    flat = y.reshape(-1, *y.shape[-2:])
    return block.attn(flat, flat, flat, need_weights=False)[0].view(y.shape).movedim(-2, axis)
