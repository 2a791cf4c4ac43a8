"""The frozen backbone: an open_clip CLIP or an ImageNet ResNet, from a hub, a local file, or at random."""

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import load_file
from torch import Tensor

from fsarctl.config.paths import located
from fsarctl.errors import ConfigError, InputError
from fsarctl.models import tiny_clip
from fsarctl.models.backbone_catalogue import (
    TINY,
    architecture,
    is_resnet,
    own_backbone,
    require_readable,
    without_text_encoder,
)
from fsarctl.models.clip_towers import CLIP
from fsarctl.models.imagenet import IMAGENET_MEAN, IMAGENET_STD, image_only
from fsarctl.models.open_clip_parts import open_clip_part
from fsarctl.models.weights.activation import OPENAI_SIZES, require_activation, settle_activation, twin
from fsarctl.models.weights.layouts import arrange
from fsarctl.models.weights.weight_file import read_weights, require_finite

__all__ = ["Backbone", "Tokenizer", "Weights", "build_backbone", "fitting", "load_backbone", "load_weights"]


class Tokenizer(Protocol):
    """What is used of open_clip's tokenizers."""

    sot_token_id: int
    eot_token_id: int

    def encode(self, text: str) -> list[int]: ...


@dataclass(frozen=True)
class Weights:
    """A CLIP's weights under open_clip's names, float32, and what is known of their pictures."""

    state: Mapping[str, Tensor]
    mean: tuple[float, ...] | None = None
    """Of the three colours; None: OpenAI's, as ``std``."""
    std: tuple[float, ...] | None = None
    remarks: tuple[str, ...] = ()
    """What a user should know of them."""


@dataclass(frozen=True)
class Backbone:
    """A frozen backbone in evaluation mode and what goes with it."""

    name: str
    clip: Any
    """``clip_towers.CLIP``, or open_clip's with a ResNet, untyped; of an ImageNet ResNet ``visual`` alone."""
    tokenized_by: str | None
    """The arguments of open_clip's tokenizer, in JSON; None where there is no text encoder."""
    mean: tuple[float, ...]
    """Of the three colours, on pixels scaled to 0-1."""
    std: tuple[float, ...]
    remarks: tuple[str, ...] = ()
    """What a user should know of its weights."""

    @property
    def visual(self) -> Any:
        """The image tower: ``clip_towers.ViT``, open_clip's ResNet, or torchvision's."""
        return self.clip.visual

    @property
    def tokenizer(self) -> Tokenizer | None:
        """What reads captions, loaded at the first one; None where there is no text encoder."""
        return None if self.tokenized_by is None else _tokenizer(self.tokenized_by)

    @property
    def is_vit(self) -> bool:
        """Whether the image tower is a ViT, not a ResNet."""
        return hasattr(self.visual, "transformer")

    @property
    def has_text(self) -> bool:
        """Whether there is a text encoder."""
        return self.tokenized_by is not None

    @property
    def image_size(self) -> int:
        """Side of the square that the image tower reads, pixels."""
        size = self.visual.image_size
        return int(size if isinstance(size, int) else size[0])

    @property
    def context(self) -> int:
        """Tokens that the text encoder reads, start and end of text included; 0 if there is none."""
        return int(self.clip.positional_embedding.shape[0]) if self.has_text else 0

    @property
    def embed_dim(self) -> int:
        """Width of what ``encode_image`` gives, and ``encode_text`` where there is one."""
        return int(self.clip.text_projection.shape[1] if self.has_text else self.visual.output_dim)

    @property
    def visual_blocks(self) -> int:
        """Blocks of the ViT; 0 of a ResNet."""
        return len(self.visual.transformer.resblocks) if self.is_vit else 0

    @property
    def text_blocks(self) -> int:
        """Blocks of the text encoder; 0 if there is none."""
        return len(self.clip.transformer.resblocks) if self.has_text else 0

    def require_text(self) -> None:
        """Refuse to read text without a text encoder.

        Raises:
            ConfigError: there is none.
        """
        if not self.has_text:
            raise without_text_encoder(self.name)

    def tokenize(self, captions: Sequence[str]) -> Tensor:
        """Token ids, padded with zeros to the context. Shapes: n captions -> (n, context), int64.

        Raises:
            ConfigError: there is no text encoder for these captions.
            InputError: a caption does not fit; it is named, and never cut.
        """
        tokens = torch.zeros(len(captions), self.context, dtype=torch.int64)
        for row, caption in zip(tokens, captions, strict=True):
            self.require_text()
            reader = self.tokenizer
            assert reader is not None
            ids = [reader.sot_token_id, *reader.encode(caption), reader.eot_token_id]
            if len(ids) > self.context:
                raise InputError(
                    f"{len(ids)} tokens, and backbone {self.name} reads {self.context}: {caption!r}",
                    next_step="Shorten this description (or its label).",
                )
            row[: len(ids)] = torch.tensor(ids)
        return tokens


def load_backbone(name: str, weights: str, *, root: Path = Path(), seed: int = 0) -> Backbone:
    """The backbone ``name`` with ``weights``, frozen.

    Args:
        name: an open_clip ViT or ResNet ("ViT-B-16-quickgelu", "RN50"), torchvision's ("resnet50-imagenet"),
            or "tiny", which ships with fsarctl.
        weights: a tag of open_clip ("openai") or torchvision ("IMAGENET1K_V2"), fetched from its hub and kept
            by it; a local file of any format and layout that ``weight_file`` and ``layouts`` read;
            "shipped", for tiny; or "random", a pure function of ``seed``.
        root: where a relative path of a local file begins.
        seed: of random weights.

    Raises:
        ConfigError: no such backbone, or it is no plain CLIP or ResNet, or the weights are not for it.
        InputError: the file is missing, damaged or another model's, or cannot be fetched.
    """
    configuration = architecture(name)
    require_readable(name, configuration)
    if weights == "random":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return build_backbone(name, configuration, None)
    return build_backbone(name, configuration, load_weights(name, weights, root=root))


