"""A ladder side network: a narrow transformer beside a frozen ViT, which reads each of its blocks."""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsarctl.models.attention import attend, frozen_block
from fsarctl.models.precision import computing
from fsarctl.models.vit_with_task_adapters import embed_frames

__all__ = ["LadderNetwork", "SideBlock", "Start", "states", "temporal_blocks"]

Start = Literal["orthogonal", "pca"]
GATE_TEMPERATURE = 0.1


def states(vit: Any, frames: Tensor, precision: str = "float32") -> Tensor:
    """What a frozen ViT's blocks read and give, which are constants of a frame.

    Shapes: (..., T, 3, H, W) -> (..., blocks + 1, T, N+1, width), float32.
    """
    with computing(precision, frames.device):
        x = vit.ln_pre(embed_frames(vit, frames))
        found = [x]
        for block in vit.transformer.resblocks:
            x = frozen_block(block, x)
            found.append(x)
    return torch.stack(found, dim=-4)


def temporal_blocks(blocks: int) -> range:
    """Every other one of the upper half: of 12, numbers 6, 8 and 10."""
    return range(blocks // 2, max(blocks - 1, blocks // 2 + 1), 2)


class SideBlock(nn.Module):
    """A narrow block: x += MHA(LN x), x += W2 gelu(W1 LN x).

    Args:
        width: d.
        heads: of the attention.
        temporal: attend over the frames at one place, rather than over the places of a frame.
    """

    def __init__(self, width: int, heads: int, *, temporal: bool) -> None:
        super().__init__()
        self.temporal = temporal
        self.ln_1 = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads)
        self.ln_2 = nn.LayerNorm(width)
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Shapes: (..., T, N+1, d) -> the same."""
        y = self.ln_1(x)
        x = x + (
            attend(self.attn, y.transpose(-3, -2)).transpose(-3, -2)
            if self.temporal
            else attend(self.attn, y)
        )
        changed: Tensor = x + self.c_proj(F.gelu(self.c_fc(self.ln_2(x))))
        return changed

    @torch.no_grad()
    def start(self, kind: Start, block: Any) -> None:
        """Start from orthogonal matrices, or from the principal components of a wide block's.

        A matrix loses rows and then columns to their principal components, zeros where there are too few; a
        vector is resampled.
        """
        wide = {name.removeprefix("mlp."): each for name, each in block.named_parameters()}
        for name, own in self.named_parameters():
            # Queries, keys and values are three matrices in one.
            parts = 3 if name.startswith("attn.in_proj") else 1
            for part, theirs in zip(own.chunk(parts), wide[name].chunk(parts), strict=True):
                if own.dim() == 2:
                    if kind == "orthogonal":
                        nn.init.orthogonal_(part)
                    else:
                        few_rows = _principal_rows(theirs, part.shape[0])
                        part.copy_(_principal_rows(few_rows.mT, part.shape[1]).mT)
                elif kind == "pca":
                    part.copy_(_resampled(theirs, len(part)))
                elif name.endswith("bias"):
                    part.zero_()


class LadderNetwork(nn.Module):
    """The side network: x_i = s_i side_i(x_{i-1}) + (1 - s_i) A_i LN(state_i), x_0 = A_0 LN(state_0).

    s_i = sigmoid(a_i / 0.1), where a_i is learned from 0.

    Args:
        vit: the frozen ViT (untyped), whose sizes and, with start "pca", weights it starts from.
        width: d.
        heads: of the side blocks.
        start: see :meth:`SideBlock.start`.
    """

    def __init__(self, vit: Any, width: int, heads: int, start: Start) -> None:
        super().__init__()
        wide, blocks = vit.conv1.out_channels, vit.transformer.resblocks
        over_time = temporal_blocks(len(blocks))
        self.norms = nn.ModuleList(nn.LayerNorm(wide) for _ in range(len(blocks) + 1))
        self.rungs = nn.ModuleList(nn.Linear(wide, width, bias=False) for _ in range(len(blocks) + 1))
        self.sides = nn.ModuleList(
            SideBlock(width, heads, temporal=number in over_time) for number in range(len(blocks))
        )
        self.gates = nn.Parameter(torch.zeros(len(blocks)))
        for side, block in zip(self.sides, blocks, strict=True):
            assert isinstance(side, SideBlock)
            side.start(start, block)

    def forward(self, read: Tensor) -> Tensor:
        """Shapes: as :func:`states` gives, (..., blocks + 1, T, N+1, width) -> (..., T, N+1, d)."""
        first, *others = (
            rung(norm(state))
            for norm, rung, state in zip(self.norms, self.rungs, read.unbind(dim=-4), strict=True)
        )
        x: Tensor = first
        shares = torch.sigmoid(self.gates / GATE_TEMPERATURE)
        for side, share, other in zip(self.sides, shares, others, strict=True):
            x = share * side(x) + (1 - share) * other
        return x


def _principal_rows(matrix: Tensor, rows: int) -> Tensor:
    """The columns of ``matrix`` in their first principal components. Shapes: (m, n) -> (rows, n)."""
    centred = matrix - matrix.mean(dim=1, keepdim=True)
    tall = centred.shape[0] > centred.shape[1]
    values, vectors = torch.linalg.eigh(centred.mT @ centred if tall else centred @ centred.mT)
    values, vectors = values.flip(0).clamp(min=0), vectors.flip(1)
    found = (values.sqrt() * vectors).mT if tall else vectors.mT @ centred
    # A component's sign is nobody's: the largest entry is positive.
    largest = found.gather(1, found.abs().argmax(dim=1, keepdim=True))
    found = found * torch.where(largest < 0, -1.0, 1.0)
    return F.pad(found[:rows], (0, 0, 0, max(0, rows - len(found))))


def _resampled(vector: Tensor, length: int) -> Tensor:
    return F.interpolate(vector[None, None, None], (1, length), mode="bicubic", align_corners=False).flatten()
