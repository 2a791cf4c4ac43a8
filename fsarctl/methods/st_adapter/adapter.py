"""The adapter of ST-Adapter: a narrow depthwise convolution over time (and space) before a frozen layer."""

from typing import Any

from torch import Tensor, nn

from fsarctl.models.attention import attend

__all__ = ["STAdapter", "STBlock"]


class STAdapter(nn.Module):
    """x + F2 conv(F1 x) on the patches of a clip; class tokens pass. There is no activation.

    It starts as nothing: the convolution, and all biases, are zero.

    Args:
        width: of the block.
        hidden: of the convolution, one filter a channel.
        kernel: of the convolution, odd: frames, rows, columns; zeros stand outside of a clip.
    """

    def __init__(self, width: int, hidden: int, kernel: tuple[int, int, int] = (3, 1, 1)) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        frames, rows, columns = (size // 2 for size in kernel)
        self.conv = nn.Conv3d(hidden, hidden, kernel, padding=(frames, rows, columns), groups=hidden)
        self.fc2 = nn.Linear(hidden, width)
        nn.init.zeros_(self.conv.weight)
        for layer in (self.fc1, self.conv, self.fc2):
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Shapes: (..., T, 1+h*h, width) -> the same; the clips of the leading axes do not meet."""
        rows = round((x.shape[-2] - 1) ** 0.5)
        narrow = self.fc1(x[..., 1:, :])  # (..., T, h*h, hidden)
        volume = narrow.reshape(-1, narrow.shape[-3], rows, rows, narrow.shape[-1]).movedim(-1, 1)
        mixed = self.conv(volume).movedim(1, -1).reshape(narrow.shape)
        out = x.clone()
        out[..., 1:, :] = x[..., 1:, :] + self.fc2(mixed)
        return out


class STBlock(nn.Module):
    """A frozen block with an adapter before its attention and, where there are two, one before its MLP.

    Arguments are those of :class:`STAdapter`.
    """

    def __init__(self, width: int, hidden: int, kernel: tuple[int, int, int], *, before_mlp: bool) -> None:
        super().__init__()
        self.before_attention = STAdapter(width, hidden, kernel)
        self.before_mlp = STAdapter(width, hidden, kernel) if before_mlp else nn.Identity()

    def forward(self, block: Any, x: Tensor) -> Tensor:
        """Shapes: (..., T, 1+h*h, width) -> the same; ``block`` is open_clip's, which is untyped."""
        x = self.before_attention(x)
        x = x + attend(block.attn, block.ln_1(x))
        x = self.before_mlp(x)
        changed: Tensor = x + block.mlp(block.ln_2(x))
        return changed