def load_weights(name: str, weights: str, *, root: Path = Path()) -> Weights:
    """The weights of a backbone, checked against its architecture, which need not be built for it.

    Arguments and errors are those of ``load_backbone``, but that random weights are none.
    """
    configuration = architecture(name)
    require_readable(name, configuration)
    if weights == "shipped" and name == TINY:
        return Weights(load_file(tiny_clip.WEIGHTS))
    path = located(weights, root)
    tag: Mapping[str, Any] = {}
    if not path.is_file():
        from fsarctl.models.weights import hub

        tag = hub.require_tag(name, weights, path.absolute())
        require_activation(name, configuration, bool(tag.get("quick_gelu", False)), f"weights {weights!r}")
        path = hub.fetch(name, weights, tag, root)
    found = read_weights(path)
    remarks = list(found.remarks)
    if not tag and "text_cfg" in configuration:  # a ResNet alone has but one activation
        remarks += settle_activation(name, configuration, path, found.state, partial(_published, name))
    held = {key: value for key, value in found.state.items() if key not in OPENAI_SIZES}
    state = fitting(name, configuration, held, what=str(path))
    require_finite(state, path)
    return Weights(state, tag.get("mean"), tag.get("std"), tuple(remarks))


def fitting(
    name: str, configuration: Mapping[str, Any], state: Mapping[str, Tensor], *, what: str
) -> dict[str, Tensor]:
    """The tensors of ``state`` under open_clip's names; ``what`` is where they come from, for messages.

    Raises:
        InputError: their names or shapes are not those of the configuration.
    """
    clip: Any = _with_vit(name, configuration)
    if clip is None:
        with torch.device("meta"):  # for names and shapes alone
            clip = _new_clip(name, configuration)
    return arrange(state, clip.state_dict(), what=what, of=f"backbone {name}")


def build_backbone(name: str, configuration: Mapping[str, Any], weights: Weights | None) -> Backbone:
    """A frozen backbone from open_clip's model configuration (JSON, hence untyped) and its weights.

    Without weights they are what open_clip starts from, and the global generator decides.
    """
    clip: Any = _with_vit(name, configuration)
    if clip is None:
        clip = _new_clip(name, configuration)
        if weights is not None:
            clip.load_state_dict(weights.state)
    else:
        state = weights.state if weights else _new_clip(name, configuration).state_dict()
        clip.load_state_dict({each: _placed(tensor) for each, tensor in state.items()}, assign=True)
    clip.requires_grad_(False).eval()
    tokenized_by, mean, std = None, IMAGENET_MEAN, IMAGENET_STD
    if (text := configuration.get("text_cfg")) is not None:
        arguments = {"bpe_path": str(tiny_clip.BPE)} if name == TINY else {}
        tokenized_by = json.dumps({**arguments, **text.get("tokenizer_kwargs", {})})
        known = open_clip_part("constants")
        mean, std = known.OPENAI_DATASET_MEAN, known.OPENAI_DATASET_STD
    return Backbone(
        name=name,
        clip=clip,
        tokenized_by=tokenized_by,
        mean=tuple((weights and weights.mean) or mean),
        std=tuple((weights and weights.std) or std),
        remarks=weights.remarks if weights else (),
    )


@cache
def _tokenizer(arguments: str) -> Tokenizer:
    """The tokenizer of these arguments, in JSON: reading the merges takes longer than all else of *tiny*."""
    tokenizer: Tokenizer = open_clip_part("tokenizer").SimpleTokenizer(**json.loads(arguments))
    return tokenizer


def _published(name: str) -> dict[str, bool]:
    """The known weights of a backbone and of that with the other activation, as ``hub.published``."""
    from fsarctl.models.weights import hub

    other = twin(name)
    return hub.published(name) | (hub.published(other) if other else {})


def _with_vit(name: str, configuration: Mapping[str, Any]) -> CLIP | None:
    """The modules of a plain CLIP with a ViT, on the meta device: nothing is drawn; None of anything else."""
    part = own_backbone(name)
    makes = part is not None and getattr(part.load(), "make", None) is not None
    if makes or "text_cfg" not in configuration or is_resnet(configuration):
        return None
    with part.running() if part else nullcontext(), torch.device("meta"):
        return CLIP(configuration)


def _placed(tensor: Tensor) -> Tensor:
    """A copy: in a mapped file a matrix begins anywhere, and its products may then end in other digits."""
    return tensor.to(torch.float32, copy=True, memory_format=torch.contiguous_format)


def _new_clip(name: str, configuration: Mapping[str, Any]) -> Any:
    """The modules as they start, with random weights, of whoever knows how they start."""
    part = own_backbone(name)
    if part is None:
        return _plain_clip(configuration)
    with part.running():
        make = getattr(part.load(), "make", None)
        made = make(configuration) if make else _plain_clip(configuration)
    if not (isinstance(made, torch.nn.Module) and hasattr(made, "visual")):
        raise ConfigError(
            f"{part.called}: make gave a {type(made).__name__}, not a module with visual, as CLIP's are",
            next_step="Return a torch.nn.Module like open_clip's CLIP.",
        )
    return made


def _plain_clip(configuration: Mapping[str, Any]) -> Any:
    if "text_cfg" not in configuration:
        return image_only(configuration)
    import open_clip  # as a whole, which takes longer than anything else here

    return open_clip.CLIP(**configuration)
