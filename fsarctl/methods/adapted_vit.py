"""A frozen ViT whose blocks carry trained modules, read as one token a frame."""

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from fsarctl.models.precision import computing
from fsarctl.models.vit_with_task_adapters import embed_frames

__all__ = ["AdaptedViT"]


class AdaptedViT(nn.Module):
    """From the frames of one clip to their class tokens after ``ln_post``, not projected, not normalised.

    Args:
        vit: open_clip's ViT (untyped there), already frozen.
        adapted: for each block what is done instead of it, ``module(block, tokens)`` with tokens
            (..., T, N+1, width).
        frames: T.
        temporal_position: a learned offset of each frame, zero at the start, added before ``ln_pre``.
        trained_class_token: train a copy of the class token.
        trained_norm: train a copy of ``ln_post``.
        precision: of the blocks; the last norm is float32, and so are the features.
    """

    def __init__(
        self,
        vit: Any,
        adapted: Iterable[nn.Module],
        *,
        frames: int,
        temporal_position: bool,
        trained_class_token: bool,
        trained_norm: bool,
        precision: str = "float32",
    ) -> None:
        super().__init__()
        self.vit = vit
        self.adapted = nn.ModuleList(adapted)
        self.precision = precision
        computing(precision, torch.device("cpu"))  # refuses what is no precision
        self.width: int = vit.conv1.out_channels
        self.temporal_position = nn.Parameter(torch.zeros(frames, self.width)) if temporal_position else None
        self.class_token = nn.Parameter(vit.class_embedding.detach().clone()) if trained_class_token else None
        self.ln_post = deepcopy(vit.ln_post).requires_grad_(True) if trained_norm else vit.ln_post

    @property
    def prefix_is_constant(self) -> bool:
        """Whether nothing below the blocks is trained."""
        return self.temporal_position is None and self.class_token is None

    def pretrained_parameters(self) -> list[nn.Parameter]:
        """What is trained of the backbone's own."""
        own = [] if self.class_token is None else [self.class_token]
        return own + [each for each in self.ln_post.parameters() if each.requires_grad]

    def prefix(self, frames: Tensor) -> Tensor:
        """What goes into the blocks. Shapes: (..., T, 3, H, W) -> (..., T, N+1, width)."""
        with computing(self.precision, frames.device):
            x = embed_frames(self.vit, frames, self.class_token)
            if self.temporal_position is not None:
                x = x + self.temporal_position.unsqueeze(-2)
            tokens: Tensor = self.vit.ln_pre(x)
        return tokens

    def alone(self, tokens: Tensor) -> Tensor:
        """The blocks and the last norm. Shapes: (..., T, N+1, width) -> (..., T, width)."""
        with computing(self.precision, tokens.device):
            for block, adapted in zip(self.vit.transformer.resblocks, self.adapted, strict=True):
                tokens = adapted(block, tokens)
        features: Tensor = self.ln_post(tokens[..., 0, :])
        return features

    def forward(self, frames: Tensor) -> Tensor:
        """Shapes: (..., T, 3, H, W) -> (..., T, width)."""
        return self.alone(self.prefix(frames))
