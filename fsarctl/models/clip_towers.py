"""CLIP with a ViT: the modules that its weights are of, under open_clip's names and in open_clip's order.

They are made of a model configuration in a few lines, since open_clip as a whole takes longer to import than
torch itself, and start from no weights: whoever makes them loads some.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsarctl.models.attention import frozen_block
from fsarctl.models.backbone_catalogue import IMAGE_SIZE
from fsarctl.models.precision import linear
from fsarctl.models.vit_with_task_adapters import embed_frames

__all__ = ["CLIP", "ViT"]


class CLIP(nn.Module):
    """A ViT and a text encoder, whose features are alike where a caption tells of a picture.

    Args:
        configuration: in open_clip's form, of which only a plain CLIP's settings are read (see
            ``catalogue.require_readable``); what it does not say is as open_clip has it.
    """

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__()
        embed, text = configuration["embed_dim"], configuration["text_cfg"]
        quick = configuration.get("quick_gelu", False)
        width, self.context_length = text.get("width", 512), text.get("context_length", 77)
        self.visual = ViT(configuration["vision_cfg"], embed, quick=quick)
        self.transformer = Transformer(
            width, text.get("heads", 8), text.get("layers", 12), text.get("mlp_ratio", 4.0), quick=quick
        )
        # nn.Embedding would draw numbers, which on the meta device imports torch's compiler.
        words = torch.empty(text.get("vocab_size", 49408), width)
        self.token_embedding = nn.Embedding.from_pretrained(words, freeze=False)  # type: ignore[no-untyped-call]
        self.positional_embedding = nn.Parameter(torch.empty(self.context_length, width))
        self.ln_final = LayerNorm(width)
        self.text_projection = nn.Parameter(torch.empty(width, embed))
        self.logit_scale = nn.Parameter(torch.empty(()))

    def encode_image(self, images: Tensor) -> Tensor:
        """Shapes: (..., 3, H, W) -> (..., embed)."""
        features: Tensor = self.visual(images)
        return features

    def encode_text(self, tokens: Tensor) -> Tensor:
        """The feature at the end of text, which is the largest id of a caption.

        Shapes: (..., context) -> (..., embed).
        """
        x = self.token_embedding(tokens) + self.positional_embedding[: tokens.shape[-1]]
        for block in self.transformer.resblocks:
            x = frozen_block(block, x, causal=True)
        ended = x.take_along_dim(tokens.argmax(-1)[..., None, None], dim=-2).squeeze(-2)
        features: Tensor = self.ln_final(ended) @ self.text_projection
        return features


class ViT(nn.Module):
    """CLIP's image tower.

    Args:
        described: ``vision_cfg`` of a model configuration.
        output_dim: width of what it gives.
        quick: QuickGELU rather than GELU.
    """

    def __init__(self, described: Mapping[str, Any], output_dim: int, *, quick: bool) -> None:
        super().__init__()
        self.image_size: int | Sequence[int] = described.get("image_size", IMAGE_SIZE)
        self.output_dim = output_dim
        width, patch = described.get("width", 768), described.get("patch_size", 16)
        self.conv1 = nn.Conv2d(3, width, patch, stride=patch, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(width))
        places = _side(self.image_size) // _side(patch)
        self.positional_embedding = nn.Parameter(torch.empty(places**2 + 1, width))
        self.ln_pre = LayerNorm(width)
        heads = width // described.get("head_width", 64)
        self.transformer = Transformer(
            width, heads, described.get("layers", 12), described.get("mlp_ratio", 4.0), quick=quick
        )
        self.ln_post = LayerNorm(width)
        self.proj = nn.Parameter(torch.empty(width, output_dim))

    def forward(self, images: Tensor) -> Tensor:
        """The projected class token. Shapes: (..., 3, H, W) -> (..., embed)."""
        x = self.ln_pre(embed_frames(self, images))  # (..., N+1, width)
        for block in self.transformer.resblocks:
            x = frozen_block(block, x)
        features: Tensor = self.ln_post(x[..., 0, :]) @ self.proj
        return features


def _side(size: int | Sequence[int]) -> int:
    """Of a square, which open_clip's form describes by one number or by two."""
    return size if isinstance(size, int) else size[0]


class Transformer(nn.Module):
    """Residual blocks one after the other, which :func:`fsarctl.models.attention.frozen_block` computes."""

    def __init__(self, width: int, heads: int, layers: int, mlp_ratio: float, *, quick: bool) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(Block(width, heads, mlp_ratio, quick=quick) for _ in range(layers))


class Block(nn.Module):
    """Attention and MLP, each after a norm."""

    def __init__(self, width: int, heads: int, mlp_ratio: float, *, quick: bool) -> None:
        super().__init__()
        self.ln_1 = LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = LayerNorm(width)
        hidden = int(width * mlp_ratio)
        self.mlp = nn.Sequential(
            OrderedDict(
                c_fc=Linear(width, hidden),
                gelu=QuickGELU() if quick else nn.GELU(),
                c_proj=Linear(hidden, width),
            )
        )


class Linear(nn.Linear):
    """A linear layer whose matrix may be frozen."""

    def forward(self, x: Tensor) -> Tensor:
        """Shapes: (..., in) -> (..., out)."""
        return linear(x, self.weight, self.bias)


class LayerNorm(nn.LayerNorm):
    """Its result is of its input's type, also where autocast computes it in float32."""

    def forward(self, x: Tensor) -> Tensor:
        """Shapes: (..., width) -> the same."""
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps).to(x.dtype)


class QuickGELU(nn.Module):
    """OpenAI's approximation of GELU."""

    def forward(self, x: Tensor) -> Tensor:
        """x * sigmoid(1.702 x)."""
        return x * torch.sigmoid(1.702 * x)
