"""The adapter of D2ST: deformable attention of a clip's patches in space and in time, side by side."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["D2STAdapter", "DeformableAttention", "Kernel"]

Kernel = tuple[int, int, int]
"""Frames, rows, columns."""


class DeformableAttention(nn.Module):
    """Every token of a clip attends to a few points of its volume, whose places are learned from the volume.

    Places start from a regular grid and move by tanh of what an offset network says, at most by 2 / n along
    an axis of n points. Channels go in groups: each has its places, and is a head of the attention.

    Args:
        width: C, of the tokens.
        groups: how many; they divide the width.
        kernel, stride: of the offset network's depthwise convolution.
    """

    def __init__(self, width: int, groups: int, kernel: Kernel, stride: Kernel) -> None:
        super().__init__()
        each = width // groups
        self.groups = groups
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.convolution = nn.Conv3d(each, each, kernel, stride, groups=each)
        self.norm = nn.LayerNorm(each)
        self.to_offset = nn.Linear(each, 3, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Shapes: (clips, T, 1+h*h, C), the class token first -> the same."""
        asked = self.query(tokens)
        sampled = self.sample(tokens, self.places(self.offsets(asked)))  # (clips*G, c, n1, n2, n3)
        points = sampled.reshape(len(tokens), tokens.shape[-1], -1).mT  # (clips, points, C)
        q, k, v = (
            each.reshape(len(tokens), -1, self.groups, each.shape[-1] // self.groups).transpose(1, 2)
            for each in (asked, self.key(points), self.value(points))
        )  # (clips, G, T*(1+h*h) or points, c)
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(tokens.shape)
        out: Tensor = self.out(attended)
        return out

    def offsets(self, asked: Tensor) -> Tensor:
        """What the offset network says. Shapes: (clips, T, 1+h*h, C) -> (clips*G, n1, n2, n3, 3)."""
        x = self.convolution(self._volume(asked)).movedim(1, -1)  # (clips*G, n1, n2, n3, c)
        raw: Tensor = self.to_offset(F.gelu(self.norm(x)))
        return raw

    def places(self, raw: Tensor) -> Tensor:
        """Where the points are, by frame, row and column, -1 to 1 being the first to the last of each.

        Shapes: (clips*G, n1, n2, n3, 3) -> the same.
        """
        counts = raw.shape[1:4]
        kept = torch.promote_types(raw.dtype, torch.float32)
        axes = [(2 * torch.arange(n, device=raw.device, dtype=kept) + 1) / n - 1 for n in counts]
        grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)  # (n1, n2, n3, 3)
        furthest = torch.tensor([min(1.0, 2 / n) for n in counts], device=raw.device, dtype=kept)
        return grid + raw.to(kept).tanh() * furthest

    def sample(self, tokens: Tensor, places: Tensor) -> Tensor:
        """The volume between its patches, zero outside of them.

        Shapes: (clips, T, 1+h*h, C), (clips*G, n1, n2, n3, 3) -> (clips*G, c, n1, n2, n3).
        """
        volume = self._volume(tokens).to(places.dtype)
        return F.grid_sample(
            volume, places.flip(-1), mode="bilinear", padding_mode="zeros", align_corners=True
        )

    def _volume(self, tokens: Tensor) -> Tensor:
        """Patches by group, as channels of a volume: -> (clips*G, c, T, h, h)."""
        clips, frames, _, width = tokens.shape
        volume = _patches(tokens).permute(0, 4, 1, 2, 3)  # (clips, C, T, h, h)
        return volume.reshape(clips * self.groups, width // self.groups, frames, *volume.shape[-2:])


class D2STAdapter(nn.Module):
    """The adapter behind a block: x + gelu(Wu gelu(mean of a spatial and a temporal path of gelu(Wd x))).

    It starts as nothing: Wu and its bias are zero.

    Args:
        width: of the block.
        hidden: C, of the bottleneck.
        groups: of the deformable attention.
        spatial, temporal: kernel and stride of the offset network of either path.
    """

    def __init__(
        self,
        width: int,
        hidden: int,
        groups: int,
        *,
        spatial: tuple[Kernel, Kernel],
        temporal: tuple[Kernel, Kernel],
    ) -> None:
        super().__init__()
        self.down = nn.Linear(width, hidden)
        self.position = nn.Conv3d(hidden, hidden, 3, padding=1, groups=hidden)
        self.spatial_ln = nn.LayerNorm(hidden)
        self.spatial = DeformableAttention(hidden, groups, *spatial)
        self.temporal_ln = nn.LayerNorm(hidden)
        self.temporal = DeformableAttention(hidden, groups, *temporal)
        self.up = nn.Linear(hidden, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Shapes: (..., T, 1+h*h, width) -> the same; the clips of the leading axes do not meet."""
        z = self.narrow(x)  # (clips, T, 1+h*h, C)
        spatial = z + self.spatial(self.spatial_ln(z))
        temporal = z + self.temporal(self.temporal_ln(z))
        change: Tensor = F.gelu(self.up(F.gelu((spatial + temporal) / 2)))
        return x + change.reshape(x.shape)

    def narrow(self, x: Tensor) -> Tensor:
        """What both paths start from. Shapes: (..., T, 1+h*h, width) -> (clips, T, 1+h*h, C)."""
        z = F.gelu(self.down(x.reshape(-1, *x.shape[-3:])))
        volume = _patches(z).permute(0, 4, 1, 2, 3)  # (clips, C, T, h, h)
        placed = self.position(volume).permute(0, 2, 3, 4, 1).flatten(2, 3)  # (clips, T, h*h, C)
        return torch.cat([z[:, :, :1], z[:, :, 1:] + placed], dim=2)


def _patches(tokens: Tensor) -> Tensor:
    """All but the class token, in their square. Shapes: (..., 1+h*h, C) -> (..., h, h, C)."""
    rows = round((tokens.shape[-2] - 1) ** 0.5)
    return tokens[..., 1:, :].reshape(*tokens.shape[:-2], rows, rows, tokens.shape[-1])
