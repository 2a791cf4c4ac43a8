"""The frozen backbone: an open_clip CLIP with a ViT, from the hub, a local file, or as random numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import open_clip
import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from safetensors.torch import load_file
from torch import Tensor

from fsarctl.config.paths import located
from fsarctl.errors import ConfigError, InputError
from fsarctl.models import hub, tiny_clip
from fsarctl.models.activation import OPENAI_SIZES, require_activation, settle_activation, twin
from fsarctl.models.catalogue import PLAIN, PLAIN_TOP, TINY, architecture, own_backbone
from fsarctl.models.layouts import arrange
from fsarctl.models.weight_file import read_weights, require_finite

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
    """A frozen CLIP in evaluation mode and what goes with it."""

    name: str
    clip: Any
    """open_clip's CLIP module, which is untyped."""
    tokenizer: Tokenizer
    mean: tuple[float, ...]
    """Of the three colours, on pixels scaled to 0-1."""
    std: tuple[float, ...]
    remarks: tuple[str, ...] = ()
    """What a user should know of its weights."""

    @property
    def image_size(self) -> int:
        """Side of the square that the ViT reads, pixels."""
        return int(self.clip.visual.image_size[0])

    @property
    def context(self) -> int:
        """Tokens that the text encoder reads, start and end of text included."""
        return int(self.clip.positional_embedding.shape[0])

    @property
    def embed_dim(self) -> int:
        """Width of the joint embedding."""
        return int(self.clip.text_projection.shape[1])

    @property
    def visual_blocks(self) -> int:
        """Blocks of the ViT."""
        return len(self.clip.visual.transformer.resblocks)

    @property
    def text_blocks(self) -> int:
        """Blocks of the text encoder."""
        return len(self.clip.transformer.resblocks)

    def tokenize(self, captions: Sequence[str]) -> Tensor:
        """Token ids, padded with zeros to the context. Shapes: n captions -> (n, context), int64.

        Raises:
            InputError: a caption does not fit; it is named, and never cut.
        """
        tokens = torch.zeros(len(captions), self.context, dtype=torch.int64)
        for row, caption in zip(tokens, captions, strict=True):
            ids = [self.tokenizer.sot_token_id, *self.tokenizer.encode(caption), self.tokenizer.eot_token_id]
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
        name: an open_clip ViT ("ViT-B-16-quickgelu"), or "tiny", which ships with fsarctl.
        weights: an open_clip tag ("openai"), fetched from its hub and kept by it; a local file of any format
            and layout that ``weight_file`` and ``layouts`` read; "shipped", for tiny; or "random", a pure
            function of ``seed``.
        root: where a relative path of a local file begins.
        seed: of random weights.

    Raises:
        ConfigError: no such backbone, or it is not a plain ViT CLIP, or the weights are not for it.
        InputError: the file is missing, damaged or another model's, or cannot be fetched.
    """
    configuration = plain_architecture(name)
    if weights == "random":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return build_backbone(name, configuration, None)
    return build_backbone(name, configuration, load_weights(name, weights, root=root))


def load_weights(name: str, weights: str, *, root: Path = Path()) -> Weights:
    """The weights of a backbone, checked against its architecture, which need not be built for it.

    Arguments and errors are those of ``load_backbone``, but that random weights are none.
    """
    configuration = plain_architecture(name)
    if weights == "shipped" and name == TINY:
        return Weights(load_file(tiny_clip.WEIGHTS))
    path = located(weights, root)
    tag: hub.Tag = {}
    if not path.is_file():
        tag = hub.require_tag(name, weights, path.absolute())
        require_activation(name, configuration, bool(tag.get("quick_gelu", False)), f"weights {weights!r}")
        path = hub.fetch(name, weights, tag, root)
    found = read_weights(path)
    remarks = list(found.remarks)
    if not tag:
        other = twin(name)
        published = hub.published(name) | (hub.published(other) if other else {})
        remarks += settle_activation(name, configuration, path, found.state, published)
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
    with torch.device("meta"):  # for names and shapes alone
        wanted = _new_clip(name, configuration).state_dict()
    return arrange(state, wanted, what=what, of=f"backbone {name}")


def build_backbone(name: str, configuration: Mapping[str, Any], weights: Weights | None) -> Backbone:
    """A frozen backbone from open_clip's model configuration (JSON, hence untyped) and its weights.

    Without weights they are what open_clip starts from, and the global generator decides.
    """
    clip = _new_clip(name, configuration)
    if weights is not None:
        clip.load_state_dict(weights.state)
    clip.requires_grad_(False).eval()
    text = configuration["text_cfg"]
    arguments = {"bpe_path": str(tiny_clip.BPE)} if name == TINY else {}
    tokenizer: Tokenizer = open_clip.SimpleTokenizer(**arguments, **text.get("tokenizer_kwargs", {}))
    return Backbone(
        name=name,
        clip=clip,
        tokenizer=tokenizer,
        mean=tuple((weights and weights.mean) or OPENAI_DATASET_MEAN),
        std=tuple((weights and weights.std) or OPENAI_DATASET_STD),
        remarks=weights.remarks if weights else (),
    )


def _new_clip(name: str, configuration: Mapping[str, Any]) -> Any:
    part = own_backbone(name)
    make = getattr(part.load(), "make", None) if part else None
    return make(configuration) if make else open_clip.CLIP(**configuration)


def plain_architecture(name: str) -> Mapping[str, Any]:
    """open_clip's configuration of backbone ``name``.

    Raises:
        ConfigError: there is none, or it is no plain CLIP with a ViT.
    """
    configuration = architecture(name)
    other = sorted(configuration.keys() - PLAIN_TOP)
    for table, plain in PLAIN.items():
        other += sorted(configuration[table].keys() - plain)
    if isinstance(configuration["vision_cfg"].get("layers"), list):
        other.append("a ResNet")
    if other:
        raise ConfigError(
            f"backbone {name} is not a plain ViT CLIP, which the adapters need ({', '.join(other)})",
            next_step="Use for example ViT-B-16-quickgelu, ViT-B-32-quickgelu or ViT-L-14-quickgelu.",
        )
    return configuration
