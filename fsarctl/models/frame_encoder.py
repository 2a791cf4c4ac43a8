"""What a backbone makes of one frame: an embedding, a token and a map, alike for ViTs and ResNets."""

from copy import deepcopy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fsarctl.models.attention import flop_of, frozen_block
from fsarctl.models.backbone import Backbone
from fsarctl.models.precision import Precision, computing
from fsarctl.models.vit_with_task_adapters import embed_frames

__all__ = ["FrameBranch", "FrameEncoder", "FrameFeatures"]


class FrameFeatures(NamedTuple):
    """Features of frames, float32, none of them normalised."""

    embedding: Tensor
    """(..., embed): what ``encode_image`` gives, the projected class token or what an attention pool makes of
    the map; of an ImageNet ResNet, which has neither, the token."""
    token: Tensor
    """(..., width): the class token after ``ln_post``, not projected; of a ResNet the mean of its map."""
    patches: Tensor
    """(..., rows, columns, width): the patch tokens after ``ln_post``; of a ResNet the map of ``layer4``."""


class FrameEncoder(nn.Module):
    """A backbone's image tower, frame by frame.

    It starts in evaluation mode, and ``train()`` reaches a trained tower alone: the batch normalisation of a
    frozen one reads its stored statistics, whatever is trained around it.

    Args:
        backbone: whose image tower this is.
        trained: train a copy of the tower, which nobody else sees who shares the backbone; otherwise the
            backbone's own is read, and no gradient goes into it.
        precision: of the tower; features are pooled and projected in float32, and are float32.

    Raises:
        ConfigError: no such precision.
    """

    embed_dim: int
    """Width of :attr:`FrameFeatures.embedding`."""
    width: int
    """Width of :attr:`FrameFeatures.token` and :attr:`FrameFeatures.patches`."""
    rows: int
    """Rows of the map, which has as many columns."""

    def __init__(
        self, backbone: Backbone, *, trained: bool = False, precision: Precision = "float32"
    ) -> None:
        super().__init__()
        computing(precision, torch.device("cpu"))  # refuses what is no precision
        tower = backbone.visual
        self.tower = deepcopy(tower).requires_grad_(True) if trained else tower
        self.trained = trained
        self.precision = precision
        self.embed_dim = backbone.embed_dim
        if backbone.is_vit:
            self.width = tower.conv1.out_channels
            self.rows = backbone.image_size // tower.conv1.stride[0]
        else:
            # The last convolution that feeds the sum is the last one of the tower but for its pooling.
            self.width = [m for m in tower.layer4.modules() if isinstance(m, nn.Conv2d)][-1].out_channels
            self.rows = -(-backbone.image_size // RESNET_STRIDE)
        self._read = _of_vit if backbone.is_vit else _of_resnet
        self.train(False)

    def train(self, mode: bool = True) -> "FrameEncoder":
        """As of any module, but that a frozen tower stays in evaluation mode."""
        super().train(mode)
        self.tower.train(mode and self.trained)
        return self

    def forward(self, frames: Tensor) -> FrameFeatures:
        """Features of frames. Shapes: normalised (..., 3, H, W) -> as :class:`FrameFeatures` says."""
        with torch.set_grad_enabled(self.trained and torch.is_grad_enabled()):
            return self._read(self.tower, frames, self.precision)

    @property
    def frame_flop(self) -> int:
        """About how many floating-point operations it takes of a frame; of a ResNet, at least."""
        if self._read is _of_vit:
            return flop_of(self.tower.transformer.resblocks, len(self.tower.positional_embedding))
        return flop_of([self.tower], self.rows**2)


class FrameBranch(nn.Module):
    """A visual branch without adapters, for towers of any kind: each frame's embedding and nothing else.

    What it gives, and in which steps, is as of :class:`~fsarctl.models.vit_with_task_adapters.VisualBranch`.
    """

    first_adapted = 0
    sees_sets = False
    prefix_is_constant = True

    def __init__(self, backbone: Backbone, *, precision: Precision = "float32") -> None:
        super().__init__()
        self.encoder = FrameEncoder(backbone, precision=precision)
        self.precision = precision

    def forward(self, frames: Tensor) -> Tensor:
        """Shapes: (..., T, 3, H, W) -> (..., T, embed)."""
        return self.prefix(frames)

    video = forward

    @property
    def frame_flop(self) -> int:
        """As of the encoder."""
        return self.encoder.frame_flop

    def prefix(self, frames: Tensor) -> Tensor:
        """All that is done here. Shapes: (..., T, 3, H, W) -> (..., T, embed)."""
        features: FrameFeatures = self.encoder(frames)
        return features.embedding

    def alone(self, features: Tensor) -> Tensor:
        """What :meth:`prefix` gave."""
        return features

    shares_frames = True
    each_frame = prefix
    from_frames = alone

    def together(self, videos: Tensor) -> Tensor:
        """What :meth:`prefix` gave."""
        return videos


RESNET_STRIDE = 32
"""Pixels of a side that one place of a ResNet's last map stands for."""


def _of_vit(vit: Any, frames: Tensor, precision: str) -> FrameFeatures:
    with computing(precision, frames.device):
        x = vit.ln_pre(embed_frames(vit, frames))  # (..., N+1, width)
        for block in vit.transformer.resblocks:
            x = frozen_block(block, x)
    x = vit.ln_post(x)
    token, patches = x[..., 0, :], x[..., 1:, :]
    rows = frames.shape[-2] // vit.conv1.stride[0]
    return FrameFeatures(token @ vit.proj, token, patches.unflatten(-2, (rows, -1)))


def _of_resnet(resnet: Any, frames: Tensor, precision: str) -> FrameFeatures:
    with computing(precision, frames.device):
        x = frames.reshape(-1, *frames.shape[-3:])
        if hasattr(resnet, "stem"):  # open_clip's
            x = resnet.stem(x)
        else:
            x = resnet.maxpool(resnet.relu(resnet.bn1(resnet.conv1(x))))
        # x: (frames, channels, H/4, W/4)
        for layer in (resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4):
            x = layer(x)
    x = x.float()  # (frames, width, rows, columns)
    token = x.mean((-2, -1))
    embedding = resnet.attnpool(x) if hasattr(resnet, "attnpool") else token
    each_frame = (embedding, token, x.movedim(1, -1))
    return FrameFeatures(*(x.reshape(*frames.shape[:-3], *x.shape[1:]) for x in each_frame))
