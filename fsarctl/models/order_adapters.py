"""Semantic branch: CLIP's frozen text encoder with order adapters in some of its layers (section 3.5)."""

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from fsarctl.models.attention import attend, frozen_block
from fsarctl.models.bottleneck_adapter import Adapter
from fsarctl.models.precision import computing

__all__ = ["SemanticBranch"]


class SemanticBranch(nn.Module):
    """From the captions of a class's sub-actions to one feature each, aware of their order (Eq. 12-14).

    Args:
        clip: open_clip's CLIP (untyped there), already frozen; only its text encoder is used.
        blocks: numbers of the layers that carry an adapter; none is CLIP itself.
        order_first: O-MSA before the layer's own attention rather than after it.
        precision: of all layers; features are projected in float32 and are float32.
        generator: of the adapters' random start.
    """

    def __init__(
        self,
        clip: Any,
        *,
        blocks: Collection[int],
        order_first: bool = False,
        precision: str = "float32",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.token_embedding = clip.token_embedding
        self.positional_embedding = clip.positional_embedding
        self.transformer = clip.transformer
        self.ln_final = clip.ln_final
        self.text_projection = clip.text_projection
        self.order_first = order_first
        self.precision = precision
        width = clip.token_embedding.embedding_dim
        self.adapters = nn.ModuleDict({str(i): Adapter(width, generator=generator) for i in blocks})

    def forward(self, tokens: Tensor) -> Tensor:
        """Features at the end-of-text token, the largest id of a caption.

        Shapes: (..., sub-actions, context) -> (..., sub-actions, embed); integer in, on the CPU or where the
        model is, float32 out.
        """
        ends = tokens.argmax(dim=-1)  # (..., 3)
        # Attention is causal, so what lies behind the last end-of-text of all captions is never read. Tokens
        # that wait on the CPU tell its place without waiting for a GPU.
        length = int(ends.max()) + 1
        device = self.positional_embedding.device
        tokens, ends = tokens[..., :length].to(device, non_blocking=True), ends.to(device, non_blocking=True)
        x = self.token_embedding(tokens) + self.positional_embedding[:length]
        # x: (..., 3, length, width)
        with computing(self.precision, x.device):
            for i, block in enumerate(self.transformer.resblocks):
                if str(i) not in self.adapters:
                    x = frozen_block(block, x, causal=True)
                    continue
                if self.order_first:
                    x = x + self._order(i, block, x)
                x = x + attend(block.attn, block.ln_1(x), causal=True)
                if not self.order_first:
                    x = x + self._order(i, block, x)
                x = x + block.mlp(block.ln_2(x))
        ended = x.take_along_dim(ends[..., None, None], dim=-2).squeeze(-2)  # (..., 3, width)
        features: Tensor = self.ln_final(ended) @ self.text_projection
        return features

    def _order(self, number: int, block: Any, x: Tensor) -> Tensor:
        """O-MSA over the sub-actions at each token position (Eq. 13). Shapes: as ``x``."""
        over_order = attend(block.attn, block.ln_1(x).transpose(-3, -2))  # (..., length, 3, width)
        change: Tensor = self.adapters[str(number)](over_order).transpose(-3, -2)
        return change
