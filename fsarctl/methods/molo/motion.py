"""Appearance and motion of a clip from its maps, and pixels from motion: the networks of MoLo."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsarctl.models.positions import ScaledPositions
from fsarctl.models.temporal_transformer import TemporalTransformer

__all__ = ["AppearanceAndMotion", "ClipTokens", "PixelDecoder", "TokenEncoder", "picture_sides"]


class ClipTokens(NamedTuple):
    """Of a clip twice a token for the whole of it, first, and then those of its frames."""

    appearance: Tensor
    """(..., T+1, D)."""
    motion: Tensor
    """(..., T, D): of T-1 differences."""

    @classmethod
    def apart(cls, tokens: Tensor) -> "ClipTokens":
        """From :meth:`together`. Shape: (..., 2T+1, D)."""
        frames = tokens.shape[-2] // 2
        return cls(tokens[..., : frames + 1, :], tokens[..., frames + 1 :, :])

    @property
    def together(self) -> Tensor:
        """(..., 2T+1, D)."""
        return torch.cat(self, dim=-2)


class TokenEncoder(nn.Module):
    """A learned token before the others, positions, and a transformer layer, then a relu.

    Args:
        length: of the others, at most.
        width: D.
        heads, hidden: of the layer.
        divisor, weight: of the positions, see :class:`ScaledPositions`.
    """

    def __init__(
        self, length: int, width: int, heads: int, hidden: int, *, divisor: float, weight: float
    ) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(width))
        self.positions = ScaledPositions(length + 1, width, divisor=divisor, weight=weight)
        self.layer = TemporalTransformer(width, heads, hidden)

    def forward(self, tokens: Tensor) -> Tensor:
        """Shapes: (..., n, D) -> (..., n+1, D)."""
        whole = self.token.expand(*tokens.shape[:-2], 1, -1)
        encoded: Tensor = F.relu(self.layer(self.positions(torch.cat([whole, tokens], dim=-2))))
        return encoded


class AppearanceAndMotion(nn.Module):
    """Tokens of a clip's frames, and of how one differs from the next, both from its maps.

    Args:
        frames: T.
        width: D, of the maps.
        heads, hidden, divisor, weight: of both encoders.
        reduced: r, channels of the motion maps; D / 8 by default.
    """

    def __init__(
        self,
        frames: int,
        width: int,
        heads: int = 8,
        hidden: int = 2048,
        *,
        divisor: float = 10.0,
        weight: float = 1.0,
        reduced: int | None = None,
    ) -> None:
        super().__init__()
        self.reduced = reduced or max(1, width // 8)
        self.reduce = nn.Conv3d(width, self.reduced, 3, padding=1)
        self.later = nn.Conv2d(self.reduced, self.reduced, 3, padding=1)
        self.enlarge = nn.Conv2d(self.reduced, width, 1)
        self.appearance = TokenEncoder(frames, width, heads, hidden, divisor=divisor, weight=weight)
        self.motion = TokenEncoder(frames - 1, width, heads, hidden, divisor=divisor, weight=weight)

    def forward(self, maps: Tensor) -> tuple[ClipTokens, Tensor]:
        """Its tokens, and its motion: the filtered map of a frame less the unfiltered one before it.

        Shapes: (..., T, D, rows, columns) -> tokens, and (..., T-1, r, rows, columns).
        """
        clips = maps.flatten(0, -5)  # (clips, T, D, rows, columns)
        reduced = self.reduce(clips.transpose(1, 2)).transpose(1, 2)  # (clips, T, r, rows, columns)
        after = reduced[:, 1:]
        motion = self.later(after.flatten(0, 1)).reshape(after.shape) - reduced[:, :-1]
        moved = F.relu(self.enlarge(motion.flatten(0, 1))).mean(dim=(-2, -1))  # (clips*(T-1), D)
        tokens = ClipTokens(
            self.appearance(clips.mean(dim=(-2, -1))),
            self.motion(moved.reshape(*motion.shape[:2], -1)),
        )
        lead = maps.shape[:-4]
        return (
            ClipTokens(*(each.reshape(*lead, *each.shape[1:]) for each in tokens)),
            motion.reshape(*lead, *motion.shape[1:]),
        )


class PixelDecoder(nn.Sequential):
    """Differences of pixels from motion maps: three times enlarged and convolved, then three channels.

    Args:
        reduced: r, channels of the maps.
        rows: of the maps, which have as many columns.
        side: of the pictures.
        widths: channels on the way.
    """

    def __init__(
        self, reduced: int, rows: int, side: int, widths: tuple[int, int, int] = (128, 32, 16)
    ) -> None:
        steps: list[nn.Module] = []
        for size, before, after in zip(
            picture_sides(rows, side), (reduced, *widths[:2]), widths, strict=True
        ):
            steps += [
                nn.Upsample((size, size), mode="bilinear", align_corners=True),
                nn.Conv2d(before, after, 3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
        super().__init__(*steps, nn.Conv2d(widths[-1], 3, 1))


def picture_sides(rows: int, side: int) -> tuple[int, int, int]:
    """Sides that maps are enlarged to one after the other: twice, four times, and up to the picture's.

    The last is four times as well where a place of the map stands for 32 pixels, as in a ResNet.
    """
    return min(2 * rows, side), min(8 * rows, side), side
