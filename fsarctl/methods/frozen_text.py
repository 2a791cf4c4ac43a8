"""A class's texts as a frozen text encoder reads them, for methods that train nothing of it."""

import torch
from torch import Tensor, nn

from fsarctl.errors import InputError
from fsarctl.models.backbone import Backbone
from fsarctl.models.order_adapters import SemanticBranch
from fsarctl.models.precision import Precision

__all__ = ["FrozenText"]


class FrozenText(nn.Module):
    """Embeddings of prompts, not normalised.

    Args:
        backbone: whose text encoder is read.
        precision: of it; embeddings are float32.

    Raises:
        ConfigError: the backbone has no text encoder.
    """

    def __init__(self, backbone: Backbone, precision: Precision) -> None:
        super().__init__()
        backbone.require_text()
        self.encoder = SemanticBranch(backbone.clip, blocks=(), precision=precision)

    @torch.no_grad()
    def forward(self, tokens: Tensor | None) -> Tensor:
        """Shapes: (..., way, prompts, context) -> (..., way, prompts, embed).

        Raises:
            InputError: there are no tokens.
        """
        if tokens is None:
            raise InputError("the method reads text of every class", next_step="Pass its tokens.")
        features: Tensor = self.encoder(tokens)
        return features
