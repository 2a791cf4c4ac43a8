"""Visual branch: CLIP's frozen ViT with Task-Adapters in its last L blocks (section 3.4, Eq. 6-9)."""

from typing import Any

import torch
from torch import Tensor, nn

from fsarctl.models.adapters import Adapter
from fsarctl.models.attention import attend, frozen_block

__all__ = ["VisualBranch"]


class VisualBranch(nn.Module):
    """From frames to one feature per frame, aware of time and of the other videos of the same set.

    A *set* is the videos that may look at each other in Task-MSA: an episode's support videos, its
    query videos, or one query alone. Sets never see each other.

    Args:
        vit: open_clip's ViT (untyped there), already frozen.
        layers: L, how many blocks at the top carry adapters; 0 is frozen CLIP.
        frames: T, needed by the temporal embedding alone.
        temporal_embedding: a learned offset for each frame, zero at the start, added before ``ln_pre``.
        zero_task: the Task-MSA adapter starts as nothing, like the others.
        generator: of the adapters' random start.
    """

    def __init__(
        self,
        vit: Any,
        *,
        layers: int,
        frames: int,
        temporal_embedding: bool = False,
        zero_task: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.vit = vit
        blocks, width = len(vit.transformer.resblocks), vit.conv1.out_channels
        self.first_adapted = blocks - layers
        self.temporal_embedding = nn.Parameter(torch.zeros(1, frames, width)) if temporal_embedding else None
        # Keyed by the block's own number, so that a state saved with another L cannot be mistaken.
        self.adapters = nn.ModuleDict(
            {
                str(i): BlockAdapters(width, zero_task=zero_task, generator=generator)
                for i in range(self.first_adapted, blocks)
            }
        )

    def forward(self, frames: Tensor) -> Tensor:
        """Features of the videos of one set, or of many sets at once.

        Shapes: (..., videos, T, 3, H, W) -> (..., videos, T, embed).
        """
        return self.adapted(self.prefix(frames))

    def prefix(self, frames: Tensor) -> Tensor:
        """Tokens after the frozen blocks below the first adapted one: a constant of each frame.

        Nothing here is trainable (unless there is a temporal embedding), so autograd keeps no activation.

        Shapes: (..., T, 3, H, W) -> (..., T, N+1, width), the class token first.
        """
        vit = self.vit
        x = vit.conv1(frames.flatten(0, -4)).flatten(2).transpose(1, 2)  # (videos*T, N, width)
        classes = vit.class_embedding.expand(x.shape[0], 1, -1)
        x = torch.cat([classes, x], dim=1) + vit.positional_embedding  # (videos*T, N+1, width)
        x = x.view(*frames.shape[:-3], *x.shape[1:])  # (..., T, N+1, width)
        if self.temporal_embedding is not None:
            x = x + self.temporal_embedding.unsqueeze(-2)
        tokens: Tensor = vit.ln_pre(x)
        for block in vit.transformer.resblocks[: self.first_adapted]:
            tokens = frozen_block(block, tokens)
        return tokens

    def adapted(self, tokens: Tensor) -> Tensor:
        """The adapted blocks, ``ln_post`` and the projection, on what :meth:`prefix` gave.

        The axis of videos is the set: give ``tokens.unsqueeze(-4)`` for videos that are sets of one.

        Shapes: (..., videos, T, N+1, width) -> (..., videos, T, embed).
        """
        vit, x = self.vit, tokens
        last = len(vit.transformer.resblocks) - 1
        for i, block in enumerate(vit.transformer.resblocks[self.first_adapted :], start=self.first_adapted):
            # After the last S-MSA nothing but the class token is read, so nothing else is computed.
            x = self.adapters[str(i)](block, x, class_only=i == last)
        features: Tensor = vit.ln_post(x[..., 0, :]) @ vit.proj
        return features


class BlockAdapters(nn.Module):
    """The four adapters of one block, and the block with them (Eq. 6-9); attention and LN1 are reused."""

    def __init__(self, width: int, *, zero_task: bool, generator: torch.Generator | None) -> None:
        super().__init__()
        self.temporal = Adapter(width, generator=generator)
        self.spatial = Adapter(width, skip=True, generator=generator)
        self.task = Adapter(width, zero=zero_task, generator=generator)
        self.joint = Adapter(width, generator=generator)

    def forward(self, block: Any, x: Tensor, *, class_only: bool = False) -> Tensor:
        """The whole block.

        Shapes: (..., videos, T, N+1, width) -> the same, or (..., videos, T, 1, width) with ``class_only``.
        """
        return self.together(block, self.alone(block, x, class_only=class_only))

    def alone(self, block: Any, x: Tensor, *, class_only: bool = False) -> Tensor:
        """T-MSA and S-MSA (Eq. 6, 7): what depends on one video alone.

        Shapes: (..., T, N+1, width) -> the same, or (..., T, 1, width) with ``class_only``.
        """
        over_time = attend(block.attn, block.ln_1(x).transpose(-3, -2))  # (..., N+1, T, width)
        change: Tensor = self.temporal(over_time).transpose(-3, -2)
        x = x + change
        y = block.ln_1(x)
        if class_only:
            x = x[..., :1, :]
            change = self.spatial(attend(block.attn, y, queries=y[..., :1, :]))
        else:
            change = self.spatial(attend(block.attn, y))
        return x + change

    def together(self, block: Any, x: Tensor) -> Tensor:
        """Task-MSA and the MLP (Eq. 8, 9): where the videos of a set look at each other.

        Shapes: (..., videos, T, n, width) -> the same.
        """
        over_videos = attend(block.attn, block.ln_1(x).movedim(-4, -2))  # (..., T, n, videos, width)
        change: Tensor = self.task(over_videos).movedim(-2, -4)
        x = x + change
        y = block.ln_2(x)
        change = block.mlp(y) + self.joint(y)
        return x + change
