"""A CLIP and a model small enough to test by the hundred: 3 visual blocks, 3 text layers, 4 patches."""

from typing import Any

import open_clip
import torch
from torch import Tensor

from fsarctl.methods.task_adapter_plus_plus.method import TaskAdapterPlusPlus
from fsarctl.models.backbone import Backbone, build_backbone

CONFIGURATION: dict[str, Any] = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 16, "layers": 3, "width": 32, "head_width": 8, "patch_size": 8},
    "text_cfg": {"context_length": 40, "vocab_size": 49408, "width": 24, "heads": 3, "layers": 3},
}
CONTEXT = CONFIGURATION["text_cfg"]["context_length"]


def small_backbone(seed: int = 0) -> Backbone:
    """Random weights, all larger than open_clip starts from, so that every term of the model counts."""
    torch.manual_seed(seed)
    backbone = build_backbone("small", CONFIGURATION, None)
    with torch.no_grad():
        for name, parameter in backbone.clip.named_parameters():
            if parameter.dim() < 2 and ("bias" in name or "ln_" in name):
                parameter.add_(0.2 * torch.randn(parameter.shape))
            elif "embedding" in name:
                parameter.copy_(0.5 * torch.randn(parameter.shape))
    return backbone


def open_clips(backbone: Backbone, configuration: dict[str, Any] = CONFIGURATION) -> Any:
    """open_clip's own module with the weights of ``backbone``, which ours is compared with."""
    module = open_clip.CLIP(**configuration)
    module.load_state_dict(backbone.clip.state_dict())
    return module.requires_grad_(False).eval()


def small_model(*, started: bool = True, seed: int = 0, **arguments: Any) -> TaskAdapterPlusPlus:
    """A model over :func:`small_backbone`; ``started`` replaces the adapters' zeros by random numbers."""
    arguments = {"visual_layers": 2, "text_layers": 2, "frames": 4} | arguments
    model = TaskAdapterPlusPlus(small_backbone(seed), **arguments)
    if started:
        generator = torch.Generator().manual_seed(seed + 1)
        state = model.adapter_state()
        for tensor in state.values():
            tensor.copy_(0.3 * torch.randn(tensor.shape, generator=generator))
        model.load_adapter_state(state)
    return model


def episode(
    *, way: int = 3, shot: int = 2, queries: int = 4, frames: int = 4, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Support, query and tokens of one episode of noise."""
    generator = torch.Generator().manual_seed(seed)
    support = torch.randn(way * shot, frames, 3, 16, 16, generator=generator)
    query = torch.randn(queries, frames, 3, 16, 16, generator=generator)
    tokens = torch.randint(1, 40000, (way, 3, CONTEXT), generator=generator)
    ends = torch.randint(4, CONTEXT, (way, 3, 1), generator=generator)
    positions = torch.arange(CONTEXT)
    tokens = torch.where(positions < ends, tokens, 0).scatter(-1, ends, 49407)
    return support, query, tokens
